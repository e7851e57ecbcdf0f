"""Arrays that do not fit into memory.

Floor 3.
"""

from __future__ import annotations

import concurrent.futures
import itertools
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_vae.arguments import require_integer
from keras_vae.data.blocks import Blocks, one_length
from keras_vae.data.buffers import rows_of
from keras_vae.data.sparse import SparseRows

__all__ = ["is_streamed", "stream"]

# In memory at a time at most: rows, from so many places of the array.
_ROWS, _RUNS = 4096, 8


def is_streamed(array: Any) -> bool:
    """Whether an array is to be read as it is used, for all of it may not fit into memory."""
    return isinstance(array, (np.memmap, SparseRows))


def stream(
    x: Any,
    batch_size: int,
    seed: int,
    *,
    shuffle: bool = True,
    first_epoch: int = 0,
) -> tf.data.Dataset:
    """Batches of arrays larger than memory, such as `np.memmap`, read as they are used.

    `fit` does this by itself with an `np.memmap` and with `SparseRows`. Rows are read in runs,
    which a disk is fast at: to shuffle, the runs of several places are brought into memory and
    mixed there, at most 64 MiB at a time. The order is a function of the seed and the epoch's
    number.

    Args:
        x: What has a shape and is sliced by rows, or a tuple or dictionary of such.
        batch_size: Examples in a batch.
        seed: Of the order.
        shuffle: Whether to shuffle, anew in each epoch. Defaults to `True`.
        first_epoch: Number of the first pass. Defaults to `0`.

    Returns:
        A data set of batches, nested as `x`.

    Raises:
        ValueError: If arrays differ in length or are empty, or `batch_size` or `first_epoch`
            is not an integer in range.

    Example:
    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "x.npy")
    >>> x = np.lib.format.open_memmap(path, "w+", "float32", (100, 8, 8, 1))
    >>> [batch.shape[0] for batch in keras_vae.data.stream(x, batch_size=40, seed=0)]
    [40, 40, 20]
    """
    require_integer("batch_size", batch_size, 1)
    require_integer("first_epoch", first_epoch, 0)
    return Runs(x, batch_size, seed, shuffle=shuffle, first_epoch=first_epoch).batches()


class Runs(Blocks):
    """What `stream` reads.

    Args:
        x: As there.
        batch_size: As there.
        seed: As there.
        shuffle: As there.
        first_epoch: As there.

    Raises:
        ValueError: If arrays differ in length or are empty.
    """

    def __init__(
        self, x: Any, batch_size: int, seed: int, *, shuffle: bool, first_epoch: int
    ) -> None:
        spec = keras.tree.map_structure(
            lambda a: tf.TensorSpec((None, *a.shape[1:]), a.dtype), x
        )
        super().__init__(spec, batch_size, one_length(x))
        self._x = x
        self._seed = abs(seed)
        self._shuffle = shuffle
        self._epochs = itertools.count(first_epoch)
        self._runs = _RUNS if shuffle else 1
        self._of_run = -(-self.rows_of_block(_ROWS) // self._runs)

    def skip(self, passes: int) -> None:
        for _ in range(passes):
            next(self._epochs)

    def one_pass(self) -> Iterator[Any]:
        blocks = self._read()
        # One ahead: a disk makes others wait, and so does copying.
        with concurrent.futures.ThreadPoolExecutor(1) as thread:
            following = thread.submit(next, blocks, None)
            while (block := following.result()) is not None:
                following = thread.submit(next, blocks, None)
                yield block

    def unbatched(self) -> tf.data.Dataset:
        return tf.data.Dataset.from_generator(self._read, output_signature=self.spec).prefetch(
            1
        )

    def _read(self) -> Iterator[Any]:
        arrays = keras.tree.flatten(self._x)
        rng = np.random.default_rng([self._seed, next(self._epochs)])
        starts = np.arange(0, self.examples, self._of_run)
        order = rng.permutation(starts) if self._shuffle else starts
        for first in range(0, len(order), self._runs):
            chosen = order[first : first + self._runs]
            runs = [[a[s : s + self._of_run] for s in chosen] for a in arrays]
            pool = [np.concatenate(parts) for parts in runs]
            if self._shuffle:
                mixed = rng.permutation(len(pool[0]))
                pool = [rows_of(array, mixed) for array in pool]
            yield keras.tree.pack_sequence_as(self._x, pool)
