"""Poisson and binomial likelihoods, and the saddle-point forms below them."""

import itertools

import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf

from keras_vae.likelihoods import Binomial, Poisson
from keras_vae.likelihoods.saddlepoint import deviance, log_factorial_rest
from tests.twins import assert_gradients, assert_mean_is


def built(p, event_shape=(2, 3)):
    p.build(event_shape)
    return p


def a_batch(values):
    """One example per value, `[n, 1]`."""
    return tf.constant(np.asarray(values, "float64")[:, None])


# The pieces.

COUNTS = np.concatenate([np.arange(40.0), [100.0, 1e3, 1e5, 1e7]])


def test_rest_of_the_log_factorial_is_scipys(float64):
    expected = scipy.special.gammaln(COUNTS + 1) - scipy.special.xlogy(COUNTS, COUNTS) + COUNTS
    # The right side loses digits where both of its terms are large.
    np.testing.assert_allclose(
        log_factorial_rest(tf.constant(COUNTS)), expected, rtol=1e-12, atol=1e-15 * 2e8
    )
    real = np.random.default_rng(0).uniform(0.01, 30, size=50)
    assert_gradients(log_factorial_rest, real)


def test_deviance_is_its_definition_and_vanishes_at_the_mean(float64, rng):
    x = np.repeat(COUNTS, 8)
    mean = np.exp(rng.normal(size=x.shape) * 0.3) * np.maximum(x, 0.5)
    result = deviance(tf.constant(x), tf.constant(np.log(mean)), tf.constant(mean - x))
    expected = scipy.special.xlogy(x, x / mean) - x + mean
    np.testing.assert_allclose(result, expected, rtol=1e-8, atol=1e-9)
    x, zero = tf.constant(COUNTS[1:]), tf.zeros(len(COUNTS) - 1, tf.float64)
    np.testing.assert_array_equal(deviance(x, tf.math.log(x), zero), zero)


def test_deviance_is_smooth_where_its_formulas_meet(float64):
    # |v| = 0.15: excess / x = 2 v / (1 - v).
    x = tf.constant([50.0, 50.0], tf.float64)
    for v in (-0.15, 0.15):
        excess = 50 * tf.constant([v * (1 - 1e-12), v * (1 + 1e-12)], tf.float64)
        excess = 2 * excess / (1 - excess / 50)
        one, two = deviance(x, tf.math.log(x + excess), excess)
        np.testing.assert_allclose(one, two, rtol=1e-10)


# Poisson.


def test_poisson_is_scipys(float64, rng):
    params, x = 2 * rng.normal(size=(4, 3, 2, 3)), rng.integers(0, 30, size=(3, 2, 3))
    p, twin = built(Poisson()), scipy.stats.poisson(np.exp(params))
    result = p.log_prob(tf.constant(params), tf.constant(x, tf.float64))
    np.testing.assert_allclose(result, twin.logpmf(x).sum((-2, -1)), rtol=1e-11)
    np.testing.assert_allclose(p.mean(tf.constant(params)), twin.mean(), rtol=1e-12)
    x64 = tf.constant(x, tf.float64)
    assert_gradients(lambda params: p.log_prob(params, x64), params[:1])


def test_poisson_mass_is_one(float64):
    p = built(Poisson(), (1,))
    for log_rate in (-30.0, 0.0, 3.0):
        params = tf.constant([[[log_rate]]], tf.float64)
        mass = np.exp(p.log_prob(params, a_batch(np.arange(300)))).sum()
        np.testing.assert_allclose(mass, 1.0, rtol=1e-12)


@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 1_000, 10_000, 1_000_000])
@pytest.mark.parametrize("factor", [0.5, 0.99, 1.0, 1.1, 3.0])
def test_poisson_of_big_counts_in_single_precision(count, factor):
    log_rate = np.float32(np.log(max(count, 1) * factor))
    p = built(Poisson(), (1,))
    result = p.log_prob(tf.constant([[log_rate]]), tf.constant([[float(count)]]))
    expected = scipy.stats.poisson.logpmf(count, np.exp(np.float64(log_rate)))
    # With log-gammas the error was 1 nat at a million. A log-rate is a number of 24 bits:
    # its rounding alone changes the result by 1e-6 * (count - rate).
    allowed = 2e-5 + 2e-6 * abs(count - np.exp(np.float64(log_rate)))
    np.testing.assert_allclose(result[0], expected, rtol=2e-6, atol=allowed)


def test_poisson_draws_have_its_moments():
    p = built(Poisson(), (3,))
    rate = np.array([0.2, 4.0, 300.0])
    draws = np.asarray(p.sample(tf.repeat(tf.math.log([rate]), 20_000, 0), 1), "float64")
    assert_mean_is(draws, rate)
    assert_mean_is((draws - rate) ** 2, rate)


