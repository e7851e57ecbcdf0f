"""Checks of what `fit` and `evaluate` are given: arrays, or streams of batches.

Floor 4.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_vae.data.containers import as_array, batches_of, is_stream
from keras_vae.models.checks import Wanted, check_array, check_shape, split_mapping

__all__ = ["check_data", "joined_batches", "with_known_shapes"]

Shape = tuple[int, ...]


def check_data(x: Any, y: Any, wanted: Wanted, prefix: str = "") -> tuple[Any, Any, int]:
    """Check what was passed to `fit` or `evaluate` as far as it can be known beforehand.

    Args:
        x: Arrays, a `tf.data.Dataset`, a `keras.utils.PyDataset` or a generator.
        y: Arrays or `None`.
        wanted: Requirements of examples; the support counts for targets alone.
        prefix: Put before `x` and `y` in messages.

    Returns:
        x and y, as arrays unless they are streams, and the number of examples, 0 if unknown.

    Raises:
        TypeError: If x is of no known kind.
        ValueError: If anything is empty, of the wrong shape or outside the support.
    """
    if x is None:
        raise ValueError(f"`{prefix}x` is missing. Received: None.")
    if is_stream(x):
        if y is not None:
            raise ValueError(
                f"`{prefix}y` must be None where `{prefix}x` gives batches, which hold their "
                f"targets: (x, y). Received: {type(y).__name__}."
            )
        return _checked_stream(prefix, x, wanted), None, 0
    if isinstance(x, (list, tuple)) and not (x and isinstance(x[0], (list, int, float))):
        raise TypeError(
            f"`{prefix}x` must be one array, a tf.data.Dataset or a PyDataset. "
            f"Received: a {type(x).__name__}. If its items are examples, pass "
            f"np.asarray({prefix}x)."
        )
    of_x = wanted if y is None else wanted._replace(likelihood=None)
    x = check_array(f"{prefix}x", x, of_x)
    if y is not None:
        if isinstance(y, (list, tuple)):
            raise TypeError(f"`{prefix}y` must be an array. Received: {type(y).__name__}.")
        y = check_array(f"{prefix}y", y, wanted)
        if x.shape[0] != y.shape[0]:
            raise ValueError(
                f"`{prefix}x` and `{prefix}y` must be equally long. "
                f"Received: {x.shape[0]} and {y.shape[0]}."
            )
    return x, y, int(x.shape[0])


def _checked_stream(prefix: str, x: Any, wanted: Wanted) -> Any:
    """Look at what can be known of batches that are still to come.

    Returns:
        x, or batches of the same as arrays that Keras takes.
    """
    if isinstance(x, tf.data.Dataset):
        _check_dataset(prefix, x, wanted.shape)
    elif isinstance(x, keras.utils.PyDataset):
        if x.num_batches == 0:
            raise ValueError(f"`{prefix}x` is empty. Received: a PyDataset of 0 batches.")
        batch = x[0]
        parts = keras.utils.unpack_x_y_sample_weight(batch)
        first = parts[0]["x"] if isinstance(parts[0], Mapping) else parts[0]
        check_data(first, parts[1], wanted, prefix)
        leaves = [leaf for leaf in keras.tree.flatten(batch) if leaf is not None]
        if not all(type(leaf) is np.ndarray or tf.is_tensor(leaf) for leaf in leaves):
            return _OfArrays(x, prefix, missing=wanted.missing)
    elif hasattr(x, "__next__"):
        first = next(x, None)
        if first is None:
            raise ValueError(f"`{prefix}x` is empty. Received: a {type(x).__name__}.")
        batches = itertools.chain([first], x)
        return (_batch_of_arrays(batch, prefix, wanted.missing) for batch in batches)
    else:
        batch = next(iter(x), None)
        if batch is not None and not isinstance(batch, (tuple, list, Mapping)):
            raise TypeError(
                f"`{prefix}x` as a DataLoader must give tuples. Received: batches that are "
                f"bare tensors, which Keras would take apart. Load a TensorDataset."
            )
    return x


def _batch_of_arrays(batch: Any, prefix: str, missing: bool) -> Any:
    """A batch as a tuple of arrays or mappings of such."""
    x, y, weight = keras.utils.unpack_x_y_sample_weight(batch)
    if isinstance(x, Mapping):
        x = {
            name: None
            if value is None
            else as_array(f"{prefix}{name}", value, missing=missing and name == "x")
            for name, value in x.items()
        }
    else:
        x = as_array(f"{prefix}x", x, missing=missing)
    y = None if y is None else as_array(f"{prefix}y", y, missing=missing)
    if weight is not None:
        weight = as_array(f"{prefix}sample_weight", weight)
    if y is None and weight is None:
        return (x,)
    return keras.utils.pack_x_y_sample_weight(x, y, weight)


class _OfArrays(keras.utils.PyDataset):
    """The batches of another `PyDataset`, as arrays."""

    def __init__(self, batches: keras.utils.PyDataset, prefix: str, *, missing: bool) -> None:
        super().__init__(
            workers=batches.workers,
            use_multiprocessing=batches.use_multiprocessing,
            max_queue_size=batches.max_queue_size,
        )
        self._batches, self._prefix, self._missing = batches, prefix, missing

    @property
    def num_batches(self) -> int | None:
        """As many as the other has."""
        count: int | None = self._batches.num_batches
        return count

    def __getitem__(self, index: int) -> Any:
        return _batch_of_arrays(self._batches[index], self._prefix, self._missing)

    def on_epoch_begin(self) -> None:
        """Tell the other."""
        self._batches.on_epoch_begin()

    def on_epoch_end(self) -> None:
        """Tell the other."""
        self._batches.on_epoch_end()


def _check_dataset(prefix: str, x: tf.data.Dataset, event_shape: Shape) -> None:
    if int(x.cardinality()) == 0:
        raise ValueError(f"`{prefix}x` is empty. Received: a dataset of 0 batches.")
    spec = keras.utils.unpack_x_y_sample_weight(x.element_spec)
    first = spec[0]
    if isinstance(first, Mapping):
        first, _ = split_mapping(prefix, first)
    for name, part in (("x", first), ("y", spec[1])):
        if part is None or getattr(part, "shape", None) is None or part.shape.rank is None:
            continue
        if not isinstance(part, tf.TensorSpec):
            raise TypeError(
                f"`{prefix}{name}` must be a dataset of dense tensors. Received: {part}. Map "
                f"it: .to_tensor() pads ragged ones, tf.sparse.to_dense fills sparse ones."
            )
        if tuple(part.shape) == event_shape:
            raise ValueError(
                f"`{prefix}{name}` is a dataset of single examples of shape "
                f"{tuple(part.shape)}. Batch it: dataset.batch(128)."
            )
        check_shape(f"{prefix}{name}", part.shape, event_shape)


def joined_batches(
    name: str, x: Any, wanted: Wanted, limit: int | None = None
) -> tuple[np.ndarray, Any]:
    """Return x and the conditions of all batches of a stream that ends.

    Args:
        name: Name of the argument, for messages.
        x: As in `data.containers.is_stream`.
        wanted: Requirements of examples.
        limit: Number of batches. Defaults to `None`: all.

    Raises:
        ValueError: If a batch is not what it must be, or only some have conditions.
    """
    rows, conditions = [], []
    count = 0
    for part, condition in batches_of(name, x, wanted.missing, limit):
        rows.append(np.asarray(check_array(name, part, wanted, count)))
        count += len(rows[-1])
        conditions.append(None if condition is None else np.asarray(condition))
    given = [condition for condition in conditions if condition is not None]
    if given and len(given) < len(conditions):
        raise ValueError(
            f"`{name}` must hold a condition in each batch, or in none. Received: some."
        )
    return np.concatenate(rows), np.concatenate(given) if given else None


def with_known_shapes(
    x: tf.data.Dataset, event_shape: Shape, condition_shape: Shape | None
) -> tf.data.Dataset:
    """Give the batches of a data set the shapes that the model knows.

    Args:
        x: The data set; one that knows its shapes is returned as it is.
        event_shape: Shape of one example.
        condition_shape: Shape of one condition, `None` for a model without.
    """
    specs = tf.nest.flatten(x.element_spec)
    if all(spec.shape.rank and all(spec.shape[1:]) for spec in specs):
        return x

    def known(value: tf.Tensor, shape: Shape, name: str) -> tf.Tensor:
        return tf.ensure_shape(tf.identity(value, name=name), (None, *shape))

    def with_shapes(*batch: Any) -> Any:
        first, target, weight = keras.utils.unpack_x_y_sample_weight(
            batch if len(batch) > 1 else batch[0]
        )
        events = first["x"] if isinstance(first, Mapping) else first
        events = known(events, event_shape, "x")
        target = None if target is None else known(target, event_shape, "y")
        if weight is not None:
            weight = tf.reshape(weight, [tf.shape(events)[0]])
        if isinstance(first, Mapping):
            first = {**first, "x": events}
            given = first.get("condition")
            if given is not None and condition_shape is not None and given.shape.rank is None:
                labels = given.dtype.is_integer
                shape = () if labels else condition_shape
                first["condition"] = known(given, shape, "condition")
        else:
            first = events
        return keras.utils.pack_x_y_sample_weight(first, target, weight)

    return x.map(with_shapes)
