"""Likelihoods of real numbers with heavier tails than the normal.

Floor 2.
"""

from __future__ import annotations

import math
from typing import Any

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from keras_vae import numerics
from keras_vae.arguments import is_number, require_one_of
from keras_vae.component import register
from keras_vae.likelihoods.base import keyed_noise
from keras_vae.likelihoods.location_scale import LocationScale
from keras_vae.streams import Stream

__all__ = ["Laplace", "Logistic", "StudentT"]

tfd = tfp.distributions
_LOG_TWO = math.log(2)
# Where learned degrees of freedom start: near a normal, and not yet at one.
_START_DF = 10.0
# Student's density is a power of the distance from here on, to all digits.
_FAR = 1e12


@register("likelihoods")
class Laplace(LocationScale):
    """Independent Laplace distributions: the absolute error, as a density.

    The decoder emits locations, which are means and medians, and, if asked, scales.

    Args:
        scale: The mean absolute error. A positive number: fixed. `"learned"`: one weight for
            all elements. `"predicted"`: emitted by the decoder for each element. `"optimal"`:
            the mean absolute error of the batch, which maximises the likelihood, in training,
            whose bounds are then none on log p(x); its running average elsewhere. Defaults to
            `1.0`.
        min_scale: Scales that are not given do not fall below it. Defaults to `1e-3`.
        **kwargs: As in any Keras layer.

    Raises:
        ValueError: If `scale` is neither positive nor one of the names, or `min_scale` is
            not positive.

    Example:
    >>> p = keras_vae.likelihoods.Laplace(scale=2.0)
    >>> p.build((1,))
    >>> round(float(p.log_prob(tf.zeros([1]), tf.ones([1]))), 4)
    -1.8863

    Reference: Kotz, Kozubowski and Podgorski (2001), The Laplace Distribution and
    Generalizations: density 2.1.1, likeliest scale 2.6.
    """

    optimal_power = 1

    def standard_log_prob(self, z: tf.Tensor) -> tf.Tensor:
        return -tf.abs(z) - _LOG_TWO

    def standard_noise(self, like: tf.Tensor, seed: Any) -> tf.Tensor:
        # The difference of two exponentials.
        one, two = (tf.math.log(keyed_noise("uniform", like, seed, i)) for i in range(2))
        return one - two

    def family(self, location: tf.Tensor, scale: tf.Tensor) -> tfp.distributions.Distribution:
        return tfd.Laplace(location, scale)


@register("likelihoods")
class Logistic(LocationScale):
    """Independent logistic distributions; the decoder emits means and, if asked, scales.

    Args:
        scale: Scale s; the standard deviation is s pi / sqrt(3). A positive number: fixed.
            `"learned"`: one weight for all elements. `"predicted"`: emitted by the decoder
            for each element. Defaults to `1.0`.
        min_scale: Scales that are not given do not fall below it. Defaults to `1e-3`.
        **kwargs: As in any Keras layer.

    Raises:
        ValueError: If `scale` is neither positive nor one of the names, or `min_scale` is
            not positive.

    Example:
    >>> p = keras_vae.likelihoods.Logistic(scale=2.0)
    >>> p.build((1,))
    >>> round(float(p.log_prob(tf.zeros([1]), tf.zeros([1]))), 4)
    -2.0794

    Reference: Johnson, Kotz and Balakrishnan (1995), Continuous Univariate Distributions 2,
    equation 23.5.
    """

    def standard_log_prob(self, z: tf.Tensor) -> tf.Tensor:
        distance = tf.abs(z)  # the density is symmetric, and inf - inf is NaN
        return -distance - 2 * tf.math.softplus(-distance)

    def standard_noise(self, like: tf.Tensor, seed: Any) -> tf.Tensor:
        return logistic_noise(like, seed)

    def family(self, location: tf.Tensor, scale: tf.Tensor) -> tfp.distributions.Distribution:
        return tfd.Logistic(location, scale)


