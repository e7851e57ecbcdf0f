"""Likelihoods of counts that vary more than Poisson counts do.

Floor 2.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from keras_vae import numerics
from keras_vae.arguments import require_one_of
from keras_vae.component import register
from keras_vae.likelihoods.base import keyed_noise
from keras_vae.likelihoods.count import Count
from keras_vae.likelihoods.running import RunningMean
from keras_vae.likelihoods.saddlepoint import log_choose
from keras_vae.parameters import tensor_parameters
from keras_vae.streams import Stream
from keras_vae.terms import Context

__all__ = ["NegativeBinomial", "ZeroInflatedNegativeBinomial"]

tfd = tfp.distributions

# Nearly Poisson at first, so that the latents, not the dispersion, explain what they can. On a
# scale of logarithms, for good values lie orders of magnitude apart.
_START = 10.0
_WIDEST = 12.0
# Logarithm of the largest mean that is written out.
_HUGE = 80.0


@register("likelihoods")
class NegativeBinomial(Count, RunningMean):
    """Independent negative binomial counts, of mean m and variance m + m**2 / r.

    Args:
        dispersion: The inverse dispersion r. `"shared"`: one weight per element of the event,
            for all examples, as for genes. `"predicted"`: emitted by the decoder. It starts
            near 10, on a scale of logarithms. Defaults to `"shared"`.
        library: `None`: the decoder emits log m. `"observed"`: it emits shares, through a
            softmax over the whole event, and m is the share times the total count of x, its
            library size. `log_prob` is then log p(x | z, total), of counts of any total around
            the one that x has, as in scVI: it is `given` the total, not a probability of x,
            whose sum over all x is not 1. Compare it with others given the total alone.
            It needs the whole of x: `maskable` is false. Draws and means, which have no x,
            take the running mean of the totals seen in training, 1 before the first step. An
            example without counts has the library size 1. Defaults to `None`.
        **kwargs: As in any Keras layer.

    Raises:
        ValueError: If `dispersion` or `library` is none of its options.

    Example:
    >>> p = keras_vae.likelihoods.NegativeBinomial(dispersion="predicted")
    >>> p.params_shape((2000,))
    (4000,)
    >>> p.build((2000,))
    >>> round(float(p.mean(tf.zeros([4000]))[0]), 4)
    1.0

    Reference: Lopez, Regier, Cole, Jordan and Yosef (2018), Deep generative modeling for
    single-cell transcriptomics, methods; Gayoso et al. (2022), A Python library for
    probabilistic analysis of single-cell omics data (observed library size).
    """

    units = "log"

    def __init__(
        self, dispersion: str = "shared", library: str | None = None, **kwargs: Any
    ) -> None:
        require_one_of("dispersion", dispersion, ("shared", "predicted"))
        if library is not None:
            require_one_of("library", library, ("observed",))
        super().__init__(**kwargs)
        self.dispersion = dispersion
        self.library = library

    @property
    def given(self) -> str | None:  # type: ignore[override]
        """The total count of x, if it is observed."""
        return None if self.library is None else "its total count"

    @property
    def maskable(self) -> bool:  # type: ignore[override]
        """Whether parts of an event can be left out: not of its total."""
        return self.library is None

    def build(self, event_shape: tuple[int, ...]) -> None:
        if self.built:
            return
        super().build(event_shape)
        if self.dispersion == "shared":
            self.log_dispersion = self.add_weight(
                self.event_shape, keras.initializers.Zeros(), name="log_dispersion"
            )
        if self.library == "observed":
            self.add_running_mean()

    def params_shape(self, event_shape: tuple[int, ...]) -> tuple[int, ...]:
        copies = 2 if self.dispersion == "predicted" else 1
        return (*event_shape[:-1], copies * event_shape[-1])

    def distribution(self, params: tf.Tensor) -> tfp.distributions.Distribution:
        """p(x|z); with an observed library, of the reference library size."""
        return tfd.Independent(self._counts(params), len(self.event_shape))

    def elementwise_log_prob(
        self, params: tf.Tensor, x: tf.Tensor, mask: tf.Tensor | None, context: Context
    ) -> tf.Tensor:
        log_mean = self._log_rates(params)
        if self.library == "observed":
            axes = list(range(-len(self.event_shape), 0))
            total = tf.reduce_sum(x, axes, keepdims=True)
            if context.training:
                self.updated_mean(total)
            log_mean += tf.math.log(tf.clip_by_value(total, 1.0, total.dtype.max))
        return self._count_log_prob(params, log_mean, x)

    def mean(self, params: tf.Tensor) -> tf.Tensor:
        return self._count_mean(params)

    def sample(self, params: tf.Tensor, seed: int | tf.Tensor | None = None) -> tf.Tensor:
        # Poisson of gamma: TFP's own way does not compile under XLA.
        key = Stream.LIKELIHOOD_SAMPLE.key(seed)
        mean = self._count_mean(params)
        inverse = tf.broadcast_to(self._inverse_dispersion(params), tf.shape(mean))
        gamma = tfd.Gamma(inverse, inverse).sample(seed=numerics.fold_in(key, 1))
        return tfd.Poisson(mean * gamma).sample(seed=numerics.fold_in(key, 2))

    def _count_mean(self, params: tf.Tensor) -> tf.Tensor:
        rates = keras.ops.exp(self._log_rates(params))
        return rates if self.library is None else self.running_mean() * rates

    def _counts(self, params: tf.Tensor) -> tfp.distributions.Distribution:
        inverse = self._inverse_dispersion(params)
        log_mean = self._log_rates(params)
        if self.library == "observed":
            log_mean += tf.math.log(self.running_mean())
        return tfd.NegativeBinomial(inverse, logits=log_mean - tf.math.log(inverse))

    def _count_log_prob(
        self, params: tf.Tensor, log_mean: tf.Tensor, x: tf.Tensor
    ) -> tf.Tensor:
        inverse = self._inverse_dispersion(params)
        log_inverse = tf.math.log(inverse)
        logits = log_mean - log_inverse
        log_share, log_success = -tf.math.softplus(logits), -tf.math.softplus(-logits)
        # (mean - x) share; the mean may be infinite where the product of both is not.
        share, mean = tf.exp(log_share), tf.exp(tf.minimum(log_mean, _HUGE))
        excess = tf.where(
            log_mean < _HUGE, (mean - x) * share, inverse * tf.exp(log_success) - x * share
        )
        # x successes against r failures, of which the last one is the last of all.
        counted = log_choose(x, inverse, log_success, log_share, excess)
        return counted - tf.math.log1p(x / inverse)

    def _log_rates(self, params: tf.Tensor) -> tf.Tensor:
        """Log of the mean, or of the share of the total."""
        emitted = params[..., : self.event_shape[-1]]
        if self.library is None:
            return emitted
        axes = list(range(-len(self.event_shape), 0))
        return emitted - keras.ops.logsumexp(emitted, axes, keepdims=True)

    def _inverse_dispersion(self, params: tf.Tensor) -> tf.Tensor:
        if self.dispersion == "shared":
            log_ratio = tf.convert_to_tensor(self.log_dispersion)
        else:
            start = self.event_shape[-1]
            log_ratio = params[..., start : 2 * start]
        return _START * tf.exp(tf.clip_by_value(log_ratio, -_WIDEST, _WIDEST))


@register("likelihoods")
class ZeroInflatedNegativeBinomial(NegativeBinomial):
    """Negative binomial counts of which some are replaced by zeros.

    The decoder also emits, last, the logit of the probability that a count is replaced.

    Args:
        dispersion: As in `NegativeBinomial`. Defaults to `"shared"`.
        library: As in `NegativeBinomial`; replaced counts are not made up for. Defaults to
            `None`.
        **kwargs: As in any Keras layer.

    Raises:
        ValueError: If `dispersion` or `library` is none of its options.

    Example:
    >>> p = keras_vae.likelihoods.ZeroInflatedNegativeBinomial()
    >>> p.params_shape((2000,))
    (4000,)
    >>> p.build((2000,))
    >>> round(float(p.mean(tf.zeros([4000]))[0]), 4)
    0.5

    Reference: Lopez, Regier, Cole, Jordan and Yosef (2018), Deep generative modeling for
    single-cell transcriptomics, methods.
    """

    def params_shape(self, event_shape: tuple[int, ...]) -> tuple[int, ...]:
        *leading, size = super().params_shape(event_shape)
        return (*leading, size + event_shape[-1])

    def mean(self, params: tf.Tensor) -> tf.Tensor:
        return keras.ops.sigmoid(-self._zero_logits(params)) * self._count_mean(params)

    def sample(self, params: tf.Tensor, seed: int | tf.Tensor | None = None) -> tf.Tensor:
        key = Stream.LIKELIHOOD_SAMPLE.key(seed)
        logits = self._zero_logits(params)
        kept = keyed_noise("uniform", logits, key, stream=3) < tf.sigmoid(-logits)
        counts = super().sample(params, key)
        return tf.where(kept, counts, tf.zeros_like(counts))

    def parameters(self, params: tf.Tensor) -> dict[str, tf.Tensor]:
        counts = tensor_parameters(super()._counts(params))
        return {**counts, "zero_logits": self._zero_logits(params)}

    def _counts(self, params: tf.Tensor) -> tfp.distributions.Distribution:
        zero = tf.sigmoid(self._zero_logits(params))
        return tfd.Inflated(super()._counts(params), inflated_loc_probs=zero)

    def _count_log_prob(
        self, params: tf.Tensor, log_mean: tf.Tensor, x: tf.Tensor
    ) -> tf.Tensor:
        logits = self._zero_logits(params)
        log_zero, log_kept = -tf.math.softplus(-logits), -tf.math.softplus(logits)
        counted = log_kept + super()._count_log_prob(params, log_mean, x)
        apart = tf.abs(log_zero - counted)
        either = tf.maximum(log_zero, counted) + tf.math.softplus(-apart)
        # Runtimes differ on whether the smallest numbers are 0.
        return tf.where(x < 0.5, either, counted)

    def _zero_logits(self, params: tf.Tensor) -> tf.Tensor:
        return params[..., -self.event_shape[-1] :]
