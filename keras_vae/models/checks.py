"""Checks of what users pass, before anything is computed from it.

Floor 4.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from keras_vae import numerics
from keras_vae.data.containers import as_array
from keras_vae.data.streaming import is_streamed
from keras_vae.likelihoods import Likelihood

__all__ = [
    "CheckedRows",
    "Wanted",
    "check_array",
    "check_shape",
    "check_weights",
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


def check_array(name: str, value: Any, wanted: Wanted, first: int = 0) -> Any:
    """Raise an error unless `value` is a non-empty, finite array of examples.

    Args:
        name: Name of the argument, for messages.
        value: Array, tensor, or what `as_array` can make one of.
        wanted: Requirements of the array.
        first: Number of its first row, for messages. Defaults to `0`.

    Returns:
        The array. What is larger than memory, perhaps, is not looked into: `CheckedRows`
        and the steps of `fit` do, block by block.

    Raises:
        TypeError: If it does not hold numbers.
        ValueError: If its shape is wrong, it is empty, has infinities or unwanted NaN, or
            values outside the support.
    """
    value = as_array(name, value, missing=wanted.missing)
    if not str(getattr(value.dtype, "name", value.dtype)).startswith(_NUMBERS):
        raise TypeError(f"`{name}` must hold numbers. Received: dtype {value.dtype}.")
    check_shape(name, value.shape, wanted.shape)
    if value.shape[0] == 0:
        raise ValueError(f"`{name}` is empty. Received: shape {tuple(value.shape)}.")
    if is_streamed(value):
        return value
    likelihood = wanted.likelihood
    extent = _extent(name, _blocks(value, first), wanted)
    if likelihood is None:
        return value
    if wanted.forward is not None:
        name = f"{name}, preprocessed,"
        extent = _extent(name, _blocks(value, first, wanted.forward), wanted)
    low, high, whole = extent
    support = likelihood.support
    ends = [end for end in (low, high) if np.isfinite(end)]  # none if all is missing
    if not whole or any(support.violations(numerics.as_density(end)) for end in ends):
        raise ValueError(
            f"`{name}` has values outside the support {support} of a "
            f"{type(likelihood).__name__} likelihood. Received: values from {low:g} to "
            f"{high:g}, dtype {value.dtype}. Fix: {support.fix}."
        )
    for start, rows in _blocks(value, first, wanted.forward):
        outside = likelihood.why_outside(rows, start)
        if outside:
            raise ValueError(f"`{name}` {outside}")
    return value


def check_weights(name: str, weight: Any, rows: int) -> np.ndarray:
    """Return weights of examples, `[rows]`.

    Args:
        name: Name of the argument, for messages.
        weight: Array or list of shape `(rows,)` or `(rows, 1)`.
        rows: Number of examples.

    Raises:
        TypeError: If it does not hold real numbers.
        ValueError: If there is not one finite weight >= 0 for each example.
    """
    array = np.asarray(as_array(name, weight))
    if array.shape not in ((rows,), (rows, 1)):
        raise ValueError(
            f"`{name}` must have one number for each of the {rows} examples. Received: shape "
            f"{array.shape}."
        )
    array = array.reshape(rows)
    good = np.isfinite(array.astype(numerics.density_dtype())) & (array >= 0)
    if not good.all():
        row = int(np.argmin(good))
        raise ValueError(
            f"`{name}` must be finite and >= 0. Received: {array[row]} at index {row}."
        )
    return array


class CheckedRows:
    """An array on disk, or a sparse one, whose rows are checked when they are read.

    Args:
        name: Name of the argument, for messages.
        array: Array as returned by `check_array`.
        wanted: Requirements of the array.
    """

    def __init__(self, name: str, array: Any, wanted: Wanted) -> None:
        self._name, self._array, self._wanted = name, array, wanted
        self.shape, self.dtype, self.ndim = array.shape, array.dtype, len(array.shape)

    def __len__(self) -> int:
        return int(self.shape[0])

    def __getitem__(self, rows: Any) -> np.ndarray:
        """Rows by slice or numbers, in memory."""
        chosen = np.atleast_1d(np.arange(len(self))[rows])
        found = np.array(self._array[rows]).reshape(len(chosen), *self.shape[1:])
        if not len(chosen):
            return found
        checked: np.ndarray = check_array(self._name, found, self._wanted, int(chosen[0]))
        return checked

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype)


def _wants_integers(likelihood: Likelihood | None) -> bool:
    return likelihood is not None and likelihood.support.integer


def _all_whole(rows: np.ndarray) -> bool:
    if not np.issubdtype(rows.dtype, np.floating):
        return True
    return bool(np.all(np.isnan(rows) | (rows == np.round(rows))))


def _blocks(
    value: Any, first: int = 0, forward: Callable[[np.ndarray], tf.Tensor] | None = None
) -> Iterator[tuple[int, np.ndarray]]:
    """The number of the first row and the rows of each block."""
    for start in range(0, value.shape[0], _ROWS):
        rows = np.asarray(value[start : start + _ROWS])
        yield first + start, rows if forward is None else np.asarray(forward(rows))


def _extent(
    name: str, blocks: Iterator[tuple[int, np.ndarray]], wanted: Wanted
) -> tuple[float, float, bool]:
    """Lowest and highest value, and whether all are whole, if that is wanted.

    Raises:
        ValueError: If values are not finite.
    """
    low, high, whole = np.inf, -np.inf, True
    missing = wanted.missing
    largest = np.finfo(numerics.density_dtype()).max  # what is larger is infinite once cast
    minimum, maximum = (np.fmin, np.fmax) if missing else (np.minimum, np.maximum)
    for first, rows in blocks:
        low = minimum(low, minimum.reduce(rows, axis=None))
        high = maximum(high, maximum.reduce(rows, axis=None))
        whole = whole and (not _wants_integers(wanted.likelihood) or _all_whole(rows))
        if np.any(np.isnan([low, high])) or high > largest or low < -largest:
            numbers = np.asarray(rows, dtype="float64")
            bad = np.abs(numbers) > largest
            bad = bad if missing else bad | np.isnan(numbers)
            row, *place = np.argwhere(bad)[0].tolist()
            raise ValueError(
                f"`{name}` must be finite. Received: {rows[(row, *place)]} at index "
                f"{(first + row, *place)}, as {numerics.density_dtype()}. Remove or impute "
                f"such values"
                f"{'' if missing else ', or pass missing=nan to the model'}."
            )
    return low, high, whole
