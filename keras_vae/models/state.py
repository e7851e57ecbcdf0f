"""What a model remembers of its training besides its weights.

Floor 4.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_vae import numerics
from keras_vae.component import Component
from keras_vae.streams import Stream

__all__ = ["TrainingState"]


class TrainingState(Component):
    """Counters that make training resumable bit for bit, saved with the model.

    Attributes:
        step: Number of updates applied.
        noise_seed: Seed of all noise drawn in training and evaluation.
        noise_counter: Number of times that noise was drawn in training.
        evaluation_counter: The same in evaluation; reset at each evaluation.
        data_size: Number of training examples, 0 if unknown.
        adapted: 1 once the prior was shown the data.
        failed_step: First step that was not applied for want of finite numbers, else -1.
        failures: For each watched term whether it was bad at that step.

    Args:
        watched: Names of the watched terms.
        seed: Seed of the noise.
        **kwargs: As in any Keras layer.
    """

    def __init__(self, watched: tuple[str, ...], seed: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.watched = watched
        self.seed = seed
        self._fault = _Fault()

    def build(self, input_shape: Any = None) -> None:
        """Make the counters."""
        if self.built:
            return
        self.step = self._counter("step")
        self.noise_seed = self._counter("noise_seed", self.seed)
        self.noise_counter = self._counter("noise_counter")
        self.evaluation_counter = self._counter("evaluation_counter")
        self.data_size = self._counter("data_size")
        self.adapted = self._counter("adapted")
        self.failed_step = self._counter("failed_step", -1)
        self.failures = self._counter("failures", shape=(len(self.watched),))
        # Not among the weights: files do not hold it.
        self._fault.variable = keras.Variable(
            [-1.0, -1.0, 0.0],
            dtype="float64",
            trainable=False,
            aggregation="only_first_replica",
            name="fault",
        )
        self.built = True

    def _counter(self, name: str, start: int = 0, shape: tuple[int, ...] = ()) -> Any:
        return self.add_weight(
            shape,
            keras.initializers.Constant(start),
            dtype="int64",
            trainable=False,
            aggregation="only_first_replica",
            name=name,
        )

    def key(self, *, training: bool, ahead: Any = 0) -> tf.Tensor:
        """Key for the noise of the step after so many others, different on each replica."""
        counter = self.noise_counter if training else self.evaluation_counter
        stream = Stream.TRAINING if training else Stream.EVALUATION
        seed = tf.cast(tf.convert_to_tensor(self.noise_seed), tf.int32)
        number = tf.convert_to_tensor(counter) + ahead
        key = numerics.fold_in(tf.stack([seed, int(stream)]), number)
        replica = tf.distribute.get_replica_context()
        if replica is not None and replica.num_replicas_in_sync > 1:
            key = numerics.fold_in(key, replica.replica_id_in_sync_group)
        return key

    def next_key(self, *, training: bool) -> tf.Tensor:
        """Key for this step's noise: new at each call."""
        key = self.key(training=training)
        counter = self.noise_counter if training else self.evaluation_counter
        counter.assign_add(1)
        return key

    def order(self, size: int) -> tf.Tensor:
        """Order of so many examples in the next pass over them.

        A function of the model's seed and of the noise drawn so far, so that a training that
        is resumed goes on as it would have.
        """
        seed = tf.cast(tf.convert_to_tensor(self.noise_seed), tf.int32)
        key = numerics.fold_in(
            tf.stack([seed, int(Stream.ORDER)]), tf.convert_to_tensor(self.noise_counter)
        )
        return tf.random.experimental.stateless_shuffle(tf.range(size), key, alg="philox")

    @property
    def fault(self) -> tuple[int, int, float]:
        """Part, row and value of the first bad number; see `batch.first_fault`."""
        part, row, value = np.asarray(self._fault.variable).tolist()
        return int(part), int(row), value

    def record(self, bad: tf.Tensor, fault: tf.Tensor, *, training: bool = True) -> None:
        """Note the first step at which a watched term was bad.

        Args:
            bad: Boolean `[len(watched)]`.
            fault: The first bad number of the data, as from `batch.first_fault`.
            training: Whether it was a step of training rather than of evaluation, which is
                numbered by its batches.
        """
        failed_step = tf.convert_to_tensor(self.failed_step)
        first = tf.reduce_any(bad) & (failed_step < 0)
        self.failures.assign(
            tf.where(first, tf.cast(bad, tf.int64), tf.convert_to_tensor(self.failures))
        )
        step = self.step if training else self.evaluation_counter - 1
        self.failed_step.assign(tf.where(first, tf.convert_to_tensor(step), failed_step))
        variable = self._fault.variable
        variable.assign(tf.where(first, fault, tf.convert_to_tensor(variable)))

    def has_failed(self) -> tf.Tensor:
        """Whether a step failed, as a boolean scalar."""
        return tf.convert_to_tensor(self.failed_step) >= 0

    def forget_failure(self) -> None:
        """Start watching anew."""
        self.failed_step.assign(-1)
        self.failures.assign(tf.zeros_like(tf.convert_to_tensor(self.failures)))
        self._fault.variable.assign([-1.0, -1.0, 0.0])


class _Fault:
    """Keeps a variable out of Keras's sight."""

    variable: Any = None
