"""The maximum mean discrepancy against a double loop, and the objectives made of it."""

import numpy as np
import pytest
import tensorflow as tf

from keras_vae.objectives import ELBO, WAE, InfoVAE
from keras_vae.objectives.discrepancy import squared_mmd
from keras_vae.schedules import LinearWarmup
from keras_vae.terms import Context, ElboTerms
from tests.twins import assert_mean_is, standard_error


def kernel(a, b, name, scale):
    squared = np.sum((a - b) ** 2)
    usual = 2 * len(a) * scale**2
    if name == "rbf":
        return np.exp(-squared / usual)
    scales = [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0]
    return sum(s * usual / (s * usual + squared) for s in scales)


def mmd_by_loops(first, second, name, scale, unbiased):
    """Tolstikhin et al. (2018), algorithm 2; with all pairs where it is biased."""
    n, total = len(first), 0.0
    for i in range(n):
        for j in range(n):
            if i != j or not unbiased:
                pairs = n * (n - 1) if unbiased else n * n
                total += kernel(first[i], first[j], name, scale) / pairs
                total += kernel(second[i], second[j], name, scale) / pairs
            total -= 2 * kernel(first[i], second[j], name, scale) / n**2
    return total


@pytest.fixture
def terms(rng):
    latents = 0.5 + 1.4 * rng.normal(size=(2, 5, 3))
    return ElboTerms(
        log_likelihood=tf.constant(rng.normal(size=(2, 5)) * 10),
        log_prior=None,
        log_posterior=None,
        kl=tf.constant(rng.normal(size=(5, 3)) ** 2),
        latents=tf.constant(latents),
        prior_latents=tf.constant(rng.normal(size=(2, 5, 3))),
    )


def expected_mmd(terms, name, scale, unbiased):
    pairs = zip(terms.latents.numpy(), terms.prior_latents.numpy())
    return np.mean([mmd_by_loops(a, b, name, scale, unbiased) for a, b in pairs])


@pytest.mark.parametrize("unbiased", [True, False])
@pytest.mark.parametrize("scale", [1.0, 0.6])
@pytest.mark.parametrize("name", ["imq", "rbf"])
def test_mmd_is_that_of_a_double_loop(terms, name, scale, unbiased):
    result = squared_mmd(terms.latents, terms.prior_latents, name, scale, unbiased=unbiased)
    # Distances from scalar products: relative rounding of some 1e-15 times the squares.
    expected = expected_mmd(terms, name, scale, unbiased)
    np.testing.assert_allclose(result, expected, rtol=1e-10)


def test_mmd_looks_at_latents_of_any_shape_as_vectors(terms):
    first, second = terms.latents, terms.prior_latents
    boxes = [tf.reshape(z, (2, 5, 3, 1)) for z in (first, second)]
    np.testing.assert_array_equal(
        squared_mmd(*boxes, "imq", 1.0), squared_mmd(first, second, "imq", 1.0)
    )


@pytest.mark.parametrize("name", ["imq", "rbf"])
def test_unbiased_mmd_of_equal_distributions_is_zero_in_the_mean(rng, name):
    pairs = tf.constant(rng.normal(size=(20, 2, 20, 6, 2)))
    assert_mean_is([squared_mmd(a, b, name, 1.0) for a, b in pairs], 0.0)
    biased = np.array([squared_mmd(a, b, name, 1.0, unbiased=False) for a, b in pairs])
    assert np.all(biased > 0)
    assert biased.mean() > 20 * standard_error(biased)


def test_mmd_of_equal_latents_has_finite_gradients():
    z = tf.zeros([1, 3, 2])
    with tf.GradientTape() as tape:
        tape.watch(z)
        value = squared_mmd(z, tf.zeros([1, 3, 2]), "imq", 1.0)
    assert float(value) == pytest.approx(0, abs=1e-6)
    np.testing.assert_array_equal(tape.gradient(value, z), np.zeros([1, 3, 2]))


@pytest.mark.parametrize("name", ["imq", "rbf"])
def test_wae_is_the_likelihood_minus_weighted_mmd(float64, terms, name):
    objective = WAE(LinearWarmup(10, end=5.0), name, scale=0.8)
    bound = objective.bound(terms, Context(step=tf.constant(4)))
    mmd = expected_mmd(terms, name, 0.8, unbiased=True)
    expected = np.mean(terms.log_likelihood, 0) - 2.0 * mmd
    np.testing.assert_allclose(bound.value, expected, rtol=1e-10)
    assert objective.requires == {"prior_latents"}


@pytest.mark.parametrize(
    ("alpha", "lambda_"), [(0.0, 3.0), (0.4, 0.6), (1.0, 5.0), (-1.0, 4.0)]
)
def test_infovae_weighs_kl_and_mmd(float64, terms, alpha, lambda_):
    bound = InfoVAE(alpha, lambda_, "rbf").bound(terms, Context())
    mmd = expected_mmd(terms, "rbf", 1.0, unbiased=False)
    expected = np.mean(terms.log_likelihood, 0) - (1 - alpha) * np.sum(terms.kl, -1)
    np.testing.assert_allclose(bound.value, expected - (alpha + lambda_ - 1) * mmd, rtol=1e-10)


def test_infovae_without_extras_is_the_elbo(float64, terms):
    bound = InfoVAE(0.0, 1.0).bound(terms, Context())
    np.testing.assert_allclose(bound.value, ELBO().bound(terms, Context()).value, rtol=1e-12)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: WAE(-1.0), r"`weight` must be >= 0 or a schedule\. Received: weight=-1"),
        (lambda: WAE(kernel="linear"), r"`kernel` must be one of .* Received: kernel='linear'"),
        (lambda: WAE(scale=0.0), r"`scale` must be positive\. Received: scale=0"),
        (lambda: InfoVAE(1.5, 1.0), r"`alpha` must be <= 1 .* Received: alpha=1\.5"),
        (lambda: InfoVAE(0.0, 0.5), r"`alpha \+ lambda_` >= 1"),
        (lambda: InfoVAE(float("nan"), 1.0), r"`alpha` must be a finite number"),
        (lambda: InfoVAE(0.0, 2.0, kernel="x"), r"`kernel` must be one of"),
    ],
)
def test_bad_arguments_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
