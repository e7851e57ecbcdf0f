"""Shared numbers against NumPy and SciPy."""

import random

import keras
import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf

from keras_vae import numerics
from keras_vae.numerics import NoiseSpec


def test_positive_is_softplus_above_the_floor(float64):
    x = np.array([-700.0, -30.0, -1.0, 0.0, 1.0, 30.0, 700.0])
    expected = np.logaddexp(0.0, x) + 0.01
    np.testing.assert_allclose(numerics.positive(tf.constant(x), 0.01), expected, rtol=1e-14)
    np.testing.assert_allclose(
        numerics.positive(tf.constant(x)), np.logaddexp(0.0, x) + numerics.SCALE_FLOOR
    )


def test_logarithm_and_reciprocal_square_of_the_floor_are_float32_numbers():
    floor = np.float32(numerics.SCALE_FLOOR)
    assert np.isfinite(np.log(floor))
    assert np.isfinite(1 / floor**2)
    assert floor**2 > np.finfo("float32").tiny


@pytest.mark.parametrize("y", [1.01e-4, 2e-4, 0.1, 1.0, 5.0, 100.0, 1000.0])
def test_inverse_positive_undoes_positive(float64, y):
    x = numerics.inverse_positive(y)
    np.testing.assert_allclose(numerics.positive(tf.constant(x, tf.float64)), y, rtol=1e-12)


@pytest.mark.parametrize("floor", [1e-4, 0.5])
def test_inverse_positive_refuses_what_positive_never_returns(floor):
    with pytest.raises(ValueError, match=r"`y` must be above the floor .* Received: y="):
        numerics.inverse_positive(floor, floor)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_log_mean_exp_is_the_log_of_the_mean(float64, rng, axis):
    x = rng.normal(size=(5, 3)) * 3
    expected = scipy.special.logsumexp(x, axis=axis) - np.log(x.shape[axis])
    np.testing.assert_allclose(
        numerics.log_mean_exp(tf.constant(x), axis), expected, rtol=1e-13
    )
    np.testing.assert_allclose(
        numerics.log_mean_exp(tf.constant(x), axis), np.log(np.exp(x).mean(axis)), rtol=1e-12
    )


def test_log_mean_exp_does_not_overflow_and_ignores_impossible_samples():
    x = tf.constant([[3000.0, -3000.0], [3000.0, -np.inf]])
    np.testing.assert_allclose(numerics.log_mean_exp(x), [3000.0, -3000.0 - np.log(2)])


def test_log_mean_exp_of_one_sample_is_the_sample():
    x = tf.constant([[0.3, -1234.5]])
    np.testing.assert_array_equal(numerics.log_mean_exp(x), x[0])


@pytest.mark.parametrize("rank", [0, 1, 2, 3])
def test_sum_over_event_sums_the_last_axes(rank):
    x = np.arange(2 * 3 * 4 * 5, dtype="float32").reshape(2, 3, 4, 5)
    expected = x.sum(axis=tuple(range(4 - rank, 4)))
    np.testing.assert_array_equal(numerics.sum_over_event(tf.constant(x), rank), expected)


def test_densities_are_never_below_float32(float64):
    assert numerics.density_dtype() == "float64"
    assert numerics.as_density([1, 2]).dtype == "float64"
    for floatx in ("float16", "bfloat16", "float32"):
        keras.config.set_floatx(floatx)
        assert numerics.density_dtype() == "float32"
        assert numerics.as_density(np.ones(2, "float16")).dtype == "float32"


# Seeds and noise.


def test_new_seed_follows_the_seed_of_keras():
    keras.utils.set_random_seed(5)
    first = [numerics.new_seed(), numerics.new_seed()]
    keras.utils.set_random_seed(5)
    assert [numerics.new_seed(), numerics.new_seed()] == first
    assert first[0] != first[1]
    assert all(0 < seed < 2**31 for seed in first)


@pytest.mark.parametrize(
    "seed", [0, 1, -1, 2**31 - 1, 2**31, 2**32 - 1, 2**40 + 3, np.int64(7)]
)
def test_any_integer_is_a_seed(seed):
    key = numerics.key_from_seed(seed, stream=4)
    assert key.dtype == tf.int32
    assert key.shape == (2,)
    assert (int(key[0]) - int(seed)) % 2**32 == 0
    assert int(key[1]) == 4


