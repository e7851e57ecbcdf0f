"""The normal likelihood.

Floor 2.
"""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from keras_vae.component import register
from keras_vae.likelihoods.base import keyed_noise
from keras_vae.likelihoods.location_scale import LocationScale

__all__ = ["Normal"]

tfd = tfp.distributions
_HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)


@register("likelihoods")
class Normal(LocationScale):
    """Independent normals; the decoder emits means and, if asked, scales.

    Args:
        scale: The standard deviation. A positive number: fixed. `"learned"`: one weight
            for all elements. `"predicted"`: emitted by the decoder for each element.
            `"optimal"`: the root mean squared error, which maximises the likelihood; taken
            over the batch in training, whose bounds are then those of a profile likelihood,
            not of log p(x), and a running average of its square elsewhere. Defaults to `1.0`.
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

    optimal_power = 2

    def standard_log_prob(self, z: tf.Tensor) -> tf.Tensor:
        return -0.5 * z**2 - _HALF_LOG_TWO_PI

    def standard_noise(self, like: tf.Tensor, seed: Any) -> tf.Tensor:
        return keyed_noise("normal", like, seed)

    def family(self, location: tf.Tensor, scale: tf.Tensor) -> tfp.distributions.Distribution:
        return tfd.Normal(location, scale)
