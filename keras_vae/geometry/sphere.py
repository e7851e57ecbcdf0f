"""The angle between a point of the unit sphere and a mean direction.

A density on the sphere of R^d that falls off around a direction is a density of the angle
theta in [0, pi]: proportional to exp(-concentration * fall(theta)) * sin(theta)**(d - 2). What
has no closed form is integrated over 65 Chebyshev nodes. These span the angles where the
density is above exp(-30) of its peak: both laws here fall at least as fast as
exp(-rate * (1 - cos(t))) at a distance t from their mode, with the rate that `span` tells.

Floor 1.
"""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

__all__ = ["AngleLaw", "PowerSphericalAngle", "VonMisesFisherAngle", "log_area", "unit"]

_DEPTH = 30.0
_DEGREE = 64
_NEWTON_STEPS = 5

# Values at the nodes -> Chebyshev coefficients of the integral from -1.
_NODES = -np.cos(np.pi * np.arange(_DEGREE + 1) / _DEGREE)
_COEFFICIENTS = np.linalg.inv(np.polynomial.chebyshev.chebvander(_NODES, _DEGREE))
_INTEGRAL = np.polynomial.chebyshev.chebint(_COEFFICIENTS, lbnd=-1, axis=0).T
_INTEGRAL_AT_NODES = np.polynomial.chebyshev.chebvander(_NODES, _DEGREE + 1).T
_LOG_WEIGHTS = np.log(_INTEGRAL.sum(1))
_ORDERS = np.arange(_DEGREE + 2)

# Gauss' rule on (0, 1) in s, for the variable 1 - s**2: its nodes crowd at 1, where the
# power spherical density may have an infinite slope.
_GAUSS, _GAUSS_WEIGHTS = np.polynomial.legendre.leggauss(32)
_FRACTIONS = 1 - (0.5 * (_GAUSS + 1)) ** 2
_FRACTION_WEIGHTS = 0.5 * (_GAUSS + 1) * _GAUSS_WEIGHTS


def log_area(dimension: int) -> float:
    """Log of the area of the unit sphere of R^dimension."""
    return math.log(2) + dimension / 2 * math.log(math.pi) - math.lgamma(dimension / 2)


def unit(x: tf.Tensor) -> tf.Tensor:
    """`x` at length 1; the first axis where it is shorter than 1e-6."""
    squared = tf.reduce_sum(x**2, axis=-1, keepdims=True)
    first = tf.one_hot(0, x.shape[-1], dtype=x.dtype)
    null = squared < 1e-12
    return tf.where(null, first, x) * tf.math.rsqrt(
        tf.where(null, tf.ones_like(squared), squared)
    )


