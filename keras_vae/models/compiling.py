"""How a model is compiled and saved, where Keras's own way would lose something.

Floor 4.
"""

from __future__ import annotations

from typing import Any

import keras

from keras_vae.models import update
from keras_vae.objectives import Objective

__all__ = ["Compiled"]

# Steps run by one call from Python, unless `compile` is told otherwise.
_STEPS_PER_EXECUTION = 10


class Compiled(keras.Model):
    """A Keras model without a loss to choose, whose saved file holds all of its state."""

    objective: Objective

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
                that often. Defaults to `None`: 10, or 1 when run eagerly or on replicas.
            jit_compile: Whether to compile with XLA. Defaults to `"auto"`: as Keras decides.
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
        if steps_per_execution is None:
            # TensorFlow 2.21 cannot run Keras's loop over several steps on several replicas
            # ("You must feed a value for placeholder tensor"), whatever the model.
            single = run_eagerly or self.distribute_strategy.num_replicas_in_sync > 1
            steps_per_execution = 1 if single else _STEPS_PER_EXECUTION
        super().compile(
            optimizer=optimizer,
            steps_per_execution=steps_per_execution,
            jit_compile=jit_compile,
            run_eagerly=run_eagerly,
            **kwargs,
        )
        self._chosen_jit_compile = jit_compile
        # Now rather than in the first step: a model saved before it was trained loads, and no
        # branch of the step has to make variables.
        if self.optimizer is not None and not self.optimizer.built:
            with self.distribute_strategy.scope():
                self.optimizer.build(self.trainable_variables)

    def get_compile_config(self) -> dict[str, Any] | None:
        """What `compile` was called with; `jit_compile="auto"` stays so."""
        config: dict[str, Any] | None = super().get_compile_config()
        return config and {**config, "jit_compile": self._chosen_jit_compile}

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile as the saved model was."""
        config = keras.saving.deserialize_keras_object(config)
        config.pop("loss", None)
        config.pop("loss_weights", None)
        self.compile(**config)

    # What Keras loses: the state of the networks' Dropout layers.

    def save_own_variables(self, store: Any) -> None:
        """Save the networks' seed states too; Keras leaves them out."""
        super().save_own_variables(store)
        for index, state in enumerate(self._seed_states()):
            store[f"seed_state_{index}"] = state.numpy()

    def load_own_variables(self, store: Any) -> None:
        """Load what `save_own_variables` saved."""
        states = self._seed_states()
        names = {f"seed_state_{index}" for index in range(len(states))}
        keys = [key for key in store.keys() if key not in names]  # noqa: SIM118 (no dict)
        super().load_own_variables({key: store[key] for key in keys})
        for index, state in enumerate(states):
            state.assign(store[f"seed_state_{index}"])

    def _seed_states(self) -> list[Any]:
        weights = {id(v) for v in self.weights}
        return [v for v in self.variables if id(v) not in weights]
