"""The likelihood of images with levels of grey or colour.

Floor 2.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from keras_vae import numerics
from keras_vae.arguments import require_size
from keras_vae.component import register
from keras_vae.likelihoods.base import (
    Likelihood,
    Support,
    by_channel,
    keyed_noise,
)
from keras_vae.likelihoods.continuous import logistic_noise
from keras_vae.terms import Context

__all__ = ["DiscretizedLogistic"]

tfd = tfp.distributions
# Up to here the mean is summed over levels.
_SUMMED_LEVELS = 32
# Values are a level up to this share of the step between two: rounding leaves less.
_ON_LEVEL = 1e-2


@register("likelihoods")
class DiscretizedLogistic(Likelihood):
    """Mixtures of logistic distributions, rounded to levels: for 8-bit images.

    x is level / (levels - 1), so that images divided by 255 can be taken as they are; what
    lies between is rounded to the nearest level. `log_prob` is the logarithm of the level's
    probability, in nats; divided by minus log 2 and the number of elements it is the length
    of a code in bits per dimension. A component puts the mass that its logistic has within
    half a level of x there; the lowest and highest level get all beyond.

    The decoder emits, for each element and component, a logit of its weight, a location and
    a raw scale, the latter two on the axis 2 x - 1 from -1 to 1. Scales do not fall below a
    tenth of a level.

    `mean` is exact for up to 32 levels. For more it is that of the mixture before rounding,
    with all mass beyond 0 and 1 put there: off by less than half a level, and by less than a
    hundredth of one where scales exceed a level.

    Args:
        components: Logistic distributions per element. Defaults to `10`.
        levels: Number of levels, at least 2. Defaults to `256`.
        **kwargs: As in any Keras layer.

    Raises:
        ValueError: If `components` is not an integer >= 1, or `levels` not one >= 2.

    Example:
    >>> p = keras_vae.likelihoods.DiscretizedLogistic(components=5)
    >>> p.params_shape((32, 32, 3))
    (32, 32, 45)

    Reference: Salimans, Karpathy, Chen and Kingma (2017), PixelCNN++, equations 1 and 2;
    Kingma et al. (2016), Improved Variational Inference with Inverse Autoregressive Flow,
    appendix (one component).
    """

    def __init__(self, components: int = 10, levels: int = 256, **kwargs: Any) -> None:
        require_size("components", components, 1)
        require_size("levels", levels, 2)
        super().__init__(**kwargs)
        self.components = components
        self.levels = levels

    @property
    def support(self) -> Support:  # type: ignore[override]
        """From 0 to 1."""
        return Support(0.0, 1.0, f"divide the levels by {self.levels - 1}")

    @property
    def discrete(self) -> bool:
        """True: of levels."""
        return True

    def has_mass(self, x: tf.Tensor) -> tf.Tensor:
        place = x * (self.levels - 1)
        return (tf.abs(place - tf.round(place)) < _ON_LEVEL) | tf.math.is_nan(x)

    def cell(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        steps = self.levels - 1
        level = tf.round(x * steps)
        low, high = tf.maximum(level - 0.5, 0.0), tf.minimum(level + 0.5, float(steps))
        return low / steps, high / steps

    def params_shape(self, event_shape: tuple[int, ...]) -> tuple[int, ...]:
        return (*event_shape[:-1], 3 * self.components * event_shape[-1])

    def distribution(self, params: tf.Tensor) -> tfp.distributions.Distribution:
        """p(x|z) as a table of the probabilities of all levels: large for large events."""
        values = tf.range(self.levels, dtype=params.dtype) / (self.levels - 1)
        table = self._log_prob(params[..., None, :], values[:, None])
        order = [*range(table.shape.rank)]
        table = tf.transpose(table, [*order[:-2], order[-1], order[-2]])
        return tfd.Independent(
            tfd.FiniteDiscrete(values, probs=tf.exp(table)), len(self.event_shape)
        )

    def elementwise_log_prob(
        self, params: tf.Tensor, x: tf.Tensor, mask: tf.Tensor | None, context: Context
    ) -> tf.Tensor:
        return self._log_prob(params, x)

    def mean(self, params: tf.Tensor) -> tf.Tensor:
        logits, location, scale = self._mixture(params)
        if self.levels <= _SUMMED_LEVELS:
            # The sum of P(level > k), over k.
            edges = np.arange(1, self.levels) - 0.5
            edges = keras.ops.convert_to_tensor(
                2 * edges / (self.levels - 1) - 1, numerics.density_dtype()
            )
            distance = (location[..., None] - edges) / scale[..., None]
            means = keras.ops.mean(keras.ops.sigmoid(distance), -1)
        else:
            # The integral of P(y > t) over t from -1 to 1; x = (1 + y) / 2.
            low, high = (keras.ops.softplus((location - t) / scale) for t in (-1, 1))
            means = 0.5 * scale * (low - high)
        # TensorFlow's softmax takes no more than five axes on some processors.
        weights = keras.ops.exp(logits - keras.ops.logsumexp(logits, -1, keepdims=True))
        mean = keras.ops.sum(weights * means, -1)
        return keras.ops.clip(mean, 0.0, 1.0)

    def sample(self, params: tf.Tensor, seed: int | tf.Tensor | None = None) -> tf.Tensor:
        logits, location, scale = self._mixture(params)
        gumbel = -tf.math.log(-tf.math.log(keyed_noise("uniform", logits, seed)))
        component = tf.argmax(logits + gumbel, -1)
        chosen = tf.one_hot(component, self.components, dtype=params.dtype)
        location = tf.reduce_sum(chosen * location, -1)
        scale = tf.reduce_sum(chosen * scale, -1)
        y = location + scale * logistic_noise(location, seed, stream=1)
        steps = self.levels - 1
        return tf.round(tf.clip_by_value((1 + y) / 2, 0.0, 1.0) * steps) / steps

    def parameters(self, params: tf.Tensor) -> dict[str, tf.Tensor]:
        """Of the mixture, before rounding, on the scale -1 .. 1; with an axis of components."""
        return dict(zip(("logits", "loc", "scale"), self._mixture(params)))

    def _mixture(self, params: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Logits, locations and scales, each `[..., *event_shape, components]`."""
        mixture = by_channel(params, self.event_shape[-1], 3 * self.components)
        logits, location, raw = keras.ops.split(mixture, 3, -1)
        return logits, location, numerics.positive(raw, 0.2 / (self.levels - 1))

    def _log_prob(self, params: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
        logits, location, scale = self._mixture(params)
        x = tf.round(x * (self.levels - 1)) / (self.levels - 1)
        width = 2 / (self.levels - 1)
        centred = (2 * x - 1)[..., None] - location
        upper, lower = (centred + width / 2) / scale, (centred - width / 2) / scale
        # sigmoid(upper) - sigmoid(lower)
        # = sigmoid(upper) sigmoid(-lower) (1 - exp(lower - upper)): no cancellation anywhere.
        below, above = -tf.math.softplus(-upper), -tf.math.softplus(lower)
        inner = below + above + tf.math.log(-tf.math.expm1(-width / scale))
        half = 0.5 / (self.levels - 1)
        lowest, highest = (x < half)[..., None], (x > 1 - half)[..., None]
        log_prob = tf.where(lowest, below, tf.where(highest, above, inner))
        return tf.reduce_logsumexp(logits + log_prob, -1) - tf.reduce_logsumexp(logits, -1)
