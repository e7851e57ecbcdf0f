"""Categories and ordered levels against their definitions and SciPy."""

import itertools

import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf

from keras_vae.likelihoods import Categorical, Ordinal
from tests.twins import assert_gradients, assert_mean_is, finite_differences


def built(p, event_shape=(2, 3)):
    p.build(event_shape)
    return p


def decoded(p, rng, samples=2, batch=3):
    params = 1.5 * rng.normal(size=(samples, batch, *p.params_shape(p.event_shape)))
    x = rng.integers(0, p.size, size=(batch, *p.event_shape))
    return tf.constant(params), x


# Categorical.


def test_categories_have_softmax_probabilities(float64, rng):
    p = built(Categorical(4))
    params, x = decoded(p, rng)
    assert params.shape[2:] == (2, 12)
    probabilities = scipy.special.softmax(params.numpy().reshape(2, 3, 2, 3, 4), -1)
    np.testing.assert_allclose(p.probabilities(params), probabilities, rtol=1e-12)
    expected = np.log(np.take_along_axis(probabilities, x[None, ..., None], -1))[..., 0]
    result = p.log_prob(params, tf.constant(x, tf.float64))
    np.testing.assert_allclose(result, expected.sum((-2, -1)), rtol=1e-12)
    np.testing.assert_allclose(p.mean(params), probabilities @ np.arange(4), rtol=1e-12)
    np.testing.assert_array_equal(p.point(params), probabilities.argmax(-1))
    x64 = tf.constant(x, tf.float64)
    assert_gradients(lambda params: p.log_prob(params, x64), params.numpy()[:1, :, :1])


def test_draws_of_categories_have_their_probabilities():
    p = built(Categorical(3), (2,))
    params = tf.constant([[0.0, 1.0, -2.0, 0.5, 0.5, 3.0]])
    draws = np.asarray(p.sample(tf.repeat(params, 20_000, 0), seed=1))
    for value in range(3):
        assert_mean_is(draws == value, p.probabilities(params)[0, :, value])


def test_point_of_a_mixture_of_categories_is_its_most_probable_one():
    # Each component has another favourite; together they prefer what is second for both.
    p = built(Categorical(3), (1,))
    params = tf.math.log([[[0.55, 0.45, 1e-9]], [[1e-9, 0.45, 0.55]]])
    np.testing.assert_array_equal(p.point(params)[:, 0, 0], [0, 2])
    np.testing.assert_array_equal(p.mixture_point(params, tf.fill([2, 1], 0.5)), [[1.0]])
    np.testing.assert_array_equal(
        p.mixture_point(params, tf.constant([[0.99], [0.01]])), [[0.0]]
    )


def test_the_encoder_sees_one_hot_vectors():
    p = built(Categorical(3), (2, 2))
    x = tf.constant([[[0.0, 2.0], [1.0, 1.0]]])
    expected = [[[1, 0, 0, 0, 0, 1], [0, 1, 0, 0, 1, 0]]]
    assert p.encoder_input_shape((2, 2)) == (2, 6)
    np.testing.assert_array_equal(p.encoder_input(x), expected)
    assert built(Categorical(3), (1,)).encoder_input_shape((1,)) == (3,)


@pytest.mark.parametrize("logit", [-50.0, 50.0, 1e4])
def test_extreme_logits_stay_finite(logit):
    for end in (None, 1):
        p = built(Categorical(3, end), (3, 1))
        params = tf.constant([[[logit, 0.0, 1.0], [0.0, logit, 1.0], [0.0, 0.0, -logit]]])
        with tf.GradientTape() as tape:
            tape.watch(params)
            value = p.log_prob(params, tf.constant([[[0.0], [2.0], [1.0]]]))
            total = value + tf.reduce_sum(p.mean(params))
        assert np.isfinite(total).all()
        assert np.isfinite(tape.gradient(total, params)).all()


# Sequences that end.


