"""An objective that wants codes to be uncorrelated.

Floor 3.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from keras_vae.arguments import require_one_of
from keras_vae.component import register
from keras_vae.objectives.base import Objective, require_weight, without_penalty_if_too_few
from keras_vae.objectives.elbo import ELBO
from keras_vae.schedules import Schedule, value_at
from keras_vae.terms import Bound, Context, ElboTerms

__all__ = ["DIPVAE"]


@register("objectives")
class DIPVAE(Objective):
    """ELBO minus a penalty on the covariance of the codes: disentangled inferred prior.

    value = ELBO - off_diagonal * sum_{i != j} C_ij**2 - diagonal * sum_i (C_ii - 1)**2, where
    C is, over the batch (divided by its size),

    - `"i"`: the covariance of the means of q(z|x);
    - `"ii"`: the covariance of z itself, the mean variance of q(z|x) included.

    The penalty is the same for all examples of a batch, and is left out of batches of a single
    example, which have no covariance. With it the value is still a lower
    bound of log p(x), though a loose one.

    Args:
        kind: `"i"` or `"ii"`.
        diagonal: Weight of the variances, a number >= 0 or a schedule.
        off_diagonal: Weight of the covariances, a number >= 0 or a schedule.
        **kwargs: As in any Keras layer.

    Raises:
        ValueError: If `kind` is neither of the above or a weight is negative.

    Example:
    >>> keras_vae.objectives.DIPVAE("ii", diagonal=10.0, off_diagonal=10.0).coupled
    True

    Reference: Kumar, Sattigeri and Balakrishnan (2018), Variational Inference of
    Disentangled Latent Concepts from Unlabeled Observations, equations 6-7.
    """

    requires = frozenset({"density", "moments", "posterior_params"})
    coupled = True
    smallest_batch = 2

    def __init__(
        self,
        kind: str,
        diagonal: float | Schedule,
        off_diagonal: float | Schedule,
        **kwargs: Any,
    ) -> None:
        require_one_of("kind", kind, ("i", "ii"))
        require_weight("diagonal", diagonal)
        require_weight("off_diagonal", off_diagonal)
        super().__init__(**kwargs)
        self.kind = kind
        self.diagonal = diagonal
        self.off_diagonal = off_diagonal
        if kind == "ii":
            # Scales say all about the covariance of q(z|x) only if it is a product.
            self.requires = type(self).requires | {"factorised"}

    def bound(self, terms: ElboTerms, context: Context) -> Bound:
        covariance = self._covariance(terms.posterior_params, context)
        variance = tf.linalg.diag_part(covariance)
        between = tf.linalg.set_diag(covariance, tf.zeros_like(variance))
        penalty = value_at(self.off_diagonal, context.step) * tf.reduce_sum(between**2)
        penalty += value_at(self.diagonal, context.step) * tf.reduce_sum((variance - 1) ** 2)
        penalty = without_penalty_if_too_few(penalty, terms, self.smallest_batch)
        return Bound(ELBO().bound(terms, context).value - penalty)

    def _covariance(self, params: tf.Tensor, context: Context) -> tf.Tensor:
        mean = context.posterior.mean(params)
        centred = mean - tf.reduce_mean(mean, axis=0)
        size = tf.cast(tf.shape(mean)[0], mean.dtype)
        covariance = tf.matmul(centred, centred, transpose_a=True) / size
        if self.kind == "i":
            return covariance
        own = tf.reduce_mean(context.posterior.scale(params) ** 2, axis=0)
        return covariance + tf.linalg.diag(own)
