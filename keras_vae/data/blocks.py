"""Examples that come in blocks of several batches.

Floor 3.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

__all__ = ["Blocks", "one_length"]

# Of a block, at most.
_BYTES = 2**26


def one_length(x: Any) -> int:
    """How many rows arrays have.

    Raises:
        ValueError: If they differ in length or are empty.
    """
    sizes = {int(array.shape[0]) for array in keras.tree.flatten(x)}
    if len(sizes) != 1 or not min(sizes):
        raise ValueError(f"`x` must hold arrays of one length, not 0. Received: {sizes}.")
    return min(sizes)


class Blocks(abc.ABC):
    """What makes the blocks of a data set, pass after pass.

    `fit` may take them from here, as `dataset.blocks`, without the data set's threads.

    Args:
        spec: Of some examples, nested as they are, `[None, ...]`.
        batch_size: Examples in a batch.
        examples: How many a pass gives.
    """

    def __init__(self, spec: Any, batch_size: int, examples: int) -> None:
        self.spec = spec
        self.batch_size = batch_size
        self.examples = examples

    @abc.abstractmethod
    def one_pass(self) -> Iterator[Any]:
        """The blocks of the next pass, which begins with the first one."""

    @abc.abstractmethod
    def unbatched(self) -> tf.data.Dataset:
        """The same as a data set, each pass over which is the next one."""

    def skip(self, passes: int) -> None:  # noqa: B027 (what follows the weights need not)
        """Leave out passes that were made before a training was interrupted."""

    def batches(self) -> tf.data.Dataset:
        """A data set of batches, whose `blocks` is this."""
        batches = self.unbatched().rebatch(self.batch_size)
        # So that Keras knows the length of an epoch before the first has passed.
        size = -(-self.examples // self.batch_size)
        batches = batches.apply(tf.data.experimental.assert_cardinality(size))
        batches = batches.prefetch(2)
        batches.blocks = self
        return batches

    def untuned_batches(self) -> tf.data.Dataset:
        """The same, to be used as they are: what was added to them would not be tuned either.

        TensorFlow's tuner takes a second, every other time, to end a pass, and its rewriting
        of the graph 40 ms to begin one.
        """
        options = tf.data.Options()
        options.autotune.enabled = False
        options.experimental_optimization.apply_default_optimizations = False
        return self.batches().with_options(options)

    def rows_of_block(self, most: int) -> int:
        """How many rows make whole batches of no more rows than `most`, and 64 MiB."""
        specs = keras.tree.flatten(self.spec)
        of_row: int = sum(s.dtype.size * math.prod(s.shape[1:]) for s in specs)
        return max(1, min(most, _BYTES // max(of_row, 1)) // self.batch_size) * self.batch_size
