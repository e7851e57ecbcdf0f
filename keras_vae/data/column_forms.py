"""How a column of a file holds numbers or dates, found by its cells.

Floor 3. pandas is imported when columns are looked at.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_vae.data.column_kinds import epoch_unit
from keras_vae.data.column_values import (
    DECIMALS,
    Cells,
    Dates,
    Epochs,
    Moments,
    NumberCells,
    Numbers,
    Spans,
    as_float,
    is_text,
    seconds_of,
)
from keras_vae.data.date_text import find_date_format
from keras_vae.data.missing_values import missing_cells
from keras_vae.data.number_text import number_format, parse_numbers

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["form_of"]


def form_of(
    column: pd.Series,
    kind: str,
    known: Cells | None = None,
    extra: Sequence[str] = (),
    decimal: str | None = None,
) -> Cells | None:
    """Return how a column holds numbers or dates; `None` if it holds neither.

    Args:
        column: A column of a file.
        kind: One of the kinds of columns.
        known: How the column of the training data does. Defaults to `None`.
        extra: Spellings of missing beside the usual ones. Defaults to none.
        decimal: Decimal mark of the file, if it is known. Defaults to `None`.
    """
    if kind == "date":
        return _date_form(column, known, tuple(extra))
    return _number_form(column, known, tuple(extra), decimal)


def _number_form(
    column: pd.Series, known: Cells | None, extra: tuple[str, ...], decimal: str | None
) -> Cells | None:
    import pandas as pd

    if is_text(column):
        cells = column.tolist()
        missing = missing_cells(cells, numbers=True, extra=extra)
        present = [str(cell) for cell, gone in zip(cells, missing) if not gone]
        if isinstance(known, NumberCells) and (
            not present or np.isfinite(known.read(column)[0]).any()
        ):
            return known
        values, problem = parse_numbers(present, decimal)
        if problem is not None and problem.ambiguous:
            # 1,234 has thousands unless something in the file says otherwise.
            decimal = "."
            values, _ = parse_numbers(present, decimal)
        if not np.isfinite(values).any():
            return None
        spelled = dataclasses.asdict(number_format(present, decimal))
        return NumberCells(spelled, extra, _decimals(values))
    if pd.api.types.is_timedelta64_dtype(column.dtype):
        seconds = column.dt.total_seconds().dropna().to_numpy()
        return Spans(_step(seconds))
    if column.dtype == object:
        values = column.dropna()
        if not len(values) or not all(_is_number(value) for value in values):
            return known if not len(values) and isinstance(known, Numbers) else None
        if any(isinstance(value, Decimal) for value in values):
            places = [-int(v.as_tuple().exponent) for v in values]
            return Numbers("decimal", max(0, *places))
        return Numbers("object", _decimals(as_float(column)))
    if not pd.api.types.is_numeric_dtype(column.dtype) or column.dtype.kind == "c":
        return None
    return Numbers(str(column.dtype), _decimals(as_float(column)))


def _date_form(column: pd.Series, known: Cells | None, extra: tuple[str, ...]) -> Cells | None:
    import pandas as pd

    if is_text(column):
        cells = column.tolist()
        missing = missing_cells(cells, numbers=True, extra=extra)
        present = [str(cell) for cell, gone in zip(cells, missing) if not gone]
        if isinstance(known, Epochs) and (not present or present[0].strip().isdigit()):
            return dataclasses.replace(known, text=True)
        if isinstance(known, Dates) and not np.isnan(known.read(column)[0]).all():
            return known
        found = find_date_format(present)
        if found is not None:
            return Dates(dataclasses.asdict(found[0]), extra)
        numbers = [float(cell) for cell in present if cell.strip().isdigit()]
        unit = epoch_unit("time", np.array(numbers)) if len(numbers) == len(present) else None
        return Epochs(unit, True, extra) if unit else known if not present else None
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        return Moments(str(column.dtype), _step(seconds_of(column.dropna())))
    if column.dtype == object:
        values = column.dropna()
        if len(values) and all(isinstance(value, datetime.date) for value in values):
            days = not any(isinstance(value, datetime.datetime) for value in values)
            return Moments("date" if days else "object", 86_400.0 if days else 1.0)
        return None
    if pd.api.types.is_integer_dtype(column.dtype):
        if isinstance(known, Epochs):
            return dataclasses.replace(known, text=False)
        unit = epoch_unit("time", column.dropna().to_numpy("float64"))
        return None if unit is None else Epochs(unit, False)
    return None


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, Decimal, np.number)) and not isinstance(value, bool)


def _decimals(values: np.ndarray) -> int | None:
    values = values[np.isfinite(values)]
    for places in range(DECIMALS + 1):
        if (
            np.array_equal(np.round(values, places), values)
            and np.abs(values).max(initial=0) < 1e15
        ):
            return places
    return None


def _step(seconds: np.ndarray) -> float:
    for step in (86_400.0, 1.0, 1e-3):
        if np.allclose(seconds % step, 0) or np.allclose(
            seconds / step, np.round(seconds / step)
        ):
            return step
    return 1e-6
