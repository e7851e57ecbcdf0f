"""The standard normal prior.

Floor 2.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from keras_vae import numerics
from keras_vae.component import register
from keras_vae.numerics import NoiseSpec
from keras_vae.priors.base import Prior
from keras_vae.terms import Context

__all__ = ["StandardNormal"]

tfd = tfp.distributions
_HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)


@register("priors")
class StandardNormal(Prior):
    """Independent normals with mean 0 and variance 1: the default.

    Its KL is closed for every posterior that knows its entropy and second moments:
    KL = -H(q) + sum_i (E[z_i**2] + log(2 pi)) / 2.

    Example:
    >>> p = keras_vae.priors.StandardNormal()
    >>> p.build((2,))
    >>> round(float(p.log_prob(tf.zeros([2]), Context())), 4)
    -1.8379

    Reference: Kingma and Welling (2014), Auto-Encoding Variational Bayes, appendix B.
    """

    factorised = True

    def noise_spec(self) -> dict[str, NoiseSpec]:
        return {"epsilon": NoiseSpec("normal", self.latent_shape)}

    def sample(self, noise: Mapping[str, tf.Tensor], context: Context) -> tf.Tensor:
        return noise["epsilon"]

    def distribution(self, context: Context) -> tfp.distributions.Distribution:
        zeros = tf.zeros(self.latent_shape, numerics.density_dtype())
        return tfd.Independent(tfd.Normal(zeros, tf.ones_like(zeros)), len(self.latent_shape))

    def log_prob(self, z: tf.Tensor, context: Context) -> tf.Tensor:
        return numerics.sum_over_event(-0.5 * z**2 - _HALF_LOG_TWO_PI, len(self.latent_shape))

    def closed_form_kl(self, posterior: Any, params: tf.Tensor) -> tf.Tensor | None:
        entropy, second_moment = posterior.entropy(params), posterior.second_moment(params)
        if entropy is None or second_moment is None:
            return None
        cross_entropy = 0.5 * second_moment + _HALF_LOG_TWO_PI
        if not posterior.factorised:
            cross_entropy = tf.reduce_sum(cross_entropy, axis=-1, keepdims=True)
        return cross_entropy - entropy
