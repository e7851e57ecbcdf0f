"""The evidence lower bound, and what is left of it for an autoencoder.

Floor 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from keras_vae.arguments import require_one_of, require_size
from keras_vae.component import register
from keras_vae.objectives.base import (
    Objective,
    require_weight,
)
from keras_vae.schedules import Schedule, value_at
from keras_vae.terms import Bound, Context, ElboTerms

__all__ = ["ELBO", "LogLikelihood"]


@register("objectives")
class ELBO(Objective):
    """Evidence lower bound: mean of log p(x|z) under q, minus beta * KL(q(z|x) || p(z)).

    At `beta=1` and without the options below the value is a lower bound of log p(x). With C
    for `capacity` and lambda for `free_bits` the term KL of each example is replaced:

    - capacity: by |KL - C|, which holds the KL at C nats; for a list by the sum over
      blocks of a joint posterior of |KL_b - C_b|.
    - free bits over an example: by sum_j max(KL_j, lambda), where j runs over the groups of
      the KL, that is over latent dimensions where posterior and prior are factorised.
    - free bits over the batch: by a sum over j of KL_j where the mean of KL_j over the
      batch is above lambda, and of lambda where it is not. Without sample weights its mean
      over the batch is sum_j max(mean KL_j, lambda).

    Args:
        beta: Weight of the KL, a number >= 0 or a schedule. Defaults to `1.0`.
        capacity: Nats that the KL is held at, a number >= 0 or a schedule; or a list with
            one for each block of a joint posterior, where a list of one is as that one.
            Defaults to `None`: the plain KL.
        free_bits: Nats of KL that each group has free, a number >= 0 or a schedule.
            Defaults to `0.0`: none.
        free_bits_over: `"batch"` or `"example"`. Defaults to `"batch"`.
        kl: `"closed"` for the closed form where posterior and prior have one, else the
            average of log q(z|x) - log p(z) over the draw; `"monte_carlo"` for the average in
            any case, which knows neither groups nor blocks. Defaults to `"closed"`.
        samples: Latents drawn per example. Defaults to `1`.
        **kwargs: As in any Keras layer.

    Raises:
        ValueError: If `beta`, `capacity` or `free_bits` is negative, `samples` is not a
            positive integer, `free_bits_over` or `kl` is none of the above, or options
            exclude each other.

    Example:
    >>> warm_up = keras_vae.schedules.LinearWarmup(steps=1_000)
    >>> keras_vae.objectives.ELBO(beta=warm_up).schedule_names()
    ['beta']
    >>> keras_vae.objectives.ELBO(beta=30.0, capacity=[warm_up, 5.0]).schedule_names()
    ['capacity_0']

    Reference: Kingma and Welling (2014), Auto-Encoding Variational Bayes, equation 3;
    Higgins et al. (2017), beta-VAE, equation 4; Burgess et al. (2018), Understanding
    Disentangling in beta-VAE, equation 8; Dupont (2018), Learning Disentangled Joint
    Continuous and Discrete Representations, equation 7; Kingma et al. (2016), Improved
    Variational Inference with Inverse Autoregressive Flow, equation 15.
    """

    requires = frozenset({"density"})

    def __init__(
        self,
        beta: float | Schedule = 1.0,
        *,
        capacity: float | Schedule | Sequence[float | Schedule] | None = None,
        free_bits: float | Schedule = 0.0,
        free_bits_over: str = "batch",
        kl: str = "closed",
        samples: int = 1,
        **kwargs: Any,
    ) -> None:
        require_weight("beta", beta)
        in_blocks = isinstance(capacity, (list, tuple))
        for item in _as_list(capacity):
            require_weight("capacity", item)
        require_weight("free_bits", free_bits)
        require_one_of("free_bits_over", free_bits_over, ("batch", "example"))
        require_one_of("kl", kl, ("closed", "monte_carlo"))
        require_size("samples", samples)
        frees_bits = isinstance(free_bits, Schedule) or free_bits > 0
        if frees_bits and capacity is not None:
            raise ValueError(
                f"`free_bits` and `capacity` exclude each other: one lifts the KL, the other "
                f"holds it. Received: free_bits={free_bits}, capacity={capacity}. Use one."
            )
        if kl == "monte_carlo" and (frees_bits or in_blocks):
            raise ValueError(
                "`kl` must be 'closed' where the KL is looked at by group or block, as with "
                "`free_bits` or a list as `capacity`. Received: kl='monte_carlo'."
            )
        super().__init__(**kwargs)
        self.beta = beta
        self.capacity = capacity
        self.free_bits = free_bits
        self.free_bits_over = free_bits_over
        self.kl = kl
        self.samples = samples
        self.coupled = frees_bits and free_bits_over == "batch"
        self._frees_bits = frees_bits

    def bound(self, terms: ElboTerms, context: Context) -> Bound:
        kl = terms.kl
        if self.kl == "monte_carlo":
            kl = tf.reduce_mean(tf.subtract(terms.log_posterior, terms.log_prior), 0)[:, None]
        if self.capacity is not None:
            kl = self._distance_from_capacity(kl, terms.kl_blocks, context)
        if self._frees_bits:
            kl = self._above_free_bits(kl, context)
        beta = value_at(self.beta, context.step)
        log_likelihood = tf.reduce_mean(terms.log_likelihood, axis=0)
        return Bound(log_likelihood - beta * tf.reduce_sum(kl, axis=-1))

    def why_not(self, blocks: int) -> str | None:
        held = len(_as_list(self.capacity))
        if held in (0, 1, blocks):
            return None
        return (
            f"`capacity` is a list of {held}, but the posterior has {blocks} "
            f"block{'s' if blocks > 1 else ''}; use one number or schedule, or a list with one "
            f"for each block"
        )

    def _distance_from_capacity(
        self, kl: tf.Tensor, blocks: tuple[int, ...], context: Context
    ) -> tf.Tensor:
        """|KL - C| by block, `[batch, blocks]`."""
        capacities = _as_list(self.capacity)
        in_blocks = len(capacities) > 1
        parts = tf.split(kl, blocks, axis=-1) if in_blocks else [kl]
        by_block = [tf.reduce_sum(part, -1) for part in parts]
        held = tf.stack([value_at(c, context.step) for c in capacities])
        return tf.abs(tf.stack(by_block, axis=-1) - held)

    def _above_free_bits(self, kl: tf.Tensor, context: Context) -> tf.Tensor:
        free = value_at(self.free_bits, context.step)
        if self.free_bits_over == "example":
            return tf.maximum(kl, free)
        return tf.where(tf.reduce_mean(kl, axis=0) > free, kl, free)


def _as_list(capacity: Any) -> list[Any]:
    if capacity is None:
        return []
    return list(capacity) if isinstance(capacity, (list, tuple)) else [capacity]


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
