"""The Laplace prior.

Floor 2.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from keras_vae import numerics
from keras_vae.arguments import require_positive
from keras_vae.component import register
from keras_vae.numerics import NoiseSpec
from keras_vae.priors.base import Prior
from keras_vae.terms import Context

__all__ = ["Laplace"]

tfd = tfp.distributions


@register("priors")
class Laplace(Prior):
    """Independent Laplace latents: most near zero, some far out.

    Its KL is closed for every posterior that knows its entropy and absolute moments:
    KL = -H(q) + sum_i (E|z_i| / scale + log(2 scale)).

    Args:
        scale: Mean absolute value of a latent. Defaults to `1.0`.
        **kwargs: As in any Keras layer.

    Raises:
        ValueError: If `scale` is not positive.

    Example:
    >>> p = keras_vae.priors.Laplace()
    >>> p.build((2,))
    >>> round(float(p.log_prob(tf.zeros([2]), Context())), 4)
    -1.3863

    Reference: Kotz, Kozubowski and Podgorski (2001), The Laplace Distribution and
    Generalizations, section 2.1.
    """

    factorised = True

    def __init__(self, scale: float = 1.0, **kwargs: Any) -> None:
        require_positive("scale", scale)
        super().__init__(**kwargs)
        self.scale = scale

    def noise_spec(self) -> dict[str, NoiseSpec]:
        return {"uniform": NoiseSpec("uniform", self.latent_shape)}

    def sample(self, noise: Mapping[str, tf.Tensor], context: Context) -> tf.Tensor:
        uniform = numerics.open_uniform(noise["uniform"])
        distance = -tf.math.log(2 * tf.minimum(uniform, 1 - uniform))
        return self.scale * tf.sign(uniform - 0.5) * distance

    def distribution(self, context: Context) -> tfp.distributions.Distribution:
        zeros = tf.zeros(self.latent_shape, numerics.density_dtype())
        return tfd.Independent(tfd.Laplace(zeros, self.scale), len(self.latent_shape))

    def closed_form_kl(self, posterior: Any, params: tf.Tensor) -> tf.Tensor | None:
        entropy, absolute = posterior.entropy(params), posterior.absolute_moment(params)
        if entropy is None or absolute is None:
            return None
        cross_entropy = absolute / self.scale + math.log(2 * self.scale)
        if not posterior.factorised:
            cross_entropy = tf.reduce_sum(cross_entropy, axis=-1, keepdims=True)
        return cross_entropy - entropy
