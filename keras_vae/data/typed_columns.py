"""Columns of pandas made of numbers: dtypes, categories, dates.

Floor 3. pandas is imported when columns are made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from keras_vae.data.column_values import Cells, Epochs, NumberCells, Numbers, is_text

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["emptied", "typed_column", "typed_series"]

_HOLED = {"b": "boolean", "i": "Int64", "u": "UInt64"}


def typed_column(column: pd.Series, kind: str, form: Cells | None) -> str:
    """Return the dtype that pandas' column of these cells has, text converted."""
    if not is_text(column) or column.dtype != object:
        return str(column.dtype)
    if kind == "date":
        return "datetime64[us]"
    if not isinstance(form, NumberCells):
        return "object"
    return "Int64" if form.places == 0 else "float64"


def typed_series(
    x: np.ndarray, kind: str, dtype: str, values: list[Any] | None, form: Cells
) -> pd.Series:
    """Return numbers as a column of pandas.

    Args:
        x: Numbers, codes of categories, or seconds since 1970, NaN where missing.
        kind: Kind of the column.
        dtype: Name of its dtype.
        values: Its categories; `None` for numbers.
        form: How the training data spell it.
    """
    import pandas as pd

    missing = np.isnan(x)
    if values is not None:
        return _categories(x, kind, dtype, values, missing)
    if dtype.startswith("datetime64"):
        moments = pd.to_datetime(pd.Series(x).round(6), unit="s", utc=True)
        zone = dtype.partition(", ")[2].rstrip("]")
        moments = moments.dt.tz_convert(zone) if zone else moments.dt.tz_localize(None)
        return moments.astype(dtype)
    target = pd.api.types.pandas_dtype(dtype)
    plain = pd.api.types.is_numeric_dtype(target) and not isinstance(form, Epochs)
    if not plain:
        cells = pd.Series([None] * len(x), dtype=object)
        found = form.write(x[~missing])
        cells[~missing] = pd.Series(found, index=cells.index[~missing], dtype=object)
        return cells if dtype == "object" else _cast(cells, dtype, missing)
    cells = pd.Series(x)
    if target.kind in "iu":
        cells = cells.round()
    else:
        places = _decimals(form)
        cells = cells if places is None else cells.round(places)
    return _cast(cells, dtype, missing)


def _decimals(form: Cells) -> int | None:
    if isinstance(form, NumberCells):
        return form.places
    return form.decimals if isinstance(form, Numbers) else None


def _cast(cells: pd.Series, dtype: str, missing: np.ndarray) -> pd.Series:
    import pandas as pd

    target = pd.api.types.pandas_dtype(dtype)
    if missing.any() and isinstance(target, np.dtype):
        dtype = _HOLED.get(target.kind, dtype)
    return cells.astype(dtype)


def _categories(
    x: np.ndarray, kind: str, dtype: str, values: list[Any], missing: np.ndarray
) -> pd.Series:
    import pandas as pd

    codes = np.clip(np.rint(np.where(missing, 0, x)), 0, len(values) - 1).astype(int)
    if dtype == "category":
        codes[missing] = -1
        return pd.Series(pd.Categorical.from_codes(codes, values, kind == "ordinal"))
    cells = pd.Series([values[code] for code in codes], dtype=object)
    cells[missing] = None
    return _cast(cells, dtype, missing)


def emptied(count: int, dtype: str) -> pd.Series:
    """Return a column without values, in a dtype as near as can be.

    Args:
        count: Number of rows.
        dtype: Name of the dtype.
    """
    import pandas as pd

    target = pd.api.types.pandas_dtype(dtype)
    if isinstance(target, np.dtype):
        dtype = _HOLED.get(target.kind, dtype)
    return pd.Series([None] * count, dtype=dtype)
