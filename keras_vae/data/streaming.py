"""Arrays that do not fit into memory.

Floor 3.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_vae.arguments import require_integer
from keras_vae.data.sparse import SparseRows

__all__ = ["is_streamed", "stream"]

# In memory at a time at most: rows, and bytes, from so many places of the array.
_ROWS, _BYTES, _RUNS = 4096, 2**26, 8


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
    arrays = keras.tree.flatten(x)
    sizes = {int(array.shape[0]) for array in arrays}
    if len(sizes) != 1 or not min(sizes):
        raise ValueError(f"`x` must hold arrays of one length, not 0. Received: {sizes}.")
    (examples,) = sizes
    of_row = sum(a.dtype.itemsize * math.prod(a.shape[1:]) for a in arrays)
    # Rows in memory at a time, whole batches of them, in so many runs.
    several = max(1, min(_ROWS, _BYTES // max(of_row, 1)) // batch_size) * batch_size
    mixed_runs = _RUNS if shuffle else 1
    run = -(-several // mixed_runs)
    starts = np.arange(0, examples, run)
    epochs = itertools.count(first_epoch)

    def pools() -> Iterator[Any]:
        rng = np.random.default_rng([abs(seed), next(epochs)])
        order = rng.permutation(starts) if shuffle else starts
        for first in range(0, len(order), mixed_runs):
            chosen = order[first : first + mixed_runs]
            runs = [[a[s : s + run] for s in chosen] for a in arrays]
            pool = [np.concatenate(parts) for parts in runs]
            if shuffle:
                mixed = rng.permutation(len(pool[0]))
                pool = [array[mixed] for array in pool]
            yield keras.tree.pack_sequence_as(x, pool)

    signature = keras.tree.map_structure(
        lambda a: tf.TensorSpec((None, *a.shape[1:]), a.dtype), x
    )
    batches = tf.data.Dataset.from_generator(pools, output_signature=signature)
    batches = batches.prefetch(1).rebatch(batch_size)
    size = -(-examples // batch_size)
    batches = batches.apply(tf.data.experimental.assert_cardinality(size))
    return batches.prefetch(tf.data.AUTOTUNE)
