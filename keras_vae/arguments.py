"""Checks of arguments: numbers, sizes and choices.

NumPy scalars, zero-dimensional arrays and `tf.TensorShape` are as good as Python's numbers and
tuples: `plain` turns them into those. `True` is no number.

Floor 0.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

__all__ = [
    "LARGEST_SIZE",
    "is_integer",
    "is_number",
    "plain",
    "plain_argument",
    "require_examples",
    "require_flag",
    "require_integer",
    "require_number",
    "require_one_of",
    "require_positive",
    "require_share",
    "require_shape",
    "require_size",
    "require_sizes",
]

# Largest size of a layer or an event, against typing errors and damaged files, which would
# otherwise fill the memory before anything fails.
LARGEST_SIZE = 2**27
_PLAIN = (bool, int, float, str)


def plain(value: Any) -> Any:
    """Return Python's own numbers, lists and tuples for NumPy's and TensorFlow's scalars.

    Args:
        value: Any object; lists, tuples and dictionaries are looked into.

    Returns:
        The object itself unless something in it changed.
    """
    if value is None or type(value) in _PLAIN:
        return value
    if isinstance(value, tuple) and not hasattr(value, "_fields"):
        items = tuple(plain(item) for item in value)
        return value if type(value) is tuple and _same(items, value) else items
    if type(value) is list:
        found = [plain(item) for item in value]
        return value if _same(found, value) else found
    if type(value) is dict:
        mapped = {key: plain(item) for key, item in value.items()}
        return value if _same(mapped.values(), value.values()) else mapped
    if type(value).__name__ == "TensorShape" and value.rank is not None:
        return tuple(value)
    return _plain_scalar(value)


def _same(items: Any, others: Any) -> bool:
    return all(item is other for item, other in zip(items, others, strict=True))


def _plain_scalar(value: Any) -> Any:
    if getattr(value, "shape", None) == () and not hasattr(value, "assign"):
        if isinstance(value, (np.generic, np.ndarray)):
            value = value.item()
        elif hasattr(value, "numpy"):  # a tensor; a symbolic one has no value yet
            value = np.asarray(value.numpy()).item()
    if type(value) in _PLAIN:
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    return float(value) if isinstance(value, numbers.Real) else value


def plain_argument(name: str, value: Any, annotation: str) -> Any:
    """Return an argument in plain Python, checked against how it is annotated.

    Args:
        name: Name of the argument.
        value: Value passed.
        annotation: Such as `"float | None"`. Only bools, floats and `None` are told apart;
            with anything else in it every value passes.

    Raises:
        ValueError: If the value is of another kind.
    """
    if "Sequence[" in annotation and getattr(value, "ndim", None) == 1:
        value = np.asarray(value).tolist()
    value = plain(value)
    kinds = annotation.split(" | ")
    if not all(kind in _KINDS for kind in kinds) or kinds == ["None"]:
        return value
    if not any(_KINDS[kind][0](value) for kind in kinds):
        words = " or ".join(_KINDS[kind][1] for kind in kinds)
        raise ValueError(f"`{name}` must be {words}. Received: {name}={value!r}.")
    return value


def is_integer(value: Any) -> bool:
    """Whether a value is an integer of Python or NumPy, and no bool."""
    value = plain(value)
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    """Whether a value is a real number of Python or NumPy, and no bool; infinities are."""
    value = plain(value)
    return isinstance(value, (int, float)) and not isinstance(value, bool)


# How kinds are told apart, and what they are called.
_KINDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "bool": (lambda value: isinstance(value, bool), "True or False"),
    "float": (is_number, "a number"),
    "None": (lambda value: value is None, "None"),
}


def require_integer(name: str, value: Any, least: int = 1, most: int | None = None) -> int:
    """Return an integer, plain.

    Raises:
        ValueError: If `value` is none of at least `least` and, if given, at most `most`.
    """
    if not is_integer(value) or value < least or (most is not None and value > most):
        limit = f">= {least}" if most is None else f"from {least} to {most}"
        raise ValueError(f"`{name}` must be an integer {limit}. Received: {name}={value!r}.")
    return int(plain(value))


def require_size(name: str, value: Any, least: int = 1) -> int:
    """Return a size, such as units of a layer, plain.

    Raises:
        ValueError: If `value` is no integer from `least` to `LARGEST_SIZE`.
    """
    if is_integer(value) and value > LARGEST_SIZE:
        raise ValueError(f"`{name}` must be at most {LARGEST_SIZE}. Received: {name}={value}.")
    return require_integer(name, value, least)


def require_sizes(name: str, values: Any) -> Any:
    """Return sizes, one per layer, as a list or tuple of integers.

    Raises:
        ValueError: If `values` is no sequence of one positive integer or more.
    """
    values = plain(values.tolist() if isinstance(values, np.ndarray) else values)
    good = isinstance(values, (list, tuple)) and len(values) > 0
    if not good or not all(is_integer(v) and v > 0 for v in values):
        raise ValueError(
            f"`{name}` must be a list of positive integers, one per layer. "
            f"Received: {name}={values!r}."
        )
    for value in values:
        require_size(name, value)
    return values


def require_shape(name: str, shape: Any, example: str) -> tuple[int, ...]:
    """Return the shape of one example as a tuple of integers.

    Args:
        name: Name of the argument.
        shape: Value passed: a tuple, list, array of sizes or `tf.TensorShape`.
        example: A shape that would do, for the message.

    Raises:
        ValueError: If it is no tuple of positive integers, or larger than memory.
    """
    sizes = plain(shape.tolist() if isinstance(shape, np.ndarray) else shape)
    good = isinstance(sizes, (list, tuple)) and len(sizes) > 0
    if not good or not all(is_integer(size) and size > 0 for size in sizes):
        raise ValueError(
            f"`{name}` must be a tuple of positive integers, such as {example}. "
            f"Received: {name}={shape!r}."
        )
    if math.prod(sizes) > LARGEST_SIZE:
        raise ValueError(
            f"`{name}` must have at most {LARGEST_SIZE} elements. Received: {name}={shape!r}."
        )
    return tuple(sizes)


def require_number(
    name: str,
    value: Any,
    least: float = -math.inf,
    most: float = math.inf,
    *,
    above: float = -math.inf,
    below: float = math.inf,
) -> float:
    """Return a finite number, plain.

    Raises:
        ValueError: If `value` is no number, not finite, or out of the range.
    """
    good = is_number(value) and math.isfinite(value)
    if not good or not (least <= value <= most and above < value < below):
        limits = [(">=", least), ("above", above), ("<=", most), ("below", below)]
        words = " and ".join(f"{sign} {end}" for sign, end in limits if math.isfinite(end))
        if words and math.isfinite(least) and math.isfinite(most):
            words = f"in [{least}, {most}]"
        raise ValueError(
            f"`{name}` must be {words or 'a finite number'}. Received: {name}={value!r}."
        )
    found = plain(value)
    return found if isinstance(found, int) else float(found)


def require_positive(name: str, value: Any) -> float:
    """Return a positive number, plain.

    Raises:
        ValueError: If `value` is no finite number above 0.
    """
    if not is_number(value) or not 0 < value < math.inf:
        raise ValueError(f"`{name}` must be positive. Received: {name}={value!r}.")
    return require_number(name, value)


def require_share(name: str, value: Any) -> float:
    """Return a number from 0 to below 1, plain.

    Raises:
        ValueError: If `value` is none.
    """
    if not is_number(value) or not 0 <= value < 1:
        raise ValueError(f"`{name}` must be in [0, 1). Received: {name}={value!r}.")
    return require_number(name, value)


def require_flag(name: str, value: Any) -> bool:
    """Return a bool, plain.

    Raises:
        ValueError: If `value` is neither `True` nor `False`.
    """
    if not isinstance(plain(value), bool):
        raise ValueError(f"`{name}` must be True or False. Received: {name}={value!r}.")
    return bool(value)


def require_examples(name: str, x: Any, least: int = 1) -> int:
    """Return the number of examples.

    Raises:
        TypeError: If `x` is no array of examples.
        ValueError: If there are too few.
    """
    if not hasattr(x, "__len__") or isinstance(x, (str, bytes)) or np.ndim(x) == 0:
        raise TypeError(
            f"`{name}` must be an array of examples. Received: a {type(x).__name__}."
        )
    if len(x) < least:
        words = {1: "one example", 2: "two examples"}.get(least, f"{least} examples")
        raise ValueError(f"`{name}` must have at least {words}. Received: {len(x)}.")
    return len(x)


def require_one_of(name: str, value: Any, options: Sequence[Any]) -> None:
    """Raise a ValueError that lists the options if `value` is none of them."""
    known = isinstance(value, (str, int, float, bool)) or value is None
    if not known or value not in options:
        raise ValueError(f"`{name}` must be one of {options}. Received: {name}={value!r}.")
