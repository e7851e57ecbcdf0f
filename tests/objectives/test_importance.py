"""Importance-weighted bounds against NumPy and SciPy."""

import numpy as np
import pytest
import scipy.special
import tensorflow as tf

from keras_vae.objectives import IWAE
from keras_vae.terms import Context, ElboTerms


def terms_of(log_likelihood, log_prior, log_posterior):
    return ElboTerms(
        log_likelihood=tf.constant(log_likelihood),
        log_prior=tf.constant(log_prior),
        log_posterior=tf.constant(log_posterior),
        kl=None,
        latents=None,
    )


def test_log_weight_is_likelihood_times_prior_over_posterior(rng):
    densities = rng.normal(size=(3, 5, 4))
    expected = densities[0] + densities[1] - densities[2]
    np.testing.assert_allclose(terms_of(*densities).log_weight, expected)


@pytest.mark.parametrize("samples", [1, 2, 7])
def test_iwae_is_the_log_of_the_mean_weight(rng, samples):
    densities = rng.normal(size=(3, samples, 4)) * 10
    log_weight = densities[0] + densities[1] - densities[2]
    bound = IWAE(samples).bound(terms_of(*densities), Context())
    expected = scipy.special.logsumexp(log_weight, axis=0) - np.log(samples)
    np.testing.assert_allclose(bound.value, expected, rtol=1e-12)
    assert bound.surrogate is None


def test_iwae_weighs_gradients_by_normalised_weights(rng):
    densities = [tf.constant(t) for t in rng.normal(size=(3, 5, 4))]
    with tf.GradientTape() as tape:
        tape.watch(densities)
        value = IWAE(5).bound(terms_of(*densities), Context()).value
    weights = scipy.special.softmax(densities[0] + densities[1] - densities[2], axis=0)
    expected = [weights, weights, -weights]
    for gradient, wanted in zip(tape.gradient(value, densities), expected):
        np.testing.assert_allclose(gradient, wanted, rtol=1e-12)


def test_iwae_does_not_overflow():
    densities = [np.full((3, 1), v, "float32") for v in (-5000.0, -100.0, 200.0)]
    bound = IWAE(3).bound(terms_of(*densities), Context())
    np.testing.assert_allclose(bound.value, [-5300.0])


@pytest.mark.parametrize("samples", [0, -1, 1.5, True, None, "2"])
def test_bad_number_of_samples_is_refused(samples):
    with pytest.raises(ValueError, match=r"`samples` must be an integer >= 1\. Received:"):
        IWAE(samples)