def all_sequences(classes, length):
    return np.array(list(itertools.product(range(classes), repeat=length)), "float64")


def cut(sequence, end):
    """The sequence up to its first end."""
    ended = np.flatnonzero(sequence == end)
    return tuple(sequence[: ended[0] + 1] if len(ended) else sequence)


@pytest.mark.parametrize("end", [0, 1, 2])
def test_mass_over_sequences_of_any_length_is_one(float64, rng, end):
    p = built(Categorical(3, end), (4, 1))
    params = tf.constant(rng.normal(size=(1, 1, 4, 3)))
    sequences = {cut(s, end): s for s in all_sequences(3, 4)}
    # Of each length 1 to 4 all those whose last element is the end, and those without one.
    assert len(sequences) == 1 + 2 + 4 + 8 + 16
    x = np.stack(list(sequences.values()))[..., None]
    np.testing.assert_allclose(
        np.exp(p.log_prob(params, tf.constant(x))).sum(), 1.0, rtol=1e-12
    )


def test_what_follows_the_first_end_does_not_count(float64, rng):
    p, plain = built(Categorical(4, 2), (5, 1)), built(Categorical(4), (5, 1))
    params = tf.constant(rng.normal(size=(2, 3, 5, 4)))
    x = tf.constant([[0, 2, 1, 2, 3], [2, 2, 2, 2, 2], [0, 1, 3, 1, 0]], tf.float64)
    x = x[..., None]
    counted = np.array([[1, 1, 0, 0, 0], [1, 0, 0, 0, 0], [1, 1, 1, 1, 1]])[..., None]
    elementwise = plain.elementwise_log_prob(params, x, None, None)
    expected = (elementwise * counted).numpy().sum((-2, -1))
    np.testing.assert_allclose(p.log_prob(params, x), expected, rtol=1e-12)
    with tf.GradientTape() as tape:
        tape.watch(params)
        value = p.log_prob(params, x)
    gradient = np.asarray(tape.gradient(value, params))
    np.testing.assert_array_equal(gradient * (1 - counted), 0)
    # A mask takes further elements out; a hidden end ends nothing.
    mask = np.array([[1, 1, 1, 0, 1], [0, 1, 1, 1, 1], [1, 0, 1, 1, 1]], bool)[..., None]
    left = np.array([[1, 1, 0, 0, 0], [0, 1, 0, 0, 0], [1, 0, 1, 1, 1]])[..., None]
    result = p.log_prob(params, tf.where(mask, x, np.nan), tf.constant(mask))
    np.testing.assert_allclose(result, (elementwise * left).numpy().sum((-2, -1)), rtol=1e-12)


def test_a_hidden_value_is_no_end_even_if_zero_is_the_end(float64):
    # Other likelihoods fill hidden values with zeros.
    p = built(Categorical(2, 0), (3, 1))
    mask = tf.constant([[[False], [True], [True]]])
    x = tf.constant([[[np.nan], [1.0], [1.0]]], tf.float64)
    value = p.log_prob(tf.zeros([1, 1, 3, 2], tf.float64), x, mask)
    np.testing.assert_allclose(value, [[2 * np.log(0.5)]])
    seen = p.encoder_input(p.filled(x, mask[0]))
    np.testing.assert_array_equal(tf.argmax(seen, -1)[:, 1:], [[1, 1]])


