"""How a model is compiled, where Keras's own way would lose something.

Floor 4.
"""

from __future__ import annotations

import math
from typing import Any

import keras

from keras_vae.models import update
from keras_vae.models.loop import Loop
from keras_vae.models.passes import KerasLoop
from keras_vae.models.restoring import Saved
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
    steps_per_execution: int
    train_function: Any
    test_function: Any

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
            steps_per_execution: Steps run by one call from Python; callbacks see a batch end
                that often. Defaults to `None`: up to 50 with XLA, 10 without, and 1 when run
                eagerly or on replicas.
            jit_compile: Whether to compile with XLA. Defaults to `"auto"`: as Keras decides,
                and also on a CPU if the networks are dense, in float32, and `fit` is to take
                more than some seconds.
            run_eagerly: As in Keras. Defaults to `False`.
            **kwargs: As in Keras; `metrics` see the target and the reconstruction.

        Raises:
            ValueError: If a loss is given, or if the objective compares the examples of a
                batch and the optimizer accumulates gradients over several.
        """
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
        # TensorFlow 2.21 cannot run Keras's loop over several steps on several replicas ("You
        # must feed a value for placeholder tensor"), whatever the model.
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
            self.repeats_its_step
            and not self.run_eagerly
            and self.distribute_strategy.num_replicas_in_sync == 1
            and not update.scales_loss(self.optimizer)
        )
        under_xla = self.jit_compile or self._gains_by_xla(steps, rows)
        several: Any = self._chosen["steps_per_execution"]
        if several is None and in_one_program:
            numbers = sum(
                math.prod(spec.shape) for spec in self.posterior.noise_spec().values()
            )
            numbers = self.objective.samples * numbers + math.prod(self.event_shape)
            fitting = _BYTES_IN_ONE_PROGRAM // (4 * rows * numbers)
            most = _STEPS_UNDER_XLA if under_xla else _STEPS_PER_EXECUTION
            several = max(1, min(most, fitting))
        elif several is None:
            several = self._several
        chosen = in_one_program, under_xla, several
        if chosen != (self._in_one_program, self._under_xla, self.steps_per_execution):
            self._in_one_program, self._under_xla, self.steps_per_execution = chosen
            self.train_function = self.test_function = None

    def make_train_function(self, force: bool = False) -> None:
        """Make the function that runs steps."""
        if self.train_function is not None and not force:
            return
        super().make_train_function(force)
        plain = self.train_function
        if self._in_one_program:
            insist = self._chosen["jit_compile"] is True
            self.train_function = Loop(
                self, self.steps_per_execution, plain, xla=self._under_xla, insist=insist
            )
        else:
            self.train_function = KerasLoop(plain)

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
