"""The logistic-normal posterior against its definition, quadrature and finite differences."""

import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf

from keras_vae.posteriors import LogisticNormal
from keras_vae.terms import Context
from tests.twins import assert_gradients, assert_mean_is, finite_differences


def some_params(rng, batch=3, latent_dim=3):
    return tf.constant(rng.normal(size=(batch, 2 * (latent_dim - 1))))


def drawn(q, params, epsilon):
    return q.sample_and_log_prob(params, {"epsilon": tf.constant(epsilon)}, Context())


@pytest.mark.parametrize("latent_dim", [2, 3, 5])
def test_draws_are_proportions_and_know_their_density(float64, rng, latent_dim):
    q, params = LogisticNormal(latent_dim), some_params(rng, 3, latent_dim)
    draw = drawn(q, params, rng.normal(size=(4, 3, latent_dim - 1)))
    z = draw.latents.numpy()
    np.testing.assert_allclose(z.sum(-1), 1.0, rtol=1e-14)
    assert np.all(z > 0)
    loc, raw = np.split(params.numpy(), 2, axis=-1)
    log_ratio = np.log(z[..., :-1] / z[..., -1:])
    expected = scipy.stats.norm.logpdf(log_ratio, loc, np.logaddexp(0, raw) + 1e-4).sum(-1)
    expected -= np.log(z).sum(-1)
    np.testing.assert_allclose(draw.log_prob, expected, rtol=1e-11)
    np.testing.assert_allclose(q.log_prob(params, z, Context()), expected, rtol=1e-11)


def test_density_is_that_of_the_change_of_variables(float64, rng):
    # By the definition: the normal's density over the determinant of dz[:-1] / dy.
    q, params, y = LogisticNormal(4), some_params(rng, 1, 4), rng.normal(size=3)

    def proportions(y, k):
        return scipy.special.softmax(np.append(np.asarray(y), 0.0))[k]

    jacobian = [finite_differences(lambda y, k=k: proportions(y, k), y) for k in range(3)]
    loc, raw = np.split(params.numpy()[0], 2)
    expected = scipy.stats.norm.logpdf(y, loc, np.logaddexp(0, raw) + 1e-4).sum()
    expected -= np.log(abs(np.linalg.det(jacobian)))
    z = scipy.special.softmax(np.append(y, 0.0))[None, None]
    # Central differences of 1e-5 err by about 1e-10.
    np.testing.assert_allclose(
        q.log_prob(params, tf.constant(z), Context())[0, 0], expected, rtol=1e-8
    )


@pytest.mark.parametrize("latent_dim", [2, 3])
def test_mass_is_one_with_respect_to_the_first_proportions(float64, rng, latent_dim):
    # The midpoint rule: the density vanishes smoothly at the edges, with these parameters.
    q = LogisticNormal(latent_dim)
    params = tf.constant([[0.2] * (latent_dim - 1) + [-0.3] * (latent_dim - 1)], tf.float64)
    grid = (np.arange(800) + 0.5) / 800
    if latent_dim == 2:
        z = np.stack([grid, 1 - grid], -1)
        cell = 1 / 800
    else:
        first, second = np.meshgrid(grid, grid, indexing="ij")
        z = np.stack([first, second, 1 - first - second], -1).reshape(-1, 3)
        z, cell = z[z[:, 2] > 1e-9], 1 / 800**2
    density = np.exp(q.log_prob(params, tf.constant(z[:, None]), Context()))
    np.testing.assert_allclose(density.sum() * cell, 1.0, rtol=1e-6)


def test_point_is_the_softmax_of_the_location(float64, rng):
    q, params = LogisticNormal(3), some_params(rng)
    loc = np.concatenate([params[:, :2], np.zeros([3, 1])], axis=-1)
    np.testing.assert_allclose(q.point(params), scipy.special.softmax(loc, -1), rtol=1e-14)
    # Log-ratios are at their median there: half of the draws are above.
    draw = drawn(q, params[:1], rng.normal(size=(20_000, 1, 2)))
    ratio = draw.latents / draw.latents[..., -1:]
    point = (q.point(params[:1]) / q.point(params[:1])[:, -1:])[:, :2]
    above = (ratio[:, 0, :2] > point).numpy().astype("float64")
    assert_mean_is(above, 0.5)


def test_moments_are_not_known():
    q = LogisticNormal(3)
    assert not q.has_moments
    assert q.entropy(tf.zeros([2, 4])) is None
    with pytest.raises(NotImplementedError):
        q.mean(tf.zeros([2, 4]))


def test_proportions_that_underflow_stay_finite():
    q = LogisticNormal(2)
    params = tf.constant([[200.0, 5.0], [-200.0, 5.0]])
    with tf.GradientTape() as tape:
        tape.watch(params)
        draw = drawn(q, params, np.zeros([1, 2, 1], "float32"))
        density = q.log_prob(params, draw.latents, Context())
        total = tf.reduce_sum(draw.log_prob) + tf.reduce_sum(density)
    assert np.min(draw.latents) == 0
    assert np.isfinite(draw.log_prob).all()
    assert np.isfinite(density).all()
    assert np.isfinite(tape.gradient(total, params)).all()


def test_gradients_are_those_of_finite_differences(float64, rng):
    q, params = LogisticNormal(3), some_params(rng, 2)
    epsilon = rng.normal(size=(2, 2, 2))
    assert_gradients(lambda p: drawn(q, p, epsilon).latents ** 2, params.numpy())
    assert_gradients(lambda p: drawn(q, p, epsilon).log_prob, params.numpy())
    z = rng.dirichlet(np.ones(3), size=(2, 2))
    assert_gradients(lambda p, z: q.log_prob(p, z, Context()), params.numpy(), z, rtol=1e-5)


@pytest.mark.parametrize("bad", [1, 0, 2.0])
def test_one_proportion_is_refused(bad):
    with pytest.raises(ValueError, match="`latent_dim` must be"):
        LogisticNormal(bad)
