"""Objectives that compare the codes of a batch with draws of the prior.

Floor 3.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from keras_vae.arguments import require_number, require_one_of, require_positive
from keras_vae.component import register
from keras_vae.objectives.base import Objective, require_weight, without_penalty_if_too_few
from keras_vae.objectives.elbo import ELBO
from keras_vae.schedules import Schedule, value_at
from keras_vae.terms import Bound, Context, ElboTerms

__all__ = ["WAE", "InfoVAE"]

_KERNELS = ("imq", "rbf")
# Small ones see neighbours, large ones see codes that are far from the prior.
_IMQ_SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


@register("objectives")
class WAE(Objective):
    """Wasserstein autoencoder: log p(x|z), minus a weight times the squared MMD.

    value = log p(x|z) - weight * MMD**2(q(z), p(z)), where the maximum mean discrepancy
    compares the codes of the batch with as many draws of the prior. It is the unbiased
    estimate, which may be negative, and the same for all examples of a batch; more
    examples make it more exact. It is left out of batches of a single example, which have no
    pairs. With d latent dimensions and C = 2 d scale**2, the mean
    squared distance of two draws of the prior, the kernels are

    - `"imq"`: the sum over s = 0.1, 0.2, 0.5, 1, 2, 5, 10 of sC / (sC + |z - z'|**2);
    - `"rbf"`: exp(-|z - z'|**2 / C).

    The value is no bound of log p(x). Any posterior will do, a deterministic one included,
    and any prior that can be drawn from.

    Args:
        weight: Weight of the discrepancy, a number >= 0 or a schedule. Defaults to `10.0`;
            with log p(x|z) summed over large events, much more may be needed.
        kernel: `"imq"` or `"rbf"`. Defaults to `"imq"`.
        scale: Standard deviation of a latent dimension under the prior. Defaults to `1.0`.
        **kwargs: As in any Keras layer.

    Raises:
        ValueError: If `weight` is negative, `scale` is not positive or `kernel` is neither.

    Example:
    >>> keras_vae.objectives.WAE(weight=100.0).coupled
    True

    Reference: Tolstikhin et al. (2018), Wasserstein Auto-Encoders, algorithm 2 and section 4.
    """

    requires = frozenset({"prior_latents"})
    coupled = True
    smallest_batch = 2

    def __init__(
        self,
        weight: float | Schedule = 10.0,
        kernel: str = "imq",
        scale: float = 1.0,
        **kwargs: Any,
    ) -> None:
        require_weight("weight", weight)
        _require_kernel(kernel, scale)
        super().__init__(**kwargs)
        self.weight = weight
        self.kernel = kernel
        self.scale = scale

    def bound(self, terms: ElboTerms, context: Context) -> Bound:
        mmd = squared_mmd(terms.latents, terms.prior_latents, self.kernel, self.scale)
        mmd = without_penalty_if_too_few(mmd, terms, self.smallest_batch)
        log_likelihood = tf.reduce_mean(terms.log_likelihood, axis=0)
        return Bound(log_likelihood - value_at(self.weight, context.step) * mmd)


@register("objectives")
class InfoVAE(Objective):
    """ELBO with a lighter KL and, in exchange, the MMD between all codes and the prior.

    value = log p(x|z) - (1 - alpha) KL(q(z|x) || p(z)) - (alpha + lambda_ - 1) MMD**2, with
    the squared maximum mean discrepancy of `WAE`, but the biased estimate, which is never
    negative; it, too, is left out of batches of a single example. At `alpha=0, lambda_=1` it
    is the ELBO; at `alpha=1` the KL is gone (MMD-VAE). For other values it is no bound of
    log p(x).

    Args:
        alpha: At most 1; larger values keep more information about x in z.
        lambda_: At least `1 - alpha`; larger values pull the codes as a whole to the prior.
        kernel: `"imq"` or `"rbf"`, as in `WAE`. Defaults to `"imq"`.
        scale: Standard deviation of a latent dimension under the prior. Defaults to `1.0`.
        **kwargs: As in any Keras layer.

    Raises:
        ValueError: If a weight is negative, `scale` is not positive or `kernel` is neither.

    Example:
    >>> keras_vae.objectives.InfoVAE(alpha=0.5, lambda_=10.0).coupled
    True

    Reference: Zhao, Song and Ermon (2019), InfoVAE, equation 6 and section 3.4.
    """

    requires = frozenset({"density", "prior_latents"})
    coupled = True
    smallest_batch = 2

    def __init__(
        self,
        alpha: float,
        lambda_: float,
        kernel: str = "imq",
        scale: float = 1.0,
        **kwargs: Any,
    ) -> None:
        require_number("alpha", alpha)
        require_number("lambda_", lambda_)
        if not (alpha <= 1 and alpha + lambda_ >= 1):
            raise ValueError(
                f"`alpha` must be <= 1 and `alpha + lambda_` >= 1, or terms are rewarded that "
                f"should be penalised. Received: alpha={alpha}, lambda_={lambda_}."
            )
        _require_kernel(kernel, scale)
        super().__init__(**kwargs)
        self.alpha = alpha
        self.lambda_ = lambda_
        self.kernel = kernel
        self.scale = scale

    def bound(self, terms: ElboTerms, context: Context) -> Bound:
        elbo = ELBO(beta=1 - self.alpha).bound(terms, context).value
        mmd = squared_mmd(
            terms.latents, terms.prior_latents, self.kernel, self.scale, unbiased=False
        )
        mmd = without_penalty_if_too_few(mmd, terms, self.smallest_batch)
        return Bound(elbo - (self.alpha + self.lambda_ - 1) * mmd)


def squared_mmd(
    first: tf.Tensor, second: tf.Tensor, kernel: str, scale: float, *, unbiased: bool = True
) -> tf.Tensor:
    """Squared maximum mean discrepancy of two sets of latents, averaged over samples.

    Args:
        first: `[sample, batch, *latent_shape]`.
        second: The same.
        kernel: `"imq"` or `"rbf"`.
        scale: Standard deviation of a latent dimension under the prior.
        unbiased: Whether to leave out the pairs of a latent with itself. A batch of one
            then has no pairs, and the result means nothing.
    """
    first, second = (
        tf.reshape(z, tf.concat([tf.shape(z)[:2], [-1]], 0)) for z in (first, second)
    )

    def mean_within(z: tf.Tensor) -> tf.Tensor:
        similarity = _similarity(z, z, kernel, scale)
        if not unbiased:
            return tf.reduce_mean(similarity)
        off_diagonal = tf.linalg.set_diag(similarity, tf.zeros_like(similarity[..., 0]))
        size = tf.cast(tf.shape(z)[1], z.dtype)
        by_sample = tf.reduce_sum(off_diagonal, axis=(-2, -1))
        return tf.reduce_mean(tf.math.divide_no_nan(by_sample, size * (size - 1)))

    between = tf.reduce_mean(_similarity(first, second, kernel, scale))
    return mean_within(first) + mean_within(second) - 2 * between


def _similarity(a: tf.Tensor, b: tf.Tensor, kernel: str, scale: float) -> tf.Tensor:
    """Kernel between all pairs, `[sample, batch, batch]`."""
    squares = tf.reduce_sum(a**2, -1)[..., :, None] + tf.reduce_sum(b**2, -1)[..., None, :]
    # Rounding may leave a little less than 0.
    distance = tf.maximum(squares - 2 * tf.matmul(a, b, transpose_b=True), 0)
    usual = 2 * scale**2 * tf.cast(tf.shape(a)[-1], a.dtype)
    if kernel == "rbf":
        return tf.exp(-distance / usual)
    return tf.add_n([s * usual / (s * usual + distance) for s in _IMQ_SCALES])


def _require_kernel(kernel: str, scale: float) -> None:
    require_one_of("kernel", kernel, _KERNELS)
    require_positive("scale", scale)
