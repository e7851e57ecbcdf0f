"""Arrays that become tensors without a copy.

Floor 3.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import tensorflow as tf

__all__ = ["empty", "rows_of", "tensor_of"]

# Where TensorFlow wants a tensor to begin, in bytes; NumPy promises 16.
_ALIGNED = 64


def empty(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """An array of any values that `tensor_of` need not copy."""
    dtype = np.dtype(dtype)
    size = math.prod(shape) * dtype.itemsize
    memory = np.empty(size + _ALIGNED, "uint8")
    start = -memory.ctypes.data % _ALIGNED
    array: np.ndarray = memory[start : start + size].view(dtype).reshape(shape)
    return array


def rows_of(array: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """`array[rows]`, an array that `tensor_of` need not copy.

    Args:
        array: With rows one after the other in memory; another order would be copied whole.
        rows: Indices from 0 on, of any shape.
    """
    if array.dtype.hasobject:
        found: np.ndarray = array[rows]
    else:
        found = empty((*rows.shape, *array.shape[1:]), array.dtype)
        # With `mode` NumPy writes to `out` at once, not to memory of its own first.
        np.take(array, rows, axis=0, out=found, mode="clip")
    return found


def tensor_of(array: np.ndarray) -> tf.Tensor:
    """A tensor of an array. If `empty` made the array, the two share memory.

    TensorFlow would copy an array twice, and keep both copies as long as the tensor.
    """
    shared = array.dtype.kind in "fiu" and array.flags.c_contiguous and array.size
    if shared and array.ctypes.data % _ALIGNED == 0:
        return tf.experimental.dlpack.from_dlpack(array.__dlpack__())
    return tf.convert_to_tensor(array)
