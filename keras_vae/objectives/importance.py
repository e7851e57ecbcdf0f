"""Importance-weighted bounds.

Floor 3.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from keras_vae import numerics
from keras_vae.arguments import require_number, require_size
from keras_vae.component import register
from keras_vae.objectives.base import Objective
from keras_vae.terms import Bound, Context, ElboTerms

__all__ = ["CIWAE", "IWAE", "MIWAE", "Renyi"]


@register("objectives")
class IWAE(Objective):
    """Importance-weighted bound: log of the mean of p(x|z) p(z) / q(z|x) over the draw.

    A lower bound of log p(x) that never gets worse with more samples; with one sample it is
    the ELBO at beta 1 with a Monte Carlo KL.

    Args:
        samples: Latents drawn per example. Defaults to `5`.
        **kwargs: As in any Keras layer.

    Raises:
        ValueError: If `samples` is not a positive integer.

    Example:
    >>> keras_vae.objectives.IWAE(samples=50).samples
    50

    Reference: Burda, Grosse and Salakhutdinov (2016), Importance Weighted Autoencoders,
    equation 8.
    """

    requires = frozenset({"density"})

    def __init__(self, samples: int = 5, **kwargs: Any) -> None:
        require_size("samples", samples)
        super().__init__(**kwargs)
        self.samples = samples

    def bound(self, terms: ElboTerms, context: Context) -> Bound:
        return Bound(numerics.log_mean_exp(terms.log_weight, axis=0))


@register("objectives")
class MIWAE(Objective):
    """Mean over `outer` groups of the importance-weighted bound of `inner` samples.

    With weights w = p(x|z) p(z) / q(z|x): mean_m log mean_k w_mk. In the mean it is the IWAE
    of `inner` samples, with less noise in the encoder's gradient than one IWAE of all
    samples. `MIWAE(1, k)` is `IWAE(k)`; `MIWAE(m, 1)` is the ELBO with a Monte Carlo KL.

    Args:
        outer: Number of groups. Defaults to `8`.
        inner: Latents in a group. Defaults to `8`.
        **kwargs: As in any Keras layer.

    Raises:
        ValueError: If `outer` or `inner` is not a positive integer.

    Example:
    >>> keras_vae.objectives.MIWAE(outer=4, inner=16).samples
    64

    Reference: Rainforth et al. (2018), Tighter Variational Bounds are Not Necessarily
    Better, section 4.
    """

    requires = frozenset({"density"})

    def __init__(self, outer: int = 8, inner: int = 8, **kwargs: Any) -> None:
        require_size("outer", outer)
        require_size("inner", inner)
        super().__init__(**kwargs)
        self.outer = outer
        self.inner = inner
        self.samples = outer * inner

    def bound(self, terms: ElboTerms, context: Context) -> Bound:
        grouped = in_groups(terms.log_weight, self.outer, self.inner)
        return Bound(tf.reduce_mean(numerics.log_mean_exp(grouped, axis=1), axis=0))


@register("objectives")
class CIWAE(Objective):
    """A mixture of two bounds: weight * ELBO + (1 - weight) * IWAE, from the same draw.

    The ELBO is that with a Monte Carlo KL: the mean of log w, where
    w = p(x|z) p(z) / q(z|x).

    Args:
        samples: Latents drawn per example. Defaults to `5`.
        weight: Share of the ELBO, in [0, 1]. Defaults to `0.5`.
        **kwargs: As in any Keras layer.

    Raises:
        ValueError: If `samples` is not a positive integer or `weight` is outside [0, 1].

    Example:
    >>> keras_vae.objectives.CIWAE(samples=16, weight=0.1).samples
    16

    Reference: Rainforth et al. (2018), Tighter Variational Bounds are Not Necessarily
    Better, section 4, where the weight is called beta.
    """

    requires = frozenset({"density"})

    def __init__(self, samples: int = 5, weight: float = 0.5, **kwargs: Any) -> None:
        require_size("samples", samples)
        require_number("weight", weight, 0, 1)
        super().__init__(**kwargs)
        self.samples = samples
        self.weight = weight

    def bound(self, terms: ElboTerms, context: Context) -> Bound:
        elbo = tf.reduce_mean(terms.log_weight, axis=0)
        iwae = numerics.log_mean_exp(terms.log_weight, axis=0)
        return Bound(self.weight * elbo + (1 - self.weight) * iwae)


@register("objectives")
class Renyi(Objective):
    """Variational Renyi bound: log of the mean of w**(1 - alpha), divided by 1 - alpha.

    Here w = p(x|z) p(z) / q(z|x). At `alpha=0` it is the IWAE, at `alpha=1` (the limit) the
    ELBO with a Monte Carlo KL. In the limit of many samples it is a lower bound of log p(x)
    for positive alpha and an upper bound for negative alpha; with few samples the latter
    is not one.

    Args:
        alpha: Order of the divergence, any finite number. Defaults to `0.5`.
        samples: Latents drawn per example. Defaults to `5`.
        **kwargs: As in any Keras layer.

    Raises:
        ValueError: If `alpha` is not finite or `samples` is not a positive integer.

    Example:
    >>> keras_vae.objectives.Renyi(alpha=0.5, samples=10).alpha
    0.5

    Reference: Li and Turner (2016), Renyi Divergence Variational Inference, equation 9.
    """

    requires = frozenset({"density"})

    def __init__(self, alpha: float = 0.5, samples: int = 5, **kwargs: Any) -> None:
        require_number("alpha", alpha)
        require_size("samples", samples)
        super().__init__(**kwargs)
        self.alpha = alpha
        self.samples = samples

    def bound(self, terms: ElboTerms, context: Context) -> Bound:
        log_weight = terms.log_weight
        power = 1 - self.alpha
        if power == 0:
            return Bound(tf.reduce_mean(log_weight, axis=0))
        largest = tf.reduce_max if power > 0 else tf.reduce_min
        # Any constant cancels; with this one no power exceeds 1. Small powers differ from 1
        # by less than its rounding, hence the difference.
        shift = tf.stop_gradient(largest(log_weight, axis=0))
        excess = tf.math.expm1(power * (log_weight - shift))
        return Bound(shift + tf.math.log1p(tf.reduce_mean(excess, axis=0)) / power)


def in_groups(values: tf.Tensor, outer: int, inner: int) -> tf.Tensor:
    """Turn `[outer * inner, batch]` into `[outer, inner, batch]`."""
    return tf.reshape(values, (outer, inner, -1))
