"""Saved, reloaded, resumed: nothing is lost."""

import keras
import numpy as np
import pytest

import keras_vae
from tests.models.support import largest_difference, weights_of


def make(**changes):
    parts = {
        "encoder": keras_vae.networks.MLP([16], dropout=0.2),
        "decoder": keras_vae.networks.MLP([16], dropout=0.2),
        "posterior": keras_vae.posteriors.DiagonalNormal(latent_dim=3),
        "prior": keras_vae.priors.NormalMixture(components=3),
        "likelihood": keras_vae.likelihoods.Normal("optimal"),
        "objective": keras_vae.objectives.ELBO(beta=keras_vae.schedules.LinearWarmup(40)),
        "event_shape": (8, 8, 1),
    }
    return keras_vae.VAE(**{**parts, **changes})


def reload(model, path):
    model.save(path)
    return keras.saving.load_model(path)


def without_build(config):
    if not isinstance(config, dict):
        return config
    return {k: without_build(v) for k, v in config.items() if k != "build_config"}


def test_reload_gives_an_equal_model(digits, tmp_path):
    vae = make()
    vae.compile("adam")
    vae.fit(digits[:64], epochs=2, verbose=0)
    again = reload(vae, tmp_path / "vae.keras")
    # JSON has no tuples: what Keras records of `build` comes back as lists.
    assert without_build(again.get_config()) == without_build(vae.get_config())
    assert [w.name for w in again.weights] == [w.name for w in vae.weights]
    assert largest_difference(again.get_weights(), vae.get_weights()) == 0
    np.testing.assert_array_equal(
        again.predict(digits, verbose=0), vae.predict(digits, verbose=0)
    )
    np.testing.assert_array_equal(again.elbo(digits, seed=1), vae.elbo(digits, seed=1))
    np.testing.assert_array_equal(again.generate(4, seed=1), vae.generate(4, seed=1))
    assert again.evaluate(digits, verbose=0) == vae.evaluate(digits, verbose=0)


def test_reload_and_continue_is_training_uninterrupted(digits, tmp_path):
    x = digits[:96]
    keras.utils.set_random_seed(5)
    uninterrupted = make()
    uninterrupted.compile("adam")
    first = uninterrupted.fit(x, epochs=3, shuffle=False, verbose=0).history
    second = uninterrupted.fit(x, epochs=3, shuffle=False, verbose=0).history

    keras.utils.set_random_seed(5)
    stopped = make()
    stopped.compile("adam")
    assert stopped.fit(x, epochs=3, shuffle=False, verbose=0).history == first
    resumed = reload(stopped, tmp_path / "vae.keras")
    assert int(resumed.optimizer.iterations) == int(resumed.state.step) == 9
    assert resumed.fit(x, epochs=3, shuffle=False, verbose=0).history == second
    assert largest_difference(weights_of(resumed), weights_of(uninterrupted)) == 0


