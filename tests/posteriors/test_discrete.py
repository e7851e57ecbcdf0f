"""The discrete posteriors: probability mass, hard draws, relaxed draws."""

import itertools

import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf

from keras_vae import numerics, schedules
from keras_vae.posteriors import RelaxedBernoulli, RelaxedCategorical
from keras_vae.terms import Context
from tests.twins import assert_gradients, assert_mean_is

TRAINING = Context(training=True)
DRAWS = 20_000


def categorical(temperature=0.5):
    return RelaxedCategorical(3, 2, temperature)


def all_one_hot():
    """Every latent of `categorical`, `[9, 1, 6]`."""
    pairs = itertools.product(np.eye(3), np.eye(3))
    return np.array([np.concatenate(pair) for pair in pairs])[:, None]


def all_bits():
    return np.array(list(itertools.product([0.0, 1.0], repeat=6)))[:, None]


def some_params(rng, batch=1):
    return tf.constant(1.5 * rng.normal(size=(batch, 6)))


def drawn(q, params, context, draws=DRAWS, seed=0):
    noise = numerics.draw_noise(
        q.noise_spec(), [draws, params.shape[0]], numerics.key_from_seed(seed)
    )
    return q.sample_and_log_prob(params, noise, context)


def probabilities(q, params):
    if isinstance(q, RelaxedBernoulli):
        return scipy.special.expit(params)
    return scipy.special.softmax(np.reshape(params, (-1, 2, 3)), -1).reshape(-1, 6)


both = pytest.mark.parametrize(
    ("q", "latents"),
    [(categorical(), all_one_hot()), (RelaxedBernoulli(6), all_bits())],
    ids=["categorical", "bernoulli"],
)


@both
def test_mass_function_is_a_product_and_sums_to_one(float64, rng, q, latents):
    params = some_params(rng)
    log_prob = q.log_prob(params, tf.constant(latents), Context())
    p = probabilities(q, params)
    factors = np.where(latents == 1, p, 1 - p if isinstance(q, RelaxedBernoulli) else 1.0)
    np.testing.assert_allclose(np.exp(log_prob), factors.prod(-1), rtol=1e-12)
    np.testing.assert_allclose(np.exp(log_prob).sum(), 1.0, rtol=1e-12)


@both
def test_hard_draws_have_the_probabilities(float64, rng, q, latents):
    params = some_params(rng)
    draw = drawn(q, params, Context())
    z = draw.latents.numpy()[:, 0]
    assert np.all((z == 0) | (z == 1))
    if isinstance(q, RelaxedCategorical):
        np.testing.assert_array_equal(z.reshape(-1, 2, 3).sum(-1), 1)
    assert_mean_is(z, probabilities(q, params)[0])
    # Independent of each other, too: the frequency of each latent is its mass.
    hits = np.all(z[:, None] == latents[:, 0], axis=-1)
    assert_mean_is(hits, np.exp(q.log_prob(params, tf.constant(latents), Context()))[:, 0])


@both
def test_moments_entropy_and_mode_are_those_of_the_mass_function(float64, rng, q, latents):
    params = some_params(rng)
    mass = np.exp(q.log_prob(params, tf.constant(latents), Context()))[:, 0]
    z = latents[:, 0]
    mean = mass @ z
    np.testing.assert_allclose(q.mean(params)[0], mean, rtol=1e-12)
    np.testing.assert_allclose(q.second_moment(params)[0], mass @ z**2, rtol=1e-12)
    np.testing.assert_allclose(q.absolute_moment(params)[0], mass @ abs(z), rtol=1e-12)
    # 1e-12 is added to the variance.
    np.testing.assert_allclose(q.scale(params)[0], np.sqrt(mean * (1 - mean)), rtol=1e-10)
    np.testing.assert_allclose(np.sum(q.entropy(params)), -(mass @ np.log(mass)), rtol=1e-12)
    np.testing.assert_array_equal(q.point(params)[0], z[np.argmax(mass)])


@both
def test_entropy_is_told_by_variable(float64, rng, q, latents):
    params = some_params(rng, 4)
    groups = 2 if isinstance(q, RelaxedCategorical) else 6
    assert q.entropy(params).shape == (4, groups)
    p = probabilities(q, params)
    if isinstance(q, RelaxedCategorical):
        expected = scipy.special.entr(p).reshape(4, 2, 3).sum(-1)
    else:
        expected = scipy.special.entr(p) + scipy.special.entr(1 - p)
    np.testing.assert_allclose(q.entropy(params), expected, rtol=1e-12)


