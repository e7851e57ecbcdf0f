"""The chunked average of weights against the plain one."""

import numpy as np
import pytest
import scipy.special
import tensorflow as tf

from keras_vae.estimators import chunked_log_mean_exp


def drawn_from(log_weights, chunk):
    """Chunks of a table `[samples, batch]`, filled up with a number that must not count."""
    surplus = np.full((chunk, log_weights.shape[1]), 1e6)
    table = tf.constant(np.concatenate([log_weights, surplus]), tf.float32)
    return lambda index: table[index * chunk : (index + 1) * chunk]


@pytest.mark.parametrize("chunk", [1, 3, 7, 20, 50])
@pytest.mark.parametrize("samples", [1, 20])
def test_chunks_give_the_log_of_the_mean_weight(rng, chunk, samples):
    # Rounded to float32 first: the weights are handed over in it.
    log_weights = (rng.normal(size=(samples, 4)) * 20).astype("float32")
    result = chunked_log_mean_exp(
        drawn_from(log_weights, chunk), tf.constant(samples), chunk, tf.constant(4)
    )
    expected = scipy.special.logsumexp(log_weights.astype("float64"), axis=0) - np.log(samples)
    assert result.value.dtype == tf.float64
    np.testing.assert_allclose(result.value, expected, rtol=1e-6)
    weights = np.exp(log_weights.astype("float64") - log_weights.max(axis=0))
    effective = weights.sum(axis=0) ** 2 / np.sum(weights**2, axis=0)
    np.testing.assert_allclose(result.effective, effective, rtol=1e-6)


def test_draws_beyond_the_wanted_ones_are_left_out():
    log_weights = np.zeros((10, 2))
    log_weights[4:] = 50.0
    result = chunked_log_mean_exp(drawn_from(log_weights, 3), tf.constant(4), 3, tf.constant(2))
    np.testing.assert_allclose(result.value, 0.0, atol=1e-12)
    np.testing.assert_allclose(result.effective, 4.0)


def test_many_chunks_do_not_add_up_rounding():
    # 5,000 equal float32 weights: a float32 sum would be off by about 1e-5.
    result = tf.function(
        lambda: chunked_log_mean_exp(
            lambda index: tf.fill([1, 1], tf.constant(0.1)),
            tf.constant(5_000),
            1,
            tf.constant(1),
        )
    )()
    np.testing.assert_allclose(result.value, np.float32(0.1), atol=1e-10)


def test_impossible_examples_stay_impossible():
    result = chunked_log_mean_exp(
        lambda index: tf.constant([[-np.inf, 0.0]] * 2), tf.constant(4), 2, tf.constant(2)
    )
    np.testing.assert_array_equal(result.value, [-np.inf, 0.0])
    np.testing.assert_allclose(result.effective, [0.0, 4.0])
