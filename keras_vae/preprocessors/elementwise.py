"""Preprocessors that take each element on its own.

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
from keras_vae.arguments import is_integer, is_number, require_number, require_positive
from keras_vae.component import register
from keras_vae.preprocessors.base import Preprocessor, where_observed

__all__ = ["Identity", "Logit", "MuLaw", "Rescaling", "Standardization"]


@register("preprocessors")
class Identity(Preprocessor):
    """Raw data as they are; their type and schema are kept with the model.

    Args:
        **kwargs: As in `Preprocessor`.

    Example:
    >>> tokens = keras_vae.preprocessors.Identity(raw_dtype="int32")
    >>> tokens.build((2,))
    >>> tokens.forward(np.array([[0.0, 255.0]])).tolist()
    [[0.0, 255.0]]
    """

    def forward(self, x: tf.Tensor) -> tf.Tensor:
        return x

    def inverse(self, y: tf.Tensor) -> tf.Tensor:
        return y

    def elementwise_log_det(self, x: tf.Tensor) -> tf.Tensor:
        return tf.zeros_like(x)


@register("preprocessors")
class Rescaling(Preprocessor):
    """`x * scale + offset`, as in `keras.layers.Rescaling`.

    Args:
        scale: A number other than 0, or a list of one for each place along the last axis.
            Defaults to 1/255: 8-bit grey values to [0, 1].
        offset: A number, or a list as of `scale`. Defaults to `0.0`.
        raw_dtype: As in `Preprocessor`.
        **kwargs: As in `Preprocessor`.

    Raises:
        ValueError: If `scale` is 0 or not finite, `offset` is not finite, or lists differ in
            length from the last axis.

    Example:
    >>> to_unit = keras_vae.preprocessors.Rescaling(1 / 255, raw_dtype="uint8")
    >>> to_unit.build((2,))
    >>> to_unit.forward(np.array([[0.0, 255.0]])).tolist()
    [[0.0, 1.0]]
    """

    def __init__(
        self,
        scale: float | Sequence[float] = 1 / 255,
        offset: float | Sequence[float] = 0.0,
        raw_dtype: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(raw_dtype=raw_dtype, **kwargs)
        for number in _each(offset):
            require_number("offset", number)
        for number in _each(scale):
            if not is_number(number):
                raise ValueError(f"`scale` must be a number. Received: scale={scale!r}.")
            if number == 0 or not math.isfinite(number):
                raise ValueError(
                    f"`scale` must be a finite number other than 0. Received: scale={number}."
                )
        self.scale = scale
        self.offset = offset

    def build(self, event_shape: tuple[int, ...]) -> None:
        for name, value in (("scale", self.scale), ("offset", self.offset)):
            several = isinstance(value, (list, tuple))
            if several and tuple(event_shape)[-1:] != (len(_each(value)),):
                raise ValueError(
                    f"`{name}` must have a number for each place along the last axis of "
                    f"{tuple(event_shape)}. Received: {len(_each(value))} numbers."
                )
        super().build(event_shape)

    def forward(self, x: tf.Tensor) -> tf.Tensor:
        return x * self._constant(self.scale) + self._constant(self.offset)

    def inverse(self, y: tf.Tensor) -> tf.Tensor:
        return (y - self._constant(self.offset)) / self._constant(self.scale)

    def elementwise_log_det(self, x: tf.Tensor) -> tf.Tensor:
        stretch = tf.constant(np.log(np.abs(self.scale)), x.dtype)
        return where_observed(tf.zeros_like(x) + stretch, x)

    def _constant(self, value: float | Sequence[float]) -> Any:
        several = isinstance(value, (list, tuple))
        return np.asarray(value, numerics.density_dtype()) if several else value


def _each(value: float | Sequence[float]) -> Sequence[float]:
    return value if isinstance(value, (list, tuple)) else [value]  # type: ignore[list-item]


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
        **kwargs: As in `Preprocessor`.

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
        axes = axis if isinstance(axis, (list, tuple)) else [axis]
        if not all(is_integer(place) for place in axes):
            raise ValueError(
                f"`axis` must be an integer or a list of integers. Received: axis={axis!r}."
            )
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

    def elementwise_log_det(self, x: tf.Tensor) -> tf.Tensor:
        _, spread = self._statistics()
        return where_observed(-tf.math.log(spread) + tf.zeros_like(x), x)

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
        **kwargs: As in `Preprocessor`.

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
        require_number("low", low)
        require_number("high", high)
        require_number("margin", margin)
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

    def elementwise_log_det(self, x: tf.Tensor) -> tf.Tensor:
        place = self._place(x)
        stretch = math.log((1 - 2 * self.margin) / (self.high - self.low))
        return where_observed(stretch - tf.math.log(place) - tf.math.log1p(-place), x)

    def _place(self, x: tf.Tensor) -> tf.Tensor:
        share = (x - self.low) / (self.high - self.low)
        return self.margin + (1 - 2 * self.margin) * share


@register("preprocessors")
class MuLaw(Preprocessor):
    """Samples of sound to [0, 1], quiet ones spread out as hearing does: the mu-law.

    Nothing is rounded, so that it leads back; `likelihoods.DiscretizedLogistic()` takes the
    values as its 256 levels.

    Args:
        mu: How much quiet samples are spread out, a positive number. Defaults to `255.0`, as
            in telephony.
        full_scale: What -1 and 1 are in raw samples. Defaults to `32768.0`: 16-bit integers.
        raw_dtype: As in `Preprocessor`.
        **kwargs: As in `Preprocessor`.

    Raises:
        ValueError: If `mu` or `full_scale` is not positive.

    Example:
    >>> compand = keras_vae.preprocessors.MuLaw(raw_dtype="int16")
    >>> compand.build((3,))
    >>> x = compand.forward(np.array([[-32768.0, 0.0, 128.5]], "float32"))
    >>> np.round(x, 3).tolist()
    [[0.0, 0.5, 0.5619999766349792]]

    Reference: ITU-T Recommendation G.711 (1988), Pulse Code Modulation of Voice Frequencies;
    van den Oord et al. (2016), WaveNet, section 2.2.
    """

    def __init__(
        self,
        mu: float = 255.0,
        full_scale: float = 32768.0,
        raw_dtype: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(raw_dtype=raw_dtype, **kwargs)
        require_positive("mu", mu)
        require_positive("full_scale", full_scale)
        self.mu = mu
        self.full_scale = full_scale

    def forward(self, x: tf.Tensor) -> tf.Tensor:
        spread = keras.ops.log1p(self.mu * self._loudness(x)) / math.log1p(self.mu)
        return 0.5 + 0.5 * keras.ops.sign(x) * spread

    def inverse(self, y: tf.Tensor) -> tf.Tensor:
        place = 2.0 * y - 1.0
        loudness = keras.ops.expm1(math.log1p(self.mu) * keras.ops.abs(place)) / self.mu
        return self.full_scale * keras.ops.sign(place) * loudness

    def elementwise_log_det(self, x: tf.Tensor) -> tf.Tensor:
        steepest = math.log(self.mu / (2 * math.log1p(self.mu) * self.full_scale))
        return where_observed(steepest - tf.math.log1p(self.mu * self._loudness(x)), x)

    def _loudness(self, x: tf.Tensor) -> tf.Tensor:
        return keras.ops.abs(x) / self.full_scale
