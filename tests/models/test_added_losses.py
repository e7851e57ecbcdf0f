"""Losses that networks add count once, whatever else runs the networks in a step."""

import contextlib

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_vae
from keras_vae import likelihoods, networks, objectives, posteriors, priors
from tests.models.support import HandedNoiseVAE, steps_by


@keras.saving.register_keras_serializable(package="tests")
class AddsLoss(keras.layers.Layer):
    """Hands its input on and adds a loss of a given value, as a function of the input."""

    def __init__(self, value, **kwargs):
        super().__init__(**kwargs)
        self.value = value

    def call(self, x):
        self.add_loss(self.value + 0 * keras.ops.sum(x))
        return x

    def get_config(self):
        return {**super().get_config(), "value": self.value}


class Nested(keras.layers.Layer):
    def __init__(self, value):
        super().__init__()
        self.inner = [keras.layers.Flatten(), keras.Sequential([AddsLoss(value)])]

    def call(self, x):
        for layer in self.inner:
            x = layer(x)
        return x


def body(*, added, width=8):
    dense = keras.layers.Dense(width, kernel_regularizer=keras.regularizers.L2(0.0))
    return keras.Sequential([Nested(added), dense])


class Forgetful(keras.metrics.Mean):
    """A metric of the reconstruction: to make it, the model runs once more."""

    def update_state(self, y, y_pred, sample_weight=None):
        super().update_state(y_pred)


def joint(latent_dim=2):
    return posteriors.Joint([posteriors.DiagonalNormal(latent_dim) for _ in range(2)])


CASES = {
    "standard": {},
    "vamp": {"prior": lambda: priors.VampPrior(components=3)},
    "joint": {
        "posterior": joint,
        "prior": lambda: priors.Joint([priors.StandardNormal(), priors.VampPrior(3)]),
    },
    "slope": {
        "posterior": lambda: posteriors.Deterministic(2),
        "objective": lambda: objectives.RAE(1e-3, gradient_penalty=1e-3),
    },
    "importance": {"objective": lambda: objectives.IWAE(samples=3)},
    "second pass": {"objective": lambda: objectives.DReG(samples=2)},
    "sticking": {"objective": lambda: objectives.StickingTheLanding()},
    "draws of the prior": {
        "objective": lambda: objectives.InfoVAE(0.5, 2.0),
        "prior": lambda: priors.VampPrior(components=3),
    },
    "total correlation": {"objective": lambda: objectives.TCVAE(beta=2.0)},
}


def make(name, *, added=(3.0, 5.0), **changes):
    parts = {
        "posterior": lambda: posteriors.DiagonalNormal(latent_dim=2),
        "prior": priors.StandardNormal,
        **CASES[name],
    }
    networks_of = {"encoder": body(added=added[0]), "decoder": body(added=added[1])}
    return keras_vae.VAE(
        **{**networks_of, **{key: part() for key, part in parts.items()}, **changes},
        likelihood=likelihoods.Bernoulli(),
        event_shape=(8, 8, 1),
        seed=1,
    )


@pytest.mark.parametrize("name", CASES)
def test_losses_of_networks_count_once(digits, name):
    losses = []
    for added in ((0.0, 0.0), (3.0, 5.0)):
        keras.utils.set_random_seed(0)
        vae = make(name, added=added)
        vae.compile(keras.optimizers.SGD(0.0), metrics=[Forgetful()], jit_compile=False)
        losses.append(vae.fit(digits[:32], batch_size=16, verbose=0).history["loss"][0])
        losses.append(vae.evaluate(digits[:32], verbose=0, return_dict=True)["loss"])
    # With float32 sums over 64 pixels.
    np.testing.assert_allclose(np.subtract(losses[2:], losses[:2]), 8.0, rtol=1e-4)
    assert vae.losses == [0.0] * 2  # of the kernels, now


@pytest.mark.parametrize("loop", ["keras", "tensorflow"])
def test_gradients_of_added_losses_are_followed(digits, loop):
    sparse = keras.layers.Dense(8, activity_regularizer=keras.regularizers.L2(1e4))
    vae = keras_vae.VAE(
        encoder=keras.Sequential([keras.layers.Flatten(), sparse]),
        decoder=networks.MLP([8]),
        posterior=posteriors.DiagonalNormal(latent_dim=2),
        prior=priors.VampPrior(components=3),
        likelihood=likelihoods.Bernoulli(),
        event_shape=(8, 8, 1),
    )
    before = np.square(vae.encoder(digits[:64])).sum()
    with steps_by(loop):
        vae.compile(keras.optimizers.Adam(0.05), jit_compile=False)
        vae.fit(digits[:64], epochs=5, batch_size=16, verbose=0)
    assert np.square(vae.encoder(digits[:64])).sum() < 0.3 * before


def test_a_layer_that_both_networks_share_adds_its_losses_of_both(digits):
    shared = AddsLoss(3.0)
    vae = make(
        "standard",
        encoder=keras.Sequential([keras.layers.Flatten(), shared, keras.layers.Dense(4)]),
        decoder=keras.Sequential([shared, keras.layers.Dense(4)]),
    )
    vae.compile(keras.optimizers.SGD(0.0), jit_compile=False)
    logs = vae.evaluate(digits[:32], verbose=0, return_dict=True)
    assert logs["loss"] + logs["elbo"] == pytest.approx(6.0, abs=1e-3)


def test_methods_leave_losses_as_they_were(digits):
    vae = make("vamp")
    vae(digits[:4])
    before = [float(loss) for loss in vae.losses]
    assert sorted(before) == [0.0, 0.0, 3.0, 5.0]
    vae.encode(digits[:4])
    vae.elbo(digits[:4])
    vae.generate(2)
    vae.context().encode(tf.constant(digits[:4]))
    vae.compile()
    vae.predict(digits[:4], verbose=0)
    assert [float(loss) for loss in vae.losses] == before
    tf.function(vae)(tf.constant(digits[:4]))
    assert [float(loss) for loss in vae.losses] == [0.0, 0.0]  # of the kernels


@pytest.mark.thorough
def test_replicas_add_their_own_losses(digits, mirrored):
    def norm(scope):
        keras.utils.set_random_seed(0)
        with scope:
            vae = HandedNoiseVAE(
                encoder=sparse_body(),
                decoder=networks.MLP([8]),
                posterior=posteriors.DiagonalNormal(latent_dim=2),
                prior=priors.VampPrior(components=3),
                likelihood=likelihoods.Bernoulli(),
                event_shape=(8, 8, 1),
                seed=1,
            )
            vae.compile(keras.optimizers.SGD(1e-2), jit_compile=False)
        vae.fit(digits[:32], epochs=2, batch_size=16, shuffle=False, verbose=0)
        return np.square(vae.encoder(digits[:32])).sum()

    np.testing.assert_allclose(
        norm(mirrored.scope()), norm(contextlib.nullcontext()), rtol=1e-3
    )


def sparse_body():
    sparse = keras.layers.Dense(8, activity_regularizer=keras.regularizers.L2(10.0))
    return keras.Sequential([keras.layers.Flatten(), sparse])