@pytest.mark.parametrize("log_rate", [-50.0, 50.0])
@pytest.mark.parametrize("count", [0.0, 1.0, 1e6])
def test_poisson_stays_finite(log_rate, count):
    params = tf.constant([[log_rate]])
    with tf.GradientTape() as tape:
        tape.watch(params)
        value = built(Poisson(), (1,)).log_prob(params, tf.constant([[count]]))
    expected = scipy.stats.poisson.logpmf(count, np.exp(log_rate))
    np.testing.assert_allclose(value, [expected], rtol=1e-6)
    np.testing.assert_allclose(
        tape.gradient(value, params), [[count - np.exp(log_rate)]], rtol=1e-5
    )


def test_counts_are_whole_numbers_and_the_encoder_sees_their_logarithm():
    p = built(Poisson())
    assert p.support.violations(tf.constant([0.0, 1.5]))
    assert p.support.violations(tf.constant([-1.0]))
    assert not p.support.violations(tf.constant([0.0, 1e6]))
    x = tf.constant([[0.0, 1.0, 999.0]])
    np.testing.assert_allclose(p.encoder_input(x), np.log1p(x), rtol=1e-6)


# Binomial.


def test_binomial_is_scipys(float64, rng):
    params, x = 2 * rng.normal(size=(4, 3, 2, 3)), rng.integers(0, 17, size=(3, 2, 3))
    p = built(Binomial(16))
    twin = scipy.stats.binom(16, scipy.special.expit(params))
    x64 = tf.constant(x, tf.float64)
    np.testing.assert_allclose(
        p.log_prob(tf.constant(params), x64), twin.logpmf(x).sum((-2, -1)), rtol=1e-11
    )
    np.testing.assert_allclose(p.mean(tf.constant(params)), twin.mean(), rtol=1e-12)
    assert_gradients(lambda params: p.log_prob(params, x64), params[:1])


@pytest.mark.parametrize("trials", [1, 3, 255])
def test_binomial_mass_is_one(float64, trials):
    p = built(Binomial(trials), (1,))
    for logit in (-30.0, 0.3, 5.0):
        params = tf.constant([[[logit]]], tf.float64)
        mass = np.exp(p.log_prob(params, a_batch(np.arange(trials + 1)))).sum()
        np.testing.assert_allclose(mass, 1.0, rtol=1e-12)


def test_binomial_of_many_trials_in_single_precision():
    trials = 1_000_000
    p = built(Binomial(trials), (1,))
    for logit, shift in itertools.product([-2.0, 0.0, 1.0], [-3, 0, 1]):
        rate = scipy.special.expit(logit)
        count = np.round(trials * rate + shift * np.sqrt(trials * rate * (1 - rate)))
        result = p.log_prob(tf.constant([[logit]]), tf.constant([[count]], tf.float32))
        expected = scipy.stats.binom.logpmf(count, trials, rate)
        np.testing.assert_allclose(result[0], expected, atol=2e-3)


def test_binomial_draws_have_its_moments():
    p, logits = built(Binomial(16), (3,)), np.array([-3.0, 0.0, 2.0])
    rate = scipy.special.expit(logits)
    params = tf.repeat(tf.constant([logits], tf.float32), 20_000, 0)
    draws = np.asarray(p.sample(params, 1), "float64")
    assert_mean_is(draws, 16 * rate)
    assert_mean_is((draws - 16 * rate) ** 2, 16 * rate * (1 - rate))


@pytest.mark.parametrize("logit", [-50.0, 50.0])
@pytest.mark.parametrize("count", [0.0, 7.0, 16.0])
def test_binomial_stays_finite(logit, count):
    params = tf.constant([[logit]])
    with tf.GradientTape() as tape:
        tape.watch(params)
        value = built(Binomial(16), (1,)).log_prob(params, tf.constant([[count]]))
    log_p, log_q = -np.logaddexp(0, -logit), -np.logaddexp(0, logit)
    expected = np.log(scipy.special.comb(16, count)) + count * log_p + (16 - count) * log_q
    np.testing.assert_allclose(value, [expected], rtol=1e-5, atol=1e-5)
    expected = count - 16 * scipy.special.expit(logit)
    np.testing.assert_allclose(tape.gradient(value, params), [[expected]], atol=1e-4)


@pytest.mark.parametrize("trials", [0, -1, 2.0, True])
def test_trials_are_a_positive_integer(trials):
    with pytest.raises(ValueError, match=r"`trials` must be an integer >= 1. Received"):
        Binomial(trials)


def test_binomial_support_ends_at_the_trials():
    assert str(Binomial(16).support) == "the integers in [0, 16]"
    assert Binomial(16).support.violations(tf.constant([17.0]))
