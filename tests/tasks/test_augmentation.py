"""New examples of linear models, whose mean and covariance are known exactly."""

import numpy as np
import pytest

import keras_vae
from keras_vae import likelihoods, networks, posteriors, preprocessors, priors
from keras_vae.tasks import augment
from tests.integration.test_equivalence import (
    DATA_DIM,
    SCALE,
    head,
    linear_vae,
    set_exact_posterior,
)

ERRORS = 5
DRAWS = 20_000


def make(posterior=None, **options):
    return keras_vae.VAE(
        networks.MLP([8]),
        networks.MLP([8]),
        posterior or posteriors.DiagonalNormal(3),
        likelihood=likelihoods.Normal(1.0),
        event_shape=(4,),
        seed=0,
        **options,
    )


@pytest.mark.parametrize(("scale", "sample"), [(1.0, True), (1.7, False)])
def test_mean_and_covariance_are_those_of_decoded_draws(scale, sample, rng):
    vae = linear_vae()
    set_exact_posterior(vae, rng)
    x = rng.normal(size=(2, DATA_DIM)).astype("float32")
    found = augment(vae, x, DRAWS, scale=scale, sample=sample).astype("float64")
    kernel, bias = (w.astype("float64") for w in head(vae._to_likelihood).get_weights())
    for row, q in enumerate(vae.posterior_of(x[i : i + 1]) for i in range(2)):
        mean = q.mean().numpy()[0] @ kernel + bias
        covariance = scale**2 * kernel.T @ q.covariance().numpy()[0] @ kernel
        covariance += SCALE**2 * np.eye(DATA_DIM) * sample
        variance = np.diag(covariance)
        error = np.sqrt(variance / DRAWS)
        assert np.all(np.abs(found[:, row].mean(axis=0) - mean) < ERRORS * error)
        error = np.sqrt((np.outer(variance, variance) + covariance**2) / DRAWS)
        assert np.all(np.abs(np.cov(found[:, row].T) - covariance) < ERRORS * error)


def test_draws_are_seeded_and_raw(rng):
    x = rng.normal(size=(5, 4)).astype("float32")
    plain, scaled = make(), make(preprocessor=preprocessors.Rescaling(0.1, 0.5))
    scaled.set_weights(plain.get_weights())
    options = {"draws": 3, "batch_size": 2}
    found = augment(plain, x, **options)
    assert found.shape == (3, 5, 4)
    np.testing.assert_array_equal(augment(plain, x, **options), found)
    assert np.any(augment(plain, x, seed=1, **options) != found)
    raw = augment(scaled, (x - 0.5) / 0.1, **options)
    np.testing.assert_allclose(0.1 * raw + 0.5, found, rtol=1e-4, atol=1e-4)


def test_conditions_go_with_their_examples(rng):
    vae = make(condition_shape=(2,))
    x = rng.normal(size=(1, 4)).astype("float32").repeat(4, axis=0)
    found = augment(vae, x, 2, scale=1e-6, condition=[0, 1, 1, 0])
    expected = vae.reconstruct(x, condition=[0, 1, 1, 0])
    np.testing.assert_allclose(found, np.stack([expected] * 2), rtol=1e-4, atol=1e-4)
    assert np.all(expected[0] != expected[1])


@pytest.mark.thorough
def test_sequences_are_written(rng):
    vae = keras_vae.VAE(
        networks.MLP([8]),
        networks.RecurrentDecoder([8], autoregressive=True),
        posteriors.DiagonalNormal(2),
        likelihood=likelihoods.Categorical(3),
        event_shape=(5, 1),
    )
    tokens = rng.integers(0, 3, size=(6, 5, 1))
    found = augment(vae, tokens, 2, sample=True)
    assert found.shape == (2, 6, 5, 1)
    assert set(found.ravel()) <= {0, 1, 2}


def test_bad_arguments():
    x = np.zeros([2, 4])
    with pytest.raises(ValueError, match="`draws` must be an integer"):
        augment(make(), x, 0)
    with pytest.raises(ValueError, match="`scale` must be positive"):
        augment(make(), x, scale=0)
    with pytest.raises(ValueError, match="must have a posterior with noise"):
        augment(make(posteriors.Deterministic(3)), x)
    sphere = make(posteriors.VonMisesFisher(3), prior=priors.SphericalUniform())
    with pytest.raises(ValueError, match=r"must be 1\.0 unless latents"):
        augment(sphere, x, scale=2.0)


@pytest.mark.thorough
def test_points_of_a_sphere_vary_too(rng):
    sphere = make(posteriors.VonMisesFisher(3), prior=priors.SphericalUniform())
    x = rng.normal(size=(2, 4))
    found = augment(sphere, x, 3)
    assert found.shape == (3, 2, 4)
    assert np.all(found[0] != found[1])
