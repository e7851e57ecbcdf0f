"""One batch of a step, and the first bad number in it.

Floor 4.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from keras_vae import numerics
from keras_vae.models.checks import check_shape

__all__ = ["PARTS", "Batch", "first_fault", "of_known_shape", "weights_are_good", "weights_of"]

#: What may be bad in a batch, by the number that `first_fault` returns.
PARTS = ("x", "y", "condition", "sample_weight", "support")

Outside = Callable[[tf.Tensor], tf.Tensor]


class Batch(NamedTuple):
    """What one step is given.

    Attributes:
        x: What the encoder is given, preprocessed.
        target: What is to be reconstructed, preprocessed.
        condition: As given, labels as one-hot vectors; NaN for labels out of range.
        weight: `[batch]`.
        raw: x and target before the preprocessor.
        labels: The condition as given, or `None`.
    """

    x: tf.Tensor
    target: tf.Tensor
    condition: tf.Tensor | None
    weight: tf.Tensor | None
    raw: tuple[tf.Tensor, tf.Tensor]
    labels: tf.Tensor | None = None


def of_known_shape(name: str, x: Any, event_shape: tuple[int, ...]) -> tf.Tensor:
    """Return a batch of events whose shape is known; one that cannot have it is an error."""
    x = tf.convert_to_tensor(x)
    if x.shape.rank is not None:
        check_shape(name, x.shape, event_shape)
    return tf.ensure_shape(x, (None, *event_shape))


def weights_of(weight: Any, rows: int | None) -> tf.Tensor | None:
    """Return the weights of a batch, `[batch]`.

    Raises:
        ValueError: If there is not one real number for each example.
    """
    if weight is None:
        return None
    weight = tf.convert_to_tensor(weight)
    shape = weight.shape
    one_each = shape.rank is None or (shape.rank == 1 or (shape.rank == 2 and shape[1] == 1))
    fits = shape.rank is None or rows is None or shape[0] in (None, rows)
    if not one_each or not fits or weight.dtype.is_complex:
        raise ValueError(
            f"`sample_weight` must have one real number for each example of a batch. "
            f"Received: shape {tuple(shape)}, dtype {weight.dtype.name}."
        )
    return tf.reshape(numerics.as_density(weight), [-1])


def weights_are_good(weight: tf.Tensor | None) -> tf.Tensor:
    """Whether all weights are finite and >= 0, as a boolean scalar."""
    if weight is None:
        return tf.constant(True)
    return tf.reduce_all(tf.math.is_finite(weight) & (weight >= 0))


def first_fault(batch: Batch, outside: Outside, missing: bool) -> tf.Tensor:
    """Find the first bad number of a batch.

    Args:
        batch: The batch.
        outside: Function that marks elements of a target outside of the likelihood's support.
        missing: Whether NaN is no fault of x.

    Returns:
        float64 `[3]`: the number of its part among `PARTS`, its row and the number itself;
        -1 as part where there is none.
    """

    def bad(x: tf.Tensor) -> tf.Tensor:
        return tf.math.is_inf(x) if missing else ~tf.math.is_finite(x)

    raw_x, raw_target = batch.raw
    checked = [
        (0, bad(batch.x), raw_x),
        (1, bad(batch.target), raw_target),
        (4, outside(batch.target), raw_target),
    ]
    if batch.condition is not None:
        given = batch.condition if batch.labels is None else batch.labels
        checked.insert(2, (2, ~tf.math.is_finite(batch.condition), given))
    if batch.weight is not None:
        good = tf.math.is_finite(batch.weight) & (batch.weight >= 0)
        checked.insert(-1, (3, ~good, batch.weight))
    fault = tf.constant([-1.0, -1.0, 0.0], tf.float64)
    for part, mask, values in reversed(checked):
        fault = tf.where(tf.reduce_any(mask), _first(part, mask, values), fault)
    return fault


def _first(part: int, mask: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    rows = tf.shape(mask)[0]
    mask = tf.reshape(mask, [rows, -1])
    values = tf.reshape(values, [rows, -1])
    row = tf.argmax(tf.cast(tf.reduce_any(mask, axis=1), tf.int32))
    # Gathered: for slices at places that are not known before, XLA compiles for minutes.
    column = tf.argmax(tf.cast(tf.gather(mask, row), tf.int32))
    # Labels and raw data may have other columns than what is made of them.
    last = tf.cast(tf.shape(values)[1] - 1, tf.int64)
    value = tf.gather(tf.gather(values, row), tf.minimum(column, last))
    numbers = [tf.constant(part, tf.float64), tf.cast(row, tf.float64)]
    return tf.stack([*numbers, tf.cast(value, tf.float64)])
