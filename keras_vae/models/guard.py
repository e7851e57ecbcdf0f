"""The callback that stops training when numbers are no longer finite.

Floor 4.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from keras_vae.models.batch import PARTS
from keras_vae.models.state import TrainingState

__all__ = ["FiniteGuard"]


class FiniteGuard(keras.callbacks.Callback):
    """Stops training after a step that was not applied, naming what was wrong in it.

    `VAE.fit` adds it by itself. The step has left weights and optimizer as they were.

    Args:
        state: The model's training state.
        support: How to describe and mend data outside the likelihood's support.
        labels: How to describe labels as conditions.

    Raises:
        FloatingPointError: If a term of the bound or a gradient was not finite.
        ValueError: If data was not finite or outside the support.
    """

    def __init__(self, state: TrainingState, support: str, labels: str) -> None:
        super().__init__()
        self._state = state
        self._support = support
        self._labels = labels
        self._trains = False
        self._steps = 0

    def on_train_begin(self, logs: Any = None) -> None:
        """Forget the failures of an earlier training."""
        self._trains = True
        self._state.forget_failure()

    def on_test_begin(self, logs: Any = None) -> None:
        """Forget the failures of an earlier evaluation."""
        self._state.forget_failure()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Count steps anew."""
        self._steps = 0

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Look whether the epoch had any data.

        Raises:
            ValueError: If it had none.
        """
        if not self._steps:
            raise ValueError(
                f"`x` ran out of data: epoch {epoch + 1} had no batch. Received: a stream "
                f"that ended. Give one that begins anew for each epoch, such as a "
                f"tf.data.Dataset or PyDataset, or train for fewer epochs. The weights are "
                f"those after epoch {epoch}."
            )

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        """Look whether data of an evaluation are bad."""
        number = int(self._state.failed_step.numpy())
        if number >= 0:
            what = f"The data of evaluation batch {number}"
            self._raise_for_data(what, "validation_" if self._trains else "", "")

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Look whether a step failed."""
        self._steps += 1
        step = int(self._state.failed_step.numpy())
        if step < 0:
            return
        kept = (
            f" Weights and optimizer are as they were after {step} updates; nothing was "
            f"learned from this batch."
        )
        self._raise_for_data(f"The data of training step {step}", "", kept)
        raise FloatingPointError(
            f"Not finite at training step {step}: {', '.join(self._bad())}.{kept} Lower the "
            f"learning rate, set `clipnorm` on the optimizer, or look at the range of the data."
        )

    def _bad(self) -> list[str]:
        flags = np.asarray(self._state.failures)
        return [name for name, flag in zip(self._state.watched, flags) if flag]

    def _raise_for_data(self, what: str, prefix: str, kept: str) -> None:
        """Raise an error if data are bad, naming where and what."""
        bad = self._bad()
        part, row, value = self._state.fault
        place = f" Received: {value:g} at row {row} of the batch." if part >= 0 else ""
        name = PARTS[part] if part >= 0 else "x"
        if "x" in bad and name == "condition":
            raise ValueError(
                f"{what} has a wrong `{prefix}condition`: labels must be {self._labels}, and "
                f"other conditions finite.{place}{kept}"
            )
        if "x" in bad and name == "sample_weight":
            raise ValueError(
                f"{what} has a wrong `{prefix}sample_weight`: weights must be finite and "
                f">= 0.{place}{kept}"
            )
        if "x" in bad:
            raise ValueError(
                f"{what} is not finite (NaN or infinity): `{prefix}{name}`.{place}{kept} "
                f"Remove or impute such values, or pass missing='nan' to the model."
            )
        if "support" in bad:
            raise ValueError(
                f"{what} is outside the likelihood's support {self._support}.{place}{kept}"
            )
