"""The wrapped normal prior in the Poincare ball.

Floor 2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from keras_vae import numerics
from keras_vae.arguments import require_positive
from keras_vae.component import register
from keras_vae.geometry import poincare
from keras_vae.numerics import NoiseSpec
from keras_vae.priors.base import Prior
from keras_vae.terms import Context

__all__ = ["PoincareNormal"]

tfd = tfp.distributions


@register("priors")
class PoincareNormal(Prior):
    """A normal in hyperbolic space around the centre of the Poincare ball.

    z is the end of the geodesic that leaves the centre along v ~ N(0, scale**2). Densities
    are by the Lebesgue measure of the ball, as in `posteriors.PoincareNormal`.

    Args:
        curvature: c > 0, that of the posterior; the ball has the radius 1 / sqrt(c).
            Defaults to `1.0`.
        scale: Standard deviation of v in each dimension, a distance. Defaults to `1.0`.
        **kwargs: As in any Keras layer.

    Raises:
        ValueError: If `curvature` or `scale` is not positive.

    Example:
    >>> p = keras_vae.priors.PoincareNormal()
    >>> p.build((2,))
    >>> round(float(p.log_prob(tf.zeros([2]), Context())), 4)  # twice log 2 above the normal
    -0.4516

    Reference: Mathieu et al. (2019), Continuous Hierarchical Representations with Poincare
    Variational Auto-Encoders, section 3.2.
    """

    def __init__(self, curvature: float = 1.0, scale: float = 1.0, **kwargs: Any) -> None:
        poincare.check_curvature(curvature)
        require_positive("scale", scale)
        super().__init__(**kwargs)
        self.curvature = curvature
        self.scale = scale
        self.space = poincare.space(curvature)

    def noise_spec(self) -> dict[str, NoiseSpec]:
        return {"epsilon": NoiseSpec("normal", self.latent_shape)}

    def sample(self, noise: Mapping[str, tf.Tensor], context: Context) -> tf.Tensor:
        return poincare.exponential(self.scale * noise["epsilon"], self.curvature)

    def distribution(self, context: Context) -> tfp.distributions.Distribution:
        zeros = tf.zeros(self.latent_shape, numerics.density_dtype())
        normal = tfd.MultivariateNormalDiag(zeros, self.scale + zeros)
        return tfd.TransformedDistribution(normal, poincare.Wrapping(zeros, self.curvature))

    def log_prob(self, z: tf.Tensor, context: Context) -> tf.Tensor:
        tangent = poincare.logarithm(z, self.curvature)
        scale = tf.constant(self.scale, z.dtype)
        return poincare.wrapped_log_prob(z, tangent, scale, self.curvature)
