"""One latent that moves, and others that do not."""

import numpy as np
import pytest

import keras_vae
from keras_vae import likelihoods, networks, posteriors, preprocessors, priors
from keras_vae.tasks import traverse


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


@pytest.fixture
def x(rng):
    return rng.normal(size=(50, 4)).astype("float32")


def test_values_are_put_into_the_code_one_by_one(x):
    vae = make(preprocessor=preprocessors.Rescaling(0.1, 0.5))
    found = traverse(vae, x, [2, 0], [-3.0, 0.5])
    assert found.shape == (2, 2, 4)
    code = vae.encode(x[:1])[0]
    for row, latent in enumerate([2, 0]):
        for step, value in enumerate([-3.0, 0.5]):
            z = code.copy()
            z[latent] = value
            expected = vae.decode(z[None])[0]
            np.testing.assert_allclose(found[row, step], expected, rtol=1e-4, atol=1e-5)


def test_ways_end_where_draws_do(x):
    vae = make()
    found = traverse(vae, x, values=5, seed=4)
    assert found.shape == (3, 5, 4)
    draws = vae.encode(x, sample=True, seed=4)
    for latent in range(3):
        low, high = np.quantile(draws[:, latent], [0.01, 0.99])
        for step, share in enumerate([0, 0.25, 0.5, 0.75, 1]):
            value = low + share * (high - low)
            alone = traverse(vae, x[:1], [latent], [value])[0, 0]
            np.testing.assert_allclose(found[latent, step], alone, rtol=1e-4, atol=1e-5)


def test_the_first_condition_is_decoded_with(x):
    vae = make(condition_shape=(2,))
    labels = np.arange(50) % 2
    found = traverse(vae, x, [1], [0.0], condition=labels)
    np.testing.assert_allclose(
        found, traverse(vae, x[:1], [1], [0.0], condition=0), rtol=1e-4, atol=1e-6
    )
    assert np.any(np.abs(found - traverse(vae, x[:1], [1], [0.0], condition=1)) > 1e-3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"latents": [3]}, "`latents` must be numbers from 0 to 2"),
        ({"latents": [-1]}, "`latents` must be numbers"),
        ({"latents": []}, "`latents` must be numbers"),
        ({"latents": [0.5]}, "`latents` must be numbers"),
        ({"values": 1}, "`values` must be an integer >= 2"),
        ({"values": [0.0, np.nan]}, "`values` must be finite"),
        ({"values": [[0.0]]}, "`values` must be finite"),
    ],
)
def test_bad_arguments(x, options, message):
    with pytest.raises(ValueError, match=message):
        traverse(make(), x, **options)


def test_latents_that_do_not_move_one_by_one(x):
    sphere = make(posteriors.VonMisesFisher(3), prior=priors.SphericalUniform())
    with pytest.raises(ValueError, match="latents that are real vectors"):
        traverse(sphere, x)
