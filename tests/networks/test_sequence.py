"""Decoders of sequences: what the element before means to them, and steps."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_vae
from keras_vae.networks import (
    CausalConvDecoder,
    ConvEncoder1D,
    RecurrentDecoder,
    RecurrentEncoder,
    TransformerDecoder,
    TransformerEncoder,
)

LENGTH, BATCH, LATENT_DIM, VOCABULARY = 6, 3, 2, 5

DECODERS = {
    "gru": lambda **kwargs: RecurrentDecoder([4, 3], "gru", **kwargs),
    "lstm": lambda **kwargs: RecurrentDecoder([4, 3], "lstm", **kwargs),
    "conv": lambda **kwargs: CausalConvDecoder(4, [1, 2], 2, **kwargs),
    "transformer": lambda **kwargs: TransformerDecoder(2, 2, 6, dropout=0.1, **kwargs),
}
ENCODERS = {
    "gru": lambda **kwargs: RecurrentEncoder([4, 3], **kwargs),
    "lstm": lambda **kwargs: RecurrentEncoder([4], "lstm", bidirectional=False, **kwargs),
    "conv": lambda **kwargs: ConvEncoder1D([4, 3], activation="tanh", **kwargs),
    "transformer": lambda **kwargs: TransformerEncoder(2, 2, 6, **kwargs),
}
every_decoder = pytest.mark.parametrize("decoder", DECODERS)
every_encoder = pytest.mark.parametrize("encoder", ENCODERS)
both_kinds = pytest.mark.parametrize("vocabulary", [None, VOCABULARY])


def randomise(body):
    # At their initial values - zero biases - mistakes could hide.
    rng = np.random.default_rng(5)
    for variable in body.trainable_variables:
        variable.assign_add(0.3 * rng.normal(size=variable.shape))
    return body


def make_decoder(decoder, length=LENGTH, **kwargs):
    body = DECODERS[decoder](**kwargs)
    body.bind((length, 1 if kwargs.get("vocabulary") else 3))
    body.build((None, LATENT_DIM))
    return randomise(body)


def autoregressive(decoder, vocabulary, **kwargs):
    return make_decoder(decoder, autoregressive=True, vocabulary=vocabulary, **kwargs)


def latents(rng, batch=BATCH):
    return tf.constant(rng.normal(size=(batch, LATENT_DIM)), tf.float32)


def elements(rng, vocabulary, batch=BATCH, length=LENGTH):
    if vocabulary is None:
        return rng.normal(size=(batch, length, 3)).astype("float32")
    return rng.integers(0, vocabulary, size=(batch, length, 1)).astype("float32")


def shifted(x):
    return np.concatenate([np.zeros_like(x[:, :1]), x[:, :-1]], axis=1)


def by_steps(body, z, x):
    """Features of all positions, one step after the other."""
    state, token, features = body.initial_state(z), np.zeros_like(x[:, 0]), []
    for position in range(x.shape[1]):
        each, state = body.step(token, state, z)
        features.append(each.numpy())
        token = x[:, position]
    return np.stack(features, axis=1)


# Autoregressive decoders.


@every_decoder
@both_kinds
@pytest.mark.parametrize("length", [1, LENGTH])
@pytest.mark.filterwarnings("ignore:.*softmax over axis 3")  # of one element, rightly
def test_steps_give_the_features_of_a_call_with_the_target(decoder, vocabulary, length, rng):
    body = autoregressive(decoder, vocabulary, length=length)
    z, x = latents(rng), elements(rng, vocabulary, length=length)
    # The same float32 operations in another order.
    expected = body(z, target=shifted(x))
    np.testing.assert_allclose(by_steps(body, z, x), expected, rtol=1e-5, atol=1e-5)


@every_decoder
@both_kinds
def test_features_depend_on_elements_before_and_on_no_other(decoder, vocabulary, rng):
    body = autoregressive(decoder, vocabulary)
    z, x = latents(rng), elements(rng, vocabulary)
    features = np.asarray(body(z, target=shifted(x)))
    for changed in range(LENGTH):
        other = x.copy()
        other[:, changed] = (other[:, changed] + 1) % VOCABULARY
        differs = np.asarray(body(z, target=shifted(other))) != features
        assert not np.any(differs[:, : changed + 1])
        if changed + 1 < LENGTH:
            assert np.all(np.any(differs[:, changed + 1], axis=-1))


@every_decoder
@both_kinds
def test_the_start_is_not_mistaken_for_an_element_of_zeros(decoder, vocabulary, rng):
    body = autoregressive(decoder, vocabulary)
    z, x = latents(rng), elements(rng, vocabulary)
    # Whatever is at the first position of the shifted target, it is not looked at ...
    other = shifted(x)
    other[:, 0] += 1
    np.testing.assert_array_equal(body(z, target=other), body(z, target=shifted(x)))
    np.testing.assert_array_equal(
        body.step(other[:, 0], body.initial_state(z), z)[0],
        body.step(0 * other[:, 0], body.initial_state(z), z)[0],
    )
    # ... while a zero anywhere else is an element, unlike nothing.
    nothing, zeros = np.asarray(body(z)), np.asarray(body(z, target=np.zeros_like(x)))
    np.testing.assert_array_equal(nothing[:, 0], zeros[:, 0])
    assert np.all(np.any(nothing[:, 1:] != zeros[:, 1:], axis=-1))


@every_decoder
@pytest.mark.parametrize("autoregressive", [False, True])
def test_every_position_depends_on_z_in_a_way_of_its_own(decoder, autoregressive, rng):
    body = make_decoder(decoder, autoregressive=autoregressive)
    z = latents(rng, 2)
    features = np.asarray(body(z))
    assert np.all(np.any(features[0] != features[1], axis=-1))
    assert len(np.unique(features[0], axis=0)) == LENGTH


@every_decoder
def test_word_dropout_hides_elements_in_training_only(decoder, rng, monkeypatch):
    body = autoregressive(decoder, VOCABULARY, word_dropout=0.5)
    z, x = latents(rng, 64), elements(rng, VOCABULARY, 64)
    target = shifted(x)
    np.testing.assert_array_equal(body(z, target=target), body(z, target=target))
    monkeypatch.setattr(body, "run", lambda z, history: history)
    known = np.asarray(body(z, target=target))
    hidden = np.asarray(body(z, target=target, training=True))
    np.testing.assert_array_equal(known[:, 0], 0)
    np.testing.assert_array_equal(
        known[:, 1:], body.embedding.embeddings.numpy()[x[:, :-1, 0].astype("int32")]
    )
    dropped = np.all(hidden == 0, axis=-1)
    np.testing.assert_array_equal(hidden[~dropped], known[~dropped])  # and not scaled
    share = dropped[:, 1:].mean()
    # Standard deviation of the share of 320 fair coins: 0.028.
    assert abs(share - 0.5) < 5 * 0.028


@every_decoder
def test_hiding_every_element_is_the_call_without_target(decoder, rng, monkeypatch):
    body = autoregressive(decoder, VOCABULARY, word_dropout=0.5)
    monkeypatch.setattr(body, "hide", tf.zeros_like)
    z, x = latents(rng), elements(rng, VOCABULARY)
    np.testing.assert_array_equal(body(z, target=shifted(x)), body(z))


@every_decoder
@pytest.mark.parametrize(
    ("dtype", "jit_compile"),
    [
        ("float32", False),
        pytest.param("float32", True, marks=pytest.mark.thorough),
        pytest.param("mixed_bfloat16", False, marks=pytest.mark.thorough),
    ],
)
def test_generation_runs_in_a_loop_of_the_graph(decoder, dtype, jit_compile, rng):
    body = autoregressive(decoder, VOCABULARY, dtype=dtype)

    def likeliest(features):
        return tf.cast(tf.argmax(features[..., :VOCABULARY], -1)[..., None], tf.float32)

    def generate(z):
        def advance(position, token, state, chosen):
            features, state = body.step(token, state, z)
            token = likeliest(features)
            return position + 1, token, state, chosen.write(position, token)

        token = tf.zeros_like(z[:, :1])
        chosen = tf.TensorArray(tf.float32, LENGTH, element_shape=(None, 1))
        loop = (tf.constant(0), token, body.initial_state(z), chosen)
        chosen = tf.while_loop(lambda i, *_: i < LENGTH, advance, loop)[-1].stack()
        return tf.transpose(chosen, (1, 0, 2))

    z = latents(rng)
    signature = [tf.TensorSpec((None, LATENT_DIM), tf.float32)]
    compiled = tf.function(generate, input_signature=signature, jit_compile=jit_compile)
    chosen = compiled(z).numpy()
    # Each is what the features of the whole sequence say.
    expected = likeliest(body(z, target=shifted(chosen)))
    if dtype == "float32":  # half precision rounds differently in another order
        np.testing.assert_array_equal(chosen, expected)
    assert compiled(z[:1]).shape == (1, LENGTH, 1)


@every_decoder
def test_large_token_ids_survive_half_precision(decoder, rng):
    # Half precision has no 3001 and no 2049: its neighbours are 2048 and 2050.
    body = autoregressive(decoder, 4000, dtype="mixed_float16")
    z, target = latents(rng), np.full((BATCH, LENGTH, 1), 3000, "float32")
    features = body(z, target=target)
    assert features.dtype == tf.float16
    assert np.any(np.asarray(features) != np.asarray(body(z, target=target + 1)))
    step = body.step(target[:, 0], body.initial_state(z), z)
    assert step[0].dtype == tf.float16


@every_decoder
def test_state_has_a_batch_axis_and_keeps_its_form(decoder, rng):
    body = autoregressive(decoder, None)
    z = latents(rng)
    before = body.initial_state(z)
    _, after = body.step(tf.zeros([BATCH, 3]), before, z)
    assert {k: (v.shape, v.dtype) for k, v in before.items()} == {
        k: (v.shape, v.dtype) for k, v in after.items()
    }
    assert all(v.shape[0] == BATCH for v in before.values())


@every_decoder
@pytest.mark.parametrize("autoregressive", [False, True])
def test_decoders_are_autoregressive_only_if_asked_to(decoder, autoregressive):
    body = DECODERS[decoder](autoregressive=autoregressive)
    assert body.autoregressive is autoregressive
    assert not DECODERS[decoder]().autoregressive


# Encoders.


@every_encoder
def test_what_follows_the_end_token_is_not_looked_at(encoder, rng):
    tokens = np.array([[2, 1, 0, 0, 0, 0], [0, 1, 1, 1, 1, 1], [1, 2, 2, 2, 1, 2]])
    others = np.array([[2, 1, 0, 2, 1, 0], [0, 2, 2, 1, 0, 2], [1, 2, 2, 2, 1, 2]])
    x, other = np.eye(3, dtype="float32")[tokens], np.eye(3, dtype="float32")[others]
    body, plain = ENCODERS[encoder](end_token=0), ENCODERS[encoder]()
    body(x)
    plain(x)
    plain.set_weights(randomise(body).get_weights())
    np.testing.assert_array_equal(body(x), body(other))
    assert np.all(np.any(np.asarray(plain(x))[:2] != np.asarray(plain(other))[:2], axis=-1))
    # What has no end is read to its end; rounding apart, since it is masked.
    np.testing.assert_allclose(body(x)[2], plain(x)[2], rtol=1e-5, atol=1e-6)
    # The end itself is looked at.
    expected = [[1, 1, 1, 0, 0, 0], [1, 0, 0, 0, 0, 0], [1, 1, 1, 1, 1, 1]]
    np.testing.assert_array_equal(body.mask(tf.constant(x)), np.array(expected, bool))


@pytest.mark.parametrize("encoder", ["gru", "lstm", "conv"])
def test_a_sequence_that_ends_is_encoded_like_a_shorter_one(encoder, rng):
    x = np.eye(3, dtype="float32")[[[2, 1, 1, 0, 0, 0]]]
    body = ENCODERS[encoder](end_token=0)
    body(x)
    randomise(body)
    # The last layer of a convolution sees zeros on both sides of the shorter one, too.
    np.testing.assert_allclose(body(x), body(x[:, :4]), rtol=1e-5, atol=1e-6)


@every_encoder
def test_order_matters_to_encoders(encoder, rng):
    body = ENCODERS[encoder]()
    x = rng.normal(size=(BATCH, LENGTH, 3)).astype("float32")
    body(x)
    randomise(body)
    assert np.all(np.any(np.asarray(body(x)) != np.asarray(body(x[:, ::-1])), axis=-1))


@every_encoder
def test_layers_of_encoders_follow_the_dtype_of_the_body(encoder):
    body = ENCODERS[encoder](dtype="mixed_bfloat16", end_token=1)
    assert body(tf.zeros([2, LENGTH, 3])).dtype == tf.bfloat16
    assert {layer.dtype_policy.name for layer in body.body} == {"mixed_bfloat16"}


# In a model.


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        pytest.param("gru", marks=pytest.mark.thorough),
        pytest.param("lstm", marks=pytest.mark.thorough),
        pytest.param("conv", marks=pytest.mark.thorough),
        "transformer",
    ],
)
def test_model_of_sequences_trains_all_weights_and_saves(name, rng, tmp_path):
    x = rng.normal(size=(32, LENGTH, 3)).astype("float32")
    vae = keras_vae.VAE(
        encoder=ENCODERS[name](end_token=1),
        decoder=DECODERS[name](),
        posterior=keras_vae.posteriors.DiagonalNormal(latent_dim=2),
        likelihood=keras_vae.likelihoods.Normal(),
        event_shape=(LENGTH, 3),
        seed=0,
    )
    untrained = [w.numpy() for w in vae.trainable_variables]
    # Two steps: not worth compiling.
    vae.compile(keras.optimizers.Adam(1e-2), run_eagerly=True)
    vae.fit(x, batch_size=16, verbose=0)
    for before, variable in zip(untrained, vae.trainable_variables):
        # A softmax is the same whatever is added to all keys.
        if not variable.path.endswith("key/bias"):
            assert np.any(before != variable.numpy()), f"{variable.path} was not trained"
    vae.save(tmp_path / "vae.keras")
    again = keras.saving.load_model(tmp_path / "vae.keras")
    reconstruction = vae.reconstruct(x)
    assert reconstruction.shape == x.shape
    np.testing.assert_array_equal(reconstruction, again.reconstruct(x))
    vae.encoder_model().save(tmp_path / "encoder.keras")
    vae.decoder_model().save(tmp_path / "decoder.keras")
    z = keras.saving.load_model(tmp_path / "encoder.keras")(x)
    plain = keras.saving.load_model(tmp_path / "decoder.keras")(z)
    # Eager here, a graph there.
    np.testing.assert_allclose(plain, reconstruction, rtol=1e-5, atol=1e-5)


# Errors.


@every_decoder
def test_decoders_refuse_what_does_not_fit(decoder, rng):
    make = DECODERS[decoder]
    with pytest.raises(ValueError, match=r"does not know its output grid yet\. Call `bind"):
        make().build((None, LATENT_DIM))
    with pytest.raises(ValueError, match=r"works on sequences of shape \(time, channels\)\."):
        make().bind((8, 8, 1))
    with pytest.raises(ValueError, match=r"must be tokens of shape \(time, 1\)\. Received"):
        make(autoregressive=True, vocabulary=4).bind((6, 2))
    with pytest.raises(ValueError, match=r"`vocabulary` and `word_dropout` must be left out"):
        make(vocabulary=4)
    with pytest.raises(ValueError, match=r"`vocabulary` and `word_dropout` must be left out"):
        make(word_dropout=0.2)
    with pytest.raises(ValueError, match="`vocabulary` must be an integer >= 1"):
        make(autoregressive=True, vocabulary=0)
    with pytest.raises(ValueError, match=r"`word_dropout` must be in \[0, 1\)\."):
        make(autoregressive=True, word_dropout=1.0)
    body = make()
    body.bind((LENGTH, 3))
    with pytest.raises(ValueError, match=r"works on latent vectors\. Received: \(2, 2\)\."):
        body.build((None, 2, 2))
    body = make_decoder(decoder)
    with pytest.raises(ValueError, match="takes no `target` unless it is made with"):
        body.call(latents(rng), elements(rng, None))


@every_encoder
def test_encoders_refuse_what_does_not_fit(encoder):
    make = ENCODERS[encoder]
    with pytest.raises(ValueError, match=r"works on sequences of shape \(time, channels\)\."):
        make().build((None, 8, 8, 1))
    with pytest.raises(ValueError, match=r"`end_token` must be an integer >= 0\."):
        make(end_token=-1)
    with pytest.raises(ValueError, match=r"`end_token` must be the index of one of 3 channels"):
        make(end_token=3).build((None, LENGTH, 3))


def test_bad_sizes_are_refused():
    for network in (RecurrentEncoder, RecurrentDecoder):
        with pytest.raises(ValueError, match="`units` must be a list of positive integers"):
            network(32)
        message = r"`cell` must be one of \['gru', 'lstm'\]\. Received: cell='rnn'\."
        with pytest.raises(ValueError, match=message):
            network([3], "rnn")
    with pytest.raises(ValueError, match="`filters` must be a list of positive integers"):
        ConvEncoder1D(3)
    with pytest.raises(ValueError, match="`kernel_size` must be an integer >= 1"):
        ConvEncoder1D([3], 0)
    with pytest.raises(ValueError, match="`filters` must be an integer >= 1"):
        CausalConvDecoder([3])
    with pytest.raises(ValueError, match="`dilations` must be a list of positive integers"):
        CausalConvDecoder(3, [0])
    for network in (TransformerEncoder, TransformerDecoder):
        for name in ("depth", "heads", "width"):
            with pytest.raises(ValueError, match=f"`{name}` must be an integer >= 1"):
                network(**{name: 0})
        with pytest.raises(ValueError, match=r"`dropout` must be in \[0, 1\)\."):
            network(dropout=1)
        with pytest.raises(ValueError, match=r"`width` must be a multiple of `heads`\."):
            network(heads=3, width=8)
