"""A mean over training steps, for what likelihoods learn from batches without gradients.

Floor 2.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from keras_vae.likelihoods.base import Likelihood

__all__ = ["RunningMean"]

# Share of the mean that each training step replaces.
_RATE = 0.01


class RunningMean(Likelihood):
    """A likelihood that may keep the running mean of a statistic of its batches.

    Subclassing: call `add_running_mean` in `build`, `updated_mean` in training steps, and
    `running_mean` elsewhere.
    """

    def add_running_mean(self) -> None:
        """Make the weights, which are not trainable."""
        # Sums of exponentially decaying weights: their ratio has no start-up bias.
        options = {"trainable": False, "aggregation": "mean"}
        shape = self.shared_shape
        self.running_sum = self.add_weight(shape, "zeros", name="running_sum", **options)
        self.running_weight = self.add_weight(shape, "zeros", name="running_weight", **options)

    def running_mean(self) -> tf.Tensor:
        """The mean over past training steps; 1 before the first, when nothing is known."""
        weight = tf.convert_to_tensor(self.running_weight)
        mean = tf.math.divide_no_nan(tf.convert_to_tensor(self.running_sum), weight)
        return tf.where(weight > 0, mean, tf.ones_like(mean))

    def updated_mean(self, values: tf.Tensor, mask: tf.Tensor | None = None) -> tf.Tensor:
        """Mean over the batch of all replicas; it also moves the running mean.

        Args:
            values: Any shape that ends with `shared_shape`.
            mask: Broadcasts to it; `True` where a value counts. Defaults to `None`: all do.
        """
        values = tf.stop_gradient(values)
        weights = tf.ones_like(values)
        if mask is not None:
            weights *= tf.cast(mask, values.dtype)
        axes = list(range(values.shape.rank - len(self.shared_shape)))
        total, count = (tf.reduce_sum(v, axes) for v in (values * weights, weights))
        replicas = tf.distribute.get_replica_context()
        if replicas is not None and replicas.num_replicas_in_sync > 1:
            total, count = replicas.all_reduce(tf.distribute.ReduceOp.SUM, [total, count])
        mean = tf.math.divide_no_nan(total, count)
        # A batch in which nothing was observed says nothing.
        rate = tf.where(count > 0, tf.constant(_RATE, count.dtype), tf.zeros_like(count))
        self.running_sum.assign(_decay(self.running_sum, mean, rate))
        self.running_weight.assign(_decay(self.running_weight, tf.ones_like(count), rate))
        return mean


def _decay(old: Any, new: tf.Tensor, rate: tf.Tensor) -> tf.Tensor:
    old = tf.convert_to_tensor(old)
    return old + rate * (new - old)
