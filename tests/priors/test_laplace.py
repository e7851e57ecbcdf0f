"""The Laplace prior against SciPy and quadrature."""

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from keras_vae.posteriors import DiagonalNormal, FullCovarianceNormal
from keras_vae.posteriors import Laplace as LaplacePosterior
from keras_vae.priors import Laplace
from keras_vae.terms import Context
from tests.twins import assert_gradients, integral

SCALE = 0.8


def built(latent_dim=2):
    p = Laplace(SCALE)
    p.build((latent_dim,))
    return p


def test_density_is_that_of_scipy(float64, rng):
    z = 3 * rng.normal(size=(4, 3, 2))
    expected = scipy.stats.laplace.logpdf(z, scale=SCALE).sum(-1)
    np.testing.assert_allclose(
        built().log_prob(tf.constant(z), Context()), expected, rtol=1e-12
    )


def test_draws_invert_the_distribution_function(float64, rng):
    uniform = rng.random(size=(50, 2))
    z = built().sample({"uniform": tf.constant(uniform)}, Context())
    expected = scipy.stats.laplace.ppf(uniform, scale=SCALE)
    # Half an epsilon is added to the uniform; its influence grows as the inverse of the tail.
    np.testing.assert_allclose(z, expected, rtol=1e-9, atol=1e-10)


def test_the_ends_of_the_noise_are_symmetric_and_finite():
    z = built().sample({"uniform": tf.constant([[0.0, 1 - 2.0**-23]])}, Context()).numpy()
    np.testing.assert_allclose(
        z, [[-SCALE * 23 * np.log(2), SCALE * 23 * np.log(2)]], rtol=1e-6
    )


@pytest.mark.parametrize(
    "q", [DiagonalNormal(1), LaplacePosterior(1)], ids=["normal", "laplace"]
)
def test_closed_kl_is_the_integral(float64, q):
    p, params = built(1), tf.constant([[0.4, 0.2]], tf.float64)

    def integrand(z):
        log_q = q.log_prob(params, z[:, None, None], Context())[:, 0]
        log_p = scipy.stats.laplace.logpdf(z, scale=SCALE)
        return np.exp(log_q) * (log_q - log_p)

    # The densities have kinks: the trapezoidal rule errs by the squared spacing, 1e-7.
    expected = integral(integrand, -30, 30)
    np.testing.assert_allclose(p.closed_form_kl(q, params), [[expected]], rtol=1e-6)


def test_kl_of_equal_laplaces_is_zero(float64):
    p, q = built(1), LaplacePosterior(1)
    raw = np.log(np.expm1(SCALE - 1e-4))
    params = tf.constant([[0.0, raw]], tf.float64)
    np.testing.assert_allclose(p.closed_form_kl(q, params), [[0.0]], atol=1e-14)


def test_kl_of_dependent_latents_is_one_group(float64, rng):
    q, p = FullCovarianceNormal(2), built()
    params = tf.constant(rng.normal(size=(3, 5)))
    assert p.closed_form_kl(q, params).shape == (3, 1)
    assert_gradients(lambda params: p.closed_form_kl(q, params), params.numpy())


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan")])
def test_scale_must_be_positive(scale):
    with pytest.raises(ValueError, match=r"`scale` must be positive. Received: scale="):
        Laplace(scale)