class Stop(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 2:
            raise KeyboardInterrupt


def test_backup_and_restore_continues_exactly(digits, tmp_path):
    x = digits[:96]

    def fresh():
        keras.utils.set_random_seed(5)
        vae = make()
        vae.compile("adam")
        return vae

    uninterrupted = fresh()
    expected = uninterrupted.fit(x, epochs=4, shuffle=False, verbose=0).history
    backup = keras.callbacks.BackupAndRestore(str(tmp_path / "backup"))
    interrupted = fresh()
    with pytest.raises(KeyboardInterrupt):
        interrupted.fit(x, epochs=4, shuffle=False, verbose=0, callbacks=[backup, Stop()])

    keras.utils.set_random_seed(99)  # another process would have another seed, too
    resumed = make()
    resumed.compile("adam")
    backup = keras.callbacks.BackupAndRestore(str(tmp_path / "backup"))
    history = resumed.fit(x, epochs=4, shuffle=False, verbose=0, callbacks=[backup]).history
    assert history["loss"] == expected["loss"][2:]
    assert history["beta"] == expected["beta"][2:]
    assert largest_difference(weights_of(resumed), weights_of(uninterrupted)) == 0


def test_what_compile_was_told_is_saved(digits, tmp_path):
    vae = make()
    vae.compile(keras.optimizers.Adam(0.01), steps_per_execution=7)
    again = reload(vae, tmp_path / "auto.keras")
    assert again.get_compile_config()["jit_compile"] == "auto"
    assert again.steps_per_execution == 7
    assert float(again.optimizer.learning_rate) == pytest.approx(0.01)
    vae.compile("adam", jit_compile=True)
    assert reload(vae, tmp_path / "xla.keras").jit_compile is True
    uncompiled = reload(make(), tmp_path / "uncompiled.keras")
    assert not uncompiled.compiled


@keras.saving.register_keras_serializable(package="tests")
class GatedBody(keras.Model):
    """A user's own network, registered the Keras way."""

    def __init__(self, width, **kwargs):
        super().__init__(**kwargs)
        self.width = width
        self.flatten = keras.layers.Flatten()
        self.gate = keras.layers.Dense(width, activation="sigmoid")
        self.value = keras.layers.Dense(width)

    def call(self, x):
        x = self.flatten(x)
        return self.gate(x) * self.value(x)

    def get_config(self):
        return {**super().get_config(), "width": self.width}


def functional():
    z = keras.Input((3,))
    x = keras.layers.Dense(16, activation="relu")(z)
    return keras.Model(z, keras.layers.Reshape((4, 4, 1))(x))


def functional_encoder():
    x = keras.Input((8, 8, 1))
    y = keras.layers.Conv2D(4, 3, strides=2, padding="same")(x)
    return keras.Model(x, keras.layers.BatchNormalization()(y))


def sequential_decoder():
    return keras.Sequential(
        [
            keras.layers.Dense(16, activation="relu"),
            keras.layers.Reshape((4, 4, 1)),
            keras.layers.UpSampling2D(2),
            keras.layers.Conv2DTranspose(4, 3, padding="same"),
        ]
    )


NETWORKS = {
    "subclass": (lambda: GatedBody(12), lambda: GatedBody(12)),
    "functional and sequential": (functional_encoder, sequential_decoder),
    "conv": (
        lambda: keras_vae.networks.ConvEncoder([4, 8], batch_normalization=True),
        lambda: keras_vae.networks.ConvDecoder([8, 4], batch_normalization=True),
    ),
    "single layers": (keras.layers.Flatten, lambda: keras.layers.Dense(16)),
}


@pytest.mark.parametrize(
    "name",
    [
        "subclass",
        pytest.param("functional and sequential", marks=pytest.mark.thorough),
        pytest.param("conv", marks=pytest.mark.thorough),
        pytest.param("single layers", marks=pytest.mark.thorough),
    ],
)
def test_any_keras_network_works_and_survives_saving(digits, tmp_path, name):
    encoder, decoder = (network() for network in NETWORKS[name])
    vae = make(encoder=encoder, decoder=decoder)
    vae.compile("adam")
    vae.fit(digits[:64], epochs=1, verbose=0)
    again = reload(vae, tmp_path / "vae.keras")
    np.testing.assert_array_equal(again.reconstruct(digits[:9]), vae.reconstruct(digits[:9]))
    again.fit(digits[:64], epochs=1, verbose=0)


@pytest.mark.parametrize("name", ["subclass", "conv"])
def test_networks_alone_survive_saving(digits, tmp_path, name):
    encoder, decoder = (network() for network in NETWORKS[name])
    vae = make(encoder=encoder, decoder=decoder)
    z = np.ones((2, 3), "float32")
    for network, data in ((vae.encoder, digits[:2]), (vae.decoder, z)):
        again = reload(network, tmp_path / f"{network.name}.keras")
        np.testing.assert_array_equal(again(data), network(data))


def test_encoder_and_decoder_leave_as_plain_keras_models(digits, tmp_path):
    vae = make()
    encoder = reload(vae.encoder_model(), tmp_path / "encoder.keras")
    decoder = reload(vae.decoder_model(), tmp_path / "decoder.keras")
    z = vae.encode(digits[:5])
    # The verbs run compiled, these eagerly: float32 rounding apart.
    np.testing.assert_allclose(encoder(digits[:5]), z, atol=1e-6)
    np.testing.assert_allclose(decoder(z), vae.decode(z), atol=1e-6)
    for model in (encoder, decoder):
        assert "keras_vae" not in model.to_json()


def test_weights_files_carry_the_whole_state(digits, tmp_path):
    vae = make()
    vae.compile("adam")
    vae.fit(digits[:64], verbose=0)
    vae.save_weights(tmp_path / "vae.weights.h5")
    other = make()
    other.load_weights(tmp_path / "vae.weights.h5")
    assert int(other.state.noise_counter) == int(vae.state.noise_counter) == 2
    assert int(other.state.noise_seed) == int(vae.state.noise_seed)
    np.testing.assert_array_equal(other.elbo(digits, seed=0), vae.elbo(digits, seed=0))


def test_precision_is_saved_with_the_model(digits, tmp_path):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        vae = make()
    finally:
        keras.config.set_dtype_policy("float32")
    again = reload(vae, tmp_path / "vae.keras")  # where the global policy is float32
    for network in (again.encoder, again.decoder, again._to_posterior, again._to_likelihood):
        assert network.layers[-1].compute_dtype == "bfloat16"
    np.testing.assert_array_equal(again.reconstruct(digits[:9]), vae.reconstruct(digits[:9]))
