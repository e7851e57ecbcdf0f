"""The evidence lower bound and its remainder against NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from keras_vae.objectives import ELBO, LogLikelihood
from keras_vae.schedules import Cyclical, LinearWarmup
from keras_vae.terms import Context, ElboTerms


@pytest.fixture
def terms(rng):
    log_likelihood, log_prior, log_posterior = rng.normal(size=(3, 5, 4)) * 10
    return ElboTerms(
        log_likelihood=tf.constant(log_likelihood),
        log_prior=tf.constant(log_prior),
        log_posterior=tf.constant(log_posterior),
        kl=tf.constant(rng.normal(size=(4, 3)) ** 2),
        latents=tf.constant(rng.normal(size=(5, 4, 3))),
    )


@pytest.mark.parametrize("beta", [0.0, 0.5, 1, 4.0])
def test_elbo_is_log_likelihood_minus_weighted_kl(float64, terms, beta):
    bound = ELBO(beta=beta).bound(terms, Context())
    expected = np.mean(terms.log_likelihood, 0) - beta * np.sum(terms.kl, -1)
    np.testing.assert_allclose(bound.value, expected, rtol=1e-12)
    assert bound.surrogate is None


def test_elbo_follows_its_schedule(float64, terms):
    objective = ELBO(beta=LinearWarmup(10))
    for step, beta in ((0, 0.0), (4, 0.4), (25, 1.0)):
        bound = objective.bound(terms, Context(step=tf.constant(step)))
        expected = ELBO(beta=beta).bound(terms, Context())
        np.testing.assert_allclose(bound.value, expected.value, rtol=1e-6)
        reported = objective.scheduled(Context(step=tf.constant(step)))
        assert list(reported) == ["beta"]
        np.testing.assert_allclose(reported["beta"], beta, rtol=1e-6)


def test_elbo_without_schedule_reports_none():
    assert ELBO(beta=2.0).scheduled(Context()) == {}
    assert ELBO(beta=2.0).schedule_names() == []
    assert ELBO(beta=Cyclical(3)).schedule_names() == ["beta"]


def test_a_schedule_needs_a_step(terms):
    with pytest.raises(ValueError, match=r"needs `context\.step`"):
        ELBO(beta=LinearWarmup(10)).bound(terms, Context())


def test_log_likelihood_looks_at_nothing_else(terms):
    alone = ElboTerms(terms.log_likelihood, None, None, None, terms.latents)
    bound = LogLikelihood().bound(alone, Context())
    np.testing.assert_allclose(bound.value, np.mean(terms.log_likelihood, 0))
    assert LogLikelihood().requires == frozenset()
    assert LogLikelihood().samples == 1


@pytest.mark.parametrize("beta", [-0.1, float("nan")])
def test_bad_beta_is_refused(beta):
    with pytest.raises(
        ValueError, match=r"`beta` must be >= 0 or a schedule\. Received: beta="
    ):
        ELBO(beta=beta)


@pytest.mark.parametrize("samples", [0, -1, 1.5, True, None, "2"])
def test_bad_number_of_samples_is_refused(samples):
    with pytest.raises(ValueError, match=r"`samples` must be an integer >= 1\. Received:"):
        ELBO(samples=samples)
