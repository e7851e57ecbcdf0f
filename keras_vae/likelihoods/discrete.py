"""Likelihoods of discrete data.

Floor 2.
"""

from __future__ import annotations

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from keras_vae import numerics
from keras_vae.component import register
from keras_vae.likelihoods.base import Likelihood, Support, keyed_noise
from keras_vae.terms import Context

__all__ = ["Bernoulli"]

tfd = tfp.distributions


@register("likelihoods")
class Bernoulli(Likelihood):
    """Independent bits; the decoder emits logits.

    For x in {0, 1} this is a density. Values between are taken as soft bits, the expected
    log-probability of a bit that is 1 with probability x: usual for grey images, but not a
    normalised density of x.

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

    def mean(self, params: tf.Tensor) -> tf.Tensor:
        return keras.ops.sigmoid(params)

    def sample(self, params: tf.Tensor, seed: int | tf.Tensor | None = None) -> tf.Tensor:
        ones = keyed_noise("uniform", params, seed) < tf.sigmoid(params)
        return tf.cast(ones, params.dtype)
