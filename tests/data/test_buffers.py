"""Arrays that become tensors without a copy."""

import numpy as np
import pytest
import tensorflow as tf

from keras_vae.data.buffers import empty, rows_of, tensor_of

DTYPES = ["float32", "float64", "float16", "uint8", "int64"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_tensor_shares_the_memory_of_an_array(dtype):
    array = empty((3, 5), dtype)
    array[:] = np.arange(15).reshape(3, 5)
    tensor = tensor_of(array)
    assert tensor.dtype == dtype
    array[1, 2] = 77
    np.testing.assert_array_equal(tensor, array)


def test_a_tensor_keeps_the_memory():
    tensors = []
    for number in range(20):
        array = empty((100_000,), "float32")
        array[:] = number
        tensors.append(tensor_of(array))
        del array
    assert [float(tf.reduce_max(t)) for t in tensors] == list(range(20))
    assert [float(tf.reduce_min(t)) for t in tensors] == list(range(20))


@pytest.mark.parametrize("dtype", [*DTYPES, "bool", "<U3", "object"])
@pytest.mark.parametrize("shape", [(4,), (2, 3)])
def test_rows(dtype, shape, rng):
    array = rng.integers(0, 99, (7, 2, 3)).astype(dtype)
    rows = rng.integers(0, 7, shape)
    found = rows_of(array, rows)
    np.testing.assert_array_equal(found, array[rows])
    assert found.dtype == array.dtype
    if dtype != "object":
        np.testing.assert_array_equal(tensor_of(found), tf.convert_to_tensor(array[rows]))


@pytest.mark.parametrize(
    "array",
    [
        np.array([True, False]),
        np.array(["a", "bc"]),
        np.zeros([0, 3]),
        np.arange(12.0).reshape(3, 4).T,
        # Twelve bytes into something that TensorFlow could take.
        empty((16,), "float32")[3:],
    ],
    ids=["bits", "text", "nothing", "transposed", "amid another"],
)
def test_other_arrays_are_copied(array):
    tensor = tensor_of(array)
    assert tensor.shape == array.shape
    expected = tf.convert_to_tensor(array)
    assert tensor.dtype == expected.dtype
    assert tf.reduce_all(tensor == expected)
