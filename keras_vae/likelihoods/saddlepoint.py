"""Probabilities of counts that stay accurate where log-gammas would cancel.

In float32, log(10000!) is known to 0.005 only. Written as a deviance from the mean and a
slowly varying rest, log-probabilities keep all digits at any count.

Reference: Loader (2000), Fast and Accurate Computation of Binomial Probabilities, sections
2 to 5.
Floor 2.
"""

from __future__ import annotations

import math

import tensorflow as tf

__all__ = ["deviance", "log_choose", "log_factorial_rest"]

_LOG_TWO_PI = math.log(2 * math.pi)
# Stirling's series: log x! - (x log x - x) - log(2 pi x) / 2 is the sum of these over odd
# powers of x; from `_STIRLING_FROM` on it is exact to 1e-16.
_STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188)
_STIRLING_FROM = 16.0
# Below it the series of the deviance is exact to 1e-16; above it the closed form loses at
# most 3 bits.
_NEAR = 0.15
_TERMS = 9


def log_factorial_rest(x: tf.Tensor) -> tf.Tensor:
    """Log x! - (x log x - x), for real x >= 0."""
    large = x >= _STIRLING_FROM
    safe = tf.where(large, x, tf.ones_like(x))
    inverse = 1 / safe
    series = tf.zeros_like(x)
    for coefficient in reversed(_STIRLING):
        series = coefficient + inverse**2 * series
    stirling = 0.5 * (_LOG_TWO_PI + tf.math.log(safe)) + inverse * series
    small = tf.where(large, tf.ones_like(x), x)
    direct = tf.math.lgamma(small + 1) - tf.math.xlogy(small, small) + small
    return tf.where(large, stirling, direct)


def deviance(x: tf.Tensor, log_mean: tf.Tensor, excess: tf.Tensor) -> tf.Tensor:
    """X log(x / mean) - x + mean, for real x >= 0: nothing where x is the mean.

    Args:
        x: A count.
        log_mean: Log of its mean.
        excess: mean - x, free of cancellation.
    """
    positive = x > 0
    safe = tf.where(positive, x, tf.ones_like(x))
    ratio = excess / safe
    v = ratio / (2 + ratio)
    near = positive & (tf.abs(v) < _NEAR)
    # t - log(1 + t) = t v - 2 v**3 (1/3 + v**2/5 + ...), with t = excess / x, v = t / (2 + t).
    v = tf.where(near, v, tf.zeros_like(v))
    square, series = v**2, tf.zeros_like(v)
    for k in reversed(range(_TERMS)):
        series = 1 / (2 * k + 3) + square * series
    t = tf.where(near, ratio, tf.zeros_like(ratio))
    close = safe * v * (t - 2 * square * series)
    # One product, so that counts near the largest float do not leave inf - inf; not of counts
    # near the smallest one, which runtimes take for 0 or not.
    is_large = x > 1
    large = tf.where(is_large, x, tf.ones_like(x))
    product = large * (tf.math.log(large) - log_mean + excess / large)
    far = tf.where(is_large, product, tf.math.xlogy(x, safe) - x * log_mean + excess)
    return tf.where(near, close, far)


def log_choose(
    successes: tf.Tensor,
    failures: tf.Tensor,
    log_success: tf.Tensor,
    log_failure: tf.Tensor,
    excess: tf.Tensor,
) -> tf.Tensor:
    """Log of binomial coefficient p**successes (1 - p)**failures, for real counts >= 0.

    Args:
        successes: A count.
        failures: A count.
        log_success: Log p.
        log_failure: Log(1 - p).
        excess: (successes + failures) p - successes, free of cancellation.
    """
    total = successes + failures
    log_total = tf.math.log(total)
    return (
        log_factorial_rest(total)
        - log_factorial_rest(successes)
        - log_factorial_rest(failures)
        - deviance(successes, log_total + log_success, excess)
        - deviance(failures, log_total + log_failure, -excess)
    )
