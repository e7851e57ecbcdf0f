"""Mixtures of discretised logistics against SciPy and sums over levels."""

import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf

from keras_vae.likelihoods import DiscretizedLogistic
from tests.twins import assert_gradients, assert_mean_is


def built(components=3, levels=256, event_shape=(2, 3)):
    p = DiscretizedLogistic(components, levels)
    p.build(event_shape)
    return p


def all_levels(p):
    return tf.constant(np.arange(p.levels)[:, None] / (p.levels - 1))


def pmf(params, components, levels):
    """Probabilities of all levels of one element, by SciPy's distribution function."""
    logits, location, raw = np.split(np.asarray(params, "float64"), 3)
    scale = np.logaddexp(0, raw) + 0.2 / (levels - 1)
    # Inner edges, in levels, on the axis from -1 to 1.
    edges = 2 * (np.arange(1, levels) - 0.5) / (levels - 1) - 1
    cdf = scipy.stats.logistic.cdf(edges[:, None], location, scale)
    zeros, ones = np.zeros((1, components)), np.ones((1, components))
    masses = np.diff(np.concatenate([zeros, cdf, ones]), axis=0)
    return masses @ scipy.special.softmax(logits)


def some_params(rng, components, spread=1.0):
    params = rng.normal(size=3 * components)
    params[components : 2 * components] = rng.uniform(-1.2, 1.2, size=components)
    params[2 * components :] += spread
    return params


