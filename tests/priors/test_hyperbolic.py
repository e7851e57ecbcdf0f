"""The wrapped normal prior against quadrature and its posterior twin."""

import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf

from keras_vae import numerics, posteriors
from keras_vae.priors import PoincareNormal
from keras_vae.terms import Context
from tests.twins import assert_gradients, assert_mean_is


def built(latent_dim, *arguments):
    p = PoincareNormal(*arguments)
    p.build((latent_dim,))
    return p


def draws_of(p, count=20_000):
    noise = numerics.draw_noise(p.noise_spec(), [count], numerics.key_from_seed(0))
    return p.sample(noise, Context())


@pytest.mark.parametrize("latent_dim", [1, 2, 3, 6])
@pytest.mark.parametrize("curvature", [0.5, 2.0])
def test_mass_is_one(float64, latent_dim, curvature):
    # Over spheres around the centre: their area, times the density, integrated.
    p = built(latent_dim, curvature, 0.7)
    nodes, weights = np.polynomial.legendre.leggauss(200)
    radius = 0.5 * (nodes + 1) / np.sqrt(curvature)
    z = np.outer(radius, np.eye(latent_dim)[0])
    area = 2 * np.pi ** (latent_dim / 2) / scipy.special.gamma(latent_dim / 2)
    density = np.exp(p.log_prob(tf.constant(z), Context())) * area * radius ** (latent_dim - 1)
    mass = 0.5 * weights @ density / np.sqrt(curvature)
    np.testing.assert_allclose(mass, 1.0, rtol=1e-5)


@pytest.mark.parametrize("curvature", [0.5, 2.0])
def test_distances_from_the_centre_are_those_of_a_normal(curvature):
    p = built(3, curvature, 0.7)
    z = np.asarray(draws_of(p), "float64")
    distance = (
        2 / np.sqrt(curvature) * np.arctanh(np.sqrt(curvature) * np.linalg.norm(z, axis=1))
    )
    test = scipy.stats.kstest(distance / 0.7, scipy.stats.chi(3).cdf)
    assert test.pvalue > 1e-3  # a fixed seed: it either always passes or never does
    assert_mean_is(z, np.zeros(3))


def test_it_is_the_posterior_at_the_centre(float64, rng):
    p, q = built(3, 0.7, 0.9), posteriors.PoincareNormal(3, 0.7)
    raw = numerics.inverse_positive(0.9)
    params = tf.constant([[0.0] * 3 + [raw] * 3], tf.float64)
    z = draws_of(p, 50)
    expected = q.log_prob(params, z[:, None], Context())[:, 0]
    np.testing.assert_allclose(p.log_prob(z, Context()), expected, rtol=1e-9)
    np.testing.assert_allclose(p.distribution(Context()).log_prob(z), expected, rtol=1e-9)


def test_kl_is_the_integral_over_the_line(float64):
    # In one dimension z = tanh(t / 2) with t normal: the KL is that of two normals.
    p, q = built(1, 1.0, 1.5), posteriors.PoincareNormal(1)
    params = tf.constant([[0.8, 0.3]], tf.float64)
    scale = np.logaddexp(0, 0.3) + 1e-4
    expected = np.log(1.5 / scale) + (scale**2 + 0.8**2) / (2 * 1.5**2) - 0.5
    noise = numerics.draw_noise(q.noise_spec(), [20_000, 1], numerics.key_from_seed(0))
    draw = q.sample_and_log_prob(params, noise, Context())
    log_ratio = draw.log_prob - p.log_prob(draw.latents, Context())
    assert_mean_is(log_ratio[:, 0], expected)
    np.testing.assert_allclose(p.kl(q, params, draw, Context()), [[np.mean(log_ratio)]])


def test_gradients_are_those_of_finite_differences(float64, rng):
    z = 0.5 * np.tanh(rng.normal(size=(4, 3)))
    assert_gradients(lambda z: built(3, 0.7, 0.9).log_prob(z, Context()), z)


@pytest.mark.parametrize("bad", [0.0, -1.0, float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["curvature", "scale"])
def test_arguments_must_be_positive(name, bad):
    with pytest.raises(ValueError, match=rf"`{name}` must be .* Received: {name}="):
        PoincareNormal(**{name: bad})
