"""What a model is trained and evaluated on: checked, looked at, unpacked.

Floor 4.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from keras_vae import numerics
from keras_vae.likelihoods import Likelihood
from keras_vae.models.backup import protected
from keras_vae.models.checks import (
    Wanted,
    check_data,
    check_shape,
    is_arrays,
    split_mapping,
)
from keras_vae.models.compiling import Compiled
from keras_vae.models.conditions import Conditions
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
from keras_vae.models.loop import Loop
from keras_vae.models.sources import InBlocks
from keras_vae.models.state import TrainingState
from keras_vae.models.workers import agree_on_size, agree_on_weights, examples_of_all
from keras_vae.posteriors import Posterior
from keras_vae.preprocessors import Preprocessor
from keras_vae.priors import Prior
from keras_vae.terms import Context

__all__ = ["Batch", "Fed"]


class Batch(NamedTuple):
    """What one step is given.

    Attributes:
        x: What the encoder is given, preprocessed.
        target: What is to be reconstructed, preprocessed.
        condition: As given.
        weight: `[batch]`.
        raw: x and target before the preprocessor.
    """

    x: tf.Tensor
    target: tf.Tensor
    condition: tf.Tensor | None
    weight: tf.Tensor | None
    raw: tuple[tf.Tensor, tf.Tensor]


class Fed(Compiled):
    """A Keras model of events and, if it is conditional, conditions."""

    posterior: Posterior
    prior: Prior
    likelihood: Likelihood
    event_shape: tuple[int, ...]
    conditions: Conditions
    missing: str | None
    preprocessor: Preprocessor | None
    state: TrainingState

    def context(
        self,
        *,
        training: bool = False,
        condition: tf.Tensor | None = None,
        target: tf.Tensor | None = None,
    ) -> Context:
        """What parts may know about the present step."""
        raise NotImplementedError

    @property
    def raw_shape(self) -> tuple[int, ...]:
        """Shape of one example as users give it; the event's without a preprocessor."""
        if self.preprocessor is None:
            return self.event_shape
        return self.preprocessor.raw_shape(self.event_shape)

    def preprocessed(self, x: Any) -> tf.Tensor:
        """What the parts see of raw data: floats, `[batch, *event]`.

        Args:
            x: `[batch, *raw_shape]`, real or symbolic.
        """
        if keras.utils.is_keras_tensor(x):
            x = keras.ops.cast(x, numerics.density_dtype())
        else:
            x = numerics.as_density(x)
        return x if self.preprocessor is None else self.preprocessor.forward(x)

    def restored(self, x: tf.Tensor) -> tf.Tensor:
        """Raw data of what the parts make, as floats: undoes `preprocessed`."""
        return x if self.preprocessor is None else self.preprocessor.inverse(x)

    def raw_range(self) -> tuple[float, float] | None:
        """Lowest and highest value that raw data may have; `None` without such ends."""
        support = self.likelihood.support
        if support.lower is None or support.upper is None:
            return None
        ends = [tf.fill(self.event_shape, end) for end in (support.lower, support.upper)]
        raw = self.restored(numerics.as_density(tf.stack(ends))).numpy()
        return float(raw.min()), float(raw.max())

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
        self._adapt_preprocessor(x, y)
        x, size = self._checked(x, y)
        data = given(x, y, kwargs.pop("sample_weight", None))
        validation = kwargs.get("validation_data")
        if validation is not None:
            val_x, val_y, val_weight = keras.utils.unpack_x_y_sample_weight(validation)
            val_x, _ = self._checked(val_x, val_y, "validation_")
            val = given(val_x, val_y, val_weight, "validation_")
            rows = kwargs.get("validation_batch_size") or batch_size or ROWS
            batches = batches_in_order(self, val, rows, kwargs.get("validation_steps"))
            kwargs["validation_data"] = val.packed() if batches is None else batches
        if not is_arrays(x) and not isinstance(x, keras.utils.PyDataset):
            kwargs.setdefault("shuffle", False)  # Keras warns of its own default for streams
        self.objective.check(size)
        self.state.data_size.assign(agree_on_size(self.distribute_strategy, size, x))
        self._adapt(x, y)
        steps, rows = data.steps_of_epoch(size, batch_size)
        self._require_batches_to_compare(rows, size)
        wanted = limited(kwargs.get("steps_per_epoch"))
        self.choose_loop(epochs * (wanted or steps), rows)
        guard = FiniteGuard(self.state, self.likelihood.support_in_words())
        callbacks = _as_list(callbacks)
        for own in callbacks:
            if isinstance(own, keras.callbacks.CallbackList):
                own.callbacks = protected(own.callbacks)
        callbacks = ExecutionCallbacks(
            self,
            [guard, *protected(callbacks)],
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
        size = 0
        if not kwargs.get("_use_cached_eval_dataset"):
            x, size = self._checked(x, y)
        self.state.evaluation_counter.assign(0)
        data = given(x, y, sample_weight)
        wanted = limited(kwargs.get("steps"))
        callbacks = kwargs.pop("callbacks", None)
        if not isinstance(callbacks, ExecutionCallbacks):
            callbacks = ExecutionCallbacks(
                self,
                callbacks,
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

    def predict(self, x: Any, *arguments: Any, **kwargs: Any) -> Any:
        """Reconstruct, as in Keras; callbacks see each batch."""
        with self.single_steps():
            return super().predict(x, *arguments, **kwargs)

    def _require_batches_to_compare(self, rows: int, size: int) -> None:
        smallest, all_in_one = self.objective.smallest_batch, 0 < size <= rows
        if rows < smallest and not all_in_one:
            raise ValueError(
                f"{type(self.objective).__name__} compares the examples of a batch: "
                f"`batch_size` must be at least {smallest}. Received: batch_size={rows}."
            )

    def unpack(self, batch: Any) -> Batch:
        """Split what a step is given."""
        x, y, weight = keras.utils.unpack_x_y_sample_weight(batch)
        condition = None
        if isinstance(x, Mapping):
            x, condition = split_mapping("", x)
            condition = self.conditions.tensor(condition)
        if condition is None and self.conditions.shape is not None:
            self.conditions.check("condition", None, 0)
        check_shape("x", x.shape, self.raw_shape)
        raw = numerics.as_density(x)
        x, raw_target = self.preprocessed(raw), raw
        target = x
        if y is not None:
            check_shape("y", y.shape, self.raw_shape)
            raw_target = numerics.as_density(y)
            target = self.preprocessed(raw_target)
        if weight is not None:
            weight = tf.reshape(numerics.as_density(weight), [-1])
        return Batch(x, target, condition, weight, (raw, raw_target))

    def _checked(
        self, x: Any, y: Any, prefix: str = "", *, supported: bool = True
    ) -> tuple[Any, int]:
        """Return x with its condition, checked, and the number of examples, 0 if unknown.

        Args:
            x: As in `fit`.
            y: As in `fit`.
            prefix: Put before names in messages.
            supported: Whether data must be in the likelihood's support.
        """
        condition = None
        given = isinstance(x, Mapping)
        if given:
            x, condition = split_mapping(prefix, x)
        wanted = self.wanted(supported=supported)
        size = check_data(x, y, wanted, prefix)
        if not is_arrays(x):
            return x, size
        condition = self.conditions.check(f"{prefix}condition", condition, size)
        return ({"x": x, "condition": condition} if condition is not None else x), size

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
        for_keras = ("validation_split", "class_weight", "steps_per_epoch")
        whole = not any(options.get(name) for name in for_keras)
        blocks = blocks_to_train_on(self, data, rows, options, whole=whole)
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
            if isinstance(loop, Runner):
                loop.end()
            if usual is not None:
                loop.source = usual  # and let go of the arrays

    def wanted(self, *, supported: bool) -> Wanted:
        """What raw data must be; `supported`: in the likelihood's support."""
        return Wanted(
            self.raw_shape,
            self.likelihood if supported else None,
            self.missing is not None,
            None if self.preprocessor is None else self.preprocessed,
        )

    def _adapt_preprocessor(self, x: Any, y: Any) -> None:
        """Before data are checked against a support that is of what comes out of it."""
        part = self.preprocessor
        if part is None or not part.adapt_rows or int(self.state.adapted.numpy()):
            return
        self._checked(x, y, supported=False)
        part.adapt(self._examples_for(part, x, y, 1))
        agree_on_weights(self.distribute_strategy, part.weights)

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