def test_a_key_is_returned_as_it_is():
    key = tf.constant([3, 4], tf.int32)
    assert numerics.key_from_seed(key) is key


def test_no_seed_means_a_fresh_one():
    state = random.getstate()
    first, second = numerics.key_from_seed(None), numerics.key_from_seed(None)
    assert int(first[0]) != int(second[0])
    random.setstate(state)
    np.testing.assert_array_equal(numerics.key_from_seed(None), first)


def test_fold_in_gives_a_new_key_for_each_number():
    key = numerics.key_from_seed(0)
    keys = {tuple(numerics.fold_in(key, n).numpy()) for n in range(100)}
    assert len(keys) == 100
    np.testing.assert_array_equal(numerics.fold_in(key, 3), numerics.fold_in(key, np.int64(3)))


@pytest.mark.parametrize("compiled", [None, False, True])
@pytest.mark.parametrize("seed", [(0, 0), (5, 7), (-3, 2**31 - 1), (2**31 - 1, -(2**31))])
def test_keys_and_noise_are_tensorflows(seed, compiled):
    def mine(key):
        specs = {"a": NoiseSpec("normal", (3,)), "b": NoiseSpec("uniform", ())}
        return numerics.fold_in(key, 9), numerics.draw_noise(specs, [4], key)

    def theirs(key):
        fold_in = tf.random.experimental.stateless_fold_in
        first, second, ninth = (fold_in(key, n, alg="philox") for n in (0, 1, 9))
        normal = tf.random.stateless_normal([4, 3], seed=first, alg="philox")
        uniform = tf.random.stateless_uniform([4], seed=second, alg="philox")
        return ninth, {"a": normal, "b": uniform}

    if compiled is not None:
        mine, theirs = (tf.function(f, jit_compile=compiled) for f in (mine, theirs))
    key = tf.constant(seed, tf.int32)
    tf.nest.map_structure(np.testing.assert_array_equal, mine(key), theirs(key))


SPECS = {"epsilon": NoiseSpec("normal", (2,)), "u": NoiseSpec("uniform", ())}


def test_noise_has_the_shapes_asked_for():
    noise = numerics.draw_noise(SPECS, [5, 3], numerics.key_from_seed(0))
    assert {name: tuple(value.shape) for name, value in noise.items()} == {
        "epsilon": (5, 3, 2),
        "u": (5, 3),
    }
    assert numerics.draw_noise({}, [5, 3], numerics.key_from_seed(0)) == {}


def test_noise_follows_the_distributions_it_is_named_after():
    noise = numerics.draw_noise(SPECS, [50_000], numerics.key_from_seed(0))
    # The probability of a correct generator failing is 1e-4, and the seed is fixed.
    assert scipy.stats.kstest(noise["epsilon"][:, 0], "norm").pvalue > 1e-4
    assert scipy.stats.kstest(noise["u"], "uniform").pvalue > 1e-4
    correlation = np.corrcoef(np.c_[noise["epsilon"], noise["u"]].T) - np.eye(3)
    assert np.abs(correlation).max() < 5 / np.sqrt(50_000)
    assert np.min(noise["u"]) >= 0
    assert np.max(noise["u"]) < 1


def test_noise_is_a_function_of_its_key():
    first, again, other = (
        numerics.draw_noise(SPECS, [4], numerics.key_from_seed(seed)) for seed in (1, 1, 2)
    )
    for name in SPECS:
        np.testing.assert_array_equal(first[name], again[name])
        assert np.all(np.asarray(first[name]) != np.asarray(other[name]))


def test_two_tensors_of_one_draw_are_not_the_same_numbers():
    specs = {name: NoiseSpec("normal", (3,)) for name in "ab"}
    noise = numerics.draw_noise(specs, [4], numerics.key_from_seed(1))
    assert np.all(np.asarray(noise["a"]) != np.asarray(noise["b"]))


def test_noise_is_the_same_eagerly_and_in_a_graph():
    def draw(key):
        return numerics.draw_noise(SPECS, [4], key)

    key = numerics.key_from_seed(1)
    eager, graph = draw(key), tf.function(draw)(key)
    for name in SPECS:
        np.testing.assert_array_equal(eager[name], graph[name])


def test_unknown_noise_is_refused():
    with pytest.raises(ValueError, match=r"kind 'normal' or 'uniform'. Received: gumbel="):
        numerics.draw_noise({"gumbel": NoiseSpec("gumbel", ())}, [1], numerics.key_from_seed(0))
