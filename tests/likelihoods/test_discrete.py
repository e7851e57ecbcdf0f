"""The Bernoulli likelihood against SciPy."""

import itertools

import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf

from keras_vae.likelihoods import Bernoulli
from tests.twins import assert_gradients


def bernoulli(event_shape=(2, 3)):
    p = Bernoulli()
    p.build(event_shape)
    return p


def test_density_is_scipys(float64, rng):
    logits, x = rng.normal(size=(4, 3, 2, 3)) * 3, rng.integers(0, 2, size=(3, 2, 3))
    expected = scipy.stats.bernoulli.logpmf(x, scipy.special.expit(logits)).sum((-2, -1))
    result = bernoulli().log_prob(tf.constant(logits), tf.constant(x, tf.float64))
    np.testing.assert_allclose(result, expected, rtol=1e-10)


def test_mass_is_one(float64, rng):
    logits = tf.constant(rng.normal(size=(1, 3)) * 2)
    values = np.array(list(itertools.product([0.0, 1.0], repeat=3)))
    probabilities = np.exp(bernoulli((3,)).log_prob(logits, tf.constant(values)))
    np.testing.assert_allclose(probabilities.sum(), 1.0, rtol=1e-12)


def test_soft_bits_are_expected_bits(float64, rng):
    # The mean of log p(bit) over a bit that is 1 with probability x.
    p, logits, x = (
        bernoulli((3,)),
        tf.constant(rng.normal(size=(2, 3))),
        rng.uniform(size=(2, 3)),
    )
    ones = p.elementwise_log_prob(logits, tf.ones([2, 3], tf.float64), None, None)
    zeros = p.elementwise_log_prob(logits, tf.zeros([2, 3], tf.float64), None, None)
    expected = x * ones + (1 - x) * zeros
    np.testing.assert_allclose(
        p.elementwise_log_prob(logits, tf.constant(x), None, None), expected, rtol=1e-12
    )
    # TFP's view of the same numbers, which truncated them if they were integers.
    np.testing.assert_allclose(
        p.distribution(logits).log_prob(tf.constant(x)), np.sum(expected, -1), rtol=1e-12
    )


def test_soft_bits_are_fitted_by_their_own_probability(float64):
    x = tf.constant([[0.3]], tf.float64)
    logits = tf.constant(np.linspace(-4, 4, 801)[:, None, None])
    best = logits[int(np.argmax(bernoulli((1,)).log_prob(logits, x))), 0, 0]
    np.testing.assert_allclose(scipy.special.expit(best), 0.3, atol=2e-3)


def test_gradients_are_those_of_finite_differences(float64, rng):
    logits, x = rng.normal(size=(2, 3, 2, 3)), rng.uniform(size=(3, 2, 3))
    assert_gradients(bernoulli().log_prob, logits, x)


@pytest.mark.parametrize("event_shape", [(7, 112), (37,), (2, 2, 3)])
def test_sums_by_products_are_sums_of_logarithms(event_shape, rng):
    logits = rng.normal(size=(2, 3, *event_shape)) * 20
    logits.flat[:5] = [0, -1e4, 1e4, -30, 30]
    x = tf.constant(rng.uniform(size=(3, *event_shape)), tf.float32)
    logits = tf.constant(logits, tf.float32)
    p = bernoulli(event_shape)
    axes = tuple(range(-len(event_shape), 0))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(logits)
        value = p.log_prob(logits, x)
        # By other code, as masks take it.
        each = tf.reduce_sum(p.elementwise_log_prob(logits, x, None, None), axes)
    # Two sums in float32, each up to 1.5e-7 of its size off a sum in float64.
    np.testing.assert_allclose(value, each, rtol=3e-7)
    np.testing.assert_allclose(
        tape.gradient(value, logits), tape.gradient(each, logits), atol=1e-6
    )


def test_second_derivatives_are_those_of_the_formula(float64, rng):
    # Objectives that differentiate log p(x|z) by z, and what comes of it by the weights.
    logits, x = rng.normal(size=(2, 3, 2, 3)), rng.uniform(size=(3, 2, 3))
    logits[0, 0, 0] = 0

    def slopes(logits):
        with tf.GradientTape() as tape:
            tape.watch(logits)
            value = bernoulli().log_prob(logits, tf.constant(x))
        return tape.gradient(value, logits) ** 2

    assert_gradients(slopes, logits)


def test_mean_is_the_probability_of_one(float64, rng):
    logits = rng.normal(size=(4, 2, 3)) * 3
    np.testing.assert_allclose(
        bernoulli().mean(tf.constant(logits)), scipy.special.expit(logits), rtol=1e-12
    )


@pytest.mark.parametrize("bit", [0.0, 1.0, 0.5])
def test_extreme_logits_stay_finite(bit):
    logits = tf.constant([[-100.0, 100.0, -1e4, 1e4]])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        value = bernoulli((4,)).elementwise_log_prob(logits, tf.fill([1, 4], bit), None, None)
    expected = bit * np.asarray(logits) - np.maximum(logits, 0)
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    gradient = tape.gradient(value, logits)
    np.testing.assert_allclose(gradient, [[bit, bit - 1, bit, bit - 1]], atol=1e-6)
    assert np.isfinite(bernoulli((4,)).mean(logits)).all()


def test_draws_are_bits(rng):
    draws = np.asarray(
        bernoulli().sample(tf.constant(rng.normal(size=(50, 2, 3)), tf.float32), 3)
    )
    assert draws.dtype == np.float32
    assert set(np.unique(draws)) == {0.0, 1.0}


def test_support_is_the_unit_interval():
    support = Bernoulli.support
    assert not support.violations(tf.constant([0.0, 0.5, 1.0]))
    assert support.violations(tf.constant([0.5, 255.0]))
    assert support.violations(tf.constant([0.5, -0.1]))
    # Missing values are not the support's business.
    assert not support.violations(tf.constant([0.5, np.nan]))
    assert str(support) == "[0, 1]"
    assert "255" in support.fix
