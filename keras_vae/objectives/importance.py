"""Importance-weighted bounds.

Floor 3.
"""

from __future__ import annotations

from typing import Any

from keras_vae import numerics
from keras_vae.component import register
from keras_vae.objectives.base import Objective, require_samples
from keras_vae.terms import Bound, Context, ElboTerms

__all__ = ["IWAE"]


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
        require_samples(samples)
        super().__init__(**kwargs)
        self.samples = samples

    def bound(self, terms: ElboTerms, context: Context) -> Bound:
        return Bound(numerics.log_mean_exp(terms.log_weight, axis=0))
