"""Posteriors on the unit sphere.

Floor 2. Davidson, Falorsi, De Cao, Kipf and Tomczak (2018), Hyperspherical Variational
Auto-Encoders; De Cao and Aziz (2020), The Power Spherical Distribution.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from keras_vae import numerics
from keras_vae.component import register
from keras_vae.geometry.sphere import (
    AngleLaw,
    PowerSphericalAngle,
    VonMisesFisherAngle,
    unit,
)
from keras_vae.numerics import NoiseSpec
from keras_vae.posteriors.base import Posterior
from keras_vae.terms import Context, Draw

__all__ = ["PowerSpherical", "VonMisesFisher"]

tfd = tfp.distributions
# As in the authors' experiments: nearer to 0, where q is uniform whatever its direction, the
# encoder learns nothing, and training often ends there.
_FLOOR = 1.0


class _Spherical(Posterior):
    """A density around a mean direction; the angle to it has the law `angle_law`."""

    space = "points of the unit sphere"
    angle_law: type[AngleLaw]

    def __init__(self, latent_dim: int, **kwargs: Any) -> None:
        if latent_dim == 1:
            raise ValueError(
                f"`latent_dim` must be at least 2: it is the dimension of the space around "
                f"the sphere, 2 for a circle. Received: latent_dim={latent_dim}."
            )
        super().__init__(latent_dim, **kwargs)

    @property
    def params_shape(self) -> tuple[int, ...]:
        return (self.latent_dim + 1,)

    def noise_spec(self) -> dict[str, NoiseSpec]:
        return {
            "angle": NoiseSpec("uniform", ()),
            "direction": NoiseSpec("normal", self.latent_shape),
        }

    def concentration(self, params: tf.Tensor) -> tf.Tensor:
        """How near draws are to the mean direction, `[batch]`, above 1."""
        return numerics.positive(params[..., self.latent_dim], floor=_FLOOR)

    def sample_and_log_prob(
        self, params: tf.Tensor, noise: Mapping[str, tf.Tensor], context: Context
    ) -> Draw:
        mu, law = self.point(params), self._law(params)
        theta = law.angle(noise["angle"])
        # A unit vector orthogonal to mu. Its derivative is that of the rotation that carries
        # mu along: unlike that of a reflection or a projection it is bounded.
        normal = noise["direction"]
        tangent = unit(tf.stop_gradient(_orthogonal(_orthogonal(normal, mu), mu)))
        tangent = _orthogonal(tangent, mu)
        latents = tf.cos(theta)[..., None] * mu + tf.sin(theta)[..., None] * tangent
        log_prob = -law.concentration * law.fall(theta) - law.log_normaliser()
        return Draw(latents, log_prob)

    def log_prob(self, params: tf.Tensor, z: tf.Tensor, context: Context) -> tf.Tensor:
        law = self._law(params)
        # (1 - cos(theta)) / 2, exact for small angles.
        squared_sine = 0.25 * tf.reduce_sum((z - self.point(params)) ** 2, axis=-1)
        fall = law.fall_of(squared_sine)
        return -law.concentration * fall - law.log_normaliser()

    def point(self, params: tf.Tensor) -> tf.Tensor:
        return unit(params[..., : self.latent_dim])

    def mean(self, params: tf.Tensor) -> tf.Tensor:
        mean, _, _ = self._law(params).cosine_moments()
        return mean[..., None] * self.point(params)

    def scale(self, params: tf.Tensor) -> tf.Tensor:
        _, along, squared_sine = self._law(params).cosine_moments()
        across = squared_sine / (self.latent_dim - 1)
        share = self.point(params) ** 2
        return tf.sqrt(along[..., None] * share + across[..., None] * (1 - share))

    def entropy(self, params: tf.Tensor) -> tf.Tensor:
        return self._law(params).entropy()[..., None]

    def _law(self, params: tf.Tensor) -> AngleLaw:
        return self.angle_law(self.latent_dim, self.concentration(params))


@register("posteriors")
class VonMisesFisher(_Spherical):
    """The normal of the sphere: log q = concentration * cos(angle to the mean direction) + c.

    Parameters `[batch, latent_dim + 1]`: the mean direction, of any length, then the
    concentration before softplus; 1 is added to it, so that it stays above 1. Latents are
    points of the unit sphere of R^latent_dim, and densities are by its area. `point` is the
    mean direction; the mean lies inside of the sphere.

    Draws invert the distribution function of the angle, exactly to rounding in any dimension,
    with the derivative of the implicit function: there is no rejection and no correction
    term. Gradients with respect to the mean direction are those of a rotation of the draw.

    Args:
        latent_dim: Dimension of the space around the sphere, at least 2.
        **kwargs: As in any Keras layer.

    Raises:
        ValueError: If `latent_dim` is not an integer above 1.

    Example:
    >>> q = keras_vae.posteriors.VonMisesFisher(latent_dim=3)
    >>> q.point(tf.constant([[0.0, 0.0, 4.0, 1.0]])).numpy().tolist()
    [[0.0, 0.0, 1.0]]

    Reference: Davidson et al. (2018), equations 5 to 7.
    """

    angle_law = VonMisesFisherAngle

    def distribution(self, params: tf.Tensor) -> tfp.distributions.Distribution:
        return tfd.VonMisesFisher(self.point(params), self.concentration(params))


@register("posteriors")
class PowerSpherical(_Spherical):
    """A density (1 + cos(angle to the mean direction))**concentration on the sphere.

    Like `VonMisesFisher`, with heavier tails, and a normaliser and moments that are elementary.
    Parameters `[batch, latent_dim + 1]`: the mean direction, of any length, then the
    concentration before softplus; 1 is added to it, so that it stays above 1. Latents are
    points of the unit sphere of R^latent_dim, and densities are by its area. `point` is the
    mean direction. Draws are made as by `VonMisesFisher`.

    Args:
        latent_dim: Dimension of the space around the sphere, at least 2.
        **kwargs: As in any Keras layer.

    Raises:
        ValueError: If `latent_dim` is not an integer above 1.

    Example:
    >>> q = keras_vae.posteriors.PowerSpherical(latent_dim=3)
    >>> q.params_shape
    (4,)

    Reference: De Cao and Aziz (2020), equations 5 to 12.
    """

    angle_law = PowerSphericalAngle

    def distribution(self, params: tf.Tensor) -> tfp.distributions.Distribution:
        return tfd.PowerSpherical(self.point(params), self.concentration(params))


def _orthogonal(x: tf.Tensor, mu: tf.Tensor) -> tf.Tensor:
    return x - tf.reduce_sum(x * mu, axis=-1, keepdims=True) * mu
