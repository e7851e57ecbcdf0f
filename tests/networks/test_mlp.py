"""Dense bodies against NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_vae.networks import MLP


def test_output_is_that_of_the_formula(rng):
    body = MLP([6, 5], activation="tanh")
    x = rng.normal(size=(3, 2, 2, 1)).astype("float32")
    features = body(x)
    first, second = body.body[1:]
    hidden = np.tanh(x.reshape(3, 4) @ first.kernel.numpy() + first.bias.numpy())
    expected = np.tanh(hidden @ second.kernel.numpy() + second.bias.numpy())
    np.testing.assert_allclose(features, expected, rtol=1e-5, atol=1e-6)


def test_vectors_are_not_flattened():
    body = MLP([6])
    body.build((None, 4))
    assert [type(layer) for layer in body.body] == [keras.layers.Dense]
    assert body.count_params() == 4 * 6 + 6


def test_dropout_acts_in_training_only():
    body = MLP([200], activation=None, dropout=0.5)
    x = np.ones((1, 3), "float32")
    np.testing.assert_array_equal(body(x), body(x, training=False))
    dropped = np.asarray(body(x, training=True))
    share = np.mean(dropped == 0)
    # Standard deviation of the share of 200 fair coins: 0.035.
    assert abs(share - 0.5) < 5 * 0.035
    kept = dropped != 0
    np.testing.assert_allclose(dropped[kept], 2 * np.asarray(body(x))[kept], rtol=1e-6)


def test_activation_may_be_a_function():
    body = MLP([3], activation=keras.activations.exponential)
    assert np.all(np.asarray(body(np.ones((2, 3), "float32"))) > 0)


def test_layers_follow_the_dtype_of_the_body():
    body = MLP([3], dropout=0.1, dtype="mixed_float16")
    features = body(np.ones((2, 2, 2), "float32"))
    assert features.dtype == tf.float16
    assert {w.dtype for w in body.trainable_weights} == {"float32"}
    assert {layer.dtype_policy.name for layer in body.body} == {"mixed_float16"}


def test_training_moves_all_of_it(rng):
    body = MLP([4, 3])
    body.compile("sgd", "mse")
    x = rng.normal(size=(8, 2)).astype("float32")
    body.build((None, 2))
    before = [w.numpy() for w in body.weights]
    body.fit(x, 5 + np.zeros((8, 3)), verbose=0)
    assert all(np.any(b != w.numpy()) for b, w in zip(before, body.weights))


@pytest.mark.parametrize("units", [[], 5, "64", [0], [3, -1], [2.0], None, [[3]]], ids=str)
def test_bad_units_are_refused(units):
    message = r"`units` must be a list of positive integers, one per layer\. Received: units="
    with pytest.raises(ValueError, match=message):
        MLP(units)


@pytest.mark.parametrize("dropout", [-0.1, 1.0, 2])
def test_bad_dropout_is_refused(dropout):
    with pytest.raises(ValueError, match=r"`dropout` must be in \[0, 1\)\. Received: dropout="):
        MLP([3], dropout=dropout)
