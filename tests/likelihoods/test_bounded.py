"""Likelihoods within bounds against SciPy and quadrature."""

import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf

from keras_vae.likelihoods import Beta, ContinuousBernoulli, LogNormal
from keras_vae.terms import Context
from tests.twins import assert_gradients, assert_mean_is


def built(cls, event_shape=(2, 3), **arguments):
    p = cls(**arguments)
    p.build(event_shape)
    return p


def decoded(p, rng, scale=1.0):
    params = scale * rng.normal(size=(4, 3, *p.params_shape(p.event_shape)))
    return tf.constant(params), tf.constant(rng.uniform(0.01, 0.99, size=(3, 2, 3)))


# Log-normal.


def test_log_normal_is_scipys(float64, rng):
    p = built(LogNormal, scale="predicted", min_scale=0.05)
    params, x = decoded(p, rng)
    x = 3 * x
    twin = scipy.stats.lognorm(
        np.logaddexp(0, params[..., 3:]) + 0.05, scale=np.exp(params[..., :3])
    )
    np.testing.assert_allclose(p.log_prob(params, x), twin.logpdf(x).sum((-2, -1)), rtol=1e-12)
    np.testing.assert_allclose(p.mean(params), twin.mean(), rtol=1e-12)
    np.testing.assert_allclose(p.point(params), twin.median(), rtol=1e-12)
    assert_gradients(p.log_prob, params.numpy()[:1], x.numpy())


def test_log_normal_learns_the_optimal_scale_of_logarithms(float64, rng):
    p = built(LogNormal, scale="optimal")
    params, x = decoded(p, rng)
    total = tf.reduce_sum(p.log_prob(params, x, None, Context(training=True)))
    sigma = np.sqrt(np.mean(np.asarray(np.log(x) - params) ** 2))
    expected = scipy.stats.lognorm(sigma, scale=np.exp(params)).logpdf(x).sum()
    np.testing.assert_allclose(total, expected, rtol=1e-12)


def test_log_normal_mixture_is_its_geometric_mean(float64, rng):
    p = built(LogNormal, (1,), scale=0.5)
    params, weights = tf.constant(rng.normal(size=(2, 1, 1))), tf.constant([[0.3], [0.7]])
    component = rng.uniform(size=40_000) < 0.7
    draws = p.sample(tf.gather(params[:, 0], component.astype(int)), seed=1)
    point = p.mixture_point(params, tf.cast(weights, tf.float64))
    assert_mean_is(np.log(draws), np.log(point[0]))


def test_log_normal_draws_follow_scipys_distribution_function(float64):
    p = built(LogNormal, (1,), scale=0.5)
    draws = p.sample(tf.fill([20_000, 1], tf.constant(0.3, tf.float64)), seed=4)
    twin = scipy.stats.lognorm(0.5, scale=np.exp(0.3))
    assert scipy.stats.kstest(draws[:, 0], twin.cdf).pvalue > 1e-3


def test_log_normal_stays_finite_at_extreme_parameters():
    p = built(LogNormal, (1,), scale="predicted")
    for location in (-50.0, 50.0):
        params = tf.constant([[[location, -50.0]]])
        with tf.GradientTape() as tape:
            tape.watch(params)
            value = p.log_prob(params, tf.constant([[1e-30]]))
        assert np.isfinite(value).all()
        assert np.isfinite(tape.gradient(value, params)).all()
    draws = p.sample(tf.constant([[-1e4, 0.0], [1e4, 0.0]]), seed=1)
    assert np.isfinite(draws).all()
    assert not p.support.violations(draws)


# Beta.


def exponents(params):
    mean = 1e-6 + (1 - 2e-6) * scipy.special.expit(params[..., :3])
    concentration = np.logaddexp(0, params[..., 3:]) + 1e-4
    return mean * concentration, (1 - mean) * concentration


def test_beta_is_scipys(float64, rng):
    p = built(Beta)
    params, x = decoded(p, rng, 2.0)
    twin = scipy.stats.beta(*exponents(params.numpy()))
    # SciPy itself is exact to 1e-11.
    np.testing.assert_allclose(p.log_prob(params, x), twin.logpdf(x).sum((-2, -1)), rtol=1e-10)
    np.testing.assert_allclose(p.mean(params), twin.mean(), rtol=1e-12)
    assert_gradients(p.log_prob, params.numpy()[:1], x.numpy())


def test_beta_draws_follow_scipys_distribution_function(float64):
    p = built(Beta, (1,))
    params = tf.constant([[0.4, 3.0]], tf.float64)
    draws = p.sample(tf.repeat(params, 20_000, 0), seed=4)
    mean, concentration = 1e-6 + (1 - 2e-6) * scipy.special.expit(0.4), np.logaddexp(0, 3.0)
    twin = scipy.stats.beta(mean * concentration, (1 - mean) * concentration)
    assert scipy.stats.kstest(draws[:, 0], twin.cdf).pvalue > 1e-3


