"""The contract of what stands between raw data and a model.

Floor 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from keras_vae import numerics
from keras_vae.component import Component

__all__ = ["Preprocessor", "where_observed"]


class Preprocessor(Component):
    """A bijection from raw data to the values that a model is about.

    A model that has one takes and returns raw data in all of its methods, and so do its
    exports. Bounds and densities are those of the values, unless `raw=True` asks for the raw
    data's.

    Subclassing: implement `forward` and `inverse`, with `keras.ops` where the encoder and
    decoder are to leave as plain Keras files, and so that NaN stays NaN; and
    `elementwise_log_det`, or, where elements are mixed, `log_det`. Override `raw_shape` if it
    is not the event's; set `adapt_rows` and implement `adapt` to learn from training data.

    Args:
        raw_dtype: Of the raw data that exports take, such as `"uint8"`; the model itself
            takes any numbers. Defaults to `None`: floats.
        schema: What raw data are beyond their numbers, such as a vocabulary: what the loaders
            of `keras_vae.data` return. It is kept with the model. Defaults to `None`.
        **kwargs: As in any component.
    """

    #: Number of training examples that `adapt` wants to see.
    adapt_rows = 0

    def __init__(self, raw_dtype: str | None = None, schema: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if raw_dtype is not None:
            kind = np.dtype(raw_dtype).kind
            if kind not in "iuf":
                raise ValueError(
                    f"`raw_dtype` must be a type of integers or floats, such as 'uint8'. "
                    f"Received: raw_dtype={raw_dtype!r}."
                )
        if schema is not None and not (hasattr(schema, "read") and hasattr(schema, "write")):
            raise TypeError(
                f"`schema` must be one of those that loaders of keras_vae.data return. "
                f"Received: schema={schema!r}."
            )
        self.raw_dtype = raw_dtype
        self.schema = schema

    def build(self, event_shape: tuple[int, ...]) -> None:
        """Make weights, for events of this shape."""
        if not self.built:
            self.event_shape = tuple(event_shape)
            self.built = True

    def raw_shape(self, event_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of one raw example, for events of a shape."""
        return tuple(event_shape)

    def forward(self, x: tf.Tensor) -> tf.Tensor:
        """Raw data `[batch, *raw_shape]`, as floats, to values `[batch, *event_shape]`."""
        raise NotImplementedError

    def inverse(self, y: tf.Tensor) -> tf.Tensor:
        """Values `[batch, *event_shape]` to raw data `[batch, *raw_shape]`, as floats."""
        raise NotImplementedError

    def log_det(self, x: tf.Tensor) -> tf.Tensor:
        """Log of how much `forward` stretches volumes at raw data, `[batch]`.

        To be added to a log-density of values to have that of raw data; not to a
        log-probability. Elements that are NaN do not count.
        """
        each = self.elementwise_log_det(x)
        return numerics.sum_over_event(each, each.shape.rank - 1)

    def elementwise_log_det(self, x: tf.Tensor) -> tf.Tensor:
        """`log_det` by element of the values, `[batch, *event_shape]`; 0 where x is NaN.

        Tables with columns of probabilities and columns of densities need it.
        """
        raise NotImplementedError(
            f"{type(self).__name__} does not say how much it stretches each element. "
            f"Implement `elementwise_log_det`."
        )

    def adapt(self, x: np.ndarray) -> None:
        """Learn from training data: called once, before the first step of the first `fit`.

        Args:
            x: Raw targets `[rows, *raw_shape]`, NaN where missing; at most `adapt_rows`.
        """


def where_observed(values: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
    """Values, 0 where x is NaN."""
    return tf.where(tf.math.is_nan(x), tf.zeros_like(values), values)
