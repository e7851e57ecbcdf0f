"""Normal posteriors against SciPy, TFP, quadrature and finite differences."""

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp

from keras_vae.numerics import SCALE_FLOOR, inverse_positive
from keras_vae.posteriors import DiagonalNormal, FullCovarianceNormal
from keras_vae.terms import Context
from tests.twins import assert_gradients, integral

FAMILIES = [DiagonalNormal, FullCovarianceNormal]
every_family = pytest.mark.parametrize("family", FAMILIES, ids=lambda cls: cls.__name__)


def params_of(q, rng, batch=2):
    return tf.constant(rng.normal(size=(batch, *q.params_shape)))


def softplus(x):
    return np.logaddexp(0.0, x)


def moments(q, params):
    """Mean and covariance of each example, from the layout that the class documents."""
    params, d = np.asarray(params), q.latent_dim
    means, rest = params[:, :d], params[:, d:]
    if isinstance(q, DiagonalNormal):
        return means, [np.diag((softplus(row) + SCALE_FLOOR) ** 2) for row in rest]
    factors = [np.array(tfp.math.fill_triangular(row)) for row in rest]
    for factor in factors:
        np.fill_diagonal(factor, softplus(np.diag(factor)) + SCALE_FLOOR)
    return means, [factor @ factor.T for factor in factors]


@every_family
def test_density_is_scipys(float64, rng, family):
    q = family(3)
    params = params_of(q, rng)
    z = rng.normal(size=(4, 2, 3))
    means, covariances = moments(q, params)
    expected = [
        scipy.stats.multivariate_normal(mean, covariance).logpdf(z[:, i])
        for i, (mean, covariance) in enumerate(zip(means, covariances))
    ]
    result = q.log_prob(params, tf.constant(z), Context())
    np.testing.assert_allclose(result, np.transpose(expected), rtol=1e-12)


@every_family
def test_draws_are_the_noise_shifted_and_scaled(float64, rng, family):
    q = family(3)
    params, epsilon = params_of(q, rng), rng.normal(size=(4, 2, 3))
    draw = q.sample_and_log_prob(params, {"epsilon": tf.constant(epsilon)}, Context())
    means, covariances = moments(q, params)
    factors = np.array([np.linalg.cholesky(c) for c in covariances])
    expected = means + np.einsum("bij,sbj->sbi", factors, epsilon)
    np.testing.assert_allclose(draw.latents, expected, rtol=1e-12)
    by_density = q.log_prob(params, draw.latents, Context())
    np.testing.assert_allclose(draw.log_prob, by_density, rtol=1e-12)


@every_family
def test_mass_is_one(float64, rng, family):
    q = family(1)
    params = params_of(q, rng, 1)

    def density(z):
        return np.exp(q.log_prob(params, z[:, None, None], Context()))[:, 0]

    np.testing.assert_allclose(integral(density), 1.0, rtol=1e-9)


@every_family
def test_moments_and_entropy_are_scipys(float64, rng, family):
    q = family(3)
    params = params_of(q, rng)
    means, covariances = moments(q, params)
    variances = np.array([np.diag(c) for c in covariances])
    np.testing.assert_allclose(q.mean(params), means)
    np.testing.assert_allclose(q.scale(params), np.sqrt(variances), rtol=1e-12)
    np.testing.assert_allclose(q.second_moment(params), means**2 + variances, rtol=1e-12)
    entropies = [
        scipy.stats.multivariate_normal(m, c).entropy() for m, c in zip(means, covariances)
    ]
    entropy = np.asarray(q.entropy(params)).sum(-1)
    np.testing.assert_allclose(entropy, entropies, rtol=1e-12)


def test_diagonal_entropy_is_per_dimension(float64, rng):
    q = DiagonalNormal(3)
    params = params_of(q, rng)
    expected = scipy.stats.norm(scale=q.scale(params)).entropy()
    np.testing.assert_allclose(q.entropy(params), expected, rtol=1e-12)


@every_family
def test_gradients_are_those_of_finite_differences(float64, rng, family):
    q = family(2)
    params = params_of(q, rng).numpy()
    epsilon, z = rng.normal(size=(3, 2, 2)), rng.normal(size=(3, 2, 2))
    weights = tf.constant(rng.normal(size=(3, 2, 2)))

    def draw(params, epsilon):
        return q.sample_and_log_prob(params, {"epsilon": epsilon}, Context())

    # The derivative of log q(z(params) | params), by both of its paths.
    assert_gradients(lambda p, e: draw(p, e).log_prob, params, epsilon)
    assert_gradients(lambda p, e: draw(p, e).latents * weights, params, epsilon)
    assert_gradients(lambda p, z: q.log_prob(p, z, Context()), params, z)
    assert_gradients(q.entropy, params)
    assert_gradients(q.second_moment, params)


@every_family
@pytest.mark.parametrize("raw", [-100.0, 100.0])
def test_extreme_scales_stay_finite(family, raw):
    q = family(2)
    params = tf.concat([tf.zeros([1, 2]), tf.fill([1, q.params_shape[0] - 2], raw)], axis=1)
    with tf.GradientTape() as tape:
        tape.watch(params)
        draw = q.sample_and_log_prob(params, {"epsilon": tf.ones([1, 1, 2])}, Context())
        results = [draw.latents, draw.log_prob, q.entropy(params)]
        results += [q.second_moment(params), q.scale(params)]
        total = tf.add_n([tf.reduce_sum(result) for result in results])
    for result in results:
        assert np.isfinite(result).all()
    assert np.isfinite(tape.gradient(total, params)).all()
    assert np.all(q.scale(params) >= SCALE_FLOOR)


def test_full_covariance_holds_the_diagonal_family(float64, rng):
    # With nothing below the diagonal the two densities are the same.
    full, diagonal = FullCovarianceNormal(2), DiagonalNormal(2)
    loc, raw = rng.normal(size=(3, 2)), rng.normal(size=(3, 2))
    triangle = np.stack([np.diag(row) for row in raw])
    flat = tfp.math.fill_triangular_inverse(triangle)
    z = tf.constant(rng.normal(size=(4, 3, 2)))
    np.testing.assert_allclose(
        full.log_prob(tf.concat([loc, flat], -1), z, Context()),
        diagonal.log_prob(tf.concat([loc, raw], -1), z, Context()),
        rtol=1e-12,
    )


def test_full_covariance_reaches_any_covariance(float64):
    q, covariance = FullCovarianceNormal(2), np.array([[4.0, -2.97], [-2.97, 2.25]])
    factor = np.linalg.cholesky(covariance)
    diagonal = [inverse_positive(scale) for scale in np.diag(factor)]
    raw = np.tril(factor, -1) + np.diag(diagonal)
    params = np.concatenate([[1.0, 2.0], tfp.math.fill_triangular_inverse(raw)])[None]
    result = q.distribution(tf.constant(params)).covariance()
    np.testing.assert_allclose(result, covariance[None], rtol=1e-12)


@pytest.mark.parametrize("d", [1, 2, 5])
def test_number_of_parameters(d):
    assert DiagonalNormal(d).params_shape == (2 * d,)
    assert FullCovarianceNormal(d).params_shape == (d + d * (d + 1) // 2,)


@pytest.mark.parametrize("bad", [0, -1, 2.0, "2", None, True])
@every_family
def test_bad_latent_dim_is_refused(family, bad):
    with pytest.raises(ValueError, match=r"`latent_dim` must be an integer >= 1\. Received:"):
        family(bad)
