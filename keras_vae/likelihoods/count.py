"""Likelihoods of counts.

Floor 2.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from keras_vae.arguments import require_integer
from keras_vae.component import register
from keras_vae.likelihoods.base import Likelihood, Support
from keras_vae.likelihoods.saddlepoint import deviance, log_choose, log_factorial_rest
from keras_vae.terms import Context

__all__ = ["Binomial", "Poisson"]

tfd = tfp.distributions


class Count(Likelihood):
    """p(x|z) of counts. The encoder sees log(1 + x): counts span orders of magnitude."""

    support = Support(0.0, None, "round, or use a likelihood of real values", integer=True)

    def encoder_input(self, x: tf.Tensor) -> tf.Tensor:
        return keras.ops.log(1 + x)

    def constrained_view(self, view: tf.Tensor) -> tf.Tensor:
        return keras.ops.maximum(view, 0.0)


@register("likelihoods")
class Poisson(Count):
    """Independent Poisson counts; the decoder emits logarithms of rates.

    Rates are exponentials, not softplus: effects multiply, as counts do; the gradient is
    x - rate and never vanishes; and the logarithm of the rate, which the density needs, is
    exact.

    Example:
    >>> p = keras_vae.likelihoods.Poisson()
    >>> p.build((1,))
    >>> round(float(p.log_prob(tf.zeros([1]), tf.constant([2.0]))), 4)
    -1.6931

    Reference: McCullagh and Nelder (1989), Generalized Linear Models, chapter 6.
    """

    units = "log"

    def params_shape(self, event_shape: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(event_shape)

    def distribution(self, params: tf.Tensor) -> tfp.distributions.Distribution:
        return tfd.Independent(tfd.Poisson(log_rate=params), len(self.event_shape))

    def elementwise_log_prob(
        self, params: tf.Tensor, x: tf.Tensor, mask: tf.Tensor | None, context: Context
    ) -> tf.Tensor:
        return -deviance(x, params, tf.exp(params) - x) - log_factorial_rest(x)

    def mean(self, params: tf.Tensor) -> tf.Tensor:
        return keras.ops.exp(params)


@register("likelihoods")
class Binomial(Count):
    """Independent counts of successes in a known number of trials; the decoder emits logits.

    Suits pixels of few levels, x = 0 .. levels - 1, with `trials=levels - 1`.

    Args:
        trials: Number of trials, the largest count.
        **kwargs: As in any Keras layer.

    Raises:
        ValueError: If `trials` is not an integer >= 1.

    Example:
    >>> p = keras_vae.likelihoods.Binomial(trials=2)
    >>> p.build((1,))
    >>> round(float(p.log_prob(tf.zeros([1]), tf.constant([1.0]))), 4)
    -0.6931

    Reference: McCullagh and Nelder (1989), Generalized Linear Models, chapter 4.
    """

    def __init__(self, trials: int, **kwargs: Any) -> None:
        require_integer("trials", trials, 1)
        super().__init__(**kwargs)
        self.trials = trials

    @property
    def support(self) -> Support:  # type: ignore[override]
        """The integers from 0 to `trials`."""
        fix = "scale and round to counts of at most `trials`, or raise `trials`"
        return Support(0.0, float(self.trials), fix, integer=True)

    def params_shape(self, event_shape: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(event_shape)

    def distribution(self, params: tf.Tensor) -> tfp.distributions.Distribution:
        counts = tfd.Binomial(tf.constant(self.trials, params.dtype), logits=params)
        return tfd.Independent(counts, len(self.event_shape))

    def elementwise_log_prob(
        self, params: tf.Tensor, x: tf.Tensor, mask: tf.Tensor | None, context: Context
    ) -> tf.Tensor:
        log_success, log_failure = -tf.math.softplus(-params), -tf.math.softplus(params)
        failures = self.trials - x
        excess = failures * tf.sigmoid(params) - x * tf.sigmoid(-params)
        return log_choose(x, failures, log_success, log_failure, excess)

    def mean(self, params: tf.Tensor) -> tf.Tensor:
        return self.trials * keras.ops.sigmoid(params)