@pytest.mark.parametrize("levels", [2, 5, 256])
@pytest.mark.parametrize("components", [1, 4])
@pytest.mark.parametrize("spread", [1.0, -2.0, -6.0])
def test_probabilities_of_levels_are_scipys(float64, rng, levels, components, spread):
    p = built(components, levels, (1,))
    params = some_params(rng, components, spread)
    expected = pmf(params, components, levels)
    result = np.exp(p.log_prob(tf.constant(params[None, None]), all_levels(p)))[0]
    # SciPy's differences lose digits: they are exact to 1e-16 absolutely.
    np.testing.assert_allclose(result, expected, rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(result.sum(), 1.0, rtol=1e-12)


def test_elements_and_channels_are_independent(float64, rng):
    p, one = built(), built(event_shape=(1,))
    params = rng.normal(size=(2, 2, *p.params_shape((2, 3))))
    x = rng.integers(0, 256, size=(2, 2, 3)) / 255
    assert params.shape == (2, 2, 2, 27)
    result = p.elementwise_log_prob(tf.constant(params), tf.constant(x), None, None)
    by_channel = params.reshape(2, 2, 2, 3, 9)
    for index in np.ndindex(2, 2, 2, 3):
        alone = one.log_prob(tf.constant(by_channel[index]), tf.constant([x[index[1:]]]))
        np.testing.assert_allclose(result[index], alone, rtol=1e-12)


def test_gradients_are_those_of_finite_differences(float64, rng):
    p = built(2, 16)
    params = rng.normal(size=(1, 1, *p.params_shape((2, 3))))
    x = tf.constant([[[0, 1, 15], [7, 8, 3]]], tf.float64) / 15
    assert_gradients(lambda params: p.log_prob(params, x), params)


@pytest.mark.parametrize("levels", [2, 16, 32])
@pytest.mark.parametrize("spread", [1.0, -2.0, -8.0])
def test_mean_of_few_levels_is_that_of_the_probabilities(float64, rng, levels, spread):
    p = built(4, levels, (1,))
    params = some_params(rng, 4, spread)
    expected = pmf(params, 4, levels) @ np.arange(levels) / (levels - 1)
    np.testing.assert_allclose(p.mean(tf.constant(params)), [expected], rtol=1e-9)


# Offsets in levels; a raw scale of -20 is the floor, a tenth of a level.
@pytest.mark.parametrize(("raw", "allowed"), [(-20.0, 0.5), (-4.8, 0.01), (-3.0, 0.01)])
def test_mean_of_many_levels_is_close_to_that_of_the_probabilities(float64, raw, allowed):
    p = built(1, 256, (1,))
    locations = np.concatenate([np.linspace(-1.1, 1.1, 101), 0.2 + np.arange(9) / 1000])
    scale = np.logaddexp(0, raw) + 0.2 / 255
    assert allowed == 0.5 or scale > 2 / 255
    for location in locations:
        params = np.array([0.0, location, raw])
        expected = pmf(params, 1, 256) @ np.arange(256)
        assert abs(255 * float(p.mean(tf.constant(params))[0]) - expected) < allowed


def test_mean_is_inside_even_where_locations_are_not():
    p = built(2, 256, (1,))
    params = tf.constant([[0.0, 0.0, 50.0, 50.0, -50.0, 50.0], [0, 0, -50, -50, -50, 1]])
    assert not p.support.violations(p.mean(params))


@pytest.mark.parametrize("levels", [4, 256])
def test_draws_have_the_probabilities_of_levels(rng, levels):
    p = built(3, levels, (1,))
    params = some_params(rng, 3, -1.0)
    repeated = tf.repeat(tf.constant(params[None], tf.float32), 40_000, 0)
    draws = np.asarray(p.sample(repeated, seed=1), "float64")[:, 0] * (levels - 1)
    np.testing.assert_allclose(draws, np.round(draws), atol=1e-4)
    probabilities = pmf(params, 3, levels)
    # In groups of levels, each of which is drawn often enough for a chi-square test.
    groups = np.arange(levels) // (levels // 4)
    counts = np.bincount(groups[np.round(draws).astype(int)], minlength=4)
    expected = 40_000 * np.bincount(groups, probabilities)
    assert scipy.stats.chisquare(counts, expected).pvalue > 1e-3
    assert_mean_is(draws, probabilities @ np.arange(levels))


def test_single_precision_is_finite_and_right_far_in_the_tails():
    p = built(1, 256, (1,))
    corners = np.stack(np.meshgrid([-50.0, 0.0, 50.0], [-50.0, -0.9, 0.3, 50.0], [-50, 0, 50]))
    params = corners.reshape(3, -1).T[None]
    for level in (0, 1, 128, 254, 255):
        values = {}
        for dtype in ("float32", "float64"):
            tensor = tf.constant(params.transpose(1, 0, 2), dtype)
            with tf.GradientTape() as tape:
                tape.watch(tensor)
                value = p.log_prob(tensor, tf.constant([[level / 255]], dtype))
            values[dtype] = (np.asarray(value), np.asarray(tape.gradient(value, tensor)))
        for one, two in zip(values["float32"], values["float64"]):
            assert np.isfinite(one).all()
            assert np.isfinite(two).all()
            np.testing.assert_allclose(one, two, rtol=2e-4, atol=2e-4)


def test_bits_per_dimension_of_a_uniform_image_are_eight():
    # One wide component puts equal mass on inner levels.
    p = built(1, 256, (1,))
    params = tf.constant([[[0.0, 0.0, 50.0]]])
    ends = np.exp(p.log_prob(params, tf.constant([[0.0], [1.0]])))
    inner = p.log_prob(params, tf.constant([[100 / 255], [150 / 255]]))
    uniform = (1 - ends.sum()) / 254
    np.testing.assert_allclose(-inner / np.log(2), -np.log2(uniform), rtol=1e-3)


@pytest.mark.parametrize("arguments", [{"components": 0}, {"levels": 1}, {"levels": 256.0}])
def test_sizes_are_integers(arguments):
    (name,) = arguments
    with pytest.raises(ValueError, match=f"`{name}` must be an integer >= ."):
        DiscretizedLogistic(**arguments)


def test_support_is_the_unit_interval():
    p = DiscretizedLogistic(levels=17)
    assert str(p.support) == "[0, 1]"
    assert "divide the levels by 16" in p.support.fix
