"""The callback that stops training when numbers are no longer finite.

Floor 4.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from keras_vae.models.state import TrainingState

__all__ = ["FiniteGuard"]


class FiniteGuard(keras.callbacks.Callback):
    """Stops training after a step that was not applied, naming what was wrong in it.

    `VAE.fit` adds it by itself. The step has left weights and optimizer as they were.

    Args:
        state: The model's training state.
        support: How to describe and mend data outside the likelihood's support.

    Raises:
        FloatingPointError: If a term of the bound or a gradient was not finite.
        ValueError: If data was not finite or outside the support.
    """

    def __init__(self, state: TrainingState, support: str) -> None:
        super().__init__()
        self._state = state
        self._support = support

    def on_train_begin(self, logs: Any = None) -> None:
        """Forget the failures of an earlier training."""
        self._state.forget_failure()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Look whether a step failed."""
        step = int(self._state.failed_step.numpy())
        if step < 0:
            return
        flags = np.asarray(self._state.failures)
        bad = [name for name, flag in zip(self._state.watched, flags) if flag]
        kept = (
            f"Weights and optimizer are as they were after {step} updates; nothing was "
            f"learned from this batch."
        )
        if "x" in bad:
            raise ValueError(
                f"The data of training step {step} is not finite (NaN or infinity). {kept} "
                f"Remove or impute such values."
            )
        if "support" in bad:
            raise ValueError(
                f"The data of training step {step} is outside the likelihood's support "
                f"{self._support}. {kept}"
            )
        raise FloatingPointError(
            f"Not finite at training step {step}: {', '.join(bad)}. {kept} Lower the learning "
            f"rate, set `clipnorm` on the optimizer, or look at the range of the data."
        )