@pytest.mark.parametrize("logit", [-50.0, 50.0])
@pytest.mark.parametrize("raw", [-50.0, 50.0])
def test_beta_stays_finite_and_inside(logit, raw):
    p = built(Beta, (1,))
    params = tf.constant([[[logit, raw]]])
    for x in (1e-6, 0.5, 1 - 1e-6):
        with tf.GradientTape() as tape:
            tape.watch(params)
            value = p.log_prob(params, tf.constant([[x]]))
        assert np.isfinite(value).all()
        assert np.isfinite(tape.gradient(value, params)).all()
    assert not p.support.violations(p.sample(tf.repeat(params, 1000, 0), seed=1))
    assert not p.support.violations(p.mean(params))


@pytest.mark.parametrize("p", [Beta(), LogNormal()], ids=["Beta", "LogNormal"])
def test_bounds_themselves_are_outside(p):
    assert p.support.violations(tf.constant([0.5, 0.0]))
    assert not p.support.violations(tf.constant([0.5, 1e-6]))
    assert str(Beta().support) == "(0, 1)"


# Continuous Bernoulli.

LOGITS = np.concatenate([-np.logspace(-9, 1.5, 30), [0.0], np.logspace(-9, 1.5, 30)])


def quadrature(logit, power):
    """Moment of x under exp(x logit) on [0, 1], exact for these smooth functions."""
    nodes, weights = np.polynomial.legendre.leggauss(80)
    x = (nodes + 1) / 2
    density = np.exp((x - (logit > 0)) * logit)
    return np.sum(weights * x**power * density) / np.sum(weights * density)


def log_normaliser(logit):
    """Log of the integral of exp(x logit) over [0, 1]."""
    nodes, weights = np.polynomial.legendre.leggauss(80)
    x = (nodes + 1) / 2
    shift = max(logit, 0)
    return np.log(np.sum(weights / 2 * np.exp(x * logit - shift))) + shift


def test_continuous_bernoulli_is_the_normalised_density_of_bernoulli(float64, rng):
    p = built(ContinuousBernoulli, (1,))
    x = rng.uniform(size=len(LOGITS))
    result = p.log_prob(tf.constant(LOGITS[None, :, None]), tf.constant(x[:, None]))
    expected = x * LOGITS - [log_normaliser(logit) for logit in LOGITS]
    np.testing.assert_allclose(result[0], expected, rtol=1e-11, atol=1e-12)


def test_continuous_bernoulli_mean_is_by_quadrature(float64):
    p = built(ContinuousBernoulli, (1,))
    expected = [quadrature(logit, 1) for logit in LOGITS]
    mean = p.mean(tf.constant(LOGITS[:, None]))[:, 0]
    np.testing.assert_allclose(mean, expected, rtol=1e-11)


def test_continuous_bernoulli_gradient_is_x_minus_mean_in_single_precision(rng):
    # The derivative of the log-normaliser is the mean: in single precision too, and through
    # logit 0, where closed forms lose all digits.
    p = built(ContinuousBernoulli, (1,))
    logits = tf.constant(LOGITS[None, :, None], tf.float32)
    x = rng.uniform(size=(len(LOGITS), 1)).astype("float32")
    with tf.GradientTape() as tape:
        tape.watch(logits)
        value = p.log_prob(logits, tf.constant(x))
    mean = np.array([[quadrature(logit, 1)] for logit in LOGITS])
    np.testing.assert_allclose(tape.gradient(value, logits)[0], x - mean, atol=2e-6)
    np.testing.assert_allclose(p.mean(logits)[0], mean, atol=1e-6)
    expected = x[:, 0] * LOGITS - [log_normaliser(logit) for logit in LOGITS]
    np.testing.assert_allclose(value[0], expected, rtol=1e-5, atol=1e-6)


def test_continuous_bernoulli_gradients_of_both(float64, rng):
    p = built(ContinuousBernoulli)
    params, x = decoded(p, rng, 3.0)
    assert_gradients(p.log_prob, params.numpy()[:1], x.numpy())
    assert_gradients(p.mean, params.numpy()[:1])


@pytest.mark.parametrize("logit", [0.0, 1e-8, 0.4, -3.0, 40.0])
def test_continuous_bernoulli_draws_have_its_moments(float64, logit):
    p = built(ContinuousBernoulli, (1,))
    draws = p.sample(tf.fill([40_000, 1], tf.constant(logit, tf.float64)), seed=3)
    assert_mean_is(draws[:, 0], quadrature(logit, 1))
    assert_mean_is(draws[:, 0] ** 2, quadrature(logit, 2))


@pytest.mark.parametrize("logit", [-1e4, -50.0, 50.0, 1e4])
def test_continuous_bernoulli_stays_finite(logit):
    p = built(ContinuousBernoulli, (1,))
    params = tf.constant([[[logit]]])
    for x in (0.0, 0.5, 1.0):
        with tf.GradientTape() as tape:
            tape.watch(params)
            value = p.log_prob(params, tf.constant([[x]]))
        expected = (x - (logit > 0)) * logit + np.log(abs(logit))
        np.testing.assert_allclose(value, [[expected]], rtol=1e-6)
        assert np.isfinite(tape.gradient(value, params)).all()
    assert not p.support.violations(p.sample(params, seed=1))
