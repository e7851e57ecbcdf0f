"""The evidence lower bound, and what is left of it for an autoencoder.

Floor 3.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from keras_vae.component import register
from keras_vae.objectives.base import Objective, require_samples
from keras_vae.schedules import Schedule, value_at
from keras_vae.terms import Bound, Context, ElboTerms

__all__ = ["ELBO", "LogLikelihood"]


@register("objectives")
class ELBO(Objective):
    """Evidence lower bound: mean of log p(x|z) under q, minus beta * KL(q(z|x) || p(z)).

    The KL is the closed form where posterior and prior have one, else the average over the
    draw. At `beta=1` the value is a lower bound of log p(x).

    Args:
        beta: Weight of the KL, a number >= 0 or a schedule. Defaults to `1.0`.
        samples: Latents drawn per example. Defaults to `1`.
        **kwargs: As in any Keras layer.

    Raises:
        ValueError: If `beta` is negative or `samples` is not a positive integer.

    Example:
    >>> warm_up = keras_vae.schedules.LinearWarmup(steps=1_000)
    >>> keras_vae.objectives.ELBO(beta=warm_up).schedule_names()
    ['beta']

    Reference: Kingma and Welling (2014), Auto-Encoding Variational Bayes, equation 3;
    Higgins et al. (2017), beta-VAE, equation 4.
    """

    requires = frozenset({"density"})

    def __init__(
        self, beta: float | Schedule = 1.0, *, samples: int = 1, **kwargs: Any
    ) -> None:
        if not isinstance(beta, Schedule) and not beta >= 0:
            raise ValueError(f"`beta` must be >= 0 or a schedule. Received: beta={beta}.")
        require_samples(samples)
        super().__init__(**kwargs)
        self.beta = beta
        self.samples = samples

    def bound(self, terms: ElboTerms, context: Context) -> Bound:
        kl = tf.reduce_sum(terms.kl, axis=-1)
        log_likelihood = tf.reduce_mean(terms.log_likelihood, axis=0)
        return Bound(log_likelihood - value_at(self.beta, context.step) * kl)


@register("objectives")
class LogLikelihood(Objective):
    """Mean of log p(x|z) alone: the objective of a plain autoencoder.

    It asks nothing of the posterior, which may be `posteriors.Deterministic`; it is not a
    bound of log p(x).

    Example:
    >>> keras_vae.objectives.LogLikelihood().requires
    frozenset()
    """

    def bound(self, terms: ElboTerms, context: Context) -> Bound:
        return Bound(tf.reduce_mean(terms.log_likelihood, axis=0))