def test_draws_points_and_the_encoder_repeat_the_end(rng):
    p = built(Categorical(3, 1), (4, 1))
    params = tf.constant(rng.normal(size=(4, 3)), tf.float32)
    draws = np.asarray(p.sample(tf.repeat(params[None], 20_000, 0), seed=2))[..., 0]
    ended = np.cumsum(draws == 1, axis=1) > 0
    np.testing.assert_array_equal(draws[ended], 1)
    assert_mean_is(draws, p.mean(params)[:, 0])
    # Frequencies of whole sequences are their probabilities.
    for sequence in ([1, 1, 1, 1], [0, 1, 1, 1], [2, 0, 0, 1], [0, 2, 0, 2]):
        x = tf.constant(sequence, tf.float32)[None, :, None]
        assert_mean_is(np.all(draws == sequence, 1), np.exp(p.log_prob(params[None], x))[0])
    likeliest = tf.constant([[[5.0, 0, 0], [0, 5.0, 0], [0, 0, 5.0], [5.0, 0, 0]]])
    np.testing.assert_array_equal(p.point(likeliest)[0, :, 0], [0, 1, 1, 1])
    np.testing.assert_array_equal(
        p.mixture_point(likeliest[None], tf.ones([1, 1]))[0, :, 0], [0, 1, 1, 1]
    )
    x = tf.constant([[[0.0], [1.0], [2.0], [0.0]]])
    np.testing.assert_array_equal(
        np.argmax(p.encoder_input(x), -1), np.argmax(p.encoder_input(p.point(likeliest)), -1)
    )


def test_one_place_of_a_sequence_can_be_handled_alone():
    # As decoders do that write it place by place.
    p = built(Categorical(3, 1), (4, 1))
    params = tf.constant([[[0.0, 0.0, 9.0]], [[0.0, 9.0, 0.0]]])
    np.testing.assert_array_equal(p.point(params)[:, 0, 0], [2, 1])
    assert p.sample(params, seed=0).shape == (2, 1, 1)


def test_sequences_that_end_have_no_distribution():
    p = built(Categorical(3, 1), (4, 1))
    assert not p.has_distribution
    with pytest.raises(NotImplementedError, match="sequences that end"):
        p.distribution(tf.zeros([4, 3]))


@pytest.mark.parametrize("classes", [1, 0, 3.0, "3"])
def test_classes_are_an_integer_above_one(classes):
    with pytest.raises(ValueError, match=r"`classes` must be an integer >= 2. Received"):
        Categorical(classes)


@pytest.mark.parametrize("end", [3, -1, 1.0])
def test_the_end_is_a_category(end):
    with pytest.raises(ValueError, match=r"`end_token` must be .* Received: end_token="):
        Categorical(3, end)


def test_supports_are_whole_numbers():
    for p in (Categorical(4), Ordinal(4)):
        assert str(p.support) == "the integers in [0, 3]"
        assert p.support.violations(tf.constant([4.0]))
        assert p.support.violations(tf.constant([0.5]))


# Ordinal.


def with_thresholds(p, rng):
    raw = rng.normal(size=p.raw_thresholds.shape)
    p.raw_thresholds.assign(raw)
    gaps = np.logaddexp(0, raw[..., 1:]) + 1e-4
    return np.cumsum(np.concatenate([raw[..., :1], gaps], -1), -1)


def test_ordinal_levels_lie_between_thresholds(float64, rng):
    p = built(Ordinal(4))
    thresholds = with_thresholds(p, rng)
    params, x = decoded(p, rng)
    cdf = scipy.stats.logistic.cdf(thresholds - params.numpy()[..., None])
    edges = np.concatenate([np.zeros_like(cdf[..., :1]), cdf, np.ones_like(cdf[..., :1])], -1)
    probabilities = np.diff(edges, axis=-1)
    np.testing.assert_allclose(p.probabilities(params), probabilities, rtol=1e-10)
    np.testing.assert_allclose(tf.reduce_sum(p.probabilities(params), -1), 1.0, rtol=1e-12)
    expected = np.log(np.take_along_axis(probabilities, x[None, ..., None], -1))[..., 0]
    x64 = tf.constant(x, tf.float64)
    np.testing.assert_allclose(p.log_prob(params, x64), expected.sum((-2, -1)), rtol=1e-10)
    np.testing.assert_allclose(p.mean(params), probabilities @ np.arange(4), rtol=1e-10)
    median = np.argmax(edges[..., 1:] >= 0.5, -1)
    np.testing.assert_array_equal(p.point(params), median)
    assert_gradients(lambda params: p.log_prob(params, x64), params.numpy()[:1])


