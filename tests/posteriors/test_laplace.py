"""The Laplace posterior against SciPy and quadrature."""

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from keras_vae import numerics
from keras_vae.posteriors import DiagonalNormal, FullCovarianceNormal, Laplace
from keras_vae.terms import Context
from tests.twins import assert_gradients, integral


def some_params(rng, batch=3, latent_dim=2):
    return tf.constant(rng.normal(size=(batch, 2 * latent_dim)))


def test_density_is_that_of_scipy(float64, rng):
    q, params = Laplace(2), some_params(rng)
    z = 3 * rng.normal(size=(4, 3, 2))
    loc, diversity = q.mean(params), q.diversity(params)
    np.testing.assert_allclose(diversity, np.logaddexp(0, params[:, 2:]) + 1e-4, rtol=1e-12)
    expected = scipy.stats.laplace.logpdf(z, loc, diversity)
    result = q.log_prob(params, tf.constant(z), Context())
    np.testing.assert_allclose(result, expected.sum(-1), rtol=1e-12)


def test_draws_invert_the_distribution_function(float64, rng):
    q, params = Laplace(2), some_params(rng)
    uniform = rng.random(size=(50, 3, 2))
    draw = q.sample_and_log_prob(params, {"uniform": tf.constant(uniform)}, Context())
    expected = scipy.stats.laplace.ppf(uniform, q.mean(params), q.diversity(params))
    # Half an epsilon is added to the uniform; its influence grows as the inverse of the tail.
    np.testing.assert_allclose(draw.latents, expected, rtol=1e-9, atol=1e-10)
    expected = scipy.stats.laplace.logpdf(draw.latents, q.mean(params), q.diversity(params))
    np.testing.assert_allclose(draw.log_prob, expected.sum(-1), rtol=1e-12)


def test_the_ends_of_the_noise_give_finite_symmetric_draws():
    q = Laplace(2)
    largest = np.nextafter(np.float32(1), np.float32(0))
    # Generators of float32 noise give multiples of 2**-23; the last one is finer.
    for ends in ([0.0, 1 - 2.0**-23], [0.0, largest]):
        noise = {"uniform": tf.constant([[ends]], tf.float32)}
        params = tf.constant([[0.0, 0.0, 0.7, 0.7]])
        with tf.GradientTape() as tape:
            tape.watch(params)
            draw = q.sample_and_log_prob(params, noise, Context())
            total = tf.reduce_sum(draw.latents**2) + tf.reduce_sum(draw.log_prob)
        z = draw.latents.numpy()[0, 0]
        assert z[0] == -z[1]
        np.testing.assert_allclose(z[1] / q.diversity(params)[0, 0], 23 * np.log(2), rtol=1e-6)
        assert np.isfinite(draw.log_prob).all()
        assert np.isfinite(tape.gradient(total, params)).all()


def test_entropy_and_moments_are_the_integrals(float64):
    q = Laplace(1)
    params = tf.constant([[-0.4, 0.3]], tf.float64)
    m, b = -0.4, float(q.diversity(params)[0, 0])

    def density(z):
        return scipy.stats.laplace.pdf(z, m, b)

    # The density has a kink: the trapezoidal rule errs by the square of the spacing, 1e-7.
    for function, result in (
        (lambda z: -np.log(density(z)), q.entropy(params)),
        (lambda z: z**2, q.second_moment(params)),
        (np.abs, q.absolute_moment(params)),
        (lambda z: (z + 0.4) ** 2, q.scale(params) ** 2),
    ):
        expected = integral(lambda z, f=function: density(z) * f(np.asarray(z)), -30, 30)
        np.testing.assert_allclose(result[0, 0], expected, rtol=1e-6)


@pytest.mark.parametrize("mean", [-1.2, 0.0, 0.01, 3.0])
def test_absolute_moment_of_normals_is_the_integral(float64, mean):
    q = DiagonalNormal(1)
    params = tf.constant([[mean, 0.2]], tf.float64)
    s = float(q.scale(params)[0, 0])
    # |z| has a kink: the error is of the order of the squared spacing, 1e-7.
    expected = integral(lambda z: np.abs(z) * scipy.stats.norm.pdf(z, mean, s), -30, 30)
    np.testing.assert_allclose(q.absolute_moment(params), [[expected]], rtol=1e-6)
    full = FullCovarianceNormal(1)
    np.testing.assert_allclose(full.absolute_moment(params), [[expected]], rtol=1e-6)


def test_gradients_are_those_of_finite_differences(float64, rng):
    q, params = Laplace(2), some_params(rng, 2)
    noise = {"uniform": tf.constant(rng.random(size=(2, 2, 2)))}
    z = rng.normal(size=(2, 2, 2))
    for function in (
        lambda p: q.sample_and_log_prob(p, noise, Context()).latents ** 2,
        lambda p: q.sample_and_log_prob(p, noise, Context()).log_prob,
        q.entropy,
        q.absolute_moment,
        DiagonalNormal(2).absolute_moment,
    ):
        assert_gradients(function, params.numpy())
    assert_gradients(lambda p, z: q.log_prob(p, z, Context()), params.numpy(), z)


def test_every_normal_has_its_density_under_every_other(float64, rng):
    # The matrix products against the density itself, at scales down to the floor.
    params = np.concatenate([3 * rng.normal(size=(7, 2)), rng.uniform(-12, 1, (7, 2))], axis=-1)
    z = tf.constant(3 * rng.normal(size=(5, 2)))
    params = tf.constant(params)
    for q in (DiagonalNormal(2), FullCovarianceNormal(2), Laplace(2)):
        given = tf.constant(rng.normal(size=(7, 5))) if q.params_shape == (5,) else params
        result = q.log_prob_of_each(given, z, Context())
        assert result.shape == (5, 7)
        expected = [q.log_prob(given, tf.repeat(row[None], 7, 0), Context()) for row in z]
        np.testing.assert_allclose(result, expected, rtol=1e-10)
    q = DiagonalNormal(2)
    assert_gradients(
        lambda p, z: q.log_prob_of_each(p, z, Context()), rng.normal(size=(2, 4)), z
    )


def test_products_of_float32_do_not_cancel(rng):
    # Means of many thousand scales: in float32 the squares alone would be off by 10 nats.
    q = DiagonalNormal(2)
    params = tf.constant([[3.0, -3.0, -20.0, -20.0], [3.0, 2.0, 0.0, 0.0]])
    z = tf.constant([[3.0001, -3.0001], [0.0, 1.0]])
    expected = tfd_of(q, params, z)
    result = q.log_prob_of_each(params, z, Context())
    np.testing.assert_allclose(result, expected, rtol=1e-5)


def tfd_of(q, params, z):
    loc, scale = (np.asarray(t, "float64") for t in (q.mean(params), q.scale(params)))
    return scipy.stats.norm.logpdf(z.numpy()[:, None].astype("float64"), loc, scale).sum(-1)


def test_uniform_noise_is_moved_into_the_open_interval(float64):
    for dtype, step in ((tf.float32, 2.0**-23), (tf.float64, 2.0**-52)):
        noise = tf.constant([0.0, 0.5 - step, 0.5, 1 - step], dtype)
        moved = numerics.open_uniform(noise).numpy().astype("float64")
        np.testing.assert_array_equal(moved, noise.numpy() + step / 2)
        assert moved[0] > 0
        assert moved[-1] < 1
        np.testing.assert_array_equal(moved, 1 - moved[::-1])
