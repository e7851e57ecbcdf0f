"""The decomposed KL against loops in NumPy and SciPy, on data small enough to know q(z)."""

import itertools

import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf

from keras_vae.objectives import ELBO, TCVAE
from keras_vae.posteriors import DiagonalNormal
from keras_vae.schedules import LinearWarmup
from keras_vae.terms import Context, ElboTerms

DATA, SAMPLES, LATENT_DIM = 4, 2, 3


@pytest.fixture
def params(rng):
    """Parameters of q(z|x) for the whole data."""
    return rng.normal(size=(DATA, 2 * LATENT_DIM))


@pytest.fixture
def epsilon(rng):
    return rng.normal(size=(SAMPLES, DATA, LATENT_DIM))


def moments(params):
    return params[:, :LATENT_DIM], np.logaddexp(0, params[:, LATENT_DIM:]) + 1e-4


def terms_of(params, epsilon):
    mean, scale = moments(params)
    z = mean + scale * epsilon
    return ElboTerms(
        log_likelihood=tf.constant(np.sin(np.arange(z[..., 0].size)).reshape(z.shape[:2])),
        log_prior=tf.constant(scipy.stats.norm.logpdf(z).sum(-1)),
        log_posterior=tf.constant(scipy.stats.norm.logpdf(z, mean, scale).sum(-1)),
        kl=None,
        latents=tf.constant(z),
        posterior_params=tf.constant(params),
    )


def context(data_size=DATA, step=0):
    return Context(
        step=tf.constant(step),
        data_size=tf.constant(data_size, tf.int64),
        posterior=DiagonalNormal(LATENT_DIM),
    )


def density(z, params):
    """q(z_j|x), `[latent_dim]`, of one latent and one example."""
    mean, scale = moments(params[None])
    return scipy.stats.norm.pdf(z, mean[0], scale[0])


def test_parts_add_up_to_the_kl_of_the_draw(float64, params, epsilon):
    terms = terms_of(params, epsilon)
    for estimator in ("stratified", "weighted"):
        parts = TCVAE(4.0, estimator=estimator).decomposition(terms, context(50))
        assert {part.shape for part in parts} == {(SAMPLES, DATA)}
        total = terms.log_posterior - terms.log_prior
        np.testing.assert_allclose(tf.add_n(parts), total, rtol=1e-10, atol=1e-10)


def test_stratified_is_exact_when_the_batch_is_the_data(float64, params, epsilon):
    terms = terms_of(params, epsilon)
    parts = TCVAE(4.0).decomposition(terms, context())
    for s, i in itertools.product(range(SAMPLES), range(DATA)):
        z = terms.latents.numpy()[s, i]
        by_example = np.array([density(z, p) for p in params])
        joint, marginals = by_example.prod(-1).mean(), by_example.mean(0)
        own = np.log(by_example[i].prod())
        np.testing.assert_allclose(parts[0][s, i], own - np.log(joint), rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(
            parts[1][s, i], np.log(joint) - np.log(marginals).sum(), rtol=1e-9, atol=1e-9
        )
        log_prior = scipy.stats.norm.logpdf(z).sum()
        np.testing.assert_allclose(
            parts[2][s, i], np.log(marginals).sum() - log_prior, rtol=1e-9, atol=1e-9
        )


@pytest.mark.parametrize("size", [2, 3])
def test_stratified_has_no_bias_over_batches(float64, params, epsilon, size):
    # The estimate of q(z) for the first example, over all batches that hold it.
    exact = np.mean([density(moments(params)[0][0], p).prod() for p in params])
    estimates = []
    for others in itertools.combinations(range(1, DATA), size - 1):
        chosen = [0, *others]
        terms = terms_of(params[chosen], 0 * epsilon[:, chosen])  # z is the mean
        parts = TCVAE(1.0).decomposition(terms, context())
        log_aggregate = terms.log_posterior - parts.mutual_information
        estimates.append(np.exp(log_aggregate.numpy()[0, 0]))
    np.testing.assert_allclose(np.mean(estimates), exact, rtol=1e-12)
    assert np.std(estimates) > 1e-4


def test_weighted_is_the_formula_of_the_paper(float64, params, epsilon):
    size = 50
    terms = terms_of(params, epsilon)
    parts = TCVAE(1.0, estimator="weighted").decomposition(terms, context(size))
    z = terms.latents.numpy()[1, 2]
    by_example = np.array([density(z, p) for p in params])
    log_joint = np.log(by_example.prod(-1).sum() / (size * DATA))
    log_marginals = np.log(by_example.sum(0) / (size * DATA)).sum()
    own = terms.log_posterior.numpy()[1, 2]
    np.testing.assert_allclose(parts[0][1, 2], own - log_joint, rtol=1e-10)
    np.testing.assert_allclose(parts[1][1, 2], log_joint - log_marginals, rtol=1e-10)


@pytest.mark.parametrize("estimator", ["stratified", "weighted"])
def test_equal_weights_make_the_elbo(float64, params, epsilon, estimator):
    terms = terms_of(params, epsilon)
    bound = TCVAE(1.0, estimator=estimator).bound(terms, context(50)).value
    elbo = ELBO(kl="monte_carlo").bound(terms, Context()).value
    np.testing.assert_allclose(bound, elbo, rtol=1e-10)


def test_each_part_has_its_weight(float64, params, epsilon):
    terms = terms_of(params, epsilon)
    objective = TCVAE(LinearWarmup(10, end=8.0), alpha=0.3, gamma=2.0)
    information, correlation, by_dimension = objective.decomposition(terms, context(50))
    penalty = 0.3 * information + 4.0 * correlation + 2.0 * by_dimension
    expected = np.mean(terms.log_likelihood - penalty, axis=0)
    bound = objective.bound(terms, context(50, step=5)).value
    np.testing.assert_allclose(bound, expected, rtol=1e-10)


def test_size_of_the_data_may_be_given_and_is_the_batch_where_unknown(float64, params, epsilon):
    terms = terms_of(params, epsilon)

    def information(given, known):
        return TCVAE(1.0, data_size=given).decomposition(terms, context(known))[0]

    np.testing.assert_array_equal(information(50, 0), information(None, 50))
    np.testing.assert_array_equal(information(50, 70), information(None, 50))
    np.testing.assert_array_equal(information(None, 0), information(None, DATA))
    assert np.any(information(None, 50) != information(None, DATA))


def test_training_needs_the_size_of_the_data():
    with pytest.raises(ValueError, match=r"TCVAE needs the number of training examples"):
        TCVAE(1.0).check(0)
    TCVAE(1.0).check(3)
    TCVAE(1.0, data_size=3).check(0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"beta": -1.0}, r"`beta` must be >= 0 or a schedule\. Received: beta=-1"),
        ({"alpha": -1.0}, r"`alpha` must be >= 0\. Received: alpha=-1"),
        ({"gamma": LinearWarmup(3)}, r"`gamma` must be a number\. Received: gamma="),
        ({"estimator": "exact"}, r"`estimator` must be one of"),
        ({"data_size": 0}, r"`data_size` must be an integer >= 1\. Received: data_size=0"),
        ({"samples": 0}, r"`samples` must be an integer >= 1"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        TCVAE(**{"beta": 1.0, **arguments})
