"""Objectives that judge reconstructed images as eyes do.

Floor 3.
"""

from __future__ import annotations

import math
from typing import Any

import keras
import tensorflow as tf

from keras_vae import numerics
from keras_vae.arguments import require_positive, require_size
from keras_vae.component import register
from keras_vae.objectives.base import Objective, require_weight
from keras_vae.objectives.elbo import ELBO
from keras_vae.schedules import Schedule, value_at
from keras_vae.terms import Bound, Context, ElboTerms

__all__ = ["MSSSIM", "Perceptual"]

# Wang, Simoncelli and Bovik (2003), section 3.2: the weights of the scales, finest first.
_POWERS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
_WINDOW_SCALE = 1.5
# A structure that is not at all, or negatively, correlated counts as this: the slope of a
# power at 0 is infinite.
_SMALLEST = 1e-6


@register("objectives")
class MSSSIM(Objective):
    """Similarity of structure in place of log p(x|z), minus the KL.

    value = weight * MS-SSIM(x, mean of p(x|z)) - beta * KL(q(z|x) || p(z)). The multi-scale
    structural similarity, at most 1, compares means, variances and covariances in small
    windows of the images and of images halved up to four times; as many scales are used as
    the image has room for. The value is neither a bound of log p(x) nor a number of nats, and
    the likelihood serves for its mean alone: what it has to learn beyond the mean, such as a
    scale, is not trained.

    Args:
        weight: What a similarity of 1 is worth against a nat of KL, a number >= 0 or a
            schedule.
        beta: Weight of the KL, a number >= 0 or a schedule. Defaults to `1.0`.
        max_value: Difference of the largest and smallest value that a pixel may have.
            Defaults to `1.0`.
        window: Side of a window in pixels. Defaults to `11`.
        samples: Latents drawn per example. Defaults to `1`.
        **kwargs: As in any Keras layer.

    Raises:
        ValueError: If a weight is negative, `max_value` is not positive, `window` or
            `samples` is not a positive integer, or, when the model is made, if events are
            not images of at least one window.

    Example:
    >>> similarity = keras_vae.objectives.MSSSIM(weight=1_000.0)
    >>> similarity.build((64, 64, 3))
    >>> similarity.scales
    3

    Reference: Snell et al. (2017), Learning to Generate Images with Perceptual Similarity
    Metrics, section 3; Wang, Simoncelli and Bovik (2003), Multi-Scale Structural Similarity,
    equation 7.
    """

    requires = frozenset({"density", "x", "reconstruction"})
    uses_log_likelihood = False

    def __init__(
        self,
        weight: float | Schedule,
        beta: float | Schedule = 1.0,
        *,
        max_value: float = 1.0,
        window: int = 11,
        samples: int = 1,
        **kwargs: Any,
    ) -> None:
        require_weight("weight", weight)
        require_weight("beta", beta)
        require_positive("max_value", max_value)
        require_size("window", window)
        require_size("samples", samples)
        super().__init__(**kwargs)
        self.weight = weight
        self.beta = beta
        self.max_value = max_value
        self.window = window
        self.samples = samples

    def build(self, event_shape: tuple[int, ...]) -> None:
        """Count the scales that an image has room for."""
        if len(event_shape) != 3 or min(event_shape[:2]) < self.window:
            raise ValueError(
                f"MSSSIM needs events that are images [height, width, channels] of at least "
                f"{self.window} pixels a side. Received: event_shape={tuple(event_shape)}. "
                f"Use a smaller `window`, or another objective."
            )
        side, scales = min(event_shape[:2]), 1
        while scales < len(_POWERS) and math.ceil(side / 2) >= self.window:
            side, scales = math.ceil(side / 2), scales + 1
        self.scales = scales
        self.built = True

    def bound(self, terms: ElboTerms, context: Context) -> Bound:
        target = _observed(terms, context)
        similarity = self.similarity(target, terms.reconstruction)
        likeness = value_at(self.weight, context.step) * similarity
        return ELBO(self.beta).bound(terms._replace(log_likelihood=likeness), context)

    def similarity(self, first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
        """MS-SSIM of images `[..., height, width, channels]`, `[...]`."""
        leading, image = tf.shape(first)[:-3], first.shape[-3:]
        first, second = (tf.reshape(x, (-1, *image)) for x in (first, second))
        powers = [p / sum(_POWERS[: self.scales]) for p in _POWERS[: self.scales]]
        product = 1.0
        for scale, power in enumerate(powers, 1):
            luminance, structure = self._compared(first, second)
            if scale == self.scales:
                structure = luminance * structure
            # By channel; the power is of the mean over the image.
            mean = tf.reduce_mean(structure, axis=(1, 2))
            product *= tf.maximum(mean, _SMALLEST) ** power
            first, second = (tf.nn.avg_pool2d(x, 2, 2, "SAME") for x in (first, second))
        return tf.reshape(tf.reduce_mean(product, axis=-1), leading)

    def _compared(self, a: tf.Tensor, b: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Luminance and structure, `[images, height, width, channels]` each."""
        statistics = tf.concat([a, b, a * b, a**2 + b**2], axis=0)
        kernel = self._kernel(a.shape[-1], a.dtype)
        averaged = tf.nn.depthwise_conv2d(statistics, kernel, (1, 1, 1, 1), "VALID")
        mean_a, mean_b, product, squares = tf.split(averaged, 4)
        # Small constants against division by 0, as usual.
        c1, c2 = (0.01 * self.max_value) ** 2, (0.03 * self.max_value) ** 2
        means, mean_squares = 2 * mean_a * mean_b, mean_a**2 + mean_b**2
        luminance = (means + c1) / (mean_squares + c1)
        structure = (2 * product - means + c2) / (squares - mean_squares + c2)
        return luminance, structure

    def _kernel(self, channels: int, dtype: tf.DType) -> tf.Tensor:
        offset = tf.range(self.window, dtype=dtype) - (self.window - 1) / 2
        weights = tf.nn.softmax(-0.5 * (offset / _WINDOW_SCALE) ** 2)
        window = weights[:, None] * weights
        return tf.repeat(window[..., None, None], channels, axis=2)


@register("objectives")
class Perceptual(Objective):
    """Another objective, minus a distance of what a given network sees in the images.

    value = base - weight * sum (f(x) - f(mean of p(x|z)))**2, summed over all features of f.
    The value is no bound of log p(x). Hou et al. take half the mean over the features of
    each layer, which is a matter of the weight.

    Args:
        base: The `Objective` to add to, such as `ELBO()`, or `LogLikelihood()` for a
            posterior without density.
        features: A Keras model, `x [batch, *event_shape]` -> features, one tensor or several.
            Its weights are frozen (`trainable` is set to `False`) and saved with the model.
        weight: Weight of the distance, a number >= 0 or a schedule.
        **kwargs: As in any Keras layer.

    Raises:
        TypeError: If `base` is not an objective or `features` is not a Keras layer.
        ValueError: If `weight` is negative.

    Example:
    >>> layers = [keras.Input((8, 8, 1)), keras.layers.Conv2D(4, 3, activation="relu")]
    >>> perceptual = keras_vae.objectives.Perceptual(
    ...     keras_vae.objectives.ELBO(), keras.Sequential(layers), weight=0.5
    ... )
    >>> sorted(perceptual.requires)
    ['density', 'reconstruction', 'x']

    Reference: Hou et al. (2017), Deep Feature Consistent Variational Autoencoder,
    section 3.2.
    """

    def __init__(
        self, base: Objective, features: Any, weight: float | Schedule, **kwargs: Any
    ) -> None:
        if not isinstance(base, Objective):
            raise TypeError(
                f"`base` must be an objective, such as ELBO(). Received: base={base!r}."
            )
        if not isinstance(features, keras.layers.Layer):
            raise TypeError(
                f"`features` must be a Keras model or layer. Received: features={features!r}."
            )
        require_weight("weight", weight)
        super().__init__(**kwargs)
        features.trainable = False
        self.base = base
        self.features = features
        self.weight = weight
        self.requires = base.requires | {"x", "reconstruction"}
        self.coupled = base.coupled
        self.smallest_batch = base.smallest_batch
        self.samples = base.samples

    def build(self, event_shape: tuple[int, ...]) -> None:
        """Build the two."""
        self.event_shape = tuple(event_shape)
        self.base.build(event_shape)
        if not self.features.built:
            self.features.build((None, *event_shape))
        self.built = True

    def check(self, data_size: int) -> None:
        self.base.check(data_size)

    def schedules(self) -> dict[str, Schedule]:
        """Those of the base too, its `weight` as `base_weight`."""
        own = super().schedules()
        of_base = self.base.schedules().items()
        return own | {f"base_{n}" if n in own else n: schedule for n, schedule in of_base}

    def bound(self, terms: ElboTerms, context: Context) -> Bound:
        target = _observed(terms, context)
        penalty = value_at(self.weight, context.step) * self._distance(
            target, terms.reconstruction
        )
        value, surrogate = self.base.bound(terms, context)
        return Bound(value - penalty, None if surrogate is None else surrogate - penalty)

    def _distance(self, first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
        """Squared distance of features, `[batch]`, of images `[sample, batch, *event]`."""
        leading, event = tf.shape(first)[:2], self.event_shape
        distance = tf.zeros(leading, first.dtype)
        seen = [
            self.features(tf.reshape(x, (-1, *event)), training=False) for x in (first, second)
        ]
        for one, two in zip(*(tf.nest.flatten(features) for features in seen)):
            difference = numerics.as_density(one) - numerics.as_density(two)
            squares = numerics.sum_over_event(difference**2, difference.shape.rank - 1)
            distance += tf.reshape(squares, leading)
        return tf.reduce_mean(distance, axis=0)


def _observed(terms: ElboTerms, context: Context) -> tf.Tensor:
    """The target, once for each reconstruction, and equal to it wherever x is missing."""
    target = tf.broadcast_to(terms.x, tf.shape(terms.reconstruction))
    if context.mask is None:
        return target
    return tf.where(context.mask, target, terms.reconstruction)
