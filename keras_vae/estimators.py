"""The importance-weighted estimate of log p(x), in chunks of samples, and how far to trust it.

Floor 3. Burda, Grosse and Salakhutdinov (2016), Importance Weighted Autoencoders, equation 8.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

__all__ = ["LogMean", "chunked_log_mean_exp"]


class LogMean(NamedTuple):
    """The logarithm of a mean of weights.

    Attributes:
        value: `[batch]`, float64.
        effective: How many weights of equal size would have such a spread, from 1 to their
            number: (sum w)**2 / sum w**2, Kish (1965). `[batch]`, float64.
    """

    value: tf.Tensor
    effective: tf.Tensor


def chunked_log_mean_exp(
    draw: Callable[[tf.Tensor], tf.Tensor], samples: tf.Tensor, chunk: int, batch: tf.Tensor
) -> LogMean:
    """Log of the mean of many weights, holding one chunk of them at a time.

    Args:
        draw: `index -> log-weights [chunk, batch]` in nats, for the chunk number `index`.
        samples: How many log-weights per example to average, an int32 scalar.
        chunk: How many are drawn at a time; what the last chunk has too many is left out.
        batch: Number of examples, an int32 scalar.
    """

    def body(
        index: tf.Tensor, total: tf.Tensor, squares: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        log_weight = draw(index)
        wanted = index * chunk + tf.range(chunk) < samples
        log_weight = tf.where(wanted[:, None], log_weight, -float("inf"))
        # Accumulated in float64: thousands of float32 chunks would add their rounding up.
        log_weight = tf.cast(log_weight, tf.float64)
        return index + 1, _log_add(total, log_weight), _log_add(squares, 2 * log_weight)

    start = tf.fill([batch], tf.constant(-float("inf"), tf.float64))
    _, total, squares = tf.while_loop(
        lambda index, *_: index * chunk < samples,
        body,
        (tf.constant(0), start, start),
        shape_invariants=(tf.TensorShape([]), tf.TensorShape([None]), tf.TensorShape([None])),
    )
    value = total - tf.math.log(tf.cast(samples, tf.float64))
    none = tf.math.is_inf(total)  # no weight at all
    zero = tf.zeros_like(total)
    effective = tf.exp(2 * tf.where(none, zero, total) - tf.where(none, zero, squares))
    return LogMean(value, tf.where(none, zero, effective))


def _log_add(total: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    """`[batch]` plus the rows of `[chunk, batch]`, all of them logarithms."""
    part = tf.reduce_logsumexp(values, axis=0)
    return tf.reduce_logsumexp(tf.stack([total, part]), axis=0)
