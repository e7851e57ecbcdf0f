"""The ELBO taken apart by the codes of the batch as a whole.

Floor 3.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import tensorflow as tf

from keras_vae.arguments import require_integer, require_one_of, require_size
from keras_vae.component import register
from keras_vae.objectives.base import (
    Objective,
    require_weight,
)
from keras_vae.schedules import Schedule, value_at
from keras_vae.terms import Bound, Context, ElboTerms

__all__ = ["TCVAE"]


class _Decomposition(NamedTuple):
    """The KL in three terms, `[sample, batch]` each, in nats."""

    mutual_information: tf.Tensor
    total_correlation: tf.Tensor
    dimension_wise_kl: tf.Tensor


@register("objectives")
class TCVAE(Objective):
    """ELBO with weights of its own for the three parts of the KL (beta-TCVAE).

    value = log p(x|z) - alpha * MI - beta * TC - gamma * DW with, for a draw z,

    - index-code mutual information MI = log q(z|x) - log q(z),
    - total correlation TC = log q(z) - sum_j log q(z_j),
    - dimension-wise KL DW = sum_j log q(z_j) - log p(z).

    They add up to log q(z|x) - log p(z). A single example of many cannot tell them apart: in a
    batch of one, the sum counts once, whatever the weights. The density q(z) of the codes of
    all N training examples is estimated from the B examples of the batch:

    - `"stratified"`: sum over the batch of v_j q(z|x_j) with v = 1 / N for z's own example
      and (1 - 1 / N) / (B - 1) for each other. As an estimate of q(z) it has no bias, and it
      is exact if the batch is all the data. (The paper gives one of the others a weight of
      its own; this is the average over which one.)
    - `"weighted"`: sum over the batch of q(z|x_j) / (N B), which is too small by a factor
      of up to N; the parts are then off by constants, nearly.

    Unless all weights are 1, the value is no bound of log p(x).

    Args:
        beta: Weight of the total correlation, a number >= 0 or a schedule.
        alpha: Weight of the mutual information. Defaults to `1.0`.
        gamma: Weight of the dimension-wise KL. Defaults to `1.0`.
        estimator: `"stratified"` or `"weighted"`. Defaults to `"stratified"`.
        data_size: N. Defaults to `None`: the number of examples given to `fit`, which must
            be known then. (An evaluation before any training takes the batch for the data.)
        samples: Latents drawn per example. Defaults to `1`.
        **kwargs: As in any Keras layer.

    Raises:
        ValueError: If a weight is negative, `estimator` is neither of the above, or
            `data_size` or `samples` is not a positive integer.

    Example:
    >>> keras_vae.objectives.TCVAE(beta=6.0).check(data_size=1_000)

    Reference: Chen et al. (2018), Isolating Sources of Disentanglement in Variational
    Autoencoders, equations 2-4 and appendix C.
    """

    requires = frozenset({"density", "factorised", "posterior_params"})
    coupled = True
    smallest_batch = 2

    def __init__(
        self,
        beta: float | Schedule,
        *,
        alpha: float = 1.0,
        gamma: float = 1.0,
        estimator: str = "stratified",
        data_size: int | None = None,
        samples: int = 1,
        **kwargs: Any,
    ) -> None:
        require_weight("beta", beta)
        require_weight("alpha", alpha, scheduled=False)
        require_weight("gamma", gamma, scheduled=False)
        require_one_of("estimator", estimator, ("stratified", "weighted"))
        if data_size is not None:
            require_integer("data_size", data_size)
        require_size("samples", samples)
        super().__init__(**kwargs)
        self.beta = beta
        self.alpha = alpha
        self.gamma = gamma
        self.estimator = estimator
        self.data_size = data_size
        self.samples = samples

    def check(self, data_size: int) -> None:
        if self.data_size is None and data_size < 1:
            raise ValueError(
                "TCVAE needs the number of training examples, and these data do not tell it. "
                "Received: data_size=None. Pass TCVAE(..., data_size=...)."
            )

    def bound(self, terms: ElboTerms, context: Context) -> Bound:
        parts = self.decomposition(terms, context)
        weighted = (
            self.alpha * parts.mutual_information
            + value_at(self.beta, context.step) * parts.total_correlation
            + self.gamma * parts.dimension_wise_kl
        )
        # Where the batch is all the data, the parts are exact, of a single example too.
        rows = tf.shape(terms.log_likelihood)[1]
        measured = (rows >= self.smallest_batch) | (self._data_size(rows, context) <= rows)
        kl = tf.where(measured, weighted, tf.subtract(terms.log_posterior, terms.log_prior))
        return Bound(tf.reduce_mean(terms.log_likelihood - kl, axis=0))

    def decomposition(self, terms: ElboTerms, context: Context) -> _Decomposition:
        """Return mutual information, total correlation and dimension-wise KL of a batch.

        Args:
            terms: With `posterior_params`.
            context: With `posterior`.
        """
        log_q = _log_q_of_pairs(terms, context)
        log_share = self._log_share(terms, context)
        log_aggregate = tf.reduce_logsumexp(log_share + tf.reduce_sum(log_q, -1), axis=-1)
        log_marginals = tf.reduce_logsumexp(log_share[..., None] + log_q, axis=-2)
        log_product = tf.reduce_sum(log_marginals, axis=-1)
        return _Decomposition(
            terms.log_posterior - log_aggregate,
            log_aggregate - log_product,
            log_product - terms.log_prior,
        )

    def _log_share(self, terms: ElboTerms, context: Context) -> tf.Tensor:
        """Log-weights of q(z_i|x_j) in the estimate of q(z_i), `[batch, batch]`."""
        dtype = terms.log_likelihood.dtype
        rows = tf.shape(terms.log_likelihood)[1]
        batch = tf.cast(rows, dtype)
        size = tf.cast(self._data_size(rows, context), dtype)
        if self.estimator == "weighted":
            return tf.fill([rows, rows], -tf.math.log(size * batch))
        others = (1 - 1 / size) / tf.maximum(batch - 1, 1)
        share = tf.linalg.set_diag(tf.fill([rows, rows], others), tf.fill([rows], 1 / size))
        return tf.math.log(share)

    def _data_size(self, rows: tf.Tensor, context: Context) -> tf.Tensor:
        """Number of training examples, at least those of the batch."""
        size = context.data_size if self.data_size is None else self.data_size
        return tf.maximum(tf.cast(size, tf.int32), rows)


def _log_q_of_pairs(terms: ElboTerms, context: Context) -> tf.Tensor:
    """Log q(z_ik|x_j), `[sample, i, j, k]`."""
    shape = tf.shape(terms.latents)
    (latent_dim,) = context.posterior.latent_shape  # unknown of gathered latents
    # Each latent is a sample for all examples.
    z = tf.reshape(terms.latents, (-1, 1, latent_dim))
    z = tf.repeat(z, shape[1], axis=1)
    log_q = context.posterior.log_prob_per_dimension(terms.posterior_params, z)
    return tf.reshape(log_q, (shape[0], shape[1], shape[1], latent_dim))
