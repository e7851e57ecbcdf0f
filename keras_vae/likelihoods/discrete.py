"""Likelihoods of discrete data.

Floor 2.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from keras_vae import numerics
from keras_vae.component import register
from keras_vae.likelihoods.base import Likelihood, Support, keyed_noise
from keras_vae.terms import Context

__all__ = ["Bernoulli"]

tfd = tfp.distributions
# Of so many bits at most one logarithm is taken: with more it is no faster, and a product of
# numbers up to 2 is far from the largest float.
_FACTORS = 16


@register("likelihoods")
class Bernoulli(Likelihood):
    """Independent bits; the decoder emits logits.

    For x in {0, 1} this is a probability. Values between are taken as soft bits, the expected
    log-probability of a bit that is 1 with probability x: usual for grey images, but neither
    a density nor a probability of x.

    Example:
    >>> p = keras_vae.likelihoods.Bernoulli()
    >>> p.build((2,))
    >>> round(float(p.log_prob(tf.zeros([2]), tf.constant([0.0, 1.0]))), 4)
    -1.3863

    Reference: Kingma and Welling (2014), Auto-Encoding Variational Bayes, appendix C.1.
    """

    support = Support(
        0.0,
        1.0,
        "divide 8-bit images by 255, or use a likelihood of real values such as "
        "keras_vae.likelihoods.Normal",
    )

    @property
    def discrete(self) -> bool:
        """True: of bits."""
        return True

    def has_mass(self, x: tf.Tensor) -> tf.Tensor:
        return (x == 0) | (x == 1) | tf.math.is_nan(x)

    def params_shape(self, event_shape: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(event_shape)

    def distribution(self, params: tf.Tensor) -> tfp.distributions.Distribution:
        # The dtype matters: with the default, int32, TFP would truncate soft bits to 0.
        bits = tfd.Bernoulli(logits=params, dtype=numerics.density_dtype())
        return tfd.Independent(bits, len(self.event_shape))

    def elementwise_log_prob(
        self, params: tf.Tensor, x: tf.Tensor, mask: tf.Tensor | None, context: Context
    ) -> tf.Tensor:
        return x * params - tf.nn.softplus(params)

    def log_prob(
        self,
        params: tf.Tensor,
        x: tf.Tensor,
        mask: tf.Tensor | None = None,
        context: Context | None = None,
    ) -> tf.Tensor:
        if mask is not None:
            return super().log_prob(params, x, mask, context)
        return _log_prob_of_bits(params, tf.cast(x, params.dtype), self.event_shape)

    def mean(self, params: tf.Tensor) -> tf.Tensor:
        return keras.ops.sigmoid(params)

    def sample(self, params: tf.Tensor, seed: int | tf.Tensor | None = None) -> tf.Tensor:
        ones = keyed_noise("uniform", params, seed) < tf.sigmoid(params)
        return tf.cast(ones, params.dtype)


def _log_prob_of_bits(
    logits: tf.Tensor, x: tf.Tensor, event_shape: tuple[int, ...]
) -> tf.Tensor:
    """Sum of `x * logits - softplus(logits)` over the event.

    softplus(l) = max(l, 0) + log(1 + exp(-|l|)), and a sum of logarithms is one of a product:
    they are most of what this density costs. What the rounding of `1 + exp(-|l|)` loses is
    below 6e-8 nats per bit.
    """
    size, rank = math.prod(event_shape), len(event_shape)
    factors = max(n for n in range(1, _FACTORS + 1) if size % n == 0)

    @tf.custom_gradient
    def summed(
        logits: tf.Tensor, x: tf.Tensor
    ) -> tuple[tf.Tensor, Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]]:
        each = tf.reshape(1 + tf.exp(-tf.abs(logits)), [-1, factors, size // factors])
        logs = tf.reduce_sum(tf.math.log(tf.reduce_prod(each, axis=1)), axis=-1)
        value = numerics.sum_over_event(x * logits - tf.nn.relu(logits), rank)
        value -= tf.reshape(logs, tf.shape(logits)[:-rank])

        def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            upstream = upstream[(..., *[None] * rank)]
            of_x = upstream * logits
            repeated, _ = tf.raw_ops.BroadcastGradientArgs(s0=tf.shape(x), s1=tf.shape(of_x))
            of_x = tf.reshape(tf.reduce_sum(of_x, repeated), tf.shape(x))
            return upstream * (x - tf.sigmoid(logits)), of_x

        return value, gradient

    value: tf.Tensor = summed(logits, x)
    return value
