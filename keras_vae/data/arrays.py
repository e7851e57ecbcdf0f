"""Arrays in memory.

Floor 3.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_vae.data.blocks import Blocks, one_length
from keras_vae.data.buffers import rows_of, tensor_of

__all__ = ["Arrays"]


class Arrays(Blocks):
    """Rows of arrays, for each pass in another order if there is to be one.

    A pass over the blocks copies the rows that it gives out; the data set has one copy of all.

    Args:
        data: Arrays or tensors of one length, nested as what a step is given.
        batch_size: Examples in a batch.
        at_a_time: Batches in a block, at most.
        order: Gives the indices of so many rows in the next pass. Defaults to `None`: as they
            are.

    Raises:
        ValueError: If arrays differ in length.
    """

    def __init__(
        self,
        data: Any,
        batch_size: int,
        at_a_time: int,
        order: Callable[[int], tf.Tensor] | None = None,
    ) -> None:
        self._data = keras.tree.map_structure(_as_held, data)
        spec = keras.tree.map_structure(
            lambda v: tf.TensorSpec((None, *v.shape[1:]), _dtype_given(v)), self._data
        )
        super().__init__(spec, batch_size, one_length(self._data))
        self._order = order or tf.range
        self._of_block = self.rows_of_block(at_a_time * batch_size)

    def one_pass(self) -> Iterator[Any]:
        order = self._order(self.examples).numpy()
        for start in range(0, self.examples, self._of_block):
            rows = order[start : start + self._of_block]
            yield keras.tree.map_structure(lambda v, rows=rows: _given(v, rows), self._data)

    def unbatched(self) -> tf.data.Dataset:
        # Not `from_generator`: beside its threads, memory that a step takes and gives back
        # goes back to the system, and convolutions take twice as long.
        held = keras.tree.map_structure(_as_tensor, self._data)
        numbers = tf.data.Dataset.range(-(-self.examples // self._of_block))

        def blocks(order: tf.Tensor) -> tf.data.Dataset:
            def block(number: tf.Tensor) -> Any:
                rows = order[number * self._of_block : (number + 1) * self._of_block]
                return keras.tree.map_structure(lambda t: _given(t, rows), held)

            return numbers.map(block)

        one = tf.data.Dataset.from_tensors(0)
        return one.map(lambda _: self._order(self.examples)).flat_map(blocks)


def _as_tensor(values: Any) -> tf.Tensor:
    if tf.is_tensor(values):
        return values
    return tensor_of(rows_of(values, np.arange(len(values))))


def _as_held(values: Any) -> Any:
    # So that a GPU can hold them, arrays become tensors there.
    if tf.is_tensor(values) or tf.config.list_physical_devices("GPU"):
        return tf.convert_to_tensor(values)
    return np.ascontiguousarray(values)


def _dtype_given(values: Any) -> tf.DType:
    dtype = tf.as_dtype(values.dtype)
    return tf.as_dtype(keras.config.floatx()) if dtype.is_floating else dtype  # as Keras does


def _given(values: Any, rows: Any) -> Any:
    dtype = _dtype_given(values)
    if tf.is_tensor(values):
        return tf.cast(tf.gather(values, rows), dtype)
    found = rows_of(values, rows)
    return found.astype(dtype.as_numpy_dtype, copy=False) if dtype.is_floating else found
