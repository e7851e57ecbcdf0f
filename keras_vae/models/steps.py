"""Steps of a model that are not one program: evaluation, and training with a step of its own.

Floor 4.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from keras_vae.models.executions import Logs, Runner, is_dense
from keras_vae.models.passes import Pass
from keras_vae.models.tracing import compiled
from keras_vae.models.xla import Program, XlaChoice

__all__ = ["StepLoop", "step_program"]


class StepLoop(Runner):
    """Runs steps one after the other, in a loop of TensorFlow's where that can be.

    XLA, eager steps and replicas have a call for each: where XLA fails, its batch is still
    there for another try, and TensorFlow 2.21 cannot run a loop on several replicas ("You must
    feed a value for placeholder tensor").

    Args:
        steps: Steps of one execution, at most.
        step: Runs one step on a batch.
        in_graph: Whether steps may be run in a loop of TensorFlow's.
        failed: As of `Runner`.
    """

    def __init__(
        self,
        steps: int,
        step: Program,
        *,
        in_graph: bool,
        failed: Callable[[], tf.Tensor] | None = None,
    ) -> None:
        super().__init__(steps, step, failed)
        self._program = step
        self._in_graph = in_graph
        self._pass = Pass()
        self._loop = compiled(self._looped, autograph=False, reduce_retracing=True)
        self._next = compiled(
            lambda batches: step.compiled(batches.get_next()),
            autograph=False,
            reduce_retracing=True,
        )

    def run(self, iterator: Any, limit: int) -> tuple[int, Logs]:
        if isinstance(iterator, tf.distribute.DistributedIterator):
            return self._run_on_replicas(iterator, limit)
        if not isinstance(iterator, tf.data.Iterator):
            return self.run_singly(iterator, limit)
        self._pass.begins(iterator)
        in_graph = self._in_graph and not self._program.xla
        if not (in_graph and is_dense(iterator.element_spec)):
            return self.run_singly(iterator, limit)
        count, logs = self._loop(iterator, tf.constant(limit))
        return int(count), logs

    def end(self) -> None:
        self._pass.end()

    def _run_on_replicas(self, iterator: Any, limit: int) -> tuple[int, Logs]:
        count, logs = 0, self._logs
        try:
            while count < limit:
                logs = self._next(iterator)
                count += 1
                if self._failed is not None and bool(self._failed()):
                    break
        except tf.errors.OutOfRangeError:
            pass  # the data ended
        return count, logs

    def _looped(self, iterator: Any, limit: tf.Tensor) -> tuple[tf.Tensor, Logs]:
        spec = iterator.element_spec
        step = self._program.compiled.get_concrete_function(spec)
        specs = tf.nest.flatten(step.structured_outputs)
        none = [tf.zeros([n or 0 for n in s.shape], s.dtype) for s in specs]

        def goes_on(count: tf.Tensor, batch: Any, _: Any) -> tf.Tensor:
            follows = batch.has_value()
            if self._failed is None:
                return follows
            return follows & ((count == 0) | ~self._failed())

        def run(count: tf.Tensor, batch: Any, _: Any) -> tuple[Any, ...]:
            logs = tf.nest.flatten(step(batch.get_value()))
            following = tf.cond(
                count + 1 < limit,
                iterator.get_next_as_optional,
                lambda: tf.experimental.Optional.empty(spec),
            )
            return count + 1, following, logs

        first = iterator.get_next_as_optional()
        shapes = [s.shape for s in specs]
        count, _, logs = tf.while_loop(
            goes_on,
            run,
            [tf.constant(0), first, none],
            shape_invariants=[tf.TensorShape([]), first._type_spec, shapes],
            parallel_iterations=1,
        )
        return count, tf.nest.pack_sequence_as(step.structured_outputs, logs)


def step_program(model: Any, step: Callable[[Any], Any], choice: XlaChoice) -> Program:
    """One step of a model on a batch of all replicas, as `batch -> logs`.

    Args:
        model: A compiled Keras model.
        step: Its `train_step` or `test_step`.
        choice: The model's choice of XLA.

    Raises:
        ValueError: If XLA is to compile a step of several replicas.
    """
    strategy = model.distribute_strategy
    if model.jit_compile and strategy.num_replicas_in_sync > 1:
        raise ValueError(
            f"XLA cannot compile a step that replicas share (TensorFlow 2.21). Received: "
            f"jit_compile=True on {strategy.num_replicas_in_sync} replicas. Use "
            f"compile(jit_compile='auto')."
        )

    def one_step(batch: Any) -> Any:
        logs = strategy.run(step, args=(_without_optionals(batch),))
        if strategy.num_replicas_in_sync == 1:
            return tf.nest.map_structure(tf.convert_to_tensor, logs)
        # Keras reduces over the first axis when there are several workers, which logs that
        # are scalars do not have.
        return tf.nest.map_structure(lambda v: strategy.reduce("MEAN", v, axis=None), logs)

    undecorated = tf.autograph.experimental.do_not_convert(one_step)
    xla, eager = bool(model.jit_compile), bool(model.run_eagerly)
    return Program(undecorated, choice, xla=xla, eager=eager)


def _without_optionals(batch: Any) -> Any:
    """Batches of generators have an optional where they have `None`."""
    return tf.nest.map_structure(
        lambda v: None if isinstance(v, tf.experimental.Optional) else v, batch
    )
