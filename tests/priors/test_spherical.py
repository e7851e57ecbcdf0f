"""The uniform prior on the sphere: its area, its draws, its KL."""

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from keras_vae import numerics
from keras_vae.posteriors import PowerSpherical, VonMisesFisher
from keras_vae.priors import SphericalUniform
from keras_vae.terms import Context
from tests.twins import assert_gradients, assert_mean_is


def uniform(latent_dim):
    p = SphericalUniform()
    p.build((latent_dim,))
    return p


def draws_of(p, count=20_000):
    noise = numerics.draw_noise(p.noise_spec(), [count], numerics.key_from_seed(0))
    return np.asarray(p.sample(noise, Context()), "float64")


@pytest.mark.parametrize("latent_dim", [2, 3, 7])
def test_density_is_scipys(float64, latent_dim):
    p = uniform(latent_dim)
    z = draws_of(p, 5)
    expected = scipy.stats.uniform_direction(latent_dim)
    area = 2 * np.pi ** (latent_dim / 2) / scipy.special.gamma(latent_dim / 2)
    np.testing.assert_allclose(np.linalg.norm(expected.rvs(random_state=0)), 1.0)
    np.testing.assert_allclose(p.log_prob(tf.constant(z), Context()), -np.log(area))


@pytest.mark.parametrize("latent_dim", [2, 3, 7])
def test_draws_are_uniform(latent_dim):
    z = draws_of(uniform(latent_dim))
    np.testing.assert_allclose(np.linalg.norm(z, axis=-1), 1.0, rtol=1e-6)
    assert_mean_is(z, np.zeros(latent_dim))
    products = np.einsum("si,sj->sij", z, z)
    assert_mean_is(products, np.eye(latent_dim) / latent_dim)
    # (1 + z_i) / 2 is a beta variable.
    half = (latent_dim - 1) / 2
    for column in z.T:
        test = scipy.stats.kstest((1 + column) / 2, scipy.stats.beta(half, half).cdf)
        assert test.pvalue > 1e-3  # a fixed seed: it either always passes or never does


@pytest.mark.parametrize("family", [VonMisesFisher, PowerSpherical])
@pytest.mark.parametrize("latent_dim", [2, 3, 11])
def test_kl_is_the_mean_log_ratio(rng, family, latent_dim):
    q, p = family(latent_dim), uniform(latent_dim)
    params = rng.normal(size=(2, latent_dim + 1))
    params[:, -1] += 5.0
    params = tf.constant(params, tf.float32)
    noise = numerics.draw_noise(q.noise_spec(), [20_000, 2], numerics.key_from_seed(0))
    draw = q.sample_and_log_prob(params, noise, Context())
    kl = p.kl(q, params, draw, Context())
    assert kl.shape == (2, 1)
    assert_mean_is(draw.log_prob - p.log_prob(draw.latents, Context()), kl[:, 0])
    assert np.all(np.asarray(kl) > 0)


def test_kl_of_von_mises_fisher_is_scipys(float64, rng):
    q, p = VonMisesFisher(5), uniform(5)
    params = rng.normal(size=(3, 6))
    kappas = np.logaddexp(0.0, params[:, 5]) + 1
    entropies = [scipy.stats.vonmises_fisher(np.eye(5)[0], k).entropy() for k in kappas]
    expected = np.log(8 * np.pi**2 / 3) - np.array(entropies)
    kl = p.closed_form_kl(q, tf.constant(params))
    np.testing.assert_allclose(kl[:, 0], expected, rtol=1e-9)
    assert_gradients(lambda t: p.closed_form_kl(q, t), params)


def test_density_has_a_gradient_of_zero():
    z = tf.constant([[0.6, 0.8]])
    with tf.GradientTape() as tape:
        tape.watch(z)
        log_prob = uniform(2).log_prob(z, Context())
    np.testing.assert_array_equal(tape.gradient(log_prob, z), [[0.0, 0.0]])


@pytest.mark.parametrize("shape", [(1,), (2, 2), ()])
def test_latents_that_are_no_vectors_are_refused(shape):
    with pytest.raises(ValueError, match="`latent_shape` must be that of a vector"):
        SphericalUniform().build(shape)
