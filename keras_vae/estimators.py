"""The importance-weighted estimate of log p(x), in chunks of samples.

Floor 3. Burda, Grosse and Salakhutdinov (2016), Importance Weighted Autoencoders, equation 8.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

__all__ = ["chunked_log_mean_exp"]


def chunked_log_mean_exp(
    draw: Callable[[tf.Tensor], tf.Tensor], samples: tf.Tensor, chunk: int, batch: tf.Tensor
) -> tf.Tensor:
    """Log of the mean of many weights, holding one chunk of them at a time.

    Args:
        draw: `index -> log-weights [chunk, batch]` in nats, for the chunk number `index`.
        samples: How many log-weights per example to average, an int32 scalar.
        chunk: How many are drawn at a time; what the last chunk has too many is left out.
        batch: Number of examples, an int32 scalar.

    Returns:
        `[batch]`, float64.
    """

    def body(index: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        log_weight = draw(index)
        wanted = index * chunk + tf.range(chunk) < samples
        log_weight = tf.where(wanted[:, None], log_weight, -float("inf"))
        # Accumulated in float64: thousands of float32 chunks would add their rounding up.
        part = tf.reduce_logsumexp(tf.cast(log_weight, tf.float64), axis=0)
        return index + 1, tf.reduce_logsumexp(tf.stack([total, part]), axis=0)

    start = tf.fill([batch], tf.constant(-float("inf"), tf.float64))
    _, total = tf.while_loop(
        lambda index, _: index * chunk < samples,
        body,
        (tf.constant(0), start),
        shape_invariants=(tf.TensorShape([]), tf.TensorShape([None])),
    )
    return total - tf.math.log(tf.cast(samples, tf.float64))