def test_thresholds_are_trained(float64, rng):
    p = built(Ordinal(4), (2,))
    params, x = decoded(p, rng)
    raw = rng.normal(size=(2, 3))

    def total(raw):
        p.raw_thresholds.assign(raw)
        return tf.reduce_sum(p.log_prob(params, tf.constant(x, tf.float64)))

    with tf.GradientTape() as tape:
        value = total(raw)
    gradient = tape.gradient(value, p.raw_thresholds.value)
    np.testing.assert_allclose(gradient, finite_differences(total, raw), rtol=1e-6)


def test_point_of_a_mixture_of_levels_is_its_median(float64, rng):
    p = built(Ordinal(5))
    with_thresholds(p, rng)
    params, _ = decoded(p, rng, samples=4)
    weights = tf.constant(rng.dirichlet(np.ones(4), size=3).T)
    mixed = np.einsum("sb,sbijk->bijk", weights, p.probabilities(params))
    median = np.argmax(np.cumsum(mixed, -1) >= 0.5, -1)
    np.testing.assert_array_equal(p.mixture_point(params, weights), median)


def test_draws_of_levels_have_their_probabilities(rng):
    p = built(Ordinal(4), (2,))
    with_thresholds(p, rng)
    params = tf.constant([[0.5, -1.0]])
    draws = np.asarray(p.sample(tf.repeat(params, 20_000, 0), seed=1))
    for value in range(4):
        assert_mean_is(draws == value, p.probabilities(params)[0, :, value])


def test_levels_start_equally_probable():
    p = built(Ordinal(7), (2,))
    np.testing.assert_allclose(p.probabilities(tf.zeros([2])), np.full((2, 7), 1 / 7), 1e-5)
    two = built(Ordinal(2), (1,))
    np.testing.assert_allclose(two.probabilities(tf.zeros([1])), [[0.5, 0.5]], 1e-5)


@pytest.mark.parametrize("location", [-1e4, -50.0, 50.0, 1e4])
def test_extreme_locations_stay_finite(location):
    p = built(Ordinal(3), (1,))
    params = tf.constant([[[location]]])
    for level in range(3):
        with tf.GradientTape() as tape:
            tape.watch(params)
            value = p.log_prob(params, tf.constant([[float(level)]]))
        assert np.isfinite(value).all()
        assert np.isfinite(tape.gradient(value, params)).all()


def test_levels_are_an_integer_above_one():
    with pytest.raises(ValueError, match=r"`levels` must be an integer >= 2. Received"):
        Ordinal(1)


def test_a_level_does_not_hang_on_a_rounding():
    # A location that stands on a threshold, as those of an untrained model do.
    p = Ordinal(2)
    p.build((1,))
    about = tf.constant([[0.0], [1e-9], [-1e-9]])
    assert len(set(p.point(about).numpy().ravel())) == 1
    np.testing.assert_array_equal(p.point(tf.constant([[-0.01], [0.01]])), [[0.0], [1.0]])


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("top_p", [0.05, 0.6, 0.9, 1.0])
def test_sharpened_draws_follow_the_nucleus(rng, temperature, top_p):
    p = Categorical(5)
    p.build((3, 2))
    logits = rng.normal(size=(3, 2, 5))
    params = p.sharpened(tf.constant(logits.reshape(3, 10), tf.float32), temperature, top_p)
    found = p.probabilities(params).numpy()
    # By hand, one cell after the other: Holtzman et al. (2020), section 3.1.
    for place in np.ndindex(3, 2):
        share = np.exp(logits[place] / temperature)
        share /= share.sum()
        nucleus, total = [], 0.0
        for category in np.argsort(-share):
            nucleus.append(category)
            total += share[category]
            if total >= top_p:
                break
        expected = np.zeros(5)
        expected[nucleus] = share[nucleus] / total
        np.testing.assert_allclose(found[place], expected, atol=1e-6)
