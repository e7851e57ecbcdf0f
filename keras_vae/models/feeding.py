"""What a model is trained and evaluated on: checked, looked at, unpacked.

Floor 4.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from keras_vae import numerics
from keras_vae.data.arrays import Arrays
from keras_vae.data.blocks import Blocks
from keras_vae.data.streaming import Runs, is_streamed
from keras_vae.likelihoods import Likelihood
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
from keras_vae.models.guard import FiniteGuard
from keras_vae.models.loop import Loop
from keras_vae.models.sources import InBlocks, Stream
from keras_vae.models.state import TrainingState
from keras_vae.posteriors import Posterior
from keras_vae.preprocessors import Preprocessor
from keras_vae.priors import Prior
from keras_vae.terms import Context

__all__ = ["Batch", "Fed"]

# Rows of a batch unless `fit` is told otherwise, as in Keras.
_ROWS = 32


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
            callbacks: As in Keras; a guard against numbers that are not finite is added.
            **kwargs: As in Keras: `validation_data`, `sample_weight`, `shuffle` ...

        Returns:
            The Keras history, in nats per example.

        Raises:
            ValueError: If data is empty, of the wrong shape, not finite or outside the
                likelihood's support.
            FloatingPointError: If a term or gradient becomes NaN or infinite; the step is
                not applied.
        """
        self._adapt_preprocessor(x, y)
        x, size = self._checked(x, y)
        validation = kwargs.get("validation_data")
        if validation is not None:
            val_x, val_y, val_weight = keras.utils.unpack_x_y_sample_weight(validation)
            val_x, _ = self._checked(val_x, val_y, "validation_")
            if val_weight is not None:
                kwargs["validation_data"] = (
                    val_x,
                    _target(val_x, val_y, val_weight),
                    val_weight,
                )
            elif isinstance(val_x, Mapping):
                kwargs["validation_data"] = (val_x, val_y)
            rows = kwargs.get("validation_batch_size") or batch_size or _ROWS
            steps = kwargs.get("validation_steps")
            batches = self._in_order(val_x, val_y, val_weight, rows, steps)
            if batches is not None:
                kwargs["validation_data"] = batches
        if not is_arrays(x) and not isinstance(x, keras.utils.PyDataset):
            kwargs.setdefault("shuffle", False)  # Keras warns of its own default for streams
        self.objective.check(size)
        self.state.data_size.assign(size)
        self._adapt(x, y)
        steps, rows = _steps_of_epoch(x, size, batch_size)
        self.choose_loop(epochs * (kwargs.get("steps_per_epoch") or steps), rows)
        guard = FiniteGuard(self.state, self.likelihood.support_in_words())
        if isinstance(callbacks, keras.callbacks.CallbackList):
            guard.set_model(self)
            callbacks.callbacks.insert(0, guard)
        else:
            callbacks = [guard, *_as_list(callbacks)]
        y = _target(x, y, kwargs.get("sample_weight"))
        if _is_streamed(x, y):
            x, y, batch_size = self._streamed(x, y, rows, kwargs), None, None
        with self._batches(x, y, rows, kwargs) as batches:
            if batches is not None:
                # As Keras does without one of its own.
                rows_of_validation = kwargs.get("validation_batch_size") or batch_size
                x, y, batch_size = batches, None, None
                kwargs.update(sample_weight=None, shuffle=False)
                kwargs["validation_batch_size"] = rows_of_validation
            return super().fit(
                x, y, batch_size, epochs, verbose=verbose, callbacks=callbacks, **kwargs
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
        if not kwargs.get("_use_cached_eval_dataset"):
            x, _ = self._checked(x, y)
        self.state.evaluation_counter.assign(0)
        batches = self._in_order(x, y, sample_weight, batch_size or _ROWS, kwargs.get("steps"))
        if batches is None:
            y = _target(x, y, sample_weight)
        else:
            x, y, batch_size, sample_weight = batches, None, None, None
        return super().evaluate(x, y, batch_size, verbose, sample_weight, **kwargs)

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

    def _streamed(self, x: Any, y: Any, rows: int, given: dict[str, Any]) -> tf.data.Dataset:
        """Batches of arrays on disk, which Keras would read into memory."""
        runs = Runs(
            keras.utils.pack_x_y_sample_weight(x, y, given.pop("sample_weight", None)),
            rows,
            int(self.state.noise_seed.numpy()),
            shuffle=given.get("shuffle", True),
            first_epoch=given.get("initial_epoch", 0),
        )
        given["shuffle"] = False  # no more
        return runs.batches()

    @contextlib.contextmanager
    def _batches(
        self, x: Any, y: Any, rows: int, given: Mapping[str, Any]
    ) -> Iterator[tf.data.Dataset | None]:
        """Batches in place of what `fit` was given; `None` where that is left to Keras.

        The loop in one program takes them by itself: Keras is to count them only.
        """
        if self.compiled:
            self.make_train_function()
        loop = self.train_function
        blocks = self._blocks(x, y, rows, given)
        if blocks is None:
            yield None
        elif isinstance(loop, Loop):
            loop.source = source = InBlocks(self, loop.steps, blocks)
            try:
                yield source.counted()
            finally:
                loop.source = Stream(self, loop.steps)  # and let go of the arrays
        else:
            yield blocks.untuned_batches()

    def _blocks(self, x: Any, y: Any, rows: int, given: Mapping[str, Any]) -> Blocks | None:
        weight, shuffle = given.get("sample_weight"), given.get("shuffle", True)
        for_keras = ("validation_split", "class_weight", "steps_per_epoch")
        if any(given.get(name) for name in for_keras) or self._replicated:
            return None
        blocks = getattr(x, "blocks", None)
        if isinstance(blocks, Blocks):
            return blocks if y is None and weight is None else None
        if not (is_arrays(x) and isinstance(shuffle, bool)):
            return None
        data = keras.utils.pack_x_y_sample_weight(x, y, weight)
        order = self.state.order if shuffle else None
        return Arrays(data, rows, self.steps_per_execution, order)

    def _in_order(
        self, x: Any, y: Any, weight: Any, rows: int, steps: int | None
    ) -> tf.data.Dataset | None:
        """Batches in the order of arrays; `None` where they are left to Keras."""
        data = keras.utils.pack_x_y_sample_weight(x, _target(x, y, weight), weight)
        if _is_streamed(x, y):
            return Runs(data, rows, 0, shuffle=False, first_epoch=0).untuned_batches()
        if not is_arrays(x) or steps or self._replicated:
            return None
        return Arrays(data, rows, self.steps_per_execution).untuned_batches()

    @property
    def _replicated(self) -> bool:
        return bool(self.distribute_strategy.num_replicas_in_sync > 1)

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
        seed = int(self.state.noise_seed.numpy())
        part.adapt(some_examples(x, y, 1, part.adapt_rows, seed))

    def _adapt(self, x: Any, y: Any) -> None:
        if int(self.state.adapted.numpy()):
            return
        for part, position in ((self.prior, 0), (self.likelihood, 1)):
            if part.adapt_rows:
                seed = int(self.state.noise_seed.numpy())
                rows = some_examples(x, y, position, part.adapt_rows, seed)
                if self.preprocessor is not None:
                    rows = self.preprocessed(rows).numpy()
                if part is self.prior:
                    self.prior.adapt(rows, self.context())
                else:
                    self.likelihood.adapt(rows)
        self.state.adapted.assign(1)


def _steps_of_epoch(x: Any, size: int, batch_size: int | None) -> tuple[int, int]:
    """Steps of an epoch, 0 if unknown, and examples of a batch, of a stream about so many."""
    rows = batch_size or _ROWS
    if isinstance(x, tf.data.Dataset):
        return max(0, int(x.cardinality())), tf.nest.flatten(x.element_spec)[0].shape[0] or rows
    if isinstance(x, keras.utils.PyDataset):
        return x.num_batches or 0, rows
    return -(-size // rows), rows


def _is_streamed(x: Any, y: Any) -> bool:
    return any(is_streamed(array) for array in keras.tree.flatten((x, y)))


def _target(x: Any, y: Any, sample_weight: Any) -> Any:
    # Keras silently drops the weights of data that has no y.
    if y is not None or sample_weight is None or not is_arrays(x):
        return y
    return x["x"] if isinstance(x, Mapping) else x


def _as_list(callbacks: Any) -> list[Any]:
    if callbacks is None:
        return []
    return list(callbacks) if isinstance(callbacks, (list, tuple)) else [callbacks]
