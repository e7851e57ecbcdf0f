"""A step with numbers that are not finite changes nothing and stops training by name."""

import gc

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_vae
from keras_vae.component import register
from tests.models.support import LOOPS, compile_for, largest_difference, steps_by


@register("tests")
class ExplodesAtStep(keras_vae.likelihoods.Bernoulli):
    """Infinite from a given update on; the value or its gradient alone."""

    def __init__(self, step, what="value", **kwargs):
        super().__init__(**kwargs)
        self.step = step
        self.what = what

    def log_prob(self, params, x, mask=None, context=None):
        log_prob = super().log_prob(params, x, mask, context)
        late = tf.cast(context.step >= self.step, log_prob.dtype)
        if self.what == "value":
            return log_prob - late / (1 - late)
        return nan_gradient(log_prob, late)


@tf.custom_gradient
def nan_gradient(value, late):
    """The value itself, with a gradient that is NaN where `late` is 1."""

    def gradient(upstream):
        return tf.where(late > 0, np.nan * upstream, upstream), tf.zeros_like(late)

    return tf.identity(value), gradient


@pytest.fixture(autouse=True)
def no_iterators_left():
    """Collect what a failed `fit` left in its frames while it is young.

    An iterator of TensorFlow is not gone before its tuning thread wakes, which sleeps twice as
    long each time, up to a minute: left to the collector, that stopped another test.
    """
    yield
    gc.collect()


def state_of(vae):
    tensors = [*vae.encoder.weights, *vae.decoder.weights, *vae.optimizer.variables]
    return [v.numpy() for v in tensors]


@pytest.mark.parametrize(
    ("what", "named"), [("value", "log_likelihood, loss"), ("gradient", "gradients")]
)
@pytest.mark.parametrize("loop", LOOPS)
def test_training_stops_and_names_the_term(make_vae, digits, what, named, loop):
    def compiled():
        keras.utils.set_random_seed(0)
        vae = make_vae(likelihood=ExplodesAtStep(5, what))
        compile_for(vae, loop, steps_per_execution=3)
        return vae

    good, stopped = compiled(), compiled()
    with steps_by(loop):
        keras.utils.set_random_seed(0)
        good.fit(digits[: 5 * 32], shuffle=False, verbose=0)
        keras.utils.set_random_seed(0)
        with pytest.raises(FloatingPointError, match=f"at training step 5: {named}") as error:
            stopped.fit(digits[: 9 * 32], shuffle=False, verbose=0)
    assert "after 5 updates" in str(error.value)
    assert largest_difference(state_of(good), state_of(stopped)) == 0
    assert int(stopped.state.step) == 5


def test_unguarded_step_would_have_lost_the_weights(make_vae, digits, monkeypatch):
    """The test above can fail: without the branch the weights become NaN."""
    monkeypatch.setattr("keras_vae.models.update._if", lambda condition, branch: branch())
    vae = make_vae(likelihood=ExplodesAtStep(2, "gradient"))
    vae.compile("adam")
    with steps_by("keras"), pytest.raises(FloatingPointError):
        vae.fit(digits[:128], verbose=0)
    assert np.isnan(vae.decoder.weights[0].numpy()).any()


@pytest.mark.parametrize("loop", ["keras", "tensorflow"])
def test_moving_averages_are_kept_too(digits, loop):
    vae = keras_vae.VAE(
        encoder=keras_vae.networks.ConvEncoder([4], batch_normalization=True),
        decoder=keras_vae.networks.ConvDecoder([4], batch_normalization=True),
        posterior=keras_vae.posteriors.DiagonalNormal(3),
        likelihood=keras_vae.likelihoods.Normal("optimal"),
        event_shape=(8, 8, 1),
    )
    compile_for(vae, loop)
    x = digits[:64].copy()
    x[40, 2, 3] = np.inf
    dataset = tf.data.Dataset.from_tensor_slices(x).batch(64)
    with steps_by(loop):
        vae.fit(digits[:64], verbose=0)
        before = [v.numpy() for v in vae.weights if v.dtype == "float32"]
        with pytest.raises(ValueError, match=r"data of training step 2 is not finite \(NaN or"):
            vae.fit(dataset, verbose=0)
        after = [v.numpy() for v in vae.weights if v.dtype == "float32"]
        assert largest_difference(before, after) == 0
        vae.fit(digits[:64], verbose=0)  # and it goes on with good data


@pytest.mark.parametrize("loop", ["keras", "tensorflow"])
def test_kernels_that_the_forward_pass_changes_are_kept_too(make_vae, digits, loop):
    body = keras_vae.networks.MLP([8], spectral_normalization=True)
    vae = make_vae(encoder=body)
    compile_for(vae, loop)
    before = [v.numpy() for v in body.weights]
    x = digits[:32].copy()
    x[3, 2, 3] = np.inf
    with steps_by(loop):
        with pytest.raises(ValueError, match="is not finite"):
            vae.fit(tf.data.Dataset.from_tensor_slices(x).batch(32), verbose=0)
        assert largest_difference(before, [v.numpy() for v in body.weights]) == 0
        vae.fit(digits[:32], verbose=0)
    assert largest_difference(before, [v.numpy() for v in body.weights]) > 0


def test_streams_outside_the_support_stop_training(make_vae, digits):
    vae = make_vae()
    vae.compile("adam")
    dataset = tf.data.Dataset.from_tensor_slices(digits[:64] * 255).batch(32)
    with pytest.raises(ValueError, match=r"step 0 is outside .* \[0, 1\]: divide 8-bit images"):
        vae.fit(dataset, verbose=0)
    assert int(vae.optimizer.iterations) == 0


def test_guard_joins_a_callback_list(make_vae, digits):
    vae = make_vae(likelihood=ExplodesAtStep(0))
    vae.compile("adam")
    callbacks = keras.callbacks.CallbackList([], model=vae)
    with pytest.raises(FloatingPointError):
        vae.fit(digits[:64], verbose=0, callbacks=callbacks)
    with pytest.raises(FloatingPointError):
        vae.fit(digits[:64], verbose=0, callbacks=keras.callbacks.History())


def test_loss_scale_search_is_not_a_failure(digits):
    """mixed_float16 overflows on purpose: the optimizer skips such steps and goes on."""
    keras.config.set_dtype_policy("mixed_float16")
    try:
        vae = keras_vae.VAE(
            encoder=keras_vae.networks.MLP([16]),
            decoder=keras_vae.networks.MLP([16]),
            posterior=keras_vae.posteriors.DiagonalNormal(3),
            likelihood=keras_vae.likelihoods.Bernoulli(),
            event_shape=(8, 8, 1),
        )
    finally:
        keras.config.set_dtype_policy("float32")
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(), 2.0**30)
    vae.compile(optimizer)
    vae.fit(digits[:1024], epochs=1, verbose=0)
    applied = int(optimizer.iterations)
    assert 0 < applied < 32
    assert int(vae.state.step) == applied
    assert float(optimizer.dynamic_scale) < 2.0**30
