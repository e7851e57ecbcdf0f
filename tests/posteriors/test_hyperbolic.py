"""The wrapped normal posterior against quadrature, TFP and its limit in flat space."""

import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from keras_vae import numerics, priors
from keras_vae.posteriors import PoincareNormal
from keras_vae.terms import Context
from tests.twins import assert_gradients, assert_mean_is


def params_of(q, rng, batch=2):
    return tf.constant(rng.normal(size=(batch, *q.params_shape)))


def draw_of(q, params, samples):
    leading = [samples, params.shape[0]]
    noise = numerics.draw_noise(q.noise_spec(), leading, numerics.key_from_seed(0))
    return q.sample_and_log_prob(params, noise, Context())


def disc(curvature, points=300):
    """A grid over the disc, by radius and angle, and its weights."""
    nodes, weights = np.polynomial.legendre.leggauss(points)
    radius = 0.5 * (nodes + 1) / np.sqrt(curvature)
    weights = 0.5 * weights / np.sqrt(curvature) * radius
    angle = np.linspace(0, 2 * np.pi, points + 1)[:-1]
    z = np.stack([np.outer(radius, np.cos(angle)), np.outer(radius, np.sin(angle))], -1)
    return z.reshape(-1, 2), np.repeat(weights, points) * 2 * np.pi / points


@pytest.mark.parametrize("curvature", [0.5, 1.0])
def test_mass_is_one_and_moments_are_those_of_the_draws(float64, curvature):
    q = PoincareNormal(2, curvature)
    params = tf.constant([[0.7, -0.4, -0.5, 0.2]], tf.float64)
    z, weights = disc(curvature)
    density = weights * np.exp(q.log_prob(params, tf.constant(z[:, None]), Context()))[:, 0]
    # Gauss' rule meets a density that falls as exp(-distance**2) at the rim.
    np.testing.assert_allclose(density.sum(), 1.0, rtol=1e-6)
    draws = np.asarray(draw_of(q, params, 20_000).latents)[:, 0]
    assert_mean_is(draws, density @ z)
    assert_mean_is(draws**2, density @ z**2)
    assert_mean_is(draws[:, 0] * draws[:, 1], density @ (z[:, 0] * z[:, 1]))


def test_in_one_dimension_distances_are_normal(float64):
    # A line has no curvature: with z = tanh(t / 2), t is normal around the location.
    q = PoincareNormal(1)
    params = tf.constant([[0.8, 0.3]], tf.float64)
    t = np.linspace(-2, 3, 9)
    z, scale = np.tanh(t / 2), np.logaddexp(0, 0.3) + 1e-4
    expected = scipy.stats.norm.logpdf(t, 0.8, scale) + np.log(2 / (1 - z**2))
    result = q.log_prob(params, tf.constant(z[:, None, None]), Context())
    np.testing.assert_allclose(result[:, 0], expected, rtol=1e-10)


def test_with_little_curvature_it_is_the_normal(float64, rng):
    # Coordinates are half of distances then.
    q = PoincareNormal(3, 1e-9)
    params, z = params_of(q, rng), rng.normal(size=(4, 2, 3))
    loc, raw = np.split(np.asarray(params), 2, -1)
    scale = (np.logaddexp(0, raw) + 1e-4) / 2
    expected = scipy.stats.norm.logpdf(z, loc / 2, scale).sum(-1)
    np.testing.assert_allclose(
        q.log_prob(params, tf.constant(z), Context()), expected, rtol=1e-6
    )


@pytest.mark.parametrize("latent_dim", [1, 2, 5])
def test_density_at_a_draw_is_that_of_the_draw_and_of_the_distribution(
    float64, rng, latent_dim
):
    q = PoincareNormal(latent_dim, 0.7)
    params = params_of(q, rng)
    draw = draw_of(q, params, 6)
    by_density = q.log_prob(params, draw.latents, Context())
    np.testing.assert_allclose(draw.log_prob, by_density, rtol=1e-8)
    np.testing.assert_allclose(
        q.distribution(params).log_prob(draw.latents), by_density, rtol=1e-8
    )


def test_gradients_are_those_of_finite_differences(float64, rng):
    q = PoincareNormal(2, 0.7)
    params, epsilon = params_of(q, rng).numpy(), rng.normal(size=(3, 2, 2))
    z = 0.5 * np.tanh(rng.normal(size=(3, 2, 2)))
    weights = tf.constant(rng.normal(size=(3, 2, 2)))

    def draw(params, epsilon):
        return q.sample_and_log_prob(params, {"epsilon": epsilon}, Context())

    assert_gradients(lambda p, e: draw(p, e).log_prob, params, epsilon)
    assert_gradients(lambda p, e: draw(p, e).latents * weights, params, epsilon)
    assert_gradients(lambda p, z: q.log_prob(p, z, Context()), params, z)
    assert_gradients(lambda p: q.point(p) * weights[0], params)


@pytest.mark.parametrize("raw", [-100.0, 10.0, 100.0])
@pytest.mark.parametrize("location", [0.0, 5.0, 1e3, 1e15])
def test_extremes_stay_finite_in_value_and_gradient(location, raw):
    q, p = PoincareNormal(10), priors.PoincareNormal()
    p.build((10,))
    params = tf.concat([tf.fill([1, 10], location), tf.fill([1, 10], raw)], axis=1)
    for epsilon in (tf.zeros([1, 1, 10]), tf.ones([1, 1, 10]), -3 * tf.ones([1, 1, 10])):
        with tf.GradientTape() as tape:
            tape.watch(params)
            draw = q.sample_and_log_prob(params, {"epsilon": epsilon}, Context())
            kl = p.kl(q, params, draw, Context())
            here = q.log_prob(params, draw.latents, Context())
            total = tf.reduce_sum(kl) + tf.reduce_sum(draw.latents) + 1e-6 * tf.reduce_sum(here)
        assert np.isfinite(total)
        assert np.isfinite(tape.gradient(total, params)).all()
        assert np.all(np.linalg.norm(draw.latents, axis=-1) < 1)


@pytest.mark.parametrize("bad", [0.0, -1.0, float("nan"), float("inf")])
def test_curvature_must_be_positive(bad):
    with pytest.raises(ValueError, match=r"`curvature` must be .* Received: curvature="):
        PoincareNormal(2, bad)


def test_posterior_and_prior_of_other_curvature_do_not_go_together(make_vae):
    with pytest.raises(ValueError, match="Poincare ball of curvature -2"):
        make_vae(posterior=PoincareNormal(2), prior=priors.PoincareNormal(2.0))
    with pytest.raises(ValueError, match="real vectors"):
        make_vae(posterior=PoincareNormal(2))


@pytest.mark.thorough
def test_model_of_digits_learns(digits, make_vae):
    x = (digits > 0.5).astype("float32")[:1024]
    vae = make_vae(posterior=PoincareNormal(4, 0.7), prior=priors.PoincareNormal(0.7))
    vae.compile(keras.optimizers.Adam(2e-2))
    history = vae.fit(x, batch_size=64, epochs=20, verbose=0).history
    assert np.all(np.diff(history["elbo"][::5]) > 0)
    assert history["kl"][-1] > 0.5  # the latents are used
    assert np.all(np.linalg.norm(vae.encode(x[:10]), axis=-1) < 1 / np.sqrt(0.7))
