"""Likelihoods of categories without and with an order, given as whole numbers.

Floor 2.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from keras_vae import numerics
from keras_vae.arguments import require_integer, require_size
from keras_vae.component import register
from keras_vae.likelihoods.base import (
    Likelihood,
    Support,
    by_channel,
    keyed_noise,
)
from keras_vae.likelihoods.continuous import logistic_noise
from keras_vae.terms import Context

__all__ = ["Categorical", "Ordinal"]

tfd = tfp.distributions

# Log-probability of what is never drawn; finite, so that differences are.
_NEVER = -1e9


class OneHot(Likelihood):
    """p(x|z) of whole numbers from 0 on. The encoder sees them as one-hot vectors.

    Subclassing: implement `log_probabilities`; the property `size` is the number of values.
    """

    @property
    def size(self) -> int:
        """Number of values of an element."""
        raise NotImplementedError

    @property
    def support(self) -> Support:  # type: ignore[override]
        """The integers from 0 to `size - 1`."""
        fix = f"give each of the {self.size} values a number from 0 to {self.size - 1}"
        return Support(0.0, self.size - 1.0, fix, integer=True)

    def log_probabilities(self, params: tf.Tensor) -> tf.Tensor:
        """Log-probability of each value, `[..., *event_shape, size]`."""
        raise NotImplementedError

    def probabilities(self, params: tf.Tensor) -> tf.Tensor:
        """Probability of each value, `[..., *event_shape, size]`."""
        return keras.ops.exp(self.log_probabilities(params))

    def parameters(self, params: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"probs": self.probabilities(params)}

    def distribution(self, params: tf.Tensor) -> tfp.distributions.Distribution:
        probabilities = self.probabilities(params)
        values = tf.range(self.size, dtype=probabilities.dtype)
        # Not by logits: TensorFlow's softmax takes no more than five axes on some processors.
        elements = tfd.FiniteDiscrete(values, probs=probabilities)
        return tfd.Independent(elements, len(self.event_shape))

    def elementwise_log_prob(
        self, params: tf.Tensor, x: tf.Tensor, mask: tf.Tensor | None, context: Context
    ) -> tf.Tensor:
        chosen = tf.one_hot(tf.cast(x, tf.int32), self.size, dtype=params.dtype)
        return tf.reduce_sum(chosen * self.log_probabilities(params), -1)

    def mean(self, params: tf.Tensor) -> tf.Tensor:
        values = keras.ops.arange(self.size, dtype=numerics.density_dtype())
        return keras.ops.sum(values * self.probabilities(params), -1)

    def encoder_input_shape(self, event_shape: tuple[int, ...]) -> tuple[int, ...]:
        return (*event_shape[:-1], self.size * event_shape[-1])

    def encoder_input(self, x: tf.Tensor) -> tf.Tensor:
        hot = keras.ops.one_hot(
            keras.ops.cast(x, "int32"), self.size, dtype=numerics.density_dtype()
        )
        return keras.ops.reshape(hot, (-1, *self.encoder_input_shape(x.shape[1:])))

    def constrained_view(self, view: tf.Tensor) -> tf.Tensor:
        # Relaxed: shares of the values, which add up to 1.
        shares = tf.maximum(by_channel(view, self.event_shape[-1], self.size), 0.0)
        total = tf.reduce_sum(shares, -1, keepdims=True)
        equal = tf.ones_like(shares) / self.size
        shares = tf.where(total > 0, tf.math.divide_no_nan(shares, total), equal)
        return tf.reshape(shares, tf.shape(view))


@register("likelihoods")
class Categorical(OneHot):
    """Independent categories without an order; the decoder emits a logit for each.

    Categories are the whole numbers 0 .. classes - 1. `point` is the most probable one;
    `mean`, that of the numbers, is for parts that need a mean.

    Args:
        classes: Number of categories, at least 2.
        end_token: A category that ends a sequence. Sequences run along the first axis of the
            event; each index of the other axes has its own. The first end counts, what
            follows does not: log p(x|z) is that of a sequence of that length, and draws,
            points and the encoder's input repeat the end. A hidden value is not taken for an
            end. Defaults to `None`: all elements count.
        **kwargs: As in any Keras layer.

    Raises:
        ValueError: If `classes` is not an integer >= 2, or `end_token` is no category.

    Example:
    >>> p = keras_vae.likelihoods.Categorical(classes=4)
    >>> p.params_shape((10, 1))
    (10, 4)
    >>> p.build((10, 1))
    >>> round(float(p.log_prob(tf.zeros([10, 4]), tf.ones([10, 1]))), 4)
    -13.8629

    Reference: Bishop (2006), Pattern Recognition and Machine Learning, section 2.2; with an
    end: Bowman et al. (2016), Generating Sentences from a Continuous Space.
    """

    def __init__(self, classes: int, end_token: int | None = None, **kwargs: Any) -> None:
        require_size("classes", classes, 2)
        if end_token is not None:
            require_integer("end_token", end_token, 0)
            if end_token >= classes:
                raise ValueError(
                    f"`end_token` must be below `classes`={classes}. "
                    f"Received: end_token={end_token}."
                )
        super().__init__(**kwargs)
        self.classes = classes
        self.end_token = end_token

    @property
    def size(self) -> int:
        return self.classes

    @property
    def has_distribution(self) -> bool:  # type: ignore[override]
        """Whether `distribution` exists: TFP has none of sequences that end."""
        return self.end_token is None

    def params_shape(self, event_shape: tuple[int, ...]) -> tuple[int, ...]:
        return (*event_shape[:-1], self.classes * event_shape[-1])

    def log_probabilities(self, params: tf.Tensor) -> tf.Tensor:
        logits = by_channel(params, self.event_shape[-1], self.classes)
        return logits - keras.ops.logsumexp(logits, -1, keepdims=True)

    def distribution(self, params: tf.Tensor) -> tfp.distributions.Distribution:
        """p(x|z) as a TFP distribution with event `event_shape`.

        Raises:
            NotImplementedError: If there is an `end_token`.
        """
        if not self.has_distribution:
            raise NotImplementedError(
                "TFP has no distribution of sequences that end. Use `probabilities`, or "
                "`log_prob` and `sample` of the likelihood."
            )
        return super().distribution(params)

    def elementwise_log_prob(
        self, params: tf.Tensor, x: tf.Tensor, mask: tf.Tensor | None, context: Context
    ) -> tf.Tensor:
        log_prob = super().elementwise_log_prob(params, x, mask, context)
        if self.end_token is None:
            return log_prob
        after = self._after_first(x == self.end_token)
        return tf.where(after, tf.zeros_like(log_prob), log_prob)

    def mean(self, params: tf.Tensor) -> tf.Tensor:
        mean = super().mean(params)
        if self.end_token is None:
            return mean
        log_each = self.log_probabilities(params)
        others = [log_each[..., : self.end_token], log_each[..., self.end_token + 1 :]]
        log_going_on = keras.ops.logsumexp(keras.ops.concatenate(others, -1), -1)
        going_on = keras.ops.exp(self._sum_before(log_going_on))
        return going_on * mean + (1 - going_on) * self.end_token

    def point(self, params: tf.Tensor) -> tf.Tensor:
        return self._most_probable(self.log_probabilities(params))

    def mixture_point(self, params: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
        return self._most_probable(numerics.weighted_mean(self.probabilities(params), weights))

    def sharpened(self, params: tf.Tensor, temperature: float, top_p: float) -> tf.Tensor:
        """Parameters of sharper, or flatter, draws.

        Args:
            params: `[..., *params_shape]`.
            temperature: Logits are divided by it.
            top_p: Categories that are not among the most probable ones with this share of the
                probability together get none.

        Reference: Holtzman, Buys, Du, Forbes and Choi (2020), The Curious Case of Neural Text
        Degeneration, section 3.1.
        """
        logits = tf.nn.log_softmax(self.log_probabilities(params) / temperature)
        descending = tf.sort(logits, direction="DESCENDING")
        before = tf.cumsum(tf.exp(descending), axis=-1, exclusive=True)
        least = tf.reduce_min(
            tf.where(before < top_p, descending, logits.dtype.max), -1, keepdims=True
        )
        kept = tf.where(logits < least, tf.constant(_NEVER, logits.dtype), logits)
        return tf.reshape(kept, tf.shape(params))

    def sample(self, params: tf.Tensor, seed: int | tf.Tensor | None = None) -> tf.Tensor:
        # The largest logit after noise of Gumbel's distribution.
        logits = self.log_probabilities(params)
        gumbel = -tf.math.log(-tf.math.log(keyed_noise("uniform", logits, seed)))
        return self._most_probable(logits + gumbel)

    def encoder_input(self, x: tf.Tensor) -> tf.Tensor:
        return super().encoder_input(self._ended(x))

    def _filler(self) -> float:
        # A hidden value is not taken for an end.
        return 1.0 if self.end_token == 0 else 0.0

    def _most_probable(self, scores: tf.Tensor) -> tf.Tensor:
        best = keras.ops.argmax(scores, axis=-1)
        return self._ended(keras.ops.cast(best, numerics.density_dtype()))

    def _ended(self, x: tf.Tensor) -> tf.Tensor:
        """Repeat the end after its first occurrence."""
        if self.end_token is None:
            return x
        end = keras.ops.full_like(x, self.end_token)
        return keras.ops.where(self._after_first(keras.ops.equal(x, end)), end, x)

    def _after_first(self, ends: tf.Tensor) -> tf.Tensor:
        return self._sum_before(keras.ops.cast(ends, numerics.density_dtype())) > 0

    def _sum_before(self, values: tf.Tensor) -> tf.Tensor:
        """Sum over earlier places of the sequence."""
        return keras.ops.cumsum(values, axis=-len(self.event_shape)) - values


@register("likelihoods")
class Ordinal(OneHot):
    """Independent ordered levels: a location falls between thresholds.

    Levels are the whole numbers 0 .. levels - 1. The decoder emits one location per element;
    each element of the event has thresholds of its own, trained and shared by all examples:
    P(x <= k) = sigmoid(threshold k - location). `point` is the median: the order counts, and
    unlike the most probable level it moves by one level at a time with the location.

    Args:
        levels: Number of levels, at least 2.
        **kwargs: As in any Keras layer.

    Raises:
        ValueError: If `levels` is not an integer >= 2.

    Example:
    >>> p = keras_vae.likelihoods.Ordinal(levels=4)
    >>> p.build((1,))
    >>> [round(float(t), 4) for t in p.probabilities(tf.zeros([1]))[0]]
    [0.25, 0.25, 0.25, 0.25]

    Reference: McCullagh (1980), Regression Models for Ordinal Data, section 2 (the
    proportional odds model).
    """

    def __init__(self, levels: int, **kwargs: Any) -> None:
        require_size("levels", levels, 2)
        super().__init__(**kwargs)
        self.levels = levels

    @property
    def size(self) -> int:
        return self.levels

    def build(self, event_shape: tuple[int, ...]) -> None:
        if self.built:
            return
        super().build(event_shape)
        # The first threshold, and the gaps to the next: all levels are equally probable at
        # location 0.
        thresholds = [math.log(k / (self.levels - k)) for k in range(1, self.levels)]
        gaps = [b - a for a, b in itertools.pairwise(thresholds)]
        start = [thresholds[0], *(numerics.inverse_positive(gap) for gap in gaps)]
        self.raw_thresholds = self.add_weight(
            (*self.event_shape, self.levels - 1),
            keras.initializers.Constant(start),
            name="raw_thresholds",
        )

    def params_shape(self, event_shape: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(event_shape)

    def log_probabilities(self, params: tf.Tensor) -> tf.Tensor:
        # Between thresholds b < a: sigmoid(a) - sigmoid(b)
        # = sigmoid(a) sigmoid(-b) (1 - exp(b - a)), which has no cancellation.
        thresholds, gaps = self._thresholds()
        centred = thresholds - params[..., None]
        below, above = -keras.ops.softplus(-centred), -keras.ops.softplus(centred)
        between = keras.ops.log(-keras.ops.expm1(-gaps))
        inner = below[..., 1:] + above[..., :-1] + between
        return keras.ops.concatenate([below[..., :1], inner, above[..., -1:]], -1)

    def mean(self, params: tf.Tensor) -> tf.Tensor:
        thresholds, _ = self._thresholds()
        return keras.ops.sum(keras.ops.sigmoid(params[..., None] - thresholds), -1)

    def point(self, params: tf.Tensor) -> tf.Tensor:
        thresholds, _ = self._thresholds()
        # A location that rounding moves off a threshold is still at it.
        above = keras.ops.sigmoid(params[..., None] - thresholds)
        return self._count(keras.ops.greater(above, 0.5))

    def mixture_point(self, params: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
        thresholds, _ = self._thresholds()
        above = numerics.weighted_mean(tf.sigmoid(params[..., None] - thresholds), weights)
        return self._count(above > 0.5)

    def sample(self, params: tf.Tensor, seed: int | tf.Tensor | None = None) -> tf.Tensor:
        return self.point(params + logistic_noise(params, seed))

    def _thresholds(self) -> tuple[tf.Tensor, tf.Tensor]:
        raw = tf.convert_to_tensor(self.raw_thresholds)
        gaps = numerics.positive(raw[..., 1:])
        return tf.cumsum(tf.concat([raw[..., :1], gaps], -1), -1), gaps

    def _count(self, passed: tf.Tensor) -> tf.Tensor:
        return keras.ops.sum(keras.ops.cast(passed, numerics.density_dtype()), -1)
