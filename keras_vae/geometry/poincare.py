"""The Poincare ball: hyperbolic space as the open ball of radius 1 / sqrt(c).

Tangent vectors are in orthonormal coordinates, so that their length is a distance. Points
are kept at most at (1 - 1e-5) of the radius, a distance of 12.2 / sqrt(c) from the centre:
beyond, float32 has no points left.

Floor 1. Ganea, Becigneul and Hofmann (2018), Hyperbolic Neural Networks; Mathieu, Le Lan,
Maddison, Tomioka and Teh (2019), Continuous Hierarchical Representations with Poincare
Variational Auto-Encoders.
"""

from __future__ import annotations

import math

import tensorflow as tf
import tensorflow_probability as tfp

from keras_vae.arguments import is_number

__all__ = [
    "Wrapping",
    "check_curvature",
    "exponential",
    "logarithm",
    "space",
    "translate",
    "wrapped_log_prob",
]

_RIM = 1e-5
# Squared lengths are no smaller: their roots have a derivative then.
_SMALLEST = 1e-14


def space(curvature: float) -> str:
    """The ball in words."""
    return f"points of the Poincare ball of curvature -{curvature:g}"


def check_curvature(curvature: float) -> None:
    """Raise an error unless the curvature is one.

    Raises:
        ValueError: If it is not positive and finite.
    """
    if not is_number(curvature) or not 0 < curvature < math.inf:
        raise ValueError(
            f"`curvature` must be positive and finite; for flat space use DiagonalNormal and "
            f"StandardNormal. Received: curvature={curvature}."
        )


def exponential(tangent: tf.Tensor, curvature: float) -> tf.Tensor:
    """The point at the end of a tangent vector at the centre, `[..., d]`.

    tanh(sqrt(c) |v| / 2) v / (sqrt(c) |v|).
    """
    x = 0.5 * math.sqrt(curvature) * _length(tangent)
    return 0.5 * tf.tanh(tf.minimum(x, math.atanh(1 - _RIM))) / x * tangent


def logarithm(point: tf.Tensor, curvature: float) -> tf.Tensor:
    """The tangent vector at the centre that ends at a point; inverse of `exponential`."""
    y = math.sqrt(curvature) * _length(point)
    return 2 * tf.atanh(tf.minimum(y, 1 - 0.1 * _RIM)) / y * point


def translate(origin: tf.Tensor, point: tf.Tensor, curvature: float) -> tf.Tensor:
    """Move the ball, an isometry, so that its centre comes to `origin` (Moebius addition)."""
    # Written so that nothing cancels near the rim: both shrinks are positive, and so is the
    # denominator.
    total = origin + point
    squared = curvature * tf.reduce_sum(total**2, axis=-1, keepdims=True)
    shrink = _shrink(origin, curvature)[..., None]
    numerator = shrink * total + squared * origin
    moved = numerator / (squared + shrink * _shrink(point, curvature)[..., None])
    limit = (1 - _RIM) / math.sqrt(curvature)
    return moved * tf.minimum(limit / _length(moved), 1.0)


def wrapped_log_prob(
    z: tf.Tensor, tangent: tf.Tensor, scale: tf.Tensor, curvature: float
) -> tf.Tensor:
    """Log density of the wrapped normal by the Lebesgue measure of the ball, `[...]`.

    Args:
        z: Points, `[..., d]`.
        tangent: Tangent vectors that lead to them, `[..., d]`.
        scale: Standard deviation of these, `[..., d]`.
        curvature: c > 0.
    """
    dimension = z.shape[-1]
    half_log_two_pi = 0.5 * math.log(2 * math.pi)
    normal = -0.5 * (tangent / scale) ** 2 - tf.math.log(scale) - half_log_two_pi
    x = math.sqrt(curvature) * _length(tangent)[..., 0]
    log_stretch = math.log(2) - tf.math.log(_shrink(z, curvature))
    log_prob = (
        tf.reduce_sum(normal, axis=-1)
        - (dimension - 1) * _log_sinhc(x)
        + dimension * log_stretch
    )
    inside = curvature * tf.reduce_sum(z**2, axis=-1) < 1
    return tf.where(inside, log_prob, -math.inf)


class Wrapping(tfp.bijectors.Bijector):
    """From tangent vectors at `origin` to points of the ball; for distributions as views."""

    def __init__(self, origin: tf.Tensor, curvature: float) -> None:
        parameters = dict(locals())
        super().__init__(
            forward_min_event_ndims=1,
            dtype=origin.dtype,
            parameters=parameters,
            name="wrapping",
        )
        self.origin = origin
        self.curvature = curvature

    def _forward(self, x: tf.Tensor) -> tf.Tensor:
        return translate(self.origin, exponential(x, self.curvature), self.curvature)

    def _inverse(self, y: tf.Tensor) -> tf.Tensor:
        return logarithm(translate(-self.origin, y, self.curvature), self.curvature)

    def _forward_log_det_jacobian(self, x: tf.Tensor) -> tf.Tensor:
        zeros, ones = tf.zeros_like(x), tf.ones_like(x)
        standard = wrapped_log_prob(self._forward(x), x, ones, self.curvature)
        flat = tfp.distributions.Normal(zeros, ones).log_prob(x)
        return tf.reduce_sum(flat, axis=-1) - standard


def _length(x: tf.Tensor) -> tf.Tensor:
    squared = tf.reduce_sum(x**2, axis=-1, keepdims=True)
    return tf.sqrt(tf.maximum(squared, _SMALLEST))


def _shrink(x: tf.Tensor, curvature: float) -> tf.Tensor:
    """1 - c |x|**2, positive: lengths near x, over distances, times 2."""
    return tf.maximum(1 - curvature * tf.reduce_sum(x**2, axis=-1), 0.1 * _RIM)


def _log_sinhc(x: tf.Tensor) -> tf.Tensor:
    """Log(sinh(x) / x); by its series for small x, where the derivative cancels."""
    small, large = tf.minimum(x, 0.05) ** 2, tf.maximum(x, 0.05)
    series = small * (1 / 6 - small * (1 / 180 - small / 2835))
    exact = large - tf.math.log(2 * large) + tf.math.log1p(-tf.exp(-2 * large))
    return tf.where(x < 0.05, series, exact)
