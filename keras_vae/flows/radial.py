"""The radial flow.

Floor 1. Rezende and Mohamed (2015), Variational Inference with Normalizing Flows.
"""

from __future__ import annotations

import math
from typing import Any

import keras
import tensorflow as tf

from keras_vae import numerics
from keras_vae.component import register
from keras_vae.flows.base import Bijection

__all__ = ["Radial"]

# `positive` of it is 1.
_START = math.log(math.expm1(1 - numerics.SCALE_FLOOR))


@register("flows")
class Radial(Bijection):
    """Pulls points towards a centre, or pushes them away: `y = z + b (z - c) / (a + |z - c|)`.

    `a > 0` and `b > -a`, which keeps it invertible (appendix A.2 of the paper). It begins as
    the identity. Its inverse is the root of a quadratic equation for the radius.

    Args:
        amortised: Whether the encoder emits centre, a and b for each example; else they are
            weights. Defaults to `False`.
        **kwargs: As in any Keras layer.

    Example:
    >>> flow = keras_vae.flows.Radial()
    >>> flow.build((2,))
    >>> y, log_det = flow.forward(tf.ones([3, 2]), None)
    >>> z, _ = flow.inverse(y, None)
    >>> bool(np.allclose(z, 1.0))
    True

    Reference: Rezende and Mohamed (2015), equation 14 and appendix A.2.
    """

    def __init__(self, amortised: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.amortised = amortised

    def build(self, shape: tuple[int, ...]) -> None:
        if self.built:
            return
        super().build(shape)
        if not self.amortised:
            spread = keras.initializers.RandomNormal(stddev=1.0)
            self.centre = self.add_weight((self.dim,), spread, name="centre")
            self.raw_a = self.add_weight((1,), "zeros", name="raw_a")
            self.raw_sum = self.add_weight((1,), "zeros", name="raw_sum")

    def params_size(self, dim: int) -> int:
        return dim + 2 if self.amortised else 0

    def forward(self, z: tf.Tensor, params: tf.Tensor | None) -> tuple[tf.Tensor, tf.Tensor]:
        centre, a, total = self._steered(params)
        difference, radius = _polar(z - centre)
        stretch = (radius + total) / (a + radius)  # 1 + b / (a + r)
        return centre + stretch * difference, self._log_det(radius, a, total)

    def inverse(self, y: tf.Tensor, params: tf.Tensor | None) -> tuple[tf.Tensor, tf.Tensor]:
        centre, a, total = self._steered(params)
        difference, stretched = _polar(y - centre)
        # The stretched radius R fulfils r**2 + (a + b - R) r - a R = 0. Of the two forms of
        # its positive root, the one that does not cancel.
        excess = stretched - total
        root = tf.sqrt(excess**2 + 4 * a * stretched)
        outside = excess > 0
        by_sum = (root + excess) / (2 * tf.where(outside, stretched, 1.0))
        shrink = tf.where(outside, by_sum, 2 * a / (root + tf.abs(excess)))
        log_det = self._log_det(shrink * stretched, a, total)
        return centre + shrink * difference, -log_det

    def _steered(self, params: tf.Tensor | None) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Centre, a, and a + b."""
        if self.amortised:
            centre, raw_a, raw_sum = tf.split(params, [self.dim, 1, 1], axis=-1)
        else:
            weights = (self.centre, self.raw_a, self.raw_sum)
            centre, raw_a, raw_sum = (tf.convert_to_tensor(v) for v in weights)
        return centre, numerics.positive(raw_a + _START), numerics.positive(raw_sum + _START)

    def _log_det(self, radius: tf.Tensor, a: tf.Tensor, total: tf.Tensor) -> tf.Tensor:
        # Across the radius dim - 1 times the stretch; along it the derivative of r * stretch,
        # 1 + a b / (a + r)**2.
        across = tf.math.log(radius + total) - tf.math.log(a + radius)
        along = tf.math.log(radius**2 + 2 * a * radius + a * total)
        along = along - 2 * tf.math.log(a + radius)
        return ((self.dim - 1) * across + along)[..., 0]


def _polar(difference: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The difference itself and its length, whose gradient at 0 is 0."""
    square = tf.reduce_sum(difference**2, axis=-1, keepdims=True)
    elsewhere = square > 0
    length = tf.where(elsewhere, tf.sqrt(tf.where(elsewhere, square, 1.0)), 0.0)
    return difference, length
