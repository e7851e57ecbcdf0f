"""Networks as people write them: lists of one tensor, and encoders of tokens."""

import keras
import numpy as np
import pytest

import keras_vae
from keras_vae import likelihoods, networks, posteriors, priors


def in_lists():
    """Functional networks whose inputs and outputs are in lists of one."""
    x, z = keras.Input((8, 8, 1)), keras.Input((3,))
    encoder = keras.Model([x], [keras.layers.Dense(8)(keras.layers.Flatten()(x))])
    return {"encoder": encoder, "decoder": keras.Model([z], [keras.layers.Dense(8)(z)])}


def test_networks_may_take_and_return_lists_of_one(digits, make_vae, tmp_path):
    vae = make_vae(**in_lists())
    vae.compile()
    vae.fit(digits[:32], verbose=0)
    z = vae.encode(digits[:9])
    # Compiled and eager: float32 rounding apart.
    np.testing.assert_allclose(vae.encoder_model()(digits[:9]).numpy(), z, atol=1e-6)
    np.testing.assert_allclose(vae.decoder_model()(z).numpy(), vae.decode(z), atol=1e-6)
    vae.save(tmp_path / "vae.keras")
    again = keras.saving.load_model(tmp_path / "vae.keras")
    np.testing.assert_array_equal(again.encode(digits[:9]), z)


def embedding_first():
    return keras.Sequential([keras.layers.Embedding(5, 4), keras.layers.GRU(8)])


def integer_input(*shape, dtype="int32"):
    tokens = keras.Input(shape, dtype=dtype)
    embedded = keras.layers.Embedding(5, 4)(tokens)
    if len(shape) == 2:
        embedded = keras.layers.Reshape((7, 4))(embedded)
    return keras.Model(tokens, keras.layers.GRU(8)(embedded))


@keras.saving.register_keras_serializable(package="tests")
class TakesIntegers(keras.Model):
    """A user's class that says what it takes."""

    takes_integers = True

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.embedding, self.recurrent = keras.layers.Embedding(5, 4), keras.layers.GRU(8)

    def call(self, tokens):
        return self.recurrent(self.embedding(tokens))


ENCODERS = {
    "embedding first": embedding_first,
    "vectors": lambda: integer_input(7),
    "vectors of floats": lambda: integer_input(7, dtype="float32"),
    "with channel": lambda: integer_input(7, 1),
    "class": TakesIntegers,
}


def tokens_model(encoder, **options):
    return keras_vae.VAE(
        encoder=encoder,
        decoder=networks.RecurrentDecoder([8]),
        posterior=posteriors.DiagonalNormal(latent_dim=2),
        likelihood=likelihoods.Categorical(5),
        event_shape=(7, 1),
        **options,
    )


@pytest.mark.parametrize("name", ENCODERS)
def test_encoders_of_integers_are_given_tokens(rng, tmp_path, name):
    x = rng.integers(0, 5, (32, 7, 1)).astype("float32")
    vae = tokens_model(ENCODERS[name]())
    seen = x.astype("int32") if name == "with channel" else x[..., 0].astype("int32")
    features = vae.encoder(seen)
    expected = vae.posterior.point(vae._to_posterior(features)).numpy()
    np.testing.assert_allclose(vae.encode(x), expected, atol=1e-6)
    vae.compile()
    vae.fit(x, verbose=0)
    vae.save(tmp_path / "vae.keras")
    again = keras.saving.load_model(tmp_path / "vae.keras")
    np.testing.assert_array_equal(again.encode(x), vae.encode(x))
    np.testing.assert_allclose(vae.encoder_model()(x).numpy(), vae.encode(x), atol=1e-6)


def test_encoders_of_integers_refuse_what_is_no_token():
    with pytest.raises(ValueError, match=r"integers cannot see missing values"):
        tokens_model(embedding_first(), missing="nan")
    with pytest.raises(ValueError, match="VampPrior"):
        tokens_model(embedding_first(), prior=priors.VampPrior(components=3))
    with pytest.raises(ValueError, match=r"conditions beside them"):
        tokens_model(embedding_first(), condition_shape=(3,))
