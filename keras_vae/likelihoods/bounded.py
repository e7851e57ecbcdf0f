"""Likelihoods of real numbers within bounds.

Floor 2.
"""

from __future__ import annotations

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from keras_vae import numerics
from keras_vae.component import register
from keras_vae.likelihoods.base import Likelihood, Support, keyed_noise
from keras_vae.likelihoods.location_scale import LocationScale
from keras_vae.likelihoods.normal import Normal
from keras_vae.terms import Context

__all__ = ["Beta", "ContinuousBernoulli", "LogNormal"]

tfd = tfp.distributions

# log(sinh(h) / h) = sum of these times h**2, h**4, ...: the Taylor series.
_LOG_SINHC = (
    1 / 6,
    -1 / 180,
    1 / 2835,
    -1 / 37800,
    1 / 467775,
    -691 / 3831077250,
    2 / 127702575,
    -3617 / 2605132530000,
)
# Below it the series is exact to 1e-13; above it the closed form loses at most 3 bits.
_SERIES_BELOW = 0.5
# Means of Beta stay this far from 0 and 1, where its density would degenerate.
_BETA_MARGIN = 1e-6


@register("likelihoods")
class LogNormal(LocationScale):
    """Positive numbers whose logarithms are independent normals.

    The decoder emits the means of log x and, if asked, their standard deviations. `mean` is
    that of x, exp(location + scale**2 / 2); `point` is exp(location), the median and
    geometric mean, since the mean lies far out in the tail where scales are large. The encoder
    sees log(1 + x).

    Args:
        scale: Standard deviation of log x. A positive number: fixed. `"learned"`: one weight
            for all elements. `"predicted"`: emitted by the decoder for each element.
            `"optimal"`: the root mean squared error of log x, over the batch in training,
            whose bounds are then none on log p(x), and a running average of its square
            elsewhere. Defaults to `1.0`.
        min_scale: Scales that are not given do not fall below it. Defaults to `1e-3`.
        **kwargs: As in any Keras layer.

    Raises:
        ValueError: If `scale` is neither positive nor one of the names, or `min_scale` is
            not positive.

    Example:
    >>> p = keras_vae.likelihoods.LogNormal(scale=2.0)
    >>> p.build((1,))
    >>> round(float(p.log_prob(tf.zeros([1]), tf.ones([1]))), 4)
    -1.6121

    Reference: Johnson, Kotz and Balakrishnan (1994), Continuous Univariate Distributions 1,
    equations 14.2 and 14.8.
    """

    support = Support(0.0, None, "shift or impute values that are not positive", open=True)
    units = "log"
    optimal_power = 2
    standard_log_prob = Normal.standard_log_prob
    standard_noise = Normal.standard_noise

    def family(self, location: tf.Tensor, scale: tf.Tensor) -> tfp.distributions.Distribution:
        return tfd.LogNormal(location, scale)

    def elementwise_log_prob(
        self, params: tf.Tensor, x: tf.Tensor, mask: tf.Tensor | None, context: Context
    ) -> tf.Tensor:
        log_x = tf.math.log(x)
        return super().elementwise_log_prob(params, log_x, mask, context) - log_x

    def mean(self, params: tf.Tensor) -> tf.Tensor:
        return keras.ops.exp(self.location(params) + 0.5 * self.scales(params) ** 2)

    def point(self, params: tf.Tensor) -> tf.Tensor:
        return keras.ops.exp(self.location(params))

    def mixture_point(self, params: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
        # The geometric mean of the mixture.
        return tf.exp(numerics.weighted_mean(self.location(params), weights))

    def encoder_input(self, x: tf.Tensor) -> tf.Tensor:
        return keras.ops.log(1 + x)

    def constrained_view(self, view: tf.Tensor) -> tf.Tensor:
        return keras.ops.maximum(view, 0.0)

    def sample(self, params: tf.Tensor, seed: int | tf.Tensor | None = None) -> tf.Tensor:
        draws = tf.exp(super().sample(params, seed))
        return tf.clip_by_value(draws, draws.dtype.as_numpy_dtype(1e-37), draws.dtype.max)


@register("likelihoods")
class Beta(Likelihood):
    """Independent Beta distributions on (0, 1), by mean and concentration.

    The decoder emits, for each element, the logit of the mean m and the concentration k
    through a softplus: the distribution is Beta(m k, (1 - m) k), of variance
    m (1 - m) / (k + 1). Means stay 1e-6 away from 0 and 1.

    Example:
    >>> p = keras_vae.likelihoods.Beta()
    >>> p.build((1,))
    >>> round(float(p.mean(tf.zeros([2]))[0]), 4)
    0.5

    Reference: Ferrari and Cribari-Neto (2004), Beta Regression for Modelling Rates and
    Proportions, equation 4.
    """

    support = Support(
        0.0,
        1.0,
        "move values inside, as by (x * (n - 1) + 0.5) / n with n examples, or use "
        "keras_vae.likelihoods.ContinuousBernoulli",
        open=True,
    )

    def params_shape(self, event_shape: tuple[int, ...]) -> tuple[int, ...]:
        return (*event_shape[:-1], 2 * event_shape[-1])

    def distribution(self, params: tf.Tensor) -> tfp.distributions.Distribution:
        return tfd.Independent(tfd.Beta(*self._exponents(params)), len(self.event_shape))

    def elementwise_log_prob(
        self, params: tf.Tensor, x: tf.Tensor, mask: tf.Tensor | None, context: Context
    ) -> tf.Tensor:
        a, b = self._exponents(params)
        # log B(a, b), without cancellation for large exponents.
        log_normaliser = tfp.math.lbeta(a, b)
        return (a - 1) * tf.math.log(x) + (b - 1) * tf.math.log1p(-x) - log_normaliser

    def mean(self, params: tf.Tensor) -> tf.Tensor:
        return _beta_mean(params[..., : self.event_shape[-1]])

    def sample(self, params: tf.Tensor, seed: int | tf.Tensor | None = None) -> tf.Tensor:
        draws = super().sample(params, seed)
        # Rounding can put draws on the bounds, where there is no density.
        half = numerics.open_uniform(tf.zeros([], draws.dtype))
        return tf.clip_by_value(draws, half, 1 - half)

    def _exponents(self, params: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        logits, raw = tf.split(params, 2, axis=-1)
        concentration = numerics.positive(raw)
        # 1 - mean is the mean of the opposite logit: exact where the mean rounds to 1.
        return _beta_mean(logits) * concentration, _beta_mean(-logits) * concentration


def _beta_mean(logits: tf.Tensor) -> tf.Tensor:
    return _BETA_MARGIN + (1 - 2 * _BETA_MARGIN) * keras.ops.sigmoid(logits)


@register("likelihoods")
class ContinuousBernoulli(Likelihood):
    """Independent continuous Bernoulli distributions: a density of grey values in [0, 1].

    The density is that of `Bernoulli` at soft bits, normalised. The decoder emits logits l:

        log p(x) = (x - 1/2) l - log( sinh(l/2) / (l/2) )

    Example:
    >>> p = keras_vae.likelihoods.ContinuousBernoulli()
    >>> p.build((1,))
    >>> round(float(p.log_prob(tf.ones([1]), tf.ones([1]))), 4)
    0.4587

    Reference: Loaiza-Ganem and Cunningham (2019), The continuous Bernoulli: fixing a
    pervasive error in variational autoencoders, equations 6 to 8.
    """

    support = Support(0.0, 1.0, "divide 8-bit images by 255")

    def params_shape(self, event_shape: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(event_shape)

    def distribution(self, params: tf.Tensor) -> tfp.distributions.Distribution:
        elements = tfd.ContinuousBernoulli(params, dtype=params.dtype)
        return tfd.Independent(elements, len(self.event_shape))

    def elementwise_log_prob(
        self, params: tf.Tensor, x: tf.Tensor, mask: tf.Tensor | None, context: Context
    ) -> tf.Tensor:
        half = tf.abs(params) / 2
        near = half < _SERIES_BELOW
        safe = tf.where(near, tf.ones_like(half), half)
        rest = tf.math.log(-tf.math.expm1(-2 * safe) / (2 * safe))
        # (x - 1/2) l - |l| / 2, without cancellation.
        closed = -2 * safe * tf.where(params > 0, 1 - x, x) - rest
        small = tf.where(near, half, tf.zeros_like(half)) ** 2
        series = tf.zeros_like(small)
        for coefficient in reversed(_LOG_SINHC):
            series = small * (coefficient + series)
        return tf.where(near, (x - 0.5) * params - series, closed)

    def mean(self, params: tf.Tensor) -> tf.Tensor:
        # 1/2 + (coth(h) - 1/h) / 2 with h = l/2.
        half = params / 2
        near = keras.ops.abs(half) < _SERIES_BELOW
        safe = keras.ops.where(near, keras.ops.ones_like(half), half)
        closed = 1 / keras.ops.tanh(safe) - 1 / safe
        square = keras.ops.where(near, half, keras.ops.zeros_like(half)) ** 2
        series = keras.ops.zeros_like(square)
        for power, coefficient in reversed(list(enumerate(_LOG_SINHC, 1))):
            series = 2 * power * coefficient + square * series
        return 0.5 + 0.5 * keras.ops.where(near, half * series, closed)

    def sample(self, params: tf.Tensor, seed: int | tf.Tensor | None = None) -> tf.Tensor:
        # The distribution function inverted for negative logits; for others 1 - x.
        uniform = keyed_noise("uniform", params, seed)
        size = tf.maximum(tf.abs(params), 1e-6)
        x = tf.math.log1p(uniform * tf.math.expm1(-size)) / -size
        return tf.clip_by_value(tf.where(params > 0, 1 - x, x), 0.0, 1.0)
