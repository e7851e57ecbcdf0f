"""What a new likelihood gets for free."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from keras_vae.likelihoods import Likelihood, Support

tfd = tfp.distributions


class Exponential(Likelihood):
    """Only what a subclass must write. Its density is undefined below its support."""

    support = Support(0.5, None, "shift it")

    def params_shape(self, event_shape):
        return tuple(event_shape)

    def distribution(self, params):
        rates = tfd.Exponential(tf.exp(params))
        shifted = tfd.TransformedDistribution(rates, tfp.bijectors.Shift(tf.constant(0.5)))
        return tfd.Independent(shifted, len(self.event_shape))

    def mean(self, params):
        return 0.5 + tf.exp(-params)


@pytest.fixture
def likelihood():
    p = Exponential()
    p.build([2, 3])
    return p


def test_build_remembers_the_shape_of_an_event(likelihood):
    assert likelihood.event_shape == (2, 3)


def test_log_prob_follows_from_the_distribution(likelihood, rng):
    params = tf.constant(rng.normal(size=(4, 5, 2, 3)), tf.float32)
    x = 0.5 + tf.constant(rng.exponential(size=(5, 2, 3)), tf.float32)
    by_hand = params - tf.exp(params) * (x - 0.5)
    np.testing.assert_allclose(
        likelihood.log_prob(params, x), tf.reduce_sum(by_hand, [-2, -1]), rtol=2e-5
    )
    assert likelihood.sample(params, seed=1).shape == (4, 5, 2, 3)


def test_hidden_values_are_replaced_by_one_of_the_support(likelihood, rng):
    # A filler outside the support would make the density, and so the gradient, NaN.
    params = tf.constant(rng.normal(size=(4, 5, 2, 3)), tf.float32)
    x = np.full((5, 2, 3), np.nan, "float32")
    x[:, 0] = 1.5
    with tf.GradientTape() as tape:
        tape.watch(params)
        value = likelihood.log_prob(params, tf.constant(x), tf.constant(~np.isnan(x)))
    gradient = np.asarray(tape.gradient(value, params))
    assert np.isfinite(value).all()
    assert np.isfinite(gradient).all()
    np.testing.assert_array_equal(gradient[:, :, 1], 0.0)
    assert np.all(gradient[:, :, 0] != 0)


@pytest.mark.parametrize(
    ("support", "text"),
    [
        (Support(), "[-inf, inf]"),
        (Support(0.0), "[0, inf]"),
        (Support(None, 1.5), "[-inf, 1.5]"),
        (Support(-1, 255), "[-1, 255]"),
    ],
)
def test_support_in_words(support, text):
    assert str(support) == text


def test_support_looks_at_both_ends():
    x = tf.constant([-2.0, 2.0])
    assert not Support().violations(x)
    assert Support(-1.0).violations(x)
    assert Support(None, 1.0).violations(x)
    assert not Support(-2.0, 2.0).violations(x)


def test_the_base_leaves_the_rest_to_subclasses():
    p = Likelihood()
    for attempt in (lambda: p.params_shape((3,)), lambda: p.distribution(None)):
        with pytest.raises(NotImplementedError):
            attempt()
