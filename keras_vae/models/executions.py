"""Executions: steps that are run by one call from Python.

Keras runs whole executions only: of 7 steps at 10 per execution it makes 10. Here Keras counts
single steps, and the callbacks it calls say how many of them the next call may run.

Floor 4.
"""

from __future__ import annotations

import abc
import itertools
from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf

__all__ = ["ExecutionCallbacks", "Runner", "is_dense", "limited"]

Logs = dict[str, Any]


class Runner(abc.ABC):
    """Runs steps of a model: what Keras calls `train_function` and `test_function`.

    Args:
        steps: Steps of one execution, at most.
        step: Runs one step on a batch.
        failed: Whether a step was bad, so that no more are to be run. Defaults to `None`: it
            is not asked.
    """

    def __init__(
        self,
        steps: int,
        step: Callable[[Any], Logs],
        failed: Callable[[], tf.Tensor] | None = None,
    ) -> None:
        self.steps = steps
        self.ran = 0
        self._step = step
        self._failed = failed
        self._limit = steps
        self._logs: Logs = {}

    def allow(self, limit: int) -> None:
        """Set how many steps the next call may run; 0: it repeats the logs of the last one."""
        self._limit = limit

    def __call__(self, iterator: Any) -> Logs:
        """Run steps until as many as are allowed have run, or the data ends.

        Raises:
            StopIteration: If there is no data left.
        """
        limit, self._limit = self._limit, self.steps
        if limit:
            self.ran, self._logs = self.run(iterator, limit)
            if not self.ran:
                raise StopIteration
        return self._logs

    @abc.abstractmethod
    def run(self, iterator: Any, limit: int) -> tuple[int, Logs]:
        """Run at most so many steps; how many there were, and the logs of the last one."""

    @abc.abstractmethod
    def end(self) -> None:
        """End a training."""

    def run_singly(self, batches: Any, limit: int) -> tuple[int, Logs]:
        """As `run`, one call for each step."""
        count, logs = 0, self._logs
        for batch in itertools.islice(batches, limit):
            logs = self._step(batch)
            count += 1
            if self._failed is not None and bool(self._failed()):
                break
        return count, logs


class ExecutionCallbacks(keras.callbacks.CallbackList):
    """Callbacks of a model whose steps Keras counts one by one.

    They see a batch begin and end once per execution, which ends with the last step that was
    run: with 7 steps at 5 per execution, batches 0 and 5 begin, and 4 and 6 end.

    Args:
        model: A compiled model.
        callbacks: As in Keras.
        verbose: As in Keras.
        steps: Steps of an epoch or evaluation, if known, for the progress bar.
        epochs: As in Keras. Defaults to `1`.
        limits: Steps of an epoch, `"train"`, and of an evaluation, `"test"`, after which it
            ends before the data do, or `None`.
    """

    def __init__(
        self,
        model: Any,
        callbacks: Any,
        *,
        verbose: Any,
        steps: int | None,
        epochs: int = 1,
        limits: Mapping[str, int | None],
    ) -> None:
        self._limits = limits
        self._done = {"train": 0, "test": 0}  # steps of this epoch or evaluation
        self._shown = True
        callbacks = list(callbacks) if isinstance(callbacks, (list, tuple)) else [callbacks]
        # A list that the user made is one of them, and has what it wants of these.
        complete = any(isinstance(c, keras.callbacks.CallbackList) for c in callbacks)
        super().__init__(
            [c for c in callbacks if c is not None],
            add_history="train" in limits and not complete,
            add_progbar=verbose != 0 and not complete,
            model=model,
            verbose=verbose,
            epochs=epochs,
            steps=steps,
        )

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Begin to count."""
        self._done["train"] = 0
        super().on_epoch_begin(epoch, logs)

    def on_test_begin(self, logs: Any = None) -> None:
        """Begin to count."""
        self._done["test"] = 0
        super().on_test_begin(logs)

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Show the first batch of an execution."""
        if self._begins("train", self.model.train_function, batch):
            super().on_train_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Show the last batch of an execution."""
        if self._shown:
            last = self._last("train", self.model.train_function, batch)
            super().on_train_batch_end(last, logs)

    def on_test_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Show the first batch of an execution."""
        if self._begins("test", self.model.test_function, batch):
            super().on_test_batch_begin(batch, logs)

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        """Show the last batch of an execution."""
        if self._shown:
            last = self._last("test", self.model.test_function, batch)
            super().on_test_batch_end(last, logs)

    def _begins(self, kind: str, function: Any, batch: int) -> bool:
        """Whether an execution begins with a batch; if so, it is told how long it may be."""
        self._shown = batch >= self._done[kind]
        if isinstance(function, Runner):
            total = self._limits.get(kind)
            left = function.steps if total is None else total - batch
            function.allow(min(function.steps, left) if self._shown else 0)
        return self._shown

    def _last(self, kind: str, function: Any, batch: int) -> int:
        ran = function.ran if isinstance(function, Runner) else 1
        self._done[kind] = batch + ran
        return batch + ran - 1


def limited(steps: int | None) -> int | None:
    """Steps of an epoch as Keras limits them for the whole process."""
    most: int | None = keras.config.max_steps_per_epoch()
    return min(steps or most, most) if most else steps


def is_dense(spec: Any) -> bool:
    """Whether batches of a structure are tensors without ragged or sparse parts."""
    return all(isinstance(s, tf.TensorSpec) for s in tf.nest.flatten(spec))
