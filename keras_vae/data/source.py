"""Data as loaded: examples to train and test on, and what is known of them.

Floor 3.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_vae.arguments import require_integer
from keras_vae.data.schema import Read, Schema
from keras_vae.data.streaming import stream
from keras_vae.preprocessors import Preprocessor

__all__ = ["Source", "shuffled", "split"]


@dataclasses.dataclass(frozen=True)
class Source:
    """Data of one kind, ready for `fit`. The loaders of `keras_vae.data` return it.

    `fit(source.x_train)` trains on what is in memory the fastest; `fit(source.train())` does
    with anything. A model made with `preprocessor=source.preprocessor` takes and returns raw
    examples and keeps `schema`, by which it reads and writes files of this kind.

    Attributes:
        x_train: Raw examples, `[examples, *schema.event_shape]`. Large ones are on disk.
        x_test: Those held out.
        schema: What raw examples are.
        preprocessor: From raw examples to what a model is about.
        labels_train: Classes by number, where the source has them; else `None`.
        labels_test: The same.
        label_names: Names of the classes, by number.
        condition_train: What a model may be conditioned on, one-hot; else `None`.
        condition_test: The same.
        skipped: What was left out, and why.
        columns: Columns of a table with their kinds, and why; none for other data.
    """

    x_train: Any
    x_test: Any
    schema: Schema
    preprocessor: Preprocessor
    labels_train: np.ndarray | None = None
    labels_test: np.ndarray | None = None
    label_names: tuple[str, ...] = ()
    condition_train: np.ndarray | None = None
    condition_test: np.ndarray | None = None
    skipped: Mapping[str, str] = dataclasses.field(default_factory=dict)
    columns: Sequence[Any] = ()

    @property
    def kind(self) -> str:
        """One of the kinds that `keras-vae train --kind` takes."""
        return self.schema.kind

    @property
    def event_shape(self) -> tuple[int, ...]:
        """Shape of one example."""
        return self.schema.event_shape

    @property
    def train_inputs(self) -> Any:
        """`x_train`, in a dict with `condition_train` if there is one: what `fit` takes."""
        return _inputs(self.x_train, self.condition_train)

    @property
    def test_inputs(self) -> Any:
        """The same of what was held out: what `evaluate` takes."""
        return _inputs(self.x_test, self.condition_test)

    def train(self, batch_size: int = 128, seed: int = 0) -> tf.data.Dataset:
        """Batches to train on, shuffled anew in each epoch, read as they are used.

        Args:
            batch_size: Examples in a batch. Defaults to `128`.
            seed: Of the order. Defaults to `0`.
        """
        return stream(self.train_inputs, batch_size, seed)

    def test(self, batch_size: int = 128) -> tf.data.Dataset:
        """Batches of what was held out, in order."""
        return stream(self.test_inputs, batch_size, 0, shuffle=False)

    def __repr__(self) -> str:
        """Kind, numbers and shape."""
        return (
            f"<Source of {self.kind}: {len(self.x_train)} to train on, {len(self.x_test)} held "
            f"out, {self.event_shape}, {len(self.skipped)} left out>"
        )


def split(
    read: Read,
    held_out: float,
    schema: Schema,
    preprocessor: Preprocessor,
    condition: np.ndarray | None = None,
) -> Source:
    """Put together what was read, in an order by chance: the last share is held out.

    Raises:
        ValueError: If `held_out` is not between 0 and 1, or leaves nothing on a side.
    """
    count = len(read.x)
    if not 0 <= held_out < 1:
        raise ValueError(
            f"`held_out` must be a share of 0 or more and below 1. Received: {held_out}."
        )
    trained = count - (max(1, round(count * held_out)) if held_out else 0)
    if not trained:
        raise ValueError(
            f"`source` must hold enough examples to set some aside. Received: {count}, and "
            f"held_out={held_out}. Pass more, or held_out=0."
        )
    numbers = None
    names: tuple[str, ...] = ()
    if read.labels is not None:
        found, numbers = np.unique(read.labels, return_inverse=True)
        names = tuple(str(name) for name in found)

    def sides(values: Any) -> tuple[Any, Any]:
        if values is None:
            return None, None
        # Sparse rows become dense when they are sliced.
        rows = getattr(values, "only", values.__getitem__)
        return rows(slice(None, trained)), rows(slice(trained, None))

    (x_train, x_test), labels, conditions = sides(read.x), sides(numbers), sides(condition)
    return Source(
        x_train,
        x_test,
        schema,
        preprocessor,
        *labels,
        names,
        *conditions,
        skipped=read.skipped,
    )


def shuffled(read: Read, seed: int) -> tuple[Read, np.ndarray]:
    """Examples in an order by chance, and that order."""
    require_integer("seed", seed, 0)
    order = np.random.default_rng(seed).permutation(len(read.x))
    return read.ordered(order), order


def _inputs(x: Any, condition: Any) -> Any:
    return x if condition is None else {"x": x, "condition": condition}
