"""Many training steps in one program.

Keras compiles one step. Here TensorFlow, or XLA, is given the loop over the steps, so that
weights and the optimizer's slots stay in place from one step to the next, and no step has a
branch to keep bad numbers out: an execution that comes out with any is taken back, and repeated
step by step up to the one that made them.

Floor 4.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from keras_vae.models import update
from keras_vae.models.executions import Logs, Runner, is_dense
from keras_vae.models.sources import Source, Stream
from keras_vae.models.tracing import compiled
from keras_vae.models.xla import Program, XlaChoice

__all__ = ["Loop"]


class Loop(Runner):
    """Runs up to so many steps of a model on an iterator of batches.

    Batches and noise are made outside of the program: the noise has the numbers of single
    steps. XLA compiles anew for each shape, and batches are stacked, so that those of another
    size than the first are single steps.

    Args:
        model: A compiled `BoundModel`.
        steps: Steps of one execution, at most.
        at_a_time: Steps of one call of the program, at most.
        step: One step, `batch -> logs`.
        choice: The model's choice of XLA.
        xla: Whether XLA compiles the loop.
    """

    def __init__(
        self,
        model: Any,
        steps: int,
        at_a_time: int,
        step: Program,
        *,
        choice: XlaChoice,
        xla: bool,
    ) -> None:
        super().__init__(steps, step, model.state.has_failed)
        self.source: Source = Stream(at_a_time)
        self.at_a_time = at_a_time
        self.program = Program(self._run_steps, choice, xla=xla)
        self._model = model
        # Here and not with the source, of which each training may have its own: traced once.
        self._draw = compiled(self._drawn, autograph=False)
        # All at once: with a call for each it took two steps of a small net, not half a step.
        self._read = compiled(self._values, autograph=False)

    def run(self, iterator: Any, limit: int) -> tuple[int, Logs]:
        if not (isinstance(iterator, tf.data.Iterator) and is_dense(iterator.element_spec)):
            return self.run_singly(iterator, limit)
        ran, logs = 0, self._logs
        while ran < limit:
            left = min(limit - ran, self.at_a_time)
            count, batches, other = self.source.take(iterator, left)
            if count:
                noise = self._draw(batches, tf.constant(count))
                logs = self._execute(batches, noise, count)
            ran += count
            if count and self._has_failed():
                break
            if other is not None:
                logs = self._step(other)
                ran += 1
                if self._has_failed():
                    break
            elif count < left:
                break  # the data ended
        return ran, logs

    def end(self) -> None:
        """End a training."""
        self.source.end()

    def _drawn(self, batches: Any, number: tf.Tensor) -> Any:
        """The noise of the first so many batches."""
        spec = tf.nest.map_structure(lambda t: tf.TensorSpec(t.shape[1:], t.dtype), batches)
        ahead = tf.function(self._model.noise_ahead, autograph=False)
        draw = ahead.get_concrete_function(spec, tf.TensorSpec([], tf.int64))
        specs = tf.nest.flatten(draw.structured_outputs)
        arrays = [tf.TensorArray(s.dtype, self.at_a_time, element_shape=s.shape) for s in specs]

        def store(step: tf.Tensor, arrays: Any) -> tuple[Any, ...]:
            batch = tf.nest.map_structure(lambda t: t[step], batches)
            drawn = tf.nest.flatten(draw(batch, tf.cast(step, tf.int64)))
            return step + 1, [a.write(step, tensor) for a, tensor in zip(arrays, drawn)]

        _, arrays = tf.while_loop(
            lambda step, _: step < number, store, [tf.constant(0), arrays]
        )
        stacked = [array.stack() for array in arrays]
        return tf.nest.pack_sequence_as(draw.structured_outputs, stacked)

    def _execute(self, batches: Any, noise: Any, count: int) -> Logs:
        logs: Logs
        before = self._snapshot()
        bad, logs = self.program(batches, noise, tf.constant(0), tf.constant(count))
        if not bad.numpy().any():
            return logs
        _restore(before)
        for step in range(count):
            before = self._snapshot()
            one = tf.constant(step), tf.constant(step + 1)
            bad, logs = self.program(batches, noise, *one)
            if bad.numpy().any():
                _restore(before)
                batch = tf.nest.map_structure(lambda t, step=step: t[step], batches)
                self._model.state.record(bad, self._model.fault_of(batch))
                break
        return logs

    def _has_failed(self) -> bool:
        return bool(self._model.state.has_failed())

    def _snapshot(self) -> list[tuple[Any, tf.Tensor]]:
        # No copies: an update puts another tensor in the variable's place.
        return list(zip(self._variables(), self._read(), strict=True))

    def _variables(self) -> list[Any]:
        return [*self._model.variables, *self._model.optimizer.variables]

    def _values(self) -> list[tf.Tensor]:
        return [v.value.read_value() for v in self._variables()]

    def _run_steps(
        self, batches: Any, noise: Any, first: tf.Tensor, stop: tf.Tensor
    ) -> tuple[tf.Tensor, Logs]:
        """Steps from `first` to before `stop`; which watched terms were bad, and the logs."""
        model = self._model

        def goes_on(step: tf.Tensor, bad: tf.Tensor) -> tf.Tensor:
            return (step < stop) & ~tf.reduce_any(bad)

        def run(step: tf.Tensor, _: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            batch, drawn = tf.nest.map_structure(lambda t: tf.gather(t, step), (batches, noise))
            return step + 1, model.unguarded_step(batch, drawn)

        none = tf.zeros([len(model.state.watched)], tf.bool)
        _, bad = tf.while_loop(goes_on, run, [first, none], parallel_iterations=1)
        # Gradients that were not finite have left their trace.
        kept = [*model.trainable_variables, *model.optimizer.variables]
        finite = update.all_finite([v.value for v in kept if v.dtype.startswith("float")])
        of_gradients = tf.constant([name == "gradients" for name in model.state.watched])
        return bad | (of_gradients & ~finite), model.get_metrics_result()


def _restore(before: list[tuple[Any, tf.Tensor]]) -> None:
    for variable, value in before:
        variable.assign(value)
