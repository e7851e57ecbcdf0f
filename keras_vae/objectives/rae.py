"""The regularised autoencoder.

Floor 3.
"""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf

from keras_vae import numerics
from keras_vae.component import register
from keras_vae.objectives.base import Objective, require_weight
from keras_vae.schedules import Schedule, value_at
from keras_vae.terms import Bound, Context, ElboTerms

__all__ = ["RAE"]


@register("objectives")
class RAE(Objective):
    """Regularised autoencoder: log p(x|z), minus penalties on the code and the decoder.

    value = log p(x|z) - weight * |z|**2 / 2 - gradient_penalty * |dD/dz|**2, where D(z) are
    the decoder's outputs - the parameters of the likelihood, for `Normal` with a fixed scale
    its mean - and |.|**2 is the sum of squares, here over the whole Jacobian. The value is no
    bound of log p(x).

    It goes with `posteriors.Deterministic`. A decoder with small weights (RAE-L2) is
    had from the optimizer, `keras.optimizers.Adam(weight_decay=...)`, or from its layers'
    `kernel_regularizer`, not from here. To draw new examples, fit a density to the codes
    after training.

    Args:
        weight: Weight of the code's length, a number >= 0 or a schedule.
        gradient_penalty: Weight of the decoder's slope, a number >= 0. Above 0 the decoder
            is evaluated once more for each latent dimension, in TensorFlow's forward mode,
            which has no loops: not with recurrent decoders. Defaults to `0.0`: none.
        **kwargs: As in any Keras layer.

    Raises:
        ValueError: If `weight` or `gradient_penalty` is negative.

    Example:
    >>> keras_vae.objectives.RAE(weight=1e-2).requires
    frozenset()

    Reference: Ghosh et al. (2020), From Variational to Deterministic Autoencoders,
    equations 8 and 11.
    """

    def __init__(
        self, weight: float | Schedule, gradient_penalty: float = 0.0, **kwargs: Any
    ) -> None:
        require_weight("weight", weight)
        require_weight("gradient_penalty", gradient_penalty, scheduled=False)
        super().__init__(**kwargs)
        self.weight = weight
        self.gradient_penalty = gradient_penalty

    def bound(self, terms: ElboTerms, context: Context) -> Bound:
        length = numerics.sum_over_event(terms.latents**2, terms.latents.shape.rank - 2)
        penalty = value_at(self.weight, context.step) * length / 2
        if self.gradient_penalty > 0:
            penalty += self.gradient_penalty * _squared_slope(context.decode, terms.latents)
        return Bound(tf.reduce_mean(terms.log_likelihood - penalty, axis=0))


def _squared_slope(decode: Any, z: tf.Tensor) -> tf.Tensor:
    """Sum of squares of the Jacobian of `decode` at each z, `[sample, batch]`."""
    latent_shape = z.shape[2:]
    size = math.prod(latent_shape)
    # One copy of z for each direction, moved along it.
    copies = tf.repeat(z[None], size, axis=0)
    directions = tf.reshape(tf.eye(size, dtype=z.dtype), (size, 1, 1, *latent_shape))
    directions = tf.broadcast_to(directions, tf.shape(copies))
    with tf.autodiff.ForwardAccumulator(copies, directions) as accumulator:
        decoded = decode(copies)
    slopes = accumulator.jvp(decoded, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    by_direction = numerics.sum_over_event(slopes**2, slopes.shape.rank - 3)
    return tf.reduce_sum(by_direction, axis=0)
