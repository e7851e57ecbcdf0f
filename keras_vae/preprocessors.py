"""Raw data to the values that a model is about, and back: kept, and exported, with the model.

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
from keras_vae.component import Component, register

__all__ = [
    "Chain",
    "Logit",
    "Preprocessor",
    "Rescaling",
    "Reshape",
    "Standardization",
]


class Preprocessor(Component):
    """A bijection from raw data to the values that a model is about.

    A model that has one takes and returns raw data in all of its methods, and so do its
    exports. Bounds and densities are those of the values, unless `raw=True` asks for the raw
    data's.

    Subclassing: implement `forward`, `inverse` and `log_det`, with `keras.ops` where the
    encoder and decoder are to leave as plain Keras files, and so that NaN stays NaN. Override
    `raw_shape` if it is not the event's; set `adapt_rows` and implement `adapt` to learn from
    training data.

    Args:
        raw_dtype: Of the raw data that exports take, such as `"uint8"`; the model itself
            takes any numbers. Defaults to `None`: floats.
        **kwargs: As in any component.
    """

    #: Number of training examples that `adapt` wants to see.
    adapt_rows = 0

    def __init__(self, raw_dtype: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if raw_dtype is not None:
            kind = np.dtype(raw_dtype).kind
            if kind not in "iuf":
                raise ValueError(
                    f"`raw_dtype` must be a type of integers or floats, such as 'uint8'. "
                    f"Received: raw_dtype={raw_dtype!r}."
                )
        self.raw_dtype = raw_dtype

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

        To be added to a log-density of values to have that of raw data. Elements that are
        NaN do not count.
        """
        raise NotImplementedError

    def adapt(self, x: np.ndarray) -> None:
        """Learn from training data: called once, before the first step of the first `fit`.

        Args:
            x: Raw targets `[rows, *raw_shape]`, NaN where missing; at most `adapt_rows`.
        """


