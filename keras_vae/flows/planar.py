"""The planar flow.

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

__all__ = ["Planar"]

# `positive` of it is 1.
_START = math.log(math.expm1(1 - numerics.SCALE_FLOOR))
# Added to |w|**2, which it divides: a vector w of zeros does no harm.
_EPSILON = 1e-8


@register("flows")
class Planar(Bijection):
    """Moves points along u, as far as they lie beyond a plane: `y = z + u tanh(w.z + b)`.

    u is corrected along w so that the map stays invertible (appendix A.1 of the paper), in
    such a way that u = 0 needs no correction: it begins as the identity. The inverse has no
    closed form.

    Args:
        amortised: Whether the encoder emits u, w and b for each example, as in the paper;
            else they are weights. Defaults to `False`.
        **kwargs: As in any Keras layer.

    Example:
    >>> flow = keras_vae.flows.Planar(amortised=True)
    >>> flow.build((2,))
    >>> flow.params_size(2)
    5
    >>> y, log_det = flow.forward(tf.ones([3, 2]), tf.zeros([3, 5]))
    >>> bool(np.allclose(y, 1.0)), log_det.shape
    (True, TensorShape([3]))

    Reference: Rezende and Mohamed (2015), equations 10 to 13 and appendix A.1; there the
    constraint is m(x) = softplus(x) - 1, here softplus is shifted so that m(0) = 0.
    """

    has_inverse = False

    def __init__(self, amortised: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.amortised = amortised

    def build(self, shape: tuple[int, ...]) -> None:
        if self.built:
            return
        super().build(shape)
        if not self.amortised:
            self.u = self.add_weight((self.dim,), "zeros", name="u")
            spread = keras.initializers.RandomNormal(stddev=self.dim**-0.5)  # w.z is of order 1
            self.w = self.add_weight((self.dim,), spread, name="w")
            self.b = self.add_weight((1,), "zeros", name="b")

    def params_size(self, dim: int) -> int:
        return 2 * dim + 1 if self.amortised else 0

    def forward(self, z: tf.Tensor, params: tf.Tensor | None) -> tuple[tf.Tensor, tf.Tensor]:
        if self.amortised:
            u, w, b = tf.split(params, [self.dim, self.dim, 1], axis=-1)
        else:
            u, w, b = (tf.convert_to_tensor(v) for v in (self.u, self.w, self.b))
        product = tf.reduce_sum(w * u, axis=-1, keepdims=True)
        norm = tf.reduce_sum(w**2, axis=-1, keepdims=True) + _EPSILON
        # 1 + w.u after the correction, which must be positive.
        slope = numerics.positive(product + _START)
        u = u + (slope - 1 - product) * w / norm
        slope = slope + _EPSILON / norm * (1 + product - slope)
        t = tf.tanh(tf.reduce_sum(w * z, axis=-1, keepdims=True) + b)
        log_det = tf.math.log(t**2 + (1 - t**2) * slope)
        return z + u * t, log_det[..., 0]
