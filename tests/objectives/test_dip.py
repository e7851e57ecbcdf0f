"""The covariance of codes against NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from keras_vae.objectives import DIPVAE, ELBO
from keras_vae.posteriors import DiagonalNormal, FullCovarianceNormal
from keras_vae.schedules import LinearWarmup
from keras_vae.terms import Context, ElboTerms


@pytest.fixture
def terms(rng):
    return ElboTerms(
        log_likelihood=tf.constant(rng.normal(size=(1, 6)) * 10),
        log_prior=None,
        log_posterior=None,
        kl=tf.constant(rng.normal(size=(6, 3)) ** 2),
        latents=None,
        posterior_params=tf.constant(rng.normal(size=(6, 6)) * 2),
    )


def context(posterior, step=0):
    return Context(step=tf.constant(step), posterior=posterior)


@pytest.mark.parametrize("kind", ["i", "ii"])
def test_penalty_is_that_of_the_paper(float64, terms, kind):
    params = terms.posterior_params.numpy()
    covariance = np.cov(params[:, :3].T, bias=True)
    if kind == "ii":
        scale = np.logaddexp(0, params[:, 3:]) + 1e-4
        covariance += np.diag((scale**2).mean(0))
    diagonal = ((np.diag(covariance) - 1) ** 2).sum()
    off_diagonal = (covariance**2).sum() - (np.diag(covariance) ** 2).sum()
    objective = DIPVAE(kind, diagonal=LinearWarmup(10, end=4.0), off_diagonal=0.5)
    bound = objective.bound(terms, context(DiagonalNormal(3), step=5))
    expected = ELBO().bound(terms, Context()).value - 2.0 * diagonal - 0.5 * off_diagonal
    np.testing.assert_allclose(bound.value, expected, rtol=1e-12)


def test_codes_like_the_prior_cost_nothing(float64, terms):
    # Four corners of a square: mean 0, variance 1, uncorrelated.
    mean = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1.0]])
    terms = ElboTerms(
        tf.zeros([1, 4], tf.float64),
        None,
        None,
        tf.zeros([4, 1], tf.float64),
        None,
        posterior_params=tf.constant(np.concatenate([mean, mean], 1)),
    )
    bound = DIPVAE("i", 10.0, 10.0).bound(terms, context(DiagonalNormal(2)))
    np.testing.assert_allclose(bound.value, np.zeros(4), atol=1e-12)


def test_only_the_second_kind_needs_a_factorised_posterior():
    assert DIPVAE("i", 1.0, 1.0).requires == {"density", "moments", "posterior_params"}
    assert "factorised" in DIPVAE("ii", 1.0, 1.0).requires
    assert not FullCovarianceNormal(2).factorised


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("iii", 1.0, 1.0), r"`kind` must be one of .* Received: kind='iii'"),
        (("i", -1.0, 1.0), r"`diagonal` must be >= 0 or a schedule\. Received: diagonal=-1"),
        (("i", 1.0, -1.0), r"`off_diagonal` must be >= 0 or a schedule\. Received:"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        DIPVAE(*arguments)
