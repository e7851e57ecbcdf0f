"""The discrete priors: mass, draws, and KL against sums over all latents."""

import itertools

import numpy as np
import pytest
import scipy.special
import tensorflow as tf

from keras_vae import numerics
from keras_vae.posteriors import RelaxedBernoulli, RelaxedCategorical
from keras_vae.priors import Bernoulli, Categorical, StandardNormal
from keras_vae.terms import Context
from tests.twins import assert_gradients, assert_mean_is

LOGITS = np.array([[0.0, 1.0, -0.5], [2.0, 0.0, 0.3]])


def categorical():
    p = Categorical(3, 2, learned=True)
    p.build((6,))
    p.logits.assign(LOGITS)
    return p


def bernoulli():
    p = Bernoulli(0.3)
    p.build((6,))
    return p


def all_one_hot():
    pairs = itertools.product(np.eye(3), np.eye(3))
    return np.array([np.concatenate(pair) for pair in pairs])


def all_bits():
    return np.array(list(itertools.product([0.0, 1.0], repeat=6)))


both = pytest.mark.parametrize(
    ("make", "q", "latents"),
    [
        (categorical, RelaxedCategorical(3, 2), all_one_hot()),
        (bernoulli, RelaxedBernoulli(6), all_bits()),
    ],
    ids=["categorical", "bernoulli"],
)


def masses(make, latents):
    """By their definition."""
    if make is bernoulli:
        return np.where(latents == 1, 0.3, 0.7).prod(-1)
    p = scipy.special.softmax(LOGITS, -1).reshape(6)
    return np.where(latents == 1, p, 1.0).prod(-1)


@both
def test_mass_function_is_a_product_and_sums_to_one(float64, make, q, latents):
    mass = np.exp(make().log_prob(tf.constant(latents), Context()))
    # Keras keeps weights in float64 here; the probabilities are exact.
    np.testing.assert_allclose(mass, masses(make, latents), rtol=1e-12)
    np.testing.assert_allclose(mass.sum(), 1.0, rtol=1e-12)


@both
def test_draws_have_the_probabilities(float64, make, q, latents):
    p = make()
    noise = numerics.draw_noise(p.noise_spec(), [20_000], numerics.key_from_seed(0))
    z = p.sample(noise, Context()).numpy()
    assert z.shape == (20_000, 6)
    hits = np.all(z[:, None] == latents, axis=-1)
    np.testing.assert_array_equal(hits.sum(-1), 1)  # each draw is a latent of the space
    assert_mean_is(hits, masses(make, latents))


@both
def test_kl_is_the_sum_over_all_latents(float64, rng, make, q, latents):
    p, params = make(), tf.constant(rng.normal(size=(4, 6)))
    log_q = q.log_prob(params, tf.constant(latents[:, None]), Context()).numpy()
    log_ratio = log_q - np.log(masses(make, latents))[:, None]
    kl = p.closed_form_kl(q, params)
    assert kl.shape == (4, p.kl_groups(q)) == (4, 2 if make is categorical else 6)
    expected = (np.exp(log_q) * log_ratio).sum(0)
    np.testing.assert_allclose(tf.reduce_sum(kl, -1), expected, rtol=1e-12)
    assert np.all(kl >= 0)
    assert_gradients(lambda params: p.closed_form_kl(q, params), params.numpy())


def test_kl_of_each_variable_is_its_own(float64, rng):
    q, p = RelaxedCategorical(3, 2), categorical()
    params = rng.normal(size=(1, 6))
    kl = p.closed_form_kl(q, tf.constant(params))[0]
    log_q = scipy.special.log_softmax(params.reshape(2, 3), -1)
    log_p = scipy.special.log_softmax(LOGITS, -1)
    np.testing.assert_allclose(kl, (np.exp(log_q) * (log_q - log_p)).sum(-1), rtol=1e-12)


def test_probabilities_are_equal_and_fixed_unless_learned():
    fixed, learned = Categorical(3), Categorical(3, learned=True)
    for p in (fixed, learned):
        p.build((3,))
        np.testing.assert_allclose(p.log_prob(tf.eye(3), Context()), -np.log(3), rtol=1e-6)
    assert len(fixed.trainable_variables) == 0
    assert len(learned.trainable_variables) == 1


def test_rounding_never_points_past_the_last_category():
    p = Categorical(1000)
    p.build((1000,))
    largest = np.nextafter(np.float32(1), np.float32(0))
    for uniform, expected in ((0.0, 0), (largest, 999)):
        z = p.sample({"category": tf.constant([[uniform]], tf.float32)}, Context())
        assert np.argmax(z[0]) == expected
        assert np.sum(z) == 1


def test_sizes_must_be_those_of_the_posterior():
    q = RelaxedCategorical(3, 2)
    assert Categorical(3, 2).why_not(q) is None
    assert Bernoulli().why_not(RelaxedBernoulli(4)) is None
    for p in (Categorical(2, 3), Categorical(6), Bernoulli(), StandardNormal()):
        assert "2 one-hot vectors of 3 categories" in p.why_not(q)


@pytest.mark.parametrize("bad", [0.0, 1.0, -0.5, float("nan")])
def test_probability_must_be_between_0_and_1(bad):
    with pytest.raises(ValueError, match=r"`probability` must be in \(0, 1\). Received:"):
        Bernoulli(bad)


@pytest.mark.parametrize("arguments", [(1,), (3, 0), (2.0,)])
def test_sizes_must_be_integers(arguments):
    with pytest.raises(ValueError, match=r"must be an integer >= .* Received: "):
        Categorical(*arguments)
