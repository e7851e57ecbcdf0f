"""Bounds whose encoder follows another gradient than their decoder.

Floor 3. The value is that of a bound; the surrogate, whose value means nothing, has the
gradients. Decoder and prior are moved by log p(x|z) + log p(z) alone, the encoder by it
through z and by log q(z|x): the gradients with respect to z, which the model takes at fixed
parameters, tell the two apart.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from keras_vae import numerics
from keras_vae.arguments import require_size
from keras_vae.component import register
from keras_vae.objectives.base import Objective
from keras_vae.objectives.importance import in_groups
from keras_vae.terms import Bound, Context, ElboTerms

__all__ = ["DReG", "PIWAE", "StickingTheLanding"]


@register("objectives")
class DReG(Objective):
    """IWAE with the doubly reparameterised gradient for the encoder.

    The encoder follows sum_k v_k**2 (d log w_k / dz_k) dz_k / dphi, with normalised weights
    v and log q(z|x) at fixed parameters: in the mean the gradient of the IWAE, but its
    signal does not drown in noise as samples grow in number. Decoder and prior follow the
    plain gradient. Value: the IWAE.

    Args:
        samples: Latents drawn per example. Defaults to `5`.
        **kwargs: As in any Keras layer.

    Raises:
        ValueError: If `samples` is not a positive integer.

    Example:
    >>> sorted(keras_vae.objectives.DReG(samples=50).requires)
    ['density', 'log_joint_gradient']

    Reference: Tucker et al. (2019), Doubly Reparameterized Gradient Estimators for Monte
    Carlo Objectives, equation 8.
    """

    requires = frozenset({"density", "log_joint_gradient"})

    def __init__(self, samples: int = 5, **kwargs: Any) -> None:
        require_size("samples", samples)
        super().__init__(**kwargs)
        self.samples = samples

    def bound(self, terms: ElboTerms, context: Context) -> Bound:
        weight = _normalised(terms.log_weight, axis=0)
        gradient: Any = terms.log_joint_gradient
        along = _times(weight**2, gradient.log_joint - gradient.log_posterior)
        value = numerics.log_mean_exp(terms.log_weight, axis=0)
        return Bound(value, _surrogate(terms, weight, along))


@register("objectives")
class StickingTheLanding(Objective):
    """ELBO with a Monte Carlo KL whose gradient leaves out the score of q.

    The encoder follows (d log w / dz) dz / dphi with log q(z|x) at fixed parameters: in the
    mean the gradient of the ELBO, and without any noise where q is the exact posterior.
    Value: that of `ELBO(kl="monte_carlo")`.

    Args:
        samples: Latents drawn per example. Defaults to `1`.
        **kwargs: As in any Keras layer.

    Raises:
        ValueError: If `samples` is not a positive integer.

    Example:
    >>> keras_vae.objectives.StickingTheLanding().samples
    1

    Reference: Roeder, Wu and Duvenaud (2017), Sticking the Landing, equation 8.
    """

    requires = frozenset({"density", "log_joint_gradient"})

    def __init__(self, samples: int = 1, **kwargs: Any) -> None:
        require_size("samples", samples)
        super().__init__(**kwargs)
        self.samples = samples

    def bound(self, terms: ElboTerms, context: Context) -> Bound:
        weight = tf.ones_like(terms.log_weight) / tf.cast(
            tf.shape(terms.log_weight)[0], terms.log_weight.dtype
        )
        gradient: Any = terms.log_joint_gradient
        along = _times(weight, gradient.log_joint - gradient.log_posterior)
        value = tf.reduce_mean(terms.log_weight, axis=0)
        return Bound(value, _surrogate(terms, weight, along))


@register("objectives")
class PIWAE(Objective):
    """IWAE of all samples for decoder and prior, MIWAE for the encoder.

    The tighter bound makes the better decoder, the bounds of fewer samples have the less
    noisy gradient for the encoder. Value: the IWAE of `outer * inner` samples.

    Args:
        outer: Number of groups. Defaults to `8`.
        inner: Latents in a group. Defaults to `8`.
        **kwargs: As in any Keras layer.

    Raises:
        ValueError: If `outer` or `inner` is not a positive integer.

    Example:
    >>> keras_vae.objectives.PIWAE(outer=4, inner=16).samples
    64

    Reference: Rainforth et al. (2018), Tighter Variational Bounds are Not Necessarily
    Better, section 4.
    """

    requires = frozenset({"density", "log_joint_gradient"})

    def __init__(self, outer: int = 8, inner: int = 8, **kwargs: Any) -> None:
        require_size("outer", outer)
        require_size("inner", inner)
        super().__init__(**kwargs)
        self.outer = outer
        self.inner = inner
        self.samples = outer * inner

    def bound(self, terms: ElboTerms, context: Context) -> Bound:
        log_weight = terms.log_weight
        in_all = _normalised(log_weight, axis=0)
        grouped = in_groups(log_weight, self.outer, self.inner)
        in_group = tf.reshape(_normalised(grouped, axis=1) / self.outer, tf.shape(log_weight))
        gradient: Any = terms.log_joint_gradient
        along = _times(in_group, gradient.log_joint)
        surrogate = _surrogate(terms, in_all, along)
        surrogate -= tf.reduce_sum(in_group * terms.log_posterior, axis=0)
        return Bound(numerics.log_mean_exp(log_weight, axis=0), surrogate)


def _normalised(log_weight: tf.Tensor, axis: int) -> tf.Tensor:
    return tf.stop_gradient(tf.nn.softmax(log_weight, axis=axis))


def _times(weight: tf.Tensor, gradient: tf.Tensor) -> tf.Tensor:
    """Weights `[sample, batch]` times gradients `[sample, batch, *latent_shape]`."""
    extra = gradient.shape.rank - weight.shape.rank
    return tf.reshape(weight, tf.concat([tf.shape(weight), [1] * extra], axis=0)) * gradient


def _surrogate(terms: ElboTerms, weight: tf.Tensor, along: tf.Tensor) -> tf.Tensor:
    """What moves decoder and prior by `weight`, and the encoder as `along` says.

    Args:
        terms: With `log_joint_gradient`.
        weight: Of log p(x|z) + log p(z), `[sample, batch]`, constant.
        along: Gradient wanted with respect to z, `[sample, batch, *latent_shape]`, constant.
    """
    # The weighted densities move the encoder too, through z: this is taken back.
    gradient: Any = terms.log_joint_gradient
    along -= _times(weight, gradient.log_joint)
    by_path = numerics.sum_over_event(along * terms.latents, terms.latents.shape.rank - 2)
    log_joint = terms.log_likelihood + terms.log_prior
    return tf.reduce_sum(weight * log_joint + by_path, axis=0)