class AngleLaw:
    """Density of the angle; abstract.

    Args:
        dimension: Of the space around the sphere, d >= 2.
        concentration: `[...]`, positive.
    """

    def __init__(self, dimension: int, concentration: tf.Tensor) -> None:
        self.concentration = concentration
        self.power = dimension - 2
        self.log_circle = log_area(dimension - 1)

    def fall(self, theta: tf.Tensor) -> tf.Tensor:
        """What `concentration` multiplies: 0 at theta = 0, and growing."""
        return self.fall_of(tf.sin(0.5 * theta) ** 2)

    def fall_of(self, squared_sine: tf.Tensor) -> tf.Tensor:
        """The fall as a function of sin(theta / 2)**2."""
        raise NotImplementedError

    def span(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Smallest and largest angle that matter, constants for the gradient."""
        raise NotImplementedError

    def log_normaliser(self) -> tf.Tensor:
        """Log of the integral of exp(-concentration * fall) over the sphere."""
        raise NotImplementedError

    def mean_fall(self) -> tf.Tensor:
        """E[fall]."""
        raise NotImplementedError

    def cosine_moments(self) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """E[cos], var[cos] and E[sin**2]."""
        raise NotImplementedError

    def entropy(self) -> tf.Tensor:
        """Entropy on the sphere in nats."""
        return self.log_normaliser() + self.concentration * self.mean_fall()

    def log_density(self, theta: tf.Tensor, concentration: tf.Tensor) -> tf.Tensor:
        """Log density of angles, up to a constant."""
        sine = tf.maximum(tf.sin(theta), np.finfo("float32").tiny)
        return -concentration * self.fall(theta) + self.power * tf.math.log(sine)

    def angle(self, u: tf.Tensor) -> tf.Tensor:
        """The angle below which lies the mass `u`.

        The derivative with respect to the concentration is that of the implicit function:
        -(dF / dconcentration) / f (Figurnov et al., 2018, equation 6).

        Args:
            u: `[sample, ...]` in [0, 1).

        Returns:
            `[sample, ...]`.
        """

        @tf.custom_gradient
        def inverse(concentration: tf.Tensor) -> tuple[tf.Tensor, object]:
            theta = self._solve(u)

            def gradient(upstream: tf.Tensor) -> tf.Tensor:
                extra = u.shape.rank - concentration.shape.rank
                return tf.reduce_sum(upstream * self._slope(theta, u), axis=list(range(extra)))

            return theta, gradient

        return inverse(self.concentration)

    def _node_angles(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Angles of the nodes, and half the width of their span."""
        low, high = self.span()
        half = 0.5 * (high - low)
        nodes = tf.constant(_NODES, half.dtype)
        return low[..., None] + half[..., None] * (nodes + 1), half

    def _solve(self, u: tf.Tensor) -> tf.Tensor:
        """Invert the distribution function by Newton steps between two nodes."""
        dtype = u.dtype
        low, high = self.span()
        nodes, half = self._node_angles()
        log_density = self.log_density(nodes, self.concentration[..., None])
        top = tf.reduce_max(log_density, axis=-1, keepdims=True)
        series = tf.tensordot(tf.exp(log_density - top), tf.constant(_INTEGRAL, dtype), 1)
        total = tf.reduce_sum(series, axis=-1, keepdims=True)
        series = series / total
        at_nodes = tf.tensordot(series, tf.constant(_INTEGRAL_AT_NODES, dtype), 1)
        below = tf.reduce_sum(tf.cast(at_nodes <= u[..., None], dtype), axis=-1)
        index = tf.clip_by_value(below, 1.0, float(_DEGREE))
        left = -tf.cos(math.pi / _DEGREE * (index - 1))
        right = -tf.cos(math.pi / _DEGREE * index)
        log_scale = (top + tf.math.log(total))[..., 0]
        x = 0.5 * (left + right)
        for _ in range(_NEWTON_STEPS):
            waves = tf.cos(tf.acos(x)[..., None] * tf.constant(_ORDERS, dtype))
            excess = tf.reduce_sum(series * waves, axis=-1) - u
            theta = low + half * (x + 1)
            density = tf.exp(self.log_density(theta, self.concentration) - log_scale)
            step = excess / tf.maximum(density, np.finfo("float32").tiny)
            x = tf.clip_by_value(x - step, left, right)
        return tf.minimum(low + half * (x + 1), high)

    def _slope(self, theta: tf.Tensor, u: tf.Tensor) -> tf.Tensor:
        """Derivative of the angle with respect to the concentration.

        The integral is taken over the nearer tail and relative to the density at the angle,
        so that it is exact however far out that is.
        """
        low, high = self.span()
        way = (tf.where(u < 0.5, low, high) - theta)[..., None]
        points = theta[..., None] + way * tf.constant(_FRACTIONS, theta.dtype)
        kappa = self.concentration
        ratio = tf.exp(
            self.log_density(points, kappa[..., None])
            - self.log_density(theta, kappa)[..., None]
        )
        integrand = (self.mean_fall()[..., None] - self.fall(points)) * ratio
        weights = tf.constant(_FRACTION_WEIGHTS, theta.dtype)
        return tf.reduce_sum(way * weights * integrand, axis=-1)


class VonMisesFisherAngle(AngleLaw):
    """Fall 1 - cos(theta): the von Mises-Fisher density.

    Its normaliser is a Bessel function of order d / 2 - 1 for which TensorFlow has nothing; as
    an integral of a positive function it keeps its relative precision in any dimension.
    """

    def fall_of(self, squared_sine: tf.Tensor) -> tf.Tensor:
        return 2 * squared_sine

    def span(self) -> tuple[tf.Tensor, tf.Tensor]:
        kappa = tf.stop_gradient(self.concentration)
        ratio = self.power / (2 * kappa)
        cosine = 1 / (ratio + tf.sqrt(1 + ratio**2))
        mode = tf.atan2(tf.sqrt(2 * ratio * cosine), cosine)
        return _around(mode, kappa * cosine + self.power, math.pi)

    def log_normaliser(self) -> tf.Tensor:
        log_terms, half, _ = self._terms()
        return self.log_circle + tf.math.log(half) + tf.reduce_logsumexp(log_terms, axis=-1)

    def mean_fall(self) -> tf.Tensor:
        log_terms, _, fall = self._terms()
        return tf.reduce_sum(tf.nn.softmax(log_terms) * fall, axis=-1)

    def cosine_moments(self) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        log_terms, _, fall = self._terms()
        mass = tf.nn.softmax(log_terms)
        mean = tf.reduce_sum(mass * fall, axis=-1)
        variance = tf.reduce_sum(mass * (fall - mean[..., None]) ** 2, axis=-1)
        return 1 - mean, variance, tf.reduce_sum(mass * fall * (2 - fall), axis=-1)

    def _terms(self) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        nodes, half = self._node_angles()
        weights = tf.constant(_LOG_WEIGHTS, nodes.dtype)
        log_terms = self.log_density(nodes, self.concentration[..., None]) + weights
        return log_terms, half, self.fall(nodes)


class PowerSphericalAngle(AngleLaw):
    """Fall -log((1 + cos(theta)) / 2): the power spherical density.

    (1 + cos) / 2 is distributed as Beta(a, b), with a = b + concentration and
    b = (d - 1) / 2 (De Cao and Aziz, 2020, section 3.1).
    """

    def __init__(self, dimension: int, concentration: tf.Tensor) -> None:
        super().__init__(dimension, concentration)
        self.b = 0.5 * (dimension - 1)
        self.a = concentration + self.b

    def fall_of(self, squared_sine: tf.Tensor) -> tf.Tensor:
        # At the antipode it is infinite; it stops there where the dtype does.
        largest = 1 - np.finfo(squared_sine.dtype.as_numpy_dtype).eps
        return -tf.math.log1p(-tf.minimum(squared_sine, largest))

    def span(self) -> tuple[tf.Tensor, tf.Tensor]:
        kappa = tf.stop_gradient(self.concentration)
        half_mode = tf.atan(tf.sqrt(self.power / (2 * kappa + self.power)))
        low, high = _around(half_mode, 2 * (kappa + self.power), math.pi / 2)
        return 2 * low, 2 * high

    def log_normaliser(self) -> tf.Tensor:
        return self.log_circle + self.power * math.log(2) + _log_beta(self.a, self.b)

    def mean_fall(self) -> tf.Tensor:
        return _digamma_difference(self.a, self.b)

    def cosine_moments(self) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        a, b = self.a, self.b
        total = a + b
        squared_sine = 4 * (a / total) * (b / (total + 1))
        return self.concentration / total, squared_sine / total, squared_sine


def _around(mode: tf.Tensor, rate: tf.Tensor, limit: float) -> tuple[tf.Tensor, tf.Tensor]:
    """Ends of the interval where rate * (1 - cos(distance)) is below `_DEPTH`."""
    squared_sine = tf.minimum(_DEPTH / (2 * rate), 1.0)
    reach = 2 * tf.asin(tf.sqrt(squared_sine))
    return tf.maximum(mode - reach, 0.0), tf.minimum(mode + reach, limit)


def _log_beta(a: tf.Tensor, b: float) -> tf.Tensor:
    """Log of the beta function, precise for large a in value and derivative."""

    @tf.custom_gradient
    def function(a: tf.Tensor) -> tuple[tf.Tensor, object]:
        ratio = tfp.math.log_gamma_difference(tf.constant(b, a.dtype), a)
        return math.lgamma(b) + ratio, lambda up: -up * _digamma_difference(a, b)

    return function(a)


def _digamma_difference(a: tf.Tensor, b: float) -> tf.Tensor:
    """Digamma(a + b) - digamma(a), without cancellation for large a."""
    large = tf.maximum(a, 10.0)
    inverse, other = 1 / large, 1 / (large + b)
    # Bernoulli numbers over their index, of the asymptotic series in 1 / x**2.
    series = tf.zeros_like(a)
    for index, coefficient in enumerate((1 / 12, -1 / 120, 1 / 252, -1 / 240, 1 / 132), 1):
        power = 2 * index
        series += coefficient * (inverse**power - other**power)
    asymptotic = tf.math.log1p(b * inverse) + 0.5 * b * inverse * other + series
    small = tf.minimum(a, 10.0)
    exact = tf.math.digamma(small + b) - tf.math.digamma(small)
    return tf.where(a > 10.0, asymptotic, exact)
