"""How a model is compiled, where Keras's own way would lose something.

Floor 4.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping
from typing import Any

import keras

from keras_vae.arguments import require_integer
from keras_vae.models import update
from keras_vae.models.loop import Loop
from keras_vae.models.restoring import Saved
from keras_vae.models.state import TrainingState
from keras_vae.models.steps import StepLoop, step_program
from keras_vae.models.xla import XlaChoice
from keras_vae.objectives import Objective
from keras_vae.posteriors import Posterior

__all__ = ["Compiled"]

# Steps run by one call from Python, unless `compile` is told otherwise, at most where they are
# one program, whose batches may take so many bytes.
_STEPS_PER_EXECUTION, _STEPS_UNDER_XLA = 10, 50
_BYTES_IN_ONE_PROGRAM = 2**26
# XLA takes seconds to compile: a training must take this long for it to repay, by an estimate
# of so much for a step and for each operation on a number in it.
_SECONDS_THAT_REPAY_XLA, _SECONDS_OF_STEP, _SECONDS_OF_OPERATION = 5.0, 2e-3, 1e-11
# Layers whose steps XLA makes faster on a CPU, where it is slower at convolutions and recurrent
# cells, and at drawing random numbers as Keras's layers do.
_FAST_UNDER_XLA = (
    keras.layers.Activation,
    keras.layers.Add,
    keras.layers.BatchNormalization,
    keras.layers.Concatenate,
    keras.layers.Dense,
    keras.layers.ELU,
    keras.layers.Flatten,
    keras.layers.InputLayer,
    keras.layers.LayerNormalization,
    keras.layers.LeakyReLU,
    keras.layers.Multiply,
    keras.layers.PReLU,
    keras.layers.ReLU,
    keras.layers.Rescaling,
    keras.layers.Reshape,
)


class Compiled(Saved):
    """A Keras model without a loss to choose."""

    objective: Objective
    posterior: Posterior
    event_shape: tuple[int, ...]
    state: TrainingState
    steps_per_execution: int
    train_function: Any
    test_function: Any
    predict_function: Any

    def compile(  # noqa: D417
        self,
        optimizer: Any = "adam",
        loss: Any = None,
        *,
        steps_per_execution: int | None = None,
        jit_compile: bool | str = "auto",
        run_eagerly: bool = False,
        **kwargs: Any,
    ) -> None:
        """Prepare for training, as in Keras; there is no loss to choose.

        Args:
            optimizer: As in Keras. Defaults to `"adam"`.
            steps_per_execution: Steps run by one call from Python, at most: an epoch, or
                `steps_per_epoch`, need not be a multiple. Callbacks per batch are called once
                for each execution, with the numbers of its first and its last batch. Defaults
                to `None`: up to 50 with XLA, 10 without, and 1 when run eagerly or on replicas.
            jit_compile: Whether to compile with XLA. Defaults to `"auto"`: as Keras decides,
                and also on a CPU if the networks are dense, in float32, and `fit` is to take
                more than some seconds. What XLA cannot compile is run without it, with a
                warning; with `True` it is an error.
            run_eagerly: As in Keras. Defaults to `False`.
            **kwargs: As in Keras; `metrics` see the target and the reconstruction.

        Raises:
            ValueError: If a loss is given, or if the objective compares the examples of a
                batch and the optimizer accumulates gradients over several, or if
                `steps_per_execution` is not a positive integer.
        """
        if steps_per_execution is not None:
            require_integer("steps_per_execution", steps_per_execution)
        if loss is not None:
            raise ValueError(
                f"A VAE has no `loss` to choose: it maximises its objective. "
                f"Received: loss={loss!r}. Pass objective=... to the constructor, and the "
                f"reconstruction term as likelihood=..."
            )
        with self.distribute_strategy.scope():
            optimizer = keras.optimizers.get(optimizer)
        inner = optimizer.inner_optimizer if update.scales_loss(optimizer) else optimizer
        if self.objective.coupled and inner.gradient_accumulation_steps:
            raise ValueError(
                f"{type(self.objective).__name__} compares the examples of a batch, which "
                f"gradient accumulation splits. Received: gradient_accumulation_steps="
                f"{inner.gradient_accumulation_steps}. Use a larger batch instead."
            )
        single = run_eagerly or self.distribute_strategy.num_replicas_in_sync > 1
        self._several = 1 if single else _STEPS_PER_EXECUTION
        super().compile(
            optimizer=optimizer,
            steps_per_execution=steps_per_execution or self._several,
            jit_compile=jit_compile,
            run_eagerly=run_eagerly,
            **kwargs,
        )
        self._chosen = {"jit_compile": jit_compile, "steps_per_execution": steps_per_execution}
        self._in_one_program = self._under_xla = False
        self._at_a_time = self.steps_per_execution
        self._xla = XlaChoice(insist=jit_compile is True)
        # Now rather than in the first step: a model saved before it was trained loads, and no
        # branch of the step has to make variables.
        if self.optimizer is not None and not self.optimizer.built:
            with self.distribute_strategy.scope():
                self.optimizer.build(self.trainable_variables)

    def get_compile_config(self) -> dict[str, Any] | None:
        """What `compile` was called with; what was left to choose stays so."""
        config: dict[str, Any] | None = super().get_compile_config()
        return config and {**config, **self._chosen}

    @property
    def repeats_its_step(self) -> bool:
        """Whether `unguarded_step` is `train_step` but for the guard."""
        return False

    def choose_loop(self, steps: int, rows: int) -> None:
        """Choose how `fit` runs its steps, where `compile` was not told.

        Args:
            steps: How many there are, 0 if unknown.
            rows: Examples of a batch.
        """
        if not self.compiled:
            return  # Keras says so
        in_one_program = (
            self.repeats_its_step and self._in_graph and not update.scales_loss(self.optimizer)
        )
        under_xla = bool(self.jit_compile) or self._gains_by_xla(steps, rows)
        numbers = sum(math.prod(spec.shape) for spec in self.posterior.noise_spec().values())
        numbers = self.objective.samples * numbers + math.prod(self.event_shape)
        fitting = max(1, _BYTES_IN_ONE_PROGRAM // (4 * rows * numbers))
        several: Any = self._chosen["steps_per_execution"]
        if several is None and in_one_program:
            several = min(_STEPS_UNDER_XLA if under_xla else _STEPS_PER_EXECUTION, fitting)
        elif several is None:
            several = self._several
        at_a_time = min(several, fitting)
        chosen = in_one_program, under_xla, several, at_a_time
        before = self._in_one_program, self._under_xla, self.steps_per_execution
        if chosen != (*before, self._at_a_time):
            self._in_one_program, self._under_xla, self.steps_per_execution = chosen[:3]
            self._at_a_time = at_a_time
            self.train_function = self.test_function = None

    def _symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        """Make the weights of metrics, as Keras does for replicas; the target may be x."""
        if data_batch is not None:
            x, y, weight = keras.utils.unpack_x_y_sample_weight(data_batch)
            if y is None:
                y = x["x"] if isinstance(x, Mapping) else x
            data_batch = x, y, weight
        super()._symbolic_build(iterator=iterator, data_batch=data_batch)

    def make_train_function(self, force: bool = False) -> None:
        """Make the function that runs steps of training."""
        if self.train_function is not None and not force:
            return
        several = self.steps_per_execution
        step = step_program(self, self.train_step, self._xla)
        if self._in_one_program:
            options: Any = {"choice": self._xla, "xla": self._under_xla}
            self.train_function = Loop(self, several, self._at_a_time, step, **options)
        else:
            self.train_function = StepLoop(
                several, step, in_graph=self._in_graph, failed=self.state.has_failed
            )

    def make_test_function(self, force: bool = False) -> None:
        """Make the function that runs steps of evaluation."""
        if self.test_function is not None and not force:
            return
        step = step_program(self, self.test_step, self._xla)
        self.test_function = StepLoop(self.steps_per_execution, step, in_graph=self._in_graph)

    def make_predict_function(self, force: bool = False) -> None:
        """Make the function that predicts one batch."""
        if self.predict_function is not None and not force:
            return
        if not self.compiled or self.distribute_strategy.num_replicas_in_sync > 1:
            super().make_predict_function(force)
            return
        choice = self._xla if self.compiled else XlaChoice(insist=False)
        step = step_program(self, self.predict_step, choice)
        self.predict_function = lambda batches: step(*batches)

    @contextlib.contextmanager
    def single_steps(self) -> Iterator[None]:
        """Have Keras count single steps, which `train_function` and the others run together.

        Keras itself runs whole executions only: of 7 steps at 10 per execution it makes 10.
        """
        several = self.steps_per_execution
        if self.compiled:
            self.make_train_function()
            self.make_test_function()
        self.steps_per_execution = 1
        try:
            yield
        finally:
            self.steps_per_execution = several

    @property
    def _in_graph(self) -> bool:
        """Whether steps may be run in a loop of TensorFlow's."""
        replicas = self.distribute_strategy.num_replicas_in_sync
        return not self.run_eagerly and bool(replicas == 1)

    def _gains_by_xla(self, steps: int, rows: int) -> bool:
        """Whether XLA, which Keras does not use on a CPU, makes a training faster there."""
        if self._chosen["jit_compile"] != "auto":
            return False
        # Forward, and twice as much backward: an addition and a multiplication per weight.
        decoded = self.objective.samples * self.decoder.count_params()
        operations = 6 * rows * (self.encoder.count_params() + decoded)
        seconds = steps * (_SECONDS_OF_STEP + _SECONDS_OF_OPERATION * operations)
        bodies = [self.encoder, self.decoder]
        layers = [la for body in bodies for la in body._flatten_layers() if not la._layers]
        return seconds > _SECONDS_THAT_REPAY_XLA and all(
            isinstance(la, _FAST_UNDER_XLA) and la.compute_dtype in ("float32", "float64")
            for la in layers
        )
