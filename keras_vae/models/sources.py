"""Where the batches of several steps come from.

Floor 4.
"""

from __future__ import annotations

import abc
from typing import Any, NamedTuple

import tensorflow as tf

from keras_vae.data.blocks import Blocks
from keras_vae.data.buffers import tensor_of
from keras_vae.models.passes import Pass
from keras_vae.models.tracing import compiled

__all__ = ["InBlocks", "Source", "Stream", "Taken"]


class Taken(NamedTuple):
    """Batches of one size, and what follows them.

    Attributes:
        number: How many there are.
        batches: The batches, `[steps, rows, ...]`; those from `number` on are to be ignored.
        other: A batch of another size that comes next, or `None`.
    """

    number: int
    batches: Any
    other: Any


class Source(abc.ABC):
    """Gives out an epoch's batches, several at a time.

    Args:
        steps: Batches given out at a time, at most.
    """

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self._pass = Pass()

    def take(self, iterator: Any, limit: int) -> Taken:
        """The next batches.

        Args:
            iterator: Keras's, another one for each pass over the data.
            limit: How many at most, one of another size included.
        """
        if self._pass.begins(iterator):
            self.begin()
        return self.give(iterator, limit)

    @abc.abstractmethod
    def begin(self) -> None:
        """Begin a pass over the data."""

    def end(self) -> None:
        """End a training."""
        self._pass.end()

    @abc.abstractmethod
    def give(self, iterator: Any, limit: int) -> Taken:
        """As `take`, in the present pass."""


class Stream(Source):
    """Batches of Keras's own iterator."""

    def __init__(self, steps: int) -> None:
        super().__init__(steps)
        self._collect = compiled(self._collected, autograph=False)

    def begin(self) -> None:
        self._rows = tf.constant(0)

    def give(self, iterator: Any, limit: int) -> Taken:
        collected = self._collect(iterator, self._rows, tf.constant(limit))
        count, self._rows, batches, other = collected
        return Taken(int(count), batches, other.get_value() if other.has_value() else None)

    def _collected(self, iterator: Any, rows: tf.Tensor, limit: tf.Tensor) -> tuple[Any, ...]:
        spec = iterator.element_spec
        specs = tf.nest.flatten(spec)
        arrays = [tf.TensorArray(s.dtype, self.steps, element_shape=s.shape) for s in specs]
        first = iterator.get_next_as_optional()
        # The first batch of a pass sets the size.
        rows = tf.cond(
            (rows == 0) & first.has_value(), lambda: _rows(first.get_value()), lambda: rows
        )

        def fits(step: tf.Tensor, batch: Any, _: Any) -> tf.Tensor:
            return tf.cond(
                (step < limit) & batch.has_value(),
                lambda: _rows(batch.get_value()) == rows,
                lambda: False,
            )

        def store(step: tf.Tensor, batch: Any, arrays: Any) -> tuple[Any, ...]:
            tensors = tf.nest.flatten(batch.get_value())
            arrays = [a.write(step, tensor) for a, tensor in zip(arrays, tensors)]
            following = tf.cond(
                step + 1 < limit,
                iterator.get_next_as_optional,
                lambda: tf.experimental.Optional.empty(spec),
            )
            return step + 1, following, arrays

        count, other, arrays = tf.while_loop(
            fits, store, [tf.constant(0), first, arrays], parallel_iterations=1
        )
        stacked = tf.cond(
            count > 0,
            lambda: [a.stack() for a in arrays],
            lambda: [tf.zeros([0, *[n or 0 for n in s.shape]], s.dtype) for s in specs],
        )
        return count, rows, tf.nest.pack_sequence_as(spec, stacked), other


class InBlocks(Source):
    """Blocks of several batches, as they are drawn or read, without Keras's iterator.

    Args:
        steps: Batches given out at a time, at most.
        blocks: What makes them.
    """

    def __init__(self, steps: int, blocks: Blocks) -> None:
        super().__init__(steps)
        self._all = blocks
        self._rows = blocks.batch_size
        self._flat = tf.nest.flatten(blocks.spec)

    def counted(self) -> tf.data.Dataset:
        """As many batches, for Keras to count and look at their structure."""
        rows = min(self._rows, self._all.examples)
        zeros = [tf.zeros([rows, *s.shape[1:]], s.dtype) for s in self._flat]
        batch = tf.nest.pack_sequence_as(self._all.spec, zeros)
        steps = -(-self._all.examples // self._rows)
        return tf.data.Dataset.from_tensors(batch).repeat(steps)

    def begin(self) -> None:
        self._blocks = self._all.one_pass()
        self._left: list[tf.Tensor] = []  # rows of the present block

    def give(self, iterator: Any, limit: int) -> Taken:
        parts: list[list[tf.Tensor]] = []
        count, other = 0, None
        while count < limit:
            left = len(self._left[0]) if self._left else 0
            whole = min(left // self._rows, limit - count)
            if whole:
                end = whole * self._rows
                parts.append([t[:end] for t in self._left])
                self._left = [t[end:] for t in self._left]
                count += whole
                continue
            block = next(self._blocks, None)
            if block is not None:
                tensors = [
                    t if tf.is_tensor(t) else tensor_of(t) for t in tf.nest.flatten(block)
                ]
                if left:
                    tensors = [tf.concat(both, 0) for both in zip(self._left, tensors)]
                self._left = tensors
                continue
            if left:
                other, self._left = tf.nest.pack_sequence_as(self._all.spec, self._left), []
            break
        if not count:
            return Taken(0, None, other)
        rows = (self.steps - count) * self._rows
        if rows:  # one shape, one program
            parts.append([tf.zeros([rows, *t.shape[1:]], t.dtype) for t in parts[0]])
        joined = [tf.concat(tensors, 0) for tensors in zip(*parts)]
        joined = [tf.reshape(t, [self.steps, self._rows, *t.shape[1:]]) for t in joined]
        return Taken(count, tf.nest.pack_sequence_as(self._all.spec, joined), other)


def _rows(batch: Any) -> tf.Tensor:
    return tf.shape(tf.nest.flatten(batch)[0])[0]