@register("likelihoods")
class StudentT(LocationScale):
    """Independent Student distributions: errors with heavy tails, robust to outliers.

    The decoder emits locations, which are means and medians, and, if asked, scales.

    Args:
        df: Degrees of freedom: a number above 1, so that there is a mean; or `"learned"`: one
            weight for all elements. The fewer, the heavier the tails. Defaults to
            `"learned"`.
        scale: Scale s; the standard deviation is s sqrt(df / (df - 2)) where df > 2. A
            positive number: fixed. `"learned"`: one weight for all elements. `"predicted"`:
            emitted by the decoder for each element. Defaults to `1.0`.
        min_scale: Scales that are not given do not fall below it. Defaults to `1e-3`.
        **kwargs: As in any Keras layer.

    Raises:
        ValueError: If `df` is neither above 1 nor `"learned"`, `scale` is neither positive
            nor one of the names, or `min_scale` is not positive.

    Example:
    >>> p = keras_vae.likelihoods.StudentT(df=3.0)
    >>> p.build((1,))
    >>> round(float(p.log_prob(tf.zeros([1]), tf.zeros([1]))), 4)
    -1.0009

    Reference: Lange, Little and Taylor (1989), Robust Statistical Modeling Using the t
    Distribution, section 2.
    """

    def __init__(
        self, df: float | str = "learned", scale: float | str = 1.0, **kwargs: Any
    ) -> None:
        if isinstance(df, str):
            require_one_of("df", df, ("learned",))
        elif not is_number(df) or not 1 < df < math.inf:
            raise ValueError(f"`df` must be above 1. Received: df={df}.")
        super().__init__(scale, **kwargs)
        self.df = df

    def build(self, event_shape: tuple[int, ...]) -> None:
        if self.built:
            return
        super().build(event_shape)
        if self.df == "learned":
            start = keras.initializers.Constant(numerics.inverse_positive(_START_DF, 1.0))
            self.raw_df = self.add_weight(self.shared_shape, start, name="raw_df")

    def standard_log_prob(self, z: tf.Tensor) -> tf.Tensor:
        df = self._degrees(z.dtype)
        # log gamma(df / 2) - log gamma((df + 1) / 2), without cancellation for large df.
        log_ratio = tfp.math.log_gamma_difference(tf.constant(0.5, z.dtype), df / 2)
        log_normaliser = 0.5 * tf.math.log(math.pi * df) + log_ratio
        # Far out the square would leave the dtype, and log(1 + r) is log r.
        distance = tf.abs(z)
        is_far = distance > _FAR
        far = 2 * tf.math.log(tf.where(is_far, distance, tf.ones_like(z))) - tf.math.log(df)
        near = tf.math.log1p(tf.where(is_far, tf.zeros_like(z), z) ** 2 / df)
        log_term = tf.where(is_far, far, near)
        return -0.5 * (df + 1) * log_term - log_normaliser

    def standard_noise(self, like: tf.Tensor, seed: Any) -> tf.Tensor:
        # A normal divided by the root of a chi-square per degree of freedom.
        df = self._degrees(like.dtype)
        key = numerics.fold_in(Stream.LIKELIHOOD_SAMPLE.key(seed), 1)
        gamma = tfd.Gamma(tf.broadcast_to(df / 2, tf.shape(like)), df / 2).sample(seed=key)
        return keyed_noise("normal", like, seed) * tf.math.rsqrt(gamma)

    def family(self, location: tf.Tensor, scale: tf.Tensor) -> tfp.distributions.Distribution:
        return tfd.StudentT(self._degrees(location.dtype), location, scale)

    def _degrees(self, dtype: Any) -> tf.Tensor:
        if self.df == "learned":
            return numerics.positive(tf.convert_to_tensor(self.raw_df), 1.0)
        return tf.constant(self.df, dtype)


def logistic_noise(like: tf.Tensor, seed: Any, stream: int = 0) -> tf.Tensor:
    """Draw standard logistic noise in the shape of a tensor."""
    uniform = keyed_noise("uniform", like, seed, stream)
    return tf.math.log(uniform) - tf.math.log1p(-uniform)
