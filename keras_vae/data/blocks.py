"""Examples that come in blocks of several batches.

Floor 3.
"""

from __future__ import annotations

import abc
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

__all__ = ["Blocks"]


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

    def batches(self) -> tf.data.Dataset:
        """A data set of batches, whose `blocks` is this."""
        batches = self.unbatched().rebatch(self.batch_size)
        # So that Keras knows the length of an epoch before the first has passed.
        size = -(-self.examples // self.batch_size)
        batches = batches.apply(tf.data.experimental.assert_cardinality(size))
        batches = batches.prefetch(tf.data.AUTOTUNE)
        batches.blocks = self
        return batches
