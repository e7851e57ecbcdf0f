"""Checks of what users pass, before anything is computed from it.

Floor 4.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from keras_vae import numerics
from keras_vae.data.streaming import is_streamed
from keras_vae.likelihoods import Likelihood

__all__ = [
    "Wanted",
    "check_array",
    "check_data",
    "check_shape",
    "is_arrays",
    "split_mapping",
]

Shape = tuple[int, ...]
# Rows looked at in one go: bounds the memory that checking takes.
_ROWS = 4096
_NUMBERS = ("float", "bfloat", "int", "uint", "bool")


def check_shape(name: str, shape: Any, event_shape: Shape) -> None:
    """Raise a ValueError unless `shape` is `[batch, *event_shape]`."""
    shape = tuple(shape)
    if len(shape) == 1 + len(event_shape) and all(
        got is None or got == wanted for got, wanted in zip(shape[1:], event_shape)
    ):
        return
    expected = "(batch, " + ", ".join(map(str, event_shape)) + ")"
    message = f"`{name}` must have shape {expected}. Received: {shape}."
    if name == "y":
        message += (
            " `y` is the reconstruction target and has the shape of an event; labels are not "
            "targets: pass x alone."
        )
    elif shape == event_shape:
        message += f" One example needs a batch axis: {name}[None]."
    elif event_shape[-1] == 1 and shape[1:] == event_shape[:-1]:
        message += f" Add the channel axis: {name}[..., None]."
    elif len(shape) > 1 and np.prod([s or 0 for s in shape[1:]]) == np.prod(event_shape):
        message += f" Reshape it: {name}.reshape({(-1, *event_shape)})."
    raise ValueError(message)


def is_arrays(x: Any) -> bool:
    """Whether x is an array, or a mapping of arrays, rather than a stream of batches."""
    return hasattr(x, "shape") or isinstance(x, Mapping)


def split_mapping(prefix: str, x: Mapping[str, Any]) -> tuple[Any, Any]:
    """Split what a conditional model is given into x and condition.

    Raises:
        ValueError: If there is no `"x"`, or there is anything but `"x"` and `"condition"`.
    """
    if "x" not in x or not set(x) <= {"x", "condition"}:
        raise ValueError(
            f"`{prefix}x` as a dictionary holds 'x' and 'condition'. Received: {sorted(x)}."
        )
    return x["x"], x.get("condition")


class Wanted(NamedTuple):
    """What data must be.

    Attributes:
        shape: Of one example.
        likelihood: If given, values must lie in its support.
        missing: Whether values may be NaN.
        forward: What is done to values before they reach the likelihood, if anything.
    """

    shape: Shape
    likelihood: Likelihood | None = None
    missing: bool = False
    forward: Callable[[np.ndarray], tf.Tensor] | None = None


def check_array(name: str, value: Any, wanted: Wanted) -> Any:
    """Raise an error unless `value` is a non-empty, finite array of examples.

    Args:
        name: Name of the argument, for messages.
        value: Array, tensor, or what NumPy can make one of.
        wanted: What it must be.

    Returns:
        The array.

    Raises:
        TypeError: If it does not hold numbers.
        ValueError: If its shape is wrong, it is empty, has infinities or unwanted NaN, or
            values outside the support.
    """
    if not hasattr(value, "dtype"):
        value = np.asarray(value)
    if not str(getattr(value.dtype, "name", value.dtype)).startswith(_NUMBERS):
        raise TypeError(f"`{name}` must hold numbers. Received: dtype {value.dtype}.")
    check_shape(name, value.shape, wanted.shape)
    if value.shape[0] == 0:
        raise ValueError(f"`{name}` is empty. Received: shape {tuple(value.shape)}.")
    if is_streamed(value):
        return value  # Larger than memory, perhaps: each step checks its own batch.
    likelihood = wanted.likelihood
    extent = _extent(name, _blocks(value), wanted)
    if likelihood is None:
        return value
    if wanted.forward is not None:
        name = f"{name}, preprocessed,"
        extent = _extent(name, _blocks(value, wanted.forward), wanted)
    low, high, whole = extent
    support = likelihood.support
    ends = [end for end in (low, high) if np.isfinite(end)]  # none if all is missing
    if not whole or any(support.violations(numerics.as_density(end)) for end in ends):
        raise ValueError(
            f"`{name}` has values outside the support {support} of a "
            f"{type(likelihood).__name__} likelihood. Received: values from {low:g} to "
            f"{high:g}, dtype {value.dtype}. Fix: {support.fix}."
        )
    for first, rows in _blocks(value, wanted.forward):
        outside = likelihood.why_outside(rows, first)
        if outside:
            raise ValueError(f"`{name}` {outside}")
    return value


def check_data(
    x: Any,
    y: Any,
    wanted: Wanted,
    prefix: str = "",
) -> int:
    """Check what was passed to `fit` or `evaluate` as far as it can be known beforehand.

    Args:
        x: Arrays, a `tf.data.Dataset`, a `keras.utils.PyDataset` or a generator.
        y: Arrays or `None`.
        wanted: What examples must be; the support counts for targets alone.
        prefix: Put before `x` and `y` in messages.

    Returns:
        The number of examples, 0 if unknown.

    Raises:
        TypeError: If x is of no known kind.
        ValueError: If anything is empty, of the wrong shape or outside the support.
    """
    if x is None:
        raise ValueError(f"`{prefix}x` is missing. Received: None.")
    if isinstance(x, tf.data.Dataset):
        return _check_dataset(prefix, x, wanted.shape)
    if isinstance(x, keras.utils.PyDataset):
        if x.num_batches == 0:
            raise ValueError(f"`{prefix}x` is empty. Received: a PyDataset of 0 batches.")
        first = x[0]
        parts = keras.utils.unpack_x_y_sample_weight(first)
        first = parts[0]["x"] if isinstance(parts[0], Mapping) else parts[0]
        check_data(first, parts[1], wanted, prefix)
        return 0
    if isinstance(x, list):
        raise TypeError(
            f"`{prefix}x` must be one array, a tf.data.Dataset or a PyDataset. "
            f"Received: a {type(x).__name__}."
        )
    if not hasattr(x, "shape"):
        return 0  # A generator: each step checks the batches it gets.
    of_x = wanted if y is None else wanted._replace(likelihood=None)
    check_array(f"{prefix}x", x, of_x)
    if y is not None:
        if not hasattr(y, "shape"):
            raise TypeError(f"`{prefix}y` must be an array. Received: {type(y).__name__}.")
        check_array(f"{prefix}y", y, wanted)
        if len(x) != len(y):
            raise ValueError(
                f"`{prefix}x` and `{prefix}y` must be equally long. "
                f"Received: {len(x)} and {len(y)}."
            )
    return len(x)


def _check_dataset(prefix: str, x: tf.data.Dataset, event_shape: Shape) -> int:
    if int(x.cardinality()) == 0:
        raise ValueError(f"`{prefix}x` is empty. Received: a dataset of 0 batches.")
    spec = keras.utils.unpack_x_y_sample_weight(x.element_spec)
    first = spec[0]
    if isinstance(first, Mapping):
        first, _ = split_mapping(prefix, first)
    for name, part in (("x", first), ("y", spec[1])):
        if part is None or getattr(part, "shape", None) is None or part.shape.rank is None:
            continue
        if tuple(part.shape) == event_shape:
            raise ValueError(
                f"`{prefix}{name}` is a dataset of single examples of shape "
                f"{tuple(part.shape)}. Batch it: dataset.batch(128)."
            )
        check_shape(name, part.shape, event_shape)
    return 0


def _wants_integers(likelihood: Likelihood | None) -> bool:
    return likelihood is not None and likelihood.support.integer


def _all_whole(rows: np.ndarray) -> bool:
    if not np.issubdtype(rows.dtype, np.floating):
        return True
    return bool(np.all(np.isnan(rows) | (rows == np.round(rows))))


def _blocks(
    value: Any, forward: Callable[[np.ndarray], tf.Tensor] | None = None
) -> Iterator[tuple[int, np.ndarray]]:
    """The first row and the rows of each block."""
    for start in range(0, value.shape[0], _ROWS):
        rows = np.asarray(value[start : start + _ROWS])
        yield start, rows if forward is None else np.asarray(forward(rows))


def _extent(
    name: str, blocks: Iterator[tuple[int, np.ndarray]], wanted: Wanted
) -> tuple[float, float, bool]:
    """Lowest and highest value, and whether all are whole, if that is wanted.

    Raises:
        ValueError: If values are not finite.
    """
    low, high, whole = np.inf, -np.inf, True
    missing = wanted.missing
    minimum, maximum = (np.fmin, np.fmax) if missing else (np.minimum, np.maximum)
    for first, rows in blocks:
        low = minimum(low, minimum.reduce(rows, axis=None))
        high = maximum(high, maximum.reduce(rows, axis=None))
        whole = whole and (not _wants_integers(wanted.likelihood) or _all_whole(rows))
        if np.any(np.isnan([low, high])) or high == np.inf or low == -np.inf:
            numbers = np.asarray(rows, dtype="float64")
            bad = np.isinf(numbers) if missing else ~np.isfinite(numbers)
            row, *place = np.argwhere(bad)[0].tolist()
            raise ValueError(
                f"`{name}` must be finite. Received: {rows[(row, *place)]} at index "
                f"{(first + row, *place)}. Remove or impute such values"
                f"{'' if missing else ', or pass missing=nan to the model'}."
            )
    return low, high, whole
