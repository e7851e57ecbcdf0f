"""Labels of examples as classes: checked once, the same way everywhere.

Floor 3.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["classes_of", "flat_labels", "listed"]

# Classes that an error lists.
_LISTED = 6


def flat_labels(labels: Any, count: int, name: str = "labels") -> np.ndarray:
    """Return one label for each example, none missing, or raise a ValueError.

    Args:
        labels: `[examples]` or `[examples, 1]`; or one-hot rows `[examples, classes]`, which
            become the numbers of their classes.
        count: Number of examples.
        name: Argument to name in errors. Defaults to `"labels"`.
    """
    try:
        found = np.asarray(labels)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"`{name}` must be one label for each of {count} examples. Received: a "
            f"{type(labels).__name__} whose rows differ in length."
        ) from error
    if found.ndim == 2 and found.shape[1] == 1:
        found = found[:, 0]
    if _one_hot(found):
        found = found.argmax(axis=1)
    if found.shape != (count,):
        raise ValueError(
            f"`{name}` must be one label for each of {count} examples. Received: shape "
            f"{found.shape}."
        )
    # NaN is the one value that differs from itself; pandas' NA cannot even be compared.
    missing = [
        row
        for row, value in enumerate(found.tolist())
        if value is None or type(value).__name__ in ("NAType", "NaTType") or value != value
    ]
    if missing:
        value = found[missing[0]]
        raise ValueError(
            f"`{name}` must not be missing. Received: {value} in row {missing[0]}, and "
            f"{len(missing) - 1} more. Leave such examples out."
        )
    return found


def classes_of(
    labels: Any, count: int, name: str = "labels", *, least: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Return the classes, sorted, and the number of each example's class.

    Args:
        labels: As in `flat_labels`: numbers, strings, booleans.
        count: Number of examples.
        name: Argument to name in errors. Defaults to `"labels"`.
        least: Fewest classes. Defaults to `1`.

    Raises:
        ValueError: If labels are bad, cannot be compared with each other, or there are too
            few classes.
    """
    found = flat_labels(labels, count, name)
    try:
        classes, numbers = np.unique(found, return_inverse=True)
    except TypeError as error:
        kinds = sorted({type(value).__name__ for value in found.tolist()})
        raise ValueError(
            f"`{name}` must all be numbers or all be strings. Received: {', '.join(kinds)}. "
            f"Make strings of them: [str(label) for label in {name}]."
        ) from error
    if len(classes) < least:
        raise ValueError(
            f"`{name}` must have at least {least} classes. Received: {listed(classes)} alone."
        )
    return classes, numbers


def listed(classes: np.ndarray) -> str:
    """Name classes in an error."""
    shown = ", ".join(repr(value) for value in classes[:_LISTED].tolist())
    return shown + (", ..." if len(classes) > _LISTED else "")


def _one_hot(labels: np.ndarray) -> bool:
    if labels.ndim != 2 or labels.dtype.kind not in "biuf" or not labels.size:
        return False
    return bool(np.isin(labels, (0, 1)).all() and (labels.sum(axis=1) == 1).all())
