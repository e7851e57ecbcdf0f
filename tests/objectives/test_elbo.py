"""The evidence lower bound and its remainder against NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from keras_vae.objectives import ELBO, LogLikelihood
from keras_vae.schedules import Constant, Cyclical, LinearWarmup
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


# Capacity and free bits.


@pytest.mark.parametrize("capacity", [0.0, 2.5, 30, [2.5]])
def test_capacity_holds_the_whole_kl(float64, terms, capacity):
    blocks = terms._replace(kl_blocks=(2, 1))  # one number is for all of them together
    bound = ELBO(beta=3.0, capacity=capacity).bound(blocks, Context())
    kl = np.sum(terms.kl, -1)
    expected = np.mean(terms.log_likelihood, 0) - 3.0 * np.abs(kl - np.squeeze(capacity))
    np.testing.assert_allclose(bound.value, expected, rtol=1e-12)


def test_capacities_hold_the_kl_of_each_block(float64, terms):
    objective = ELBO(beta=3.0, capacity=[LinearWarmup(10, end=2.0), 0.7])
    context = Context(step=tf.constant(4))
    bound = objective.bound(terms._replace(kl_blocks=(2, 1)), context)
    kl = np.asarray(terms.kl)
    distance = np.abs(kl[:, 0] + kl[:, 1] - 0.8) + np.abs(kl[:, 2] - 0.7)
    expected = np.mean(terms.log_likelihood, 0) - 3.0 * distance
    np.testing.assert_allclose(bound.value, expected, rtol=1e-12)
    reported = objective.scheduled(context)
    assert list(reported) == objective.schedule_names() == ["capacity_0"]
    np.testing.assert_allclose(reported["capacity_0"], 0.8)


@pytest.mark.parametrize(("count", "blocks"), [(2, 1), (2, 3), (3, 2)])
def test_capacities_must_be_as_many_as_blocks(count, blocks):
    objective = ELBO(capacity=[1.0] * count)
    assert objective.why_not(count) is None
    assert f"a list of {count}, but the posterior has {blocks} block" in objective.why_not(
        blocks
    )


def test_capacity_of_zero_is_the_elbo(float64, terms):
    # A KL in closed form is never negative.
    held = ELBO(capacity=0.0).bound(terms, Context())
    np.testing.assert_allclose(held.value, ELBO().bound(terms, Context()).value, rtol=1e-12)


def test_free_bits_of_each_example(float64, terms):
    objective = ELBO(beta=2.0, free_bits=0.6, free_bits_over="example")
    kl = np.maximum(terms.kl, 0.6).sum(-1)
    expected = np.mean(terms.log_likelihood, 0) - 2.0 * kl
    np.testing.assert_allclose(objective.bound(terms, Context()).value, expected, rtol=1e-12)
    assert not objective.coupled


def test_free_bits_of_a_batch_have_the_mean_of_the_paper(float64, terms):
    kl = np.asarray(terms.kl).mean(0)
    free = np.sort(kl)[1] + 1e-9  # two of three groups are below
    objective = ELBO(free_bits=free)
    bound = objective.bound(terms, Context()).value
    expected = np.mean(terms.log_likelihood) - np.maximum(kl, free).sum()
    np.testing.assert_allclose(np.mean(bound), expected, rtol=1e-12)
    assert objective.coupled


def test_free_bits_of_a_batch_let_go_of_groups_below(float64, terms):
    free = float(np.sort(np.mean(terms.kl, 0))[1]) + 1e-9
    with tf.GradientTape() as tape:
        tape.watch(terms.kl)
        value = tf.reduce_mean(ELBO(free_bits=free).bound(terms, Context()).value)
    above = np.mean(terms.kl, 0) > free
    # Those above are pulled as in the ELBO, whichever examples they are large in.
    np.testing.assert_allclose(tape.gradient(value, terms.kl), np.tile(above / -4, (4, 1)))


@pytest.mark.parametrize("over", ["batch", "example"])
def test_no_free_bits_is_the_elbo(float64, terms, over):
    objective = ELBO(free_bits=0.0, free_bits_over=over)
    bound = objective.bound(terms, Context())
    np.testing.assert_array_equal(bound.value, ELBO().bound(terms, Context()).value)
    assert not objective.coupled
    # A schedule that is at 0 frees none either.
    scheduled = ELBO(free_bits=Constant(0.0), free_bits_over=over)
    bound = scheduled.bound(terms, Context(step=tf.constant(0)))
    np.testing.assert_allclose(bound.value, ELBO().bound(terms, Context()).value)
    assert scheduled.coupled == (over == "batch")


def test_monte_carlo_kl_is_that_of_the_draw(float64, terms):
    bound = ELBO(beta=0.5, kl="monte_carlo").bound(terms, Context())
    kl = np.mean(terms.log_posterior - terms.log_prior, 0)
    expected = np.mean(terms.log_likelihood, 0) - 0.5 * kl
    np.testing.assert_allclose(bound.value, expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"capacity": -1.0}, r"`capacity` must be >= 0 or a schedule\. Received: capacity=-1"),
        ({"capacity": [1.0, None]}, r"`capacity` must be >= 0 .* Received: capacity=None"),
        ({"free_bits": -0.1}, r"`free_bits` must be >= 0 or a schedule\. Received:"),
        ({"free_bits_over": "group"}, r"`free_bits_over` must be one of .* Received:"),
        ({"kl": "exact"}, r"`kl` must be one of .* Received: kl='exact'"),
        ({"capacity": 0.0, "free_bits": 0.1}, r"`free_bits` and `capacity` exclude each other"),
        ({"kl": "monte_carlo", "free_bits": 0.1}, r"`kl` must be 'closed' where"),
        ({"kl": "monte_carlo", "capacity": [1.0]}, r"`kl` must be 'closed' where"),
    ],
)
def test_bad_options_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        ELBO(**arguments)
