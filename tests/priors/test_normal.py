"""The standard normal prior against SciPy and quadrature."""

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp

from keras_vae.posteriors import DiagonalNormal, FullCovarianceNormal
from keras_vae.priors import StandardNormal
from keras_vae.terms import Context
from tests.twins import assert_gradients, integral

tfd = tfp.distributions


def standard_normal(latent_dim):
    p = StandardNormal()
    p.build((latent_dim,))
    return p


def test_density_is_scipys(float64, rng):
    p, z = standard_normal(3), rng.normal(size=(4, 2, 3)) * 3
    expected = scipy.stats.norm.logpdf(z)
    np.testing.assert_allclose(p.log_prob(tf.constant(z), Context()), expected.sum(-1))
    np.testing.assert_allclose(p.log_prob_per_dimension(tf.constant(z)), expected)


def test_its_draws_are_the_noise():
    epsilon = tf.constant([[1.0, -2.0]])
    np.testing.assert_array_equal(
        standard_normal(2).sample({"epsilon": epsilon}, Context()), epsilon
    )


def test_kl_of_the_diagonal_normal_is_kingma_and_wellings(float64, rng):
    # Appendix B: -KL = (1 + log s**2 - m**2 - s**2) / 2, by dimension.
    q, p = DiagonalNormal(3), standard_normal(3)
    params = tf.constant(rng.normal(size=(4, 6)))
    m, s = np.asarray(q.mean(params)), np.asarray(q.scale(params))
    expected = -(1 + np.log(s**2) - m**2 - s**2) / 2
    np.testing.assert_allclose(p.closed_form_kl(q, params), expected, rtol=1e-11)


def test_kl_in_one_dimension_is_the_integral(float64, rng):
    q, p = DiagonalNormal(1), standard_normal(1)
    params = tf.constant(rng.normal(size=(1, 2)))
    m, s = float(params[0, 0]), float(q.scale(params)[0, 0])

    def integrand(z):
        log_q = scipy.stats.norm.logpdf(z, m, s)
        return np.exp(log_q) * (log_q - scipy.stats.norm.logpdf(z))

    expected = integral(integrand)
    np.testing.assert_allclose(p.closed_form_kl(q, params), [[expected]], rtol=1e-9)


def test_kl_of_the_full_normal_is_tfps(float64, rng):
    q, p = FullCovarianceNormal(3), standard_normal(3)
    params = tf.constant(rng.normal(size=(4, *q.params_shape)))
    unit = tfd.MultivariateNormalTriL(tf.zeros(3, tf.float64), tf.eye(3, dtype=tf.float64))
    expected = tfd.kl_divergence(q.distribution(params), unit)
    kl = p.closed_form_kl(q, params)
    assert kl.shape == (4, 1)
    np.testing.assert_allclose(kl[:, 0], expected, rtol=1e-11)


def test_kl_vanishes_at_the_prior(float64):
    q, p = DiagonalNormal(2), standard_normal(2)
    raw = np.log(np.expm1(1.0 - 1e-4))
    params = tf.constant([[0.0, 0.0, raw, raw]], tf.float64)
    np.testing.assert_allclose(p.closed_form_kl(q, params), np.zeros((1, 2)), atol=1e-14)


@pytest.mark.parametrize("family", [DiagonalNormal, FullCovarianceNormal])
def test_gradients_are_those_of_finite_differences(float64, rng, family):
    q, p = family(2), standard_normal(2)
    assert_gradients(
        lambda params: p.closed_form_kl(q, params), rng.normal(size=(2, *q.params_shape))
    )
    assert_gradients(lambda z: p.log_prob(z, Context()), rng.normal(size=(3, 2, 2)))


@pytest.mark.parametrize("unknown", ["entropy", "second_moment"])
def test_kl_is_estimated_by_dimension_where_the_posterior_knows_too_little(
    float64, rng, unknown
):
    class Reticent(DiagonalNormal):
        pass

    setattr(Reticent, unknown, lambda self, params: None)
    q, p = Reticent(2), standard_normal(2)
    params, epsilon = tf.constant(rng.normal(size=(3, 4))), rng.normal(size=(5, 3, 2))
    draw = q.sample_and_log_prob(params, {"epsilon": tf.constant(epsilon)}, Context())
    assert p.closed_form_kl(q, params) is None
    z = np.asarray(draw.latents)
    log_ratio = scipy.stats.norm.logpdf(z, q.mean(params), q.scale(params))
    log_ratio -= scipy.stats.norm.logpdf(z)
    np.testing.assert_allclose(
        p.kl(q, params, draw, Context()), log_ratio.mean(0), rtol=1e-10, atol=1e-12
    )
