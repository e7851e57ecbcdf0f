"""Columns of a training table: units of numbers, categories, names.

Floor 3.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_vae.data.column_schema import Column
from keras_vae.data.column_values import is_text
from keras_vae.data.missing_values import missing_cells

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["absent_columns", "categories_of", "present_cells", "unit_of"]

# What a model's floats of 32 bits hold well: sizes, and a mean in standard deviations.
_SIZES, _FAR = (1e-6, 1e6), 1e3


def unit_of(kind: str, values: np.ndarray, scaled: bool) -> list[float] | None:
    """Return the number that becomes 0, and how much more than it becomes 1."""
    if not len(values):
        return None
    if kind == "date":
        span = values.max() - values.min()
        unit = next((u for u in (86_400.0, 3600.0, 1.0, 1e-3) if span >= 30 * u), 1e-6)
        start = (
            float(np.floor(values.min() / 86_400) * 86_400) if unit >= 3600 else values.min()
        )
        return [float(start), unit]
    if not scaled or kind not in ("real", "positive"):
        return None
    most = float(np.abs(values).max())
    if most == 0:
        return None
    # Squares of 1e200 would leave the range of floats.
    small = values / most
    mean, spread = float(small.mean()), float(small.std())
    typical = float(np.median(small)) if kind == "positive" else spread
    if typical <= 0:
        return None
    size = 10.0 ** np.floor(np.log10(typical * most))
    far = kind == "real" and abs(mean) > _FAR * spread
    if far or not _SIZES[0] <= size <= _SIZES[1]:
        return [mean * most if far else 0.0, float(size)]
    return None


def categories_of(column: pd.Series, found: Column, extra: Sequence[str]) -> list[Any]:
    """Return the categories of a column in their order."""
    import pandas as pd

    if isinstance(column.dtype, pd.CategoricalDtype):
        values: list[Any] = column.cat.categories.tolist()
    else:
        if is_text(column):
            gone = missing_cells(column.tolist(), kept=found.kept, extra=extra)
            column = column[~gone].astype(object)
        values = column.dropna().unique().tolist()
        values = sorted(values, key=_order)
    for value in values:
        if not isinstance(value, (str, bool, int, float)):
            raise TypeError(
                f"Column {column.name!r} must have categories that are strings, numbers or "
                f"booleans. Received: {value!r}. Turn them into strings: astype(str)."
            )
    return values


def present_cells(column: pd.Series, extra: tuple[str, ...]) -> np.ndarray:
    """Return whether each cell of a column has a value."""
    if is_text(column):
        return ~missing_cells(column.tolist(), numbers=True, extra=extra)
    return np.asarray(column.notna().to_numpy(), bool)


def absent_columns(absent: list[str], found: list[str]) -> str:
    """Say which columns are missing, and which ones may be meant."""
    alike = []
    for name in absent:
        folded = {other.strip().casefold(): other for other in found}
        close = difflib.get_close_matches(name.strip().casefold(), folded, 1, 0.75)
        alike += [f"{folded[match]!r} for {name!r}" for match in close]
    hint = f" Rename {', '.join(alike)}, or add" if alike else " Add"
    return (
        f"`frame` must have the columns of the table. Received: a frame without {absent}."
        f"{hint} them, with None where they are not known."
    )


def _order(value: Any) -> tuple[Any, ...]:
    """Numbers, also those in text, by size; other text by the alphabet."""
    try:
        return (type(value).__name__, 0, float(value), "")
    except (TypeError, ValueError):
        return (type(value).__name__, 1, 0.0, value if isinstance(value, str) else str(value))
