"""Many training steps in one program.

Keras compiles one step. Here TensorFlow, or XLA, is given the loop over the steps, so that
weights and the optimizer's slots stay in place from one step to the next, and no step has a
branch to keep bad numbers out: an execution that comes out with any is taken back, and repeated
step by step up to the one that made them.

Floor 4.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from keras_vae.models import update
from keras_vae.models.sources import Source, Stream

__all__ = ["Loop"]

Logs = dict[str, Any]


class Loop:
    """Runs up to so many steps of a model on an iterator of batches.

    Batches and noise are made outside of the program: the noise has the numbers of Keras's own
    loop. XLA compiles anew for each shape, and batches are stacked, so that those of another
    size than the first are left to that loop.

    Args:
        model: A compiled `BoundModel`.
        steps: Steps of one execution.
        plain: Keras's own function `iterator -> logs`.
        xla: Whether XLA compiles the loop.
        insist: Whether a model that XLA cannot compile is an error; else TensorFlow runs it.
    """

    def __init__(
        self,
        model: Any,
        steps: int,
        plain: Callable[[Any], Logs],
        *,
        xla: bool,
        insist: bool,
    ) -> None:
        self.source: Source = Stream(steps)
        self.steps = steps
        self._model = model
        self._plain = plain
        self._may_do_without = xla and not insist
        self._run = tf.function(self._run_steps, autograph=False, jit_compile=xla)
        # Here and not with the source, of which each training may have its own: traced once.
        self._draw = tf.function(self._drawn, autograph=False)
        # All at once: with a call for each it took two steps of a small net, not half a step.
        self._read = tf.function(self._values, autograph=False)

    def __call__(self, iterator: Any) -> Logs:
        """Run steps until an execution is full or the data ends.

        Raises:
            StopIteration: If there is no data left.
        """
        if not (isinstance(iterator, tf.data.Iterator) and _is_dense(iterator.element_spec)):
            return self._plain(iterator)
        logs: Logs = {}
        left = self.steps
        while left:
            count, batches, other = self.source.take(iterator, left)
            if count:
                noise = self._draw(batches, tf.constant(count))
                logs = self._execute(batches, noise, count)
                if int(self._model.state.failed_step) >= 0:
                    break
            if other is None:
                break
            logs = self._plain(iter([other]))
            left -= count + 1
        if not logs:
            raise StopIteration
        return logs

    def end(self) -> None:
        """End a training."""
        self.source.end()

    def _drawn(self, batches: Any, number: tf.Tensor) -> Any:
        """The noise of the first so many batches."""
        spec = tf.nest.map_structure(lambda t: tf.TensorSpec(t.shape[1:], t.dtype), batches)
        ahead = tf.function(self._model.noise_ahead, autograph=False)
        draw = ahead.get_concrete_function(spec, tf.TensorSpec([], tf.int64))
        specs = tf.nest.flatten(draw.structured_outputs)
        arrays = [tf.TensorArray(s.dtype, self.steps, element_shape=s.shape) for s in specs]

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
        try:
            bad, logs = self._run(batches, noise, tf.constant(0), tf.constant(count))
        except tf.errors.OpError as error:
            if not self._may_do_without:
                raise
            # Nothing was run: it was not compiled.
            warnings.warn(
                f"XLA cannot compile this model; TensorFlow trains it without, more slowly. "
                f"compile(jit_compile=False) spares the attempt. XLA said: "
                f"{error.message.splitlines()[0]}",
                stacklevel=2,
            )
            self._may_do_without = False
            self._run = tf.function(self._run_steps, autograph=False)
            bad, logs = self._run(batches, noise, tf.constant(0), tf.constant(count))
        if not bad.numpy().any():
            return logs
        _restore(before)
        for step in range(count):
            before = self._snapshot()
            bad, logs = self._run(batches, noise, tf.constant(step), tf.constant(step + 1))
            if bad.numpy().any():
                _restore(before)
                self._model.state.record(bad)
                break
        return logs

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


def _is_dense(spec: Any) -> bool:
    return all(isinstance(s, tf.TensorSpec) for s in tf.nest.flatten(spec))


def _restore(before: list[tuple[Any, tf.Tensor]]) -> None:
    for variable, value in before:
        variable.assign(value)
