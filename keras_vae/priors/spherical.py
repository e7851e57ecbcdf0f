"""The uniform prior on the unit sphere.

Floor 2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from keras_vae import numerics
from keras_vae.component import register
from keras_vae.geometry.sphere import log_area, unit
from keras_vae.numerics import NoiseSpec
from keras_vae.priors.base import Prior
from keras_vae.terms import Context

__all__ = ["SphericalUniform"]

tfd = tfp.distributions


@register("priors")
class SphericalUniform(Prior):
    """All points of the unit sphere alike; for the posteriors that live there.

    Densities are by the sphere's area. The KL is closed for every posterior that knows its
    entropy: log(area) - H(q).

    Raises:
        ValueError: When built, if latents are not vectors of at least 2 dimensions.

    Example:
    >>> p = keras_vae.priors.SphericalUniform()
    >>> p.build((2,))
    >>> round(float(p.log_prob(tf.constant([0.0, 1.0]), Context())), 4)
    -1.8379

    Reference: Davidson et al. (2018), Hyperspherical Variational Auto-Encoders, equation 14.
    """

    space = "points of the unit sphere"

    def build(self, latent_shape: tuple[int, ...]) -> None:
        if len(latent_shape) != 1 or latent_shape[0] < 2:
            raise ValueError(
                f"`latent_shape` must be that of a vector of at least 2 dimensions, 2 for a "
                f"circle. Received: latent_shape={tuple(latent_shape)}."
            )
        super().build(latent_shape)

    def noise_spec(self) -> dict[str, NoiseSpec]:
        return {"epsilon": NoiseSpec("normal", self.latent_shape)}

    def sample(self, noise: Mapping[str, tf.Tensor], context: Context) -> tf.Tensor:
        return unit(noise["epsilon"])

    def distribution(self, context: Context) -> tfp.distributions.Distribution:
        return tfd.SphericalUniform(self.latent_shape[0], dtype=numerics.density_dtype())

    def log_prob(self, z: tf.Tensor, context: Context) -> tf.Tensor:
        # A gradient of zero, not none.
        return tf.reduce_sum(0 * z, axis=-1) - log_area(self.latent_shape[0])

    def closed_form_kl(self, posterior: Any, params: tf.Tensor) -> tf.Tensor | None:
        entropy = posterior.entropy(params)
        return None if entropy is None else log_area(self.latent_shape[0]) - entropy