@pytest.mark.parametrize("cls", ["categorical", "bernoulli"])
def test_training_draws_are_relaxed_and_sharpen_as_the_temperature_falls(float64, rng, cls):
    params = some_params(rng)
    gaps = []
    for temperature in (2.0, 0.5, 1e-3):
        q = (
            categorical(temperature)
            if cls == "categorical"
            else RelaxedBernoulli(6, temperature)
        )
        relaxed, hard = drawn(q, params, TRAINING, 500), drawn(q, params, Context(), 500)
        z = relaxed.latents.numpy()
        assert np.all((z >= 0) & (z <= 1))
        if cls == "categorical":
            np.testing.assert_allclose(z.reshape(500, 2, 3).sum(-1), 1.0, rtol=1e-12)
        # The same noise picks the same category.
        np.testing.assert_array_equal(relaxed_mode(q, z), hard.latents)
        np.testing.assert_allclose(
            relaxed.log_prob, q.log_prob(params, relaxed.latents, Context()), rtol=1e-12
        )
        gaps.append(np.abs(z - hard.latents).mean())
    assert gaps[0] > gaps[1] > gaps[2]
    assert gaps[2] < 1e-3


def relaxed_mode(q, z):
    if isinstance(q, RelaxedBernoulli):
        return z > 0.5
    parts = z.reshape(-1, 2, 3)
    return np.eye(3)[parts.argmax(-1)].reshape(z.shape)


def test_relaxed_draws_are_those_of_the_concrete_distribution(float64, rng):
    # Maddison et al. (2017), equation 10, with two categories: the logit of a proportion,
    # times the temperature, is logistic with the difference of the logits as location.
    temperature, params = 0.7, tf.constant([[0.3, -0.5]], tf.float64)
    for q, location in (
        (RelaxedCategorical(2, temperature=temperature), 0.8),
        (RelaxedBernoulli(2, temperature), 0.3),
    ):
        z = drawn(q, params, TRAINING).latents.numpy()[:, 0, 0]
        logistic = temperature * scipy.special.logit(z)
        test = scipy.stats.kstest(logistic, scipy.stats.logistic(location).cdf)
        assert test.pvalue > 1e-3  # a fixed seed: it either always passes or never does


def test_the_temperature_follows_its_schedule(float64, rng):
    schedule = schedules.LinearWarmup(10, start=1.0, end=0.2)
    params = some_params(rng)
    for cls in (lambda t: RelaxedCategorical(3, 2, t), lambda t: RelaxedBernoulli(6, t)):
        q, later = cls(schedule), TRAINING._replace(step=tf.constant(5, tf.int64))
        expected = drawn(cls(0.6), params, TRAINING, 4).latents
        np.testing.assert_allclose(drawn(q, params, later, 4).latents, expected, rtol=1e-12)
        assert float(q.scheduled(later)["temperature"]) == pytest.approx(0.6)
        with pytest.raises(ValueError, match=r"A schedule needs `context\.step`"):
            drawn(q, params, TRAINING, 4)


@both
@pytest.mark.parametrize("end", [0.0, 1 - 2.0**-23])
def test_the_ends_of_the_noise_stay_finite(q, latents, end):
    params = tf.zeros([1, 6])
    noise = {"uniform": tf.fill([1, 1, 6], tf.constant(end))}
    with tf.GradientTape() as tape:
        tape.watch(params)
        draw = q.sample_and_log_prob(params, noise, TRAINING)
        total = tf.reduce_sum(draw.latents**2) + tf.reduce_sum(draw.log_prob)
    assert np.isfinite(draw.latents).all()
    assert np.isfinite(draw.log_prob).all()
    assert np.isfinite(tape.gradient(total, params)).all()


@both
def test_certain_categories_stay_finite(q, latents):
    params = tf.constant([[100.0, -100.0, -100.0, 0.0, -200.0, 200.0]])
    with tf.GradientTape() as tape:
        tape.watch(params)
        draw = drawn(q, params, TRAINING, 3)
        results = [draw.log_prob, q.entropy(params), q.scale(params), q.mean(params)]
        total = tf.add_n([tf.reduce_sum(t) for t in results])
    assert np.isfinite(total)
    assert np.isfinite(tape.gradient(total, params)).all()


@both
def test_gradients_are_those_of_finite_differences(float64, rng, q, latents):
    params = some_params(rng, 2)
    for function in (
        lambda p: drawn(q, p, TRAINING, 3).latents ** 2,
        lambda p: drawn(q, p, TRAINING, 3).log_prob,
        q.entropy,
        q.mean,
        q.scale,
    ):
        assert_gradients(function, params.numpy())


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"categories": 1}, "categories"),
        ({"categories": 2.0}, "categories"),
        ({"categories": 3, "vectors": 0}, "vectors"),
        ({"categories": 3, "temperature": 0.0}, "temperature"),
    ],
)
def test_bad_arguments_are_refused(arguments, name):
    with pytest.raises(ValueError, match=f"`{name}` must be .* Received: {name}="):
        RelaxedCategorical(**arguments)


def test_bad_temperature_of_bits_is_refused():
    with pytest.raises(ValueError, match=r"`temperature` must be positive. Received: temp"):
        RelaxedBernoulli(2, temperature=-1.0)


def test_the_space_names_the_sizes():
    assert categorical().space == "2 one-hot vectors of 3 categories"
    assert categorical().latent_shape == (6,)
    assert "latent_dim" not in categorical().get_config()
