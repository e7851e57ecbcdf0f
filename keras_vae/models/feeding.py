"""What a model is trained and evaluated on: checked, looked at, unpacked.

Floor 4.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_vae.data.blocks import Blocks
from keras_vae.data.containers import columns_of, is_stream
from keras_vae.models.backup import protected
from keras_vae.models.checks import CheckedRows, is_arrays
from keras_vae.models.examples import some_examples
from keras_vae.models.executions import ExecutionCallbacks, Runner, limited
from keras_vae.models.forking import require_own_process
from keras_vae.models.given import (
    ROWS,
    Given,
    batches_in_order,
    blocks_to_train_on,
    given,
)
from keras_vae.models.guard import FiniteGuard
from keras_vae.models.inputs import Inputs
from keras_vae.models.loop import Loop
from keras_vae.models.options import (
    checked_options,
    held_out_rows,
    rows_of_batch,
    training_rows,
)
from keras_vae.models.sources import InBlocks
from keras_vae.models.streams import joined_batches
from keras_vae.models.workers import agree_on_size, agree_on_weights, examples_of_all

__all__ = ["Fed"]


class Fed(Inputs):
    """A model that is trained and evaluated on events and, if conditional, conditions."""

    # Blocks that `fit` trains on, and the number of the epoch that they begin with.
    _passes: tuple[Blocks, int] | None = None

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Any = "auto",
        callbacks: Any = None,
        **kwargs: Any,
    ) -> keras.callbacks.History:
        """Train, as in Keras.

        Args:
            x: Arrays `[examples, *raw_shape]`, a `tf.data.Dataset` or a `PyDataset`; an
                `np.memmap` and `data.SparseRows` are streamed, not read into memory. A
                conditional model takes `{"x": ..., "condition": ...}`, and datasets of such.
                Arrays need not be copied: they must stay as they are while it runs.
            y: The reconstruction target if it is not x. Defaults to `None`.
            batch_size: As in Keras.
            epochs: As in Keras.
            verbose: As in Keras.
            callbacks: As in Keras; a guard against numbers that are not finite is added. They
                see batches by executions of several steps (`compile`): the first one begin
                and the last one end.
            **kwargs: As in Keras: `validation_data`, `sample_weight`, `shuffle` ...; with
                `steps_per_epoch` and `validation_steps` exactly so many steps are run.

        Returns:
            The Keras history, in nats per example.

        Raises:
            ValueError: If data is empty, of the wrong shape, not finite or outside the
                likelihood's support.
            FloatingPointError: If a term or gradient becomes NaN or infinite; the step is
                not applied.
        """
        require_own_process()
        kwargs = checked_options(
            {"batch_size": batch_size, "epochs": epochs, "verbose": verbose, **kwargs}
        )
        batch_size, epochs, verbose = (
            kwargs.pop(name) for name in ("batch_size", "epochs", "verbose")
        )
        share = kwargs.pop("validation_split", 0.0)
        share = 0.0 if kwargs.get("validation_data") is not None else share
        x, y = self._adapt_preprocessor(x, y, share)
        x, y, size = self.checked_data(x, y)
        data = given(x, y, kwargs.pop("sample_weight", None))
        if share:
            size = training_rows(size, share)
            data, val = (Given(*part) for part in held_out_rows(tuple(data), size))
            x, y = data.x, data.y
            kwargs["validation_data"] = self._in_order(val, batch_size, kwargs)
        elif kwargs.get("validation_data") is not None:
            val_x, val_y, val_weight = keras.utils.unpack_x_y_sample_weight(
                columns_of("validation_data", kwargs["validation_data"])
            )
            val_x, val_y, _ = self.checked_data(val_x, val_y, "validation_")
            val = given(val_x, val_y, val_weight, "validation_")
            kwargs["validation_data"] = self._in_order(val, batch_size, kwargs)
        batch_size = rows_of_batch(batch_size, size)
        if not is_arrays(x) and not isinstance(x, keras.utils.PyDataset):
            kwargs.setdefault("shuffle", False)  # Keras warns of its own default for streams
        self.objective.check(size)
        self.state.data_size.assign(agree_on_size(self.distribute_strategy, size, x))
        self._adapt(x, y)
        steps, rows = data.steps_of_epoch(size, batch_size)
        self._require_batches_to_compare(rows, size)
        wanted = limited(kwargs.get("steps_per_epoch"))
        self.choose_loop(epochs * (wanted or steps), rows)
        callbacks = ExecutionCallbacks(
            self,
            self._guarded(callbacks),
            verbose=verbose,
            steps=wanted or steps or None,
            epochs=epochs,
            limits={"train": wanted, "test": limited(kwargs.get("validation_steps"))},
        )
        with self._batches(data, rows, kwargs) as batches, self.single_steps():
            if batches is not None:
                # As Keras does without one of its own.
                kwargs["validation_batch_size"] = (
                    kwargs.get("validation_batch_size") or batch_size
                )
                kwargs["shuffle"] = False
                data, batch_size = Given(batches), None
            return super().fit(
                data.x,
                data.y,
                batch_size,
                epochs,
                verbose=verbose,
                callbacks=callbacks,
                sample_weight=data.weight,
                **kwargs,
            )

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Any = "auto",
        sample_weight: Any = None,
        **kwargs: Any,
    ) -> Any:
        """Evaluate, as in Keras, with the same noise each time.

        Raises:
            ValueError: As `fit`.
        """
        require_own_process()
        kwargs = checked_options({"batch_size": batch_size, "verbose": verbose, **kwargs})
        batch_size, verbose = kwargs.pop("batch_size"), kwargs.pop("verbose")
        size = 0
        if not kwargs.get("_use_cached_eval_dataset"):  # not that of `fit`, done already
            x, y, size = self.checked_data(x, y)
            batch_size = rows_of_batch(batch_size, size)
        self.state.evaluation_counter.assign(0)
        data = given(x, y, sample_weight)
        wanted = limited(kwargs.get("steps"))
        callbacks = kwargs.pop("callbacks", None)
        if not isinstance(callbacks, ExecutionCallbacks):
            callbacks = ExecutionCallbacks(
                self,
                self._guarded(callbacks),
                verbose=verbose,
                steps=wanted or data.steps_of_epoch(size, batch_size)[0] or None,
                limits={"test": wanted},
            )
        batches = batches_in_order(self, data, batch_size or ROWS, kwargs.get("steps"))
        if batches is not None:
            data, batch_size = Given(batches), None
        with self.single_steps():
            return super().evaluate(
                data.x,
                data.y,
                batch_size,
                verbose,
                data.weight,
                callbacks=callbacks,
                **kwargs,
            )

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: Any = "auto",
        steps: int | None = None,
        callbacks: Any = None,
    ) -> np.ndarray:
        """Reconstruct, as in Keras; callbacks see each batch. See `reconstruct`.

        Raises:
            ValueError: As `fit`, but for the support.
        """
        options = checked_options(
            {"batch_size": batch_size, "verbose": verbose, "steps": steps}
        )
        wanted, steps = self.wanted(supported=False), options["steps"]
        if is_stream(x):
            x, condition = joined_batches("x", x, wanted, steps)
            x, steps = (x if condition is None else {"x": x, "condition": condition}), None
        x, _, size = self.checked_data(x, None, supported=False)
        rows = rows_of_batch(options["batch_size"], size)
        data = Given(x)
        if data.on_disk:
            events = x["x"] if isinstance(x, Mapping) else x
            for start in range(0, size, ROWS):
                CheckedRows("x", events, wanted)[start : start + ROWS]
            data, rows = Given(batches_in_order(self, data, rows or ROWS, steps)), None
        with self.single_steps():
            found: np.ndarray = super().predict(
                data.x, rows, options["verbose"], steps, callbacks
            )
        return found

    def _require_batches_to_compare(self, rows: int, size: int) -> None:
        smallest, all_in_one = self.objective.smallest_batch, 0 < size <= rows
        if rows < smallest and not all_in_one:
            raise ValueError(
                f"{type(self.objective).__name__} compares the examples of a batch: "
                f"`batch_size` must be at least {smallest}. Received: batch_size={rows}."
            )

    def _in_order(self, data: Given, batch_size: int | None, options: Mapping[str, Any]) -> Any:
        """Validation data for Keras, in batches where this model makes them."""
        rows = options.get("validation_batch_size") or batch_size or ROWS
        batches = batches_in_order(self, data, rows, options.get("validation_steps"))
        return data.packed() if batches is None else batches

    def _guarded(self, callbacks: Any) -> list[Any]:
        """Callbacks that write whole files, behind the guard."""
        guard = FiniteGuard(
            self.state, self.likelihood.support_in_words(), self.conditions.in_words()
        )
        callbacks = _as_list(callbacks)
        for own in callbacks:
            if isinstance(own, keras.callbacks.CallbackList):
                own.callbacks = protected(own.callbacks)
        return [guard, *protected(callbacks)]

    @contextlib.contextmanager
    def _batches(
        self, data: Given, rows: int, options: Mapping[str, Any]
    ) -> Iterator[tf.data.Dataset | None]:
        """Batches in place of what `fit` was given; `None` where that is left to Keras.

        The loop in one program takes them by itself: Keras is to count them only.
        """
        if self.compiled:
            self.make_train_function()
        loop = self.train_function
        whole = not options.get("steps_per_epoch")
        blocks = blocks_to_train_on(self, data, rows, options, whole=whole)
        self._passes = None if blocks is None else (blocks, options.get("initial_epoch", 0))
        source = usual = None
        if whole and blocks is not None and isinstance(loop, Loop):
            usual = loop.source
            loop.source = source = InBlocks(loop.at_a_time, blocks)
        try:
            if source is not None:
                yield source.counted()
            else:
                yield None if blocks is None else blocks.untuned_batches()
        finally:
            self._passes = None
            if isinstance(loop, Runner):
                loop.end()
            if usual is not None:
                loop.source = usual  # and let go of the arrays

    def skip_passes(self, epoch: int) -> None:
        """Let data go on with an epoch, after those before were restored from a backup."""
        if self._passes is not None:
            blocks, first = self._passes
            blocks.skip(epoch - first)

    def _adapt_preprocessor(self, x: Any, y: Any, share: float) -> tuple[Any, Any]:
        """Before data are checked against a support that is of what comes out of it.

        Args:
            x: As in `fit`.
            y: As in `fit`.
            share: `validation_split` of `fit`: such rows are not looked at.

        Returns:
            x and y, which may have been checked.
        """
        part = self.preprocessor
        if part is None or not part.adapt_rows or int(self.state.adapted.numpy()):
            return x, y
        x, y, size = self.checked_data(x, y, supported=False)
        seen = (x, y)
        if share:
            seen, _ = held_out_rows(seen, training_rows(size, share))
        part.adapt(self._examples_for(part, *seen, 1))
        agree_on_weights(self.distribute_strategy, part.weights)
        return x, y

    def _examples_for(self, part: Any, x: Any, y: Any, position: int) -> np.ndarray:
        """Examples that a part adapts to; position as of `some_examples`."""
        seed = int(self.state.noise_seed.numpy())
        rows = some_examples(x, y, position, part.adapt_rows, seed)
        return examples_of_all(self.distribute_strategy, rows, part.adapt_rows, seed)

    def _adapt(self, x: Any, y: Any) -> None:
        if int(self.state.adapted.numpy()):
            return
        # The likelihood first: priors may ask what the encoder sees, in its units.
        for part, position in ((self.likelihood, 1), (self.prior, 0)):
            if part.adapt_rows:
                rows = self._examples_for(part, x, y, position)
                if self.preprocessor is not None:
                    rows = self.preprocessed(rows).numpy()
                if part is self.prior:
                    self.prior.adapt(rows, self.context())
                else:
                    self.likelihood.adapt(rows)
                agree_on_weights(self.distribute_strategy, part.weights)
        self.state.adapted.assign(1)


def _as_list(callbacks: Any) -> list[Any]:
    if callbacks is None:
        return []
    return list(callbacks) if isinstance(callbacks, (list, tuple)) else [callbacks]
