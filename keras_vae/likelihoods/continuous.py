"""Likelihoods of real-valued data.

Floor 2.
"""

from __future__ import annotations

import math
from typing import Any

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from keras_vae import numerics
from keras_vae.component import register
from keras_vae.likelihoods.base import Likelihood, Support, require_one_of
from keras_vae.terms import Context

__all__ = ["Normal"]

tfd = tfp.distributions
_HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)
_MODES = ("learned", "predicted", "optimal")
# Share of the running variance that each training step replaces.
_RUNNING_RATE = 0.01


@register("likelihoods")
class Normal(Likelihood):
    """Independent normals; the decoder emits means and, if asked, scales.

    Args:
        scale: The standard deviation. A positive number: fixed. `"learned"`: one weight
            for all elements. `"predicted"`: emitted by the decoder for each element.
            `"optimal"`: the root mean squared error, which maximises the likelihood; taken
            over the batch in training, and a running average of its square elsewhere.
            Defaults to `1.0`.
        min_scale: Scales do not fall below it; a learned scale can otherwise make the
            density grow without bound. Defaults to `1e-3`.
        **kwargs: As in any Keras layer.

    Raises:
        ValueError: If `scale` is neither positive nor one of the names, or `min_scale` is
            not positive.

    Example:
    >>> p = keras_vae.likelihoods.Normal(scale=2.0)
    >>> p.build((1,))
    >>> round(float(p.log_prob(tf.zeros([1]), tf.zeros([1]))), 4)
    -1.6121

    Reference: Rybkin, Daniilidis and Levine (2021), Simple and Effective VAE Training with
    Calibrated Decoders: shared sigma ("learned") 4.2, optimal sigma 4.3, equation 6.
    """

    support = Support(fix="remove or impute them")

    def __init__(
        self, scale: float | str = 1.0, *, min_scale: float = 1e-3, **kwargs: Any
    ) -> None:
        if isinstance(scale, str):
            require_one_of("scale", scale, _MODES)
        elif not scale > 0:
            raise ValueError(f"`scale` must be positive. Received: scale={scale}.")
        if not min_scale > 0:
            raise ValueError(f"`min_scale` must be positive. Received: min_scale={min_scale}.")
        super().__init__(**kwargs)
        self.scale = scale
        self.min_scale = min_scale

    def build(self, event_shape: tuple[int, ...]) -> None:
        if self.built:
            return
        super().build(event_shape)
        if self.scale == "learned":
            start = keras.initializers.Constant(
                numerics.inverse_positive(1.0 + self.min_scale, self.min_scale)
            )
            self.raw_scale = self.add_weight((), start, name="raw_scale")
        elif self.scale == "optimal":
            # Sums of exponentially decaying weights: their ratio has no start-up bias.
            self.running_sum = self.add_weight(
                (), "zeros", trainable=False, aggregation="mean", name="running_sum"
            )
            self.running_weight = self.add_weight(
                (), "zeros", trainable=False, aggregation="mean", name="running_weight"
            )

    def params_shape(self, event_shape: tuple[int, ...]) -> tuple[int, ...]:
        copies = 2 if self.scale == "predicted" else 1
        return (*event_shape[:-1], copies * event_shape[-1])

    def distribution(self, params: tf.Tensor) -> tfp.distributions.Distribution:
        scales = self._scale(params)
        normals = tfd.Normal(self.mean(params), scales)
        return tfd.Independent(normals, len(self.event_shape))

    def elementwise_log_prob(
        self, params: tf.Tensor, x: tf.Tensor, mask: tf.Tensor | None, context: Context
    ) -> tf.Tensor:
        error = x - self.mean(params)
        if self.scale == "optimal" and context.training:
            scale = self._batch_scale(error, mask)
        else:
            scale = self._scale(params)
        return -0.5 * (error / scale) ** 2 - tf.math.log(scale) - _HALF_LOG_TWO_PI

    def mean(self, params: tf.Tensor) -> tf.Tensor:
        return params[..., : self.event_shape[-1]]

    def _scale(self, params: tf.Tensor) -> tf.Tensor:
        if self.scale == "predicted":
            return numerics.positive(params[..., self.event_shape[-1] :], self.min_scale)
        if self.scale == "learned":
            return numerics.positive(tf.convert_to_tensor(self.raw_scale), self.min_scale)
        if self.scale == "optimal":
            weight = tf.convert_to_tensor(self.running_weight)
            variance = tf.math.divide_no_nan(tf.convert_to_tensor(self.running_sum), weight)
            # Before the first training step nothing is known: unit scale.
            variance = tf.where(weight > 0, variance, tf.ones_like(variance))
            return tf.maximum(tf.sqrt(variance), self.min_scale)
        return tf.constant(self.scale, params.dtype)

    def _batch_scale(self, error: tf.Tensor, mask: tf.Tensor | None) -> tf.Tensor:
        # At the optimum the likelihood's derivative with respect to the scale is zero, so
        # that the gradient of the profile likelihood is the one at a constant scale.
        squares = tf.stop_gradient(error**2)
        if mask is None:
            count = tf.cast(tf.size(squares), squares.dtype)
        else:
            weights = tf.broadcast_to(tf.cast(mask, squares.dtype), tf.shape(squares))
            squares, count = squares * weights, tf.reduce_sum(weights)
        total = tf.reduce_sum(squares)
        replicas = tf.distribute.get_replica_context()
        if replicas is not None and replicas.num_replicas_in_sync > 1:
            total, count = replicas.all_reduce(tf.distribute.ReduceOp.SUM, [total, count])
        variance = tf.math.divide_no_nan(total, count)
        # A batch in which nothing was observed says nothing of the scale.
        rate = tf.where(
            count > 0, tf.constant(_RUNNING_RATE, count.dtype), tf.zeros_like(count)
        )
        self.running_sum.assign(_decay(self.running_sum, variance, rate))
        self.running_weight.assign(_decay(self.running_weight, tf.ones_like(count), rate))
        return tf.maximum(tf.sqrt(variance), self.min_scale)


def _decay(old: Any, new: tf.Tensor, rate: tf.Tensor) -> tf.Tensor:
    old = tf.convert_to_tensor(old)
    return old + rate * (new - old)