@register("preprocessors")
class Rescaling(Preprocessor):
    """`x * scale + offset`, as in `keras.layers.Rescaling`.

    Args:
        scale: A number other than 0. Defaults to 1/255: 8-bit grey values to [0, 1].
        offset: A number. Defaults to `0.0`.
        raw_dtype: As in `Preprocessor`.
        **kwargs: As in any component.

    Raises:
        ValueError: If `scale` is 0 or not finite.

    Example:
    >>> to_unit = keras_vae.preprocessors.Rescaling(1 / 255, raw_dtype="uint8")
    >>> to_unit.build((2,))
    >>> to_unit.forward(np.array([[0.0, 255.0]])).tolist()
    [[0.0, 1.0]]
    """

    def __init__(
        self,
        scale: float = 1 / 255,
        offset: float = 0.0,
        raw_dtype: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(raw_dtype=raw_dtype, **kwargs)
        if scale == 0 or not math.isfinite(scale):
            raise ValueError(
                f"`scale` must be a finite number other than 0. Received: scale={scale}."
            )
        self.scale = scale
        self.offset = offset

    def forward(self, x: tf.Tensor) -> tf.Tensor:
        return x * self.scale + self.offset

    def inverse(self, y: tf.Tensor) -> tf.Tensor:
        return (y - self.offset) / self.scale

    def log_det(self, x: tf.Tensor) -> tf.Tensor:
        stretch = tf.constant(math.log(abs(self.scale)), x.dtype)
        return _sum_over_observed(tf.fill(tf.shape(x), stretch), x)


@register("preprocessors")
class Standardization(Preprocessor):
    """To mean 0 and standard deviation 1, as training data has them: NaN does not count.

    `fit` learns both from up to 10,000 training examples, at random where the data are arrays.
    What is constant there is only shifted.

    Args:
        axis: Axis, or axes, of an example along which each place has a mean and deviation of
            its own; `()` for one of all. Defaults to `-1`: by column of a table, by channel
            of images and series, as in `keras.layers.Normalization`.
        raw_dtype: As in `Preprocessor`.
        **kwargs: As in any component.

    Raises:
        ValueError: If an example has no such axis.

    Example:
    >>> standard = keras_vae.preprocessors.Standardization()
    >>> standard.build((2,))
    >>> standard.adapt(np.array([[0.0, 5.0], [2.0, 5.0]]))
    >>> standard.forward(np.array([[4.0, 6.0]], "float32")).numpy().tolist()
    [[3.0, 1.0]]
    """

    adapt_rows = 10_000

    def __init__(
        self,
        axis: int | Sequence[int] = -1,
        raw_dtype: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(raw_dtype=raw_dtype, **kwargs)
        self.axis = axis

    def build(self, event_shape: tuple[int, ...]) -> None:
        if self.built:
            return
        rank = len(event_shape)
        axes = (self.axis,) if isinstance(self.axis, int) else tuple(self.axis)
        if not all(-rank <= axis < rank for axis in axes):
            raise ValueError(
                f"`axis` must be axes of an example. Received: axis={self.axis} and examples "
                f"of shape {tuple(event_shape)}."
            )
        kept = {axis % rank for axis in axes}
        shape = [size if place in kept else 1 for place, size in enumerate(event_shape)]
        self._shared = tuple(1 + place for place in range(rank) if place not in kept)
        self.centre = self.add_weight(shape, "zeros", trainable=False, name="centre")
        self.spread = self.add_weight(shape, "ones", trainable=False, name="spread")
        super().build(event_shape)

    def forward(self, x: tf.Tensor) -> tf.Tensor:
        centre, spread = self._statistics()
        return (x - centre) / spread

    def inverse(self, y: tf.Tensor) -> tf.Tensor:
        centre, spread = self._statistics()
        return y * spread + centre

    def log_det(self, x: tf.Tensor) -> tf.Tensor:
        _, spread = self._statistics()
        return _sum_over_observed(-tf.math.log(spread) + tf.zeros_like(x), x)

    def adapt(self, x: np.ndarray) -> None:
        # In the precision of training: what is constant there is constant here.
        x = np.asarray(numerics.as_density(x), "float64")
        cells = np.ma.masked_invalid(x)
        over: Any = {"axis": (0, *self._shared), "keepdims": True}
        varies = (cells.min(**over) < cells.max(**over)).filled(False)
        self.centre.assign(cells.mean(**over).filled(0.0)[0])
        self.spread.assign(np.where(varies, cells.std(**over).filled(1.0), 1.0)[0])

    def _statistics(self) -> tuple[tf.Tensor, tf.Tensor]:
        # As tensors, so that a plain Keras model made of them holds their values.
        return tf.convert_to_tensor(self.centre), tf.convert_to_tensor(self.spread)


@register("preprocessors")
class Logit(Preprocessor):
    """Values of an interval to reals: the logit of their place in it, kept off its ends.

    Args:
        low: Lower end. Defaults to `0.0`.
        high: Upper end. Defaults to `1.0`.
        margin: The ends become logit(margin) and logit(1 - margin). Defaults to `0.05`.
        raw_dtype: As in `Preprocessor`.
        **kwargs: As in any component.

    Raises:
        ValueError: If `low >= high`, or `margin` is not between 0 and 1/2.

    Example:
    >>> logit = keras_vae.preprocessors.Logit(0, 256)
    >>> logit.build((2,))
    >>> np.round(logit.forward(np.array([[0.0, 128.0]], "float32")), 3).tolist()
    [[-2.944000005722046, 0.0]]

    Reference: Dinh, Sohl-Dickstein and Bengio (2017), Density Estimation using Real NVP,
    section 4.1.
    """

    def __init__(
        self,
        low: float = 0.0,
        high: float = 1.0,
        margin: float = 0.05,
        raw_dtype: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(raw_dtype=raw_dtype, **kwargs)
        if not low < high:
            raise ValueError(f"`low` must be below `high`. Received: low={low}, high={high}.")
        if not 0 < margin < 0.5:
            raise ValueError(f"`margin` must be between 0 and 1/2. Received: margin={margin}.")
        self.low = low
        self.high = high
        self.margin = margin

    def forward(self, x: tf.Tensor) -> tf.Tensor:
        place = self._place(x)
        return keras.ops.log(place) - keras.ops.log1p(-place)

    def inverse(self, y: tf.Tensor) -> tf.Tensor:
        share = (keras.ops.sigmoid(y) - self.margin) / (1 - 2 * self.margin)
        return self.low + (self.high - self.low) * share

    def log_det(self, x: tf.Tensor) -> tf.Tensor:
        place = self._place(x)
        stretch = math.log((1 - 2 * self.margin) / (self.high - self.low))
        return _sum_over_observed(stretch - tf.math.log(place) - tf.math.log1p(-place), x)

    def _place(self, x: tf.Tensor) -> tf.Tensor:
        share = (x - self.low) / (self.high - self.low)
        return self.margin + (1 - 2 * self.margin) * share


@register("preprocessors")
class Reshape(Preprocessor):
    """Raw examples of another shape than events, such as images without a channel axis.

    Args:
        shape: Of one raw example, such as `(28, 28)` for events of `(28, 28, 1)`.
        raw_dtype: As in `Preprocessor`.
        **kwargs: As in any component.

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

    def log_det(self, x: tf.Tensor) -> tf.Tensor:
        return tf.zeros_like(tf.reshape(x, (tf.shape(x)[0], -1))[:, 0])


@register("preprocessors")
class Chain(Preprocessor):
    """Preprocessors one after the other, the first on raw data.

    Args:
        parts: At least one.
        **kwargs: As in any component.

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

    derived_arguments = ("raw_dtype",)

    def __init__(self, parts: Sequence[Preprocessor], **kwargs: Any) -> None:
        if not parts:
            raise ValueError("`parts` must hold a preprocessor or more. Received: none.")
        for part in parts:
            if not isinstance(part, Preprocessor):
                raise TypeError(f"`parts` must be preprocessors. Received: {part!r}.")
        super().__init__(raw_dtype=parts[0].raw_dtype, **kwargs)
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

    def adapt(self, x: np.ndarray) -> None:
        values = numerics.as_density(x)
        for part in self.parts:
            if part.adapt_rows:
                part.adapt(values.numpy())
            values = part.forward(values)


def _sum_over_observed(values: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
    counted = tf.where(tf.math.is_nan(x), tf.zeros_like(values), values)
    return numerics.sum_over_event(counted, x.shape.rank - 1)
