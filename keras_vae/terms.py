"""The values that parts, objectives and models hand to each other.

All are NamedTuples: unlike dataclasses they may leave a `tf.function`.
Floor 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

__all__ = ["Bound", "Context", "Draw", "ElboTerms", "LogJointGradient", "Support"]


class Context(NamedTuple):
    """What a part may know about the step that calls it.

    Attributes:
        step: Number of updates applied so far, int64 scalar; `None` outside a model.
        training: Whether the call belongs to a training step.
        condition: `[batch, *condition_shape]`; `None` for a model without conditions.
        mask: `[batch, *event]`, `True` where `x` was observed; `None`: everywhere.
        data_size: Number of training examples, int64 scalar, 0 if unknown.
        encode: `x -> posterior parameters`.
        view: `x -> what the encoder sees of it`, without channels that say what is missing.
        encode_view: `view -> posterior parameters`, as if all had been observed.
        decode: `z -> likelihood parameters`, of z `[*leading, *latent_shape]`.
        posterior: The model's posterior, for objectives that ask it for more than its draw.
    """

    step: tf.Tensor | None = None
    training: bool = False
    condition: Any = None
    mask: tf.Tensor | None = None
    data_size: tf.Tensor | None = None
    encode: Callable[[tf.Tensor], tf.Tensor] | None = None
    view: Callable[[tf.Tensor], tf.Tensor] | None = None
    encode_view: Callable[[tf.Tensor], tf.Tensor] | None = None
    decode: Callable[[tf.Tensor], tf.Tensor] | None = None
    posterior: Any = None


class Draw(NamedTuple):
    """Latents drawn from a posterior.

    Attributes:
        latents: `[sample, batch, *latent_shape]`.
        log_prob: log q(z|x) of these latents in nats, `[sample, batch]`; `None` for a
            posterior without density.
        blocks: The draws that a joint posterior put together; empty for all others.
        log_prior: log p(z) of these latents, where it is known already.
    """

    latents: tf.Tensor
    log_prob: tf.Tensor | None
    blocks: tuple[Draw, ...] = ()
    log_prior: tf.Tensor | None = None


class LogJointGradient(NamedTuple):
    """Gradients with respect to the latents, taken at fixed parameters.

    Attributes:
        log_joint: d(log p(x|z) + log p(z)) / dz, `[sample, batch, *latent_shape]`.
        log_posterior: d log q(z|x) / dz, the same shape.
    """

    log_joint: tf.Tensor
    log_posterior: tf.Tensor


class ElboTerms(NamedTuple):
    """What an objective may look at. Log-densities are sums over the event, in nats.

    Attributes:
        log_likelihood: log p(x|z), `[sample, batch]`.
        log_prior: log p(z), `[sample, batch]`; `None` if q has no density.
        log_posterior: log q(z|x), `[sample, batch]`; `None` if q has no density.
        kl: KL(q(z|x) || p(z)) by group, `[batch, groups]`; `None` if q has no density. A
            group is a latent dimension where q and p are factorised, else all of them.
        latents: `[sample, batch, *latent_shape]`.
        x: The target, `[batch, *event]`; only if required.
        reconstruction: Mean of p(x|z), `[sample, batch, *event]`; only if required.
        prior_latents: Draws of p(z), shaped like `latents`; only if required.
        posterior_params: `[batch, *params_shape]`; only if required.
        log_joint_gradient: See `LogJointGradient`; only if required.
        kl_blocks: How many groups of `kl` belong to each block of a joint posterior; empty
            for all others, which are one block.
        weighted_log_likelihood: What stands for `log_likelihood` in the objective, where the
            user put weights on parts of the event; else `None`.
    """

    log_likelihood: tf.Tensor
    log_prior: tf.Tensor | None
    log_posterior: tf.Tensor | None
    kl: tf.Tensor | None
    latents: tf.Tensor
    x: tf.Tensor | None = None
    reconstruction: tf.Tensor | None = None
    prior_latents: tf.Tensor | None = None
    posterior_params: tf.Tensor | None = None
    log_joint_gradient: LogJointGradient | None = None
    kl_blocks: tuple[int, ...] = ()
    weighted_log_likelihood: tf.Tensor | None = None

    @property
    def log_weight(self) -> tf.Tensor:
        """Log p(x|z) + log p(z) - log q(z|x), `[sample, batch]`."""
        return self.log_likelihood + self.log_prior - self.log_posterior


class Bound(NamedTuple):
    """What an objective returns.

    Attributes:
        value: The bound in nats, `[batch]`; higher is better. This is what is logged.
        surrogate: If given, `[batch]`: its gradient is followed instead of the value's.
    """

    value: tf.Tensor
    surrogate: tf.Tensor | None = None


class Support(NamedTuple):
    """Where a likelihood's density lives.

    Attributes:
        lower: Smallest value allowed; `None` if there is none.
        upper: Largest value allowed; `None` if there is none.
        fix: What to do with data outside of it, as a clause of an error message.
        integer: Whether values must be whole numbers.
        open: Whether the bounds themselves are outside.
    """

    lower: float | None = None
    upper: float | None = None
    fix: str = ""
    integer: bool = False
    open: bool = False

    def __str__(self) -> str:
        lower = "-inf" if self.lower is None else f"{self.lower:g}"
        upper = "inf" if self.upper is None else f"{self.upper:g}"
        interval = f"({lower}, {upper})" if self.open else f"[{lower}, {upper}]"
        return f"the integers in {interval}" if self.integer else interval

    def outside(self, x: tf.Tensor) -> tf.Tensor:
        """Whether each element of `x` is outside; NaN is not."""
        outside = tf.zeros([], tf.bool)
        if self.lower is not None:
            outside |= x <= self.lower if self.open else x < self.lower
        if self.upper is not None:
            outside |= x >= self.upper if self.open else x > self.upper
        if self.integer:
            fraction = tf.where(tf.math.is_nan(x), tf.zeros_like(x), x - tf.round(x))
            outside |= fraction != 0
        return outside

    def violations(self, x: tf.Tensor) -> tf.Tensor:
        """Whether any element of `x` is outside: a boolean scalar tensor. NaN is not."""
        # Reduced once: under XLA on a CPU that takes longer than all of the above.
        return tf.reduce_any(self.outside(x))
