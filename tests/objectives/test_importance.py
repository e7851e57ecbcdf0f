"""Importance-weighted bounds against NumPy and SciPy."""

import numpy as np
import pytest
import scipy.special
import tensorflow as tf

from keras_vae.objectives import (
    CIWAE,
    ELBO,
    IWAE,
    MIWAE,
    PIWAE,
    DReG,
    Renyi,
    StickingTheLanding,
)
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


# Mixtures of many and few samples.


def log_weights(rng, samples, batch=4):
    """Terms, and their log-weights by NumPy."""
    densities = rng.normal(size=(3, samples, batch)) * 4
    return terms_of(*densities), densities[0] + densities[1] - densities[2]


def value(objective, terms):
    bound = objective.bound(terms, Context())
    assert bound.surrogate is None
    return bound.value


def test_miwae_is_the_mean_of_iwaes(rng):
    terms, log_weight = log_weights(rng, 6)
    expected = np.zeros(4)
    for group in (log_weight[:3], log_weight[3:]):
        expected += (scipy.special.logsumexp(group, axis=0) - np.log(3)) / 2
    np.testing.assert_allclose(value(MIWAE(2, 3), terms), expected, rtol=1e-12)


def test_miwae_of_one_group_is_iwae_and_of_single_samples_the_elbo(float64, rng):
    terms, _ = log_weights(rng, 6)
    elbo = value(ELBO(kl="monte_carlo"), terms)
    np.testing.assert_allclose(value(MIWAE(1, 6), terms), value(IWAE(6), terms), rtol=1e-12)
    np.testing.assert_allclose(value(MIWAE(6, 1), terms), elbo, rtol=1e-12)


def test_ciwae_is_between_elbo_and_iwae(float64, rng):
    terms, _ = log_weights(rng, 5)
    elbo, iwae = value(ELBO(kl="monte_carlo"), terms), value(IWAE(5), terms)
    for weight, expected in ((0.0, iwae), (1.0, elbo), (0.3, 0.3 * elbo + 0.7 * iwae)):
        np.testing.assert_allclose(value(CIWAE(5, weight), terms), expected, rtol=1e-12)


# The Renyi bound.


@pytest.mark.parametrize("alpha", [-2.0, 0.0, 0.5, 0.999, 1.001, 3.0])
def test_renyi_is_the_log_of_a_mean_power(rng, alpha):
    terms, log_weight = log_weights(rng, 7)
    powers = scipy.special.logsumexp((1 - alpha) * log_weight, axis=0) - np.log(7)
    # Where 1 - alpha is small the formula itself loses three digits.
    np.testing.assert_allclose(value(Renyi(alpha, 7), terms), powers / (1 - alpha), rtol=1e-10)


def test_renyi_has_iwae_and_elbo_as_limits(float64, rng):
    terms, log_weight = log_weights(rng, 7)
    elbo = value(ELBO(kl="monte_carlo"), terms)
    np.testing.assert_allclose(value(Renyi(0.0, 7), terms), value(IWAE(7), terms), rtol=1e-12)
    np.testing.assert_allclose(value(Renyi(1.0, 7), terms), elbo, rtol=1e-12)
    # In first order: mean - (alpha - 1) / 2 * variance of the log-weights.
    for step in (1e-6, -1e-6):
        expected = elbo - step / 2 * log_weight.var(0)
        np.testing.assert_allclose(value(Renyi(1 + step, 7), terms), expected, atol=1e-9)


def test_renyi_keeps_its_digits_near_the_elbo_in_float32(rng):
    densities = rng.normal(size=(3, 5, 4)).astype("float32") * 100
    terms = terms_of(*densities)
    limit = value(Renyi(1.0, 5), terms)
    # 1e-6 times half the variance of the log-weights is some 0.015.
    np.testing.assert_allclose(value(Renyi(1 - 1e-6, 5), terms), limit, rtol=1e-5, atol=0.05)


@pytest.mark.parametrize(("alpha", "expected"), [(-2.0, 200.0), (3.0, -300.0)])
def test_renyi_does_not_overflow(alpha, expected):
    log_likelihood = np.array([[-300.0], [200.0]], "float32")
    terms = terms_of(log_likelihood, 0 * log_likelihood, 0 * log_likelihood)
    # One of two weights rules: a half of its power is left.
    expected += np.log(0.5) / (1 - alpha)
    np.testing.assert_allclose(value(Renyi(alpha, 2), terms), [expected], rtol=1e-6)


@pytest.mark.parametrize("alpha", [-1.0, 0.5, 2.0])
def test_renyi_weighs_gradients_by_normalised_powers(rng, alpha):
    densities = [tf.constant(t) for t in rng.normal(size=(3, 5, 4))]
    with tf.GradientTape() as tape:
        tape.watch(densities[0])
        bound = Renyi(alpha, 5).bound(terms_of(*densities), Context()).value
    log_weight = densities[0] + densities[1] - densities[2]
    expected = scipy.special.softmax((1 - alpha) * log_weight, axis=0)
    np.testing.assert_allclose(tape.gradient(bound, densities[0]), expected, rtol=1e-10)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MIWAE(0, 2), r"`outer` must be an integer >= 1\. Received: outer=0"),
        (lambda: MIWAE(2, 1.5), r"`inner` must be an integer >= 1\. Received: inner=1\.5"),
        (lambda: PIWAE(2, 0), r"`inner` must be an integer >= 1\. Received: inner=0"),
        (lambda: CIWAE(2, 1.5), r"`weight` must be in \[0, 1\]\. Received: weight=1\.5"),
        (lambda: CIWAE(0), r"`samples` must be"),
        (lambda: DReG(0), r"`samples` must be"),
        (lambda: StickingTheLanding(0), r"`samples` must be"),
        (lambda: Renyi(float("inf")), r"`alpha` must be a finite number\. Received: alpha=inf"),
        (lambda: Renyi(0.5, 0), r"`samples` must be"),
    ],
)
def test_bad_arguments_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
