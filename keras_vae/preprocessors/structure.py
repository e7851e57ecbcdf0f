"""Preprocessors that arrange: other shapes, and several in a row.

Floor 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_vae import numerics
from keras_vae.component import register
from keras_vae.preprocessors.base import Preprocessor

__all__ = ["Chain", "Reshape"]


@register("preprocessors")
class Reshape(Preprocessor):
    """Raw examples of another shape than events, such as images without a channel axis.

    Args:
        shape: Of one raw example, such as `(28, 28)` for events of `(28, 28, 1)`.
        raw_dtype: As in `Preprocessor`.
        **kwargs: As in `Preprocessor`.

    Raises:
        ValueError: If events have another number of elements.

    Example:
    >>> channel = keras_vae.preprocessors.Reshape((28, 28))
    >>> channel.build((28, 28, 1))
    >>> channel.forward(np.zeros([5, 28, 28])).shape
    TensorShape([5, 28, 28, 1])
    """

    def __init__(
        self, shape: Sequence[int], raw_dtype: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(raw_dtype=raw_dtype, **kwargs)
        self.shape = shape

    def build(self, event_shape: tuple[int, ...]) -> None:
        if math.prod(self.shape) != math.prod(event_shape):
            raise ValueError(
                f"`shape` must have as many elements as events. Received: shape="
                f"{tuple(self.shape)} and events of shape {tuple(event_shape)}."
            )
        super().build(event_shape)

    def raw_shape(self, event_shape: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(self.shape)

    def forward(self, x: tf.Tensor) -> tf.Tensor:
        return keras.ops.reshape(x, (-1, *self.event_shape))

    def inverse(self, y: tf.Tensor) -> tf.Tensor:
        return keras.ops.reshape(y, (-1, *self.shape))

    def elementwise_log_det(self, x: tf.Tensor) -> tf.Tensor:
        return tf.zeros_like(self.forward(x))


@register("preprocessors")
class Chain(Preprocessor):
    """Preprocessors one after the other, the first on raw data.

    Args:
        parts: At least one.
        **kwargs: As in `Preprocessor`.

    Raises:
        TypeError: If a part is no preprocessor.
        ValueError: If there is none.

    Example:
    >>> grey = keras_vae.preprocessors.Chain(
    ...     [
    ...         keras_vae.preprocessors.Rescaling(1 / 255, raw_dtype="uint8"),
    ...         keras_vae.preprocessors.Reshape((28, 28)),
    ...     ]
    ... )
    >>> grey.raw_shape((28, 28, 1)), grey.raw_dtype
    ((28, 28), 'uint8')
    """

    derived_arguments = ("raw_dtype", "schema")

    def __init__(self, parts: Sequence[Preprocessor], **kwargs: Any) -> None:
        if not parts:
            raise ValueError("`parts` must hold a preprocessor or more. Received: none.")
        for part in parts:
            if not isinstance(part, Preprocessor):
                raise TypeError(f"`parts` must be preprocessors. Received: {part!r}.")
        super().__init__(raw_dtype=parts[0].raw_dtype, schema=parts[0].schema, **kwargs)
        self.parts = list(parts)
        self.adapt_rows = max(part.adapt_rows for part in parts)

    def build(self, event_shape: tuple[int, ...]) -> None:
        if self.built:
            return
        super().build(event_shape)
        for part in reversed(self.parts):
            part.build(event_shape)
            event_shape = part.raw_shape(event_shape)

    def raw_shape(self, event_shape: tuple[int, ...]) -> tuple[int, ...]:
        for part in reversed(self.parts):
            event_shape = part.raw_shape(event_shape)
        return event_shape

    def forward(self, x: tf.Tensor) -> tf.Tensor:
        for part in self.parts:
            x = part.forward(x)
        return x

    def inverse(self, y: tf.Tensor) -> tf.Tensor:
        for part in reversed(self.parts):
            y = part.inverse(y)
        return y

    def log_det(self, x: tf.Tensor) -> tf.Tensor:
        total = 0.0
        for part in self.parts:
            total += part.log_det(x)
            x = part.forward(x)
        return total

    def elementwise_log_det(self, x: tf.Tensor) -> tf.Tensor:
        total = tf.zeros_like(x)
        for part in self.parts:
            each = part.elementwise_log_det(x)
            # Parts that change the shape keep the order of the elements.
            total = each + tf.reshape(total, tf.shape(each))
            x = part.forward(x)
        return total

    def adapt(self, x: np.ndarray) -> None:
        values = numerics.as_density(x)
        for part in self.parts:
            if part.adapt_rows:
                part.adapt(values.numpy())
            values = part.forward(values)
