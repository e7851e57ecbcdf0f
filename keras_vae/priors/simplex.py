"""Priors on the simplex: latents are proportions.

Floor 2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from keras_vae import numerics
from keras_vae.arguments import require_positive
from keras_vae.component import register
from keras_vae.numerics import NoiseSpec
from keras_vae.priors.base import Prior
from keras_vae.terms import Context

__all__ = ["Dirichlet"]

tfd = tfp.distributions
# Each is accepted with probability above 0.95: all fail with probability below 4e-11.
_PROPOSALS = 8
# A proportion that underflows to 0 has the log-density of this one.
_SMALLEST = 1e-37


@register("priors")
class Dirichlet(Prior):
    """Proportions that add up to 1: few large ones if `concentration` is below 1.

    The density is that of the first K - 1 proportions, as for `posteriors.LogisticNormal`.
    A draw is made of K gamma variables, for each of which the first accepted of eight
    proposals is taken.

    Args:
        concentration: One positive number for all proportions, or one for each. Defaults to
            `1.0`: uniform on the simplex.
        **kwargs: As in any Keras layer.

    Raises:
        ValueError: If a concentration is not positive, or there is not one for each
            proportion.

    Example:
    >>> p = keras_vae.priors.Dirichlet(concentration=1.0)
    >>> p.build((3,))
    >>> round(float(p.log_prob(tf.constant([0.2, 0.3, 0.5]), Context())), 4)
    0.6931

    Reference: Marsaglia and Tsang (2000), A Simple Method for Generating Gamma Variables,
    for the draws.
    """

    space = "proportions"

    def __init__(self, concentration: float | Sequence[float] = 1.0, **kwargs: Any) -> None:
        several = isinstance(concentration, (list, tuple))
        values: Any = concentration if several else [concentration]
        for value in values:
            require_positive("concentration", value)
        super().__init__(**kwargs)
        self.concentration = concentration

    def build(self, latent_shape: tuple[int, ...]) -> None:
        if self.built:
            return
        given = np.shape(self.concentration)
        if given not in ((), tuple(latent_shape)):
            raise ValueError(
                f"`concentration` must be one number or one for each of the "
                f"{latent_shape[0]} proportions. Received: {self.concentration}."
            )
        super().build(latent_shape)

    def noise_spec(self) -> dict[str, NoiseSpec]:
        proposals = (*self.latent_shape, _PROPOSALS)
        return {
            "normal": NoiseSpec("normal", proposals),
            "acceptance": NoiseSpec("uniform", proposals),
            "boost": NoiseSpec("uniform", self.latent_shape),
        }

    def sample(self, noise: Mapping[str, tf.Tensor], context: Context) -> tf.Tensor:
        # Gamma(a + 1) by rejection, then Gamma(a) = Gamma(a + 1) * u**(1 / a). The last axis is
        # that of the proposals.
        a = self._concentrations()
        d = (a + 1 - 1 / 3)[:, None]
        normal = noise["normal"]
        root = 1 + normal / tf.sqrt(9 * d)
        positive = root > 0
        log_v = 3 * tf.math.log(tf.where(positive, root, tf.ones_like(root)))
        log_ratio = 0.5 * normal**2 + d * (1 - tf.exp(log_v) + log_v)
        uniform = numerics.open_uniform(noise["acceptance"])
        accepted = positive & (tf.math.log(uniform) < log_ratio)
        first = tf.argmax(tf.cast(accepted, tf.int32), axis=-1)  # 0 where none is accepted
        chosen = tf.one_hot(first, _PROPOSALS, dtype=log_v.dtype)
        log_gamma = tf.reduce_sum(chosen * (tf.math.log(d) + log_v), axis=-1)
        boost = tf.math.log(numerics.open_uniform(noise["boost"])) / a
        return tf.nn.softmax(log_gamma + boost)

    def distribution(self, context: Context) -> tfp.distributions.Distribution:
        return tfd.Dirichlet(self._concentrations())

    def log_prob(self, z: tf.Tensor, context: Context) -> tf.Tensor:
        a = self._concentrations()
        log_z = tf.math.log(tf.maximum(z, _SMALLEST))
        return tf.reduce_sum((a - 1) * log_z, axis=-1) - tf.math.lbeta(a)

    def _concentrations(self) -> tf.Tensor:
        given = tf.constant(self.concentration, numerics.density_dtype())
        return tf.broadcast_to(given, self.latent_shape)
