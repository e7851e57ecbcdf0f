"""Cells of table columns as numbers and back, in the form that the column has.

Floor 3. pandas is imported when cells are converted.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_vae.data.column_kinds import EPOCHS
from keras_vae.data.date_text import DateFormat
from keras_vae.data.missing_values import missing_cells
from keras_vae.data.number_text import NumberFormat

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "Categories",
    "Cells",
    "Dates",
    "Epochs",
    "Moments",
    "NumberCells",
    "Numbers",
    "Spans",
    "as_float",
    "is_text",
    "made_form",
    "seconds_of",
]

# Decimals that are looked for in a column of floats.
DECIMALS = 6


class Cells:
    """How a column holds its values: the way from cells to numbers and back.

    Subclassing: frozen dataclasses of JSON values; implement `read` and `write`.
    """

    def read(self, column: pd.Series) -> tuple[np.ndarray, np.ndarray]:
        """Return numbers, NaN where missing, and where a cell cannot be used."""
        raise NotImplementedError

    def write(self, numbers: np.ndarray) -> list[Any]:
        """Return cells of numbers without NaN."""
        raise NotImplementedError

    def config(self) -> dict[str, Any]:
        """Return the arguments and the name of the class, as JSON values."""
        fields = dataclasses.asdict(self)  # type: ignore[call-overload]  # subclasses are.
        listed = {n: list(v) if isinstance(v, tuple) else v for n, v in fields.items()}
        return {"is": type(self).__name__, **listed}


@dataclasses.dataclass(frozen=True)
class Numbers(Cells):
    """Numbers of a numeric dtype, booleans, or `Decimal`.

    Attributes:
        dtype: Name of the dtype, or `"decimal"`.
        decimals: Decimals that all values have at most; `None` if they have more than 6.
    """

    dtype: str = "float64"
    decimals: int | None = None

    def read(self, column: pd.Series) -> tuple[np.ndarray, np.ndarray]:
        values = as_float(column)
        bad = np.isinf(values)
        return np.where(bad, np.nan, values), bad

    def write(self, numbers: np.ndarray) -> list[Any]:
        if self.dtype == "decimal":
            step = Decimal(1).scaleb(-(self.decimals or 0))
            return [Decimal(repr(float(n))).quantize(step) for n in numbers]
        if self.decimals is not None and self.decimals <= DECIMALS:
            numbers = np.round(numbers, self.decimals)
        if self.dtype.lower().startswith(("int", "uint")):
            return [round(float(n)) for n in numbers]
        return [float(n) for n in numbers]


@dataclasses.dataclass(frozen=True)
class NumberCells(Cells):
    """Numbers in text: decimals, thousands, percent, currency.

    Attributes:
        format: Fields of a `NumberFormat`.
        extra: Spellings of missing beside the usual ones.
        places: Decimals that all values have at most, those spelled as zeros aside; `None`
            if they have more than 6.
    """

    format: Mapping[str, Any]
    extra: tuple[str, ...] = ()
    places: int | None = None

    def read(self, column: pd.Series) -> tuple[np.ndarray, np.ndarray]:
        cells = column.tolist()
        missing = missing_cells(cells, numbers=True, extra=self.extra)
        values = np.full(len(cells), np.nan)
        present = [str(cell) for cell, gone in zip(cells, missing) if not gone]
        values[~missing] = NumberFormat(**self.format).parse(present)
        bad = ~missing & ~np.isfinite(values)
        return np.where(bad, np.nan, values), bad

    def write(self, numbers: np.ndarray) -> list[Any]:
        form = NumberFormat(**self.format)
        if self.places is not None:
            numbers = np.round(numbers, self.places)
        return [form.spell(float(number)) for number in numbers]


@dataclasses.dataclass(frozen=True)
class Dates(Cells):
    """Dates and times in text, as seconds since 1970.

    Attributes:
        format: Fields of a `DateFormat`.
        extra: Spellings of missing beside the usual ones.
    """

    format: Mapping[str, Any]
    extra: tuple[str, ...] = ()

    def read(self, column: pd.Series) -> tuple[np.ndarray, np.ndarray]:
        cells = column.tolist()
        missing = missing_cells(cells, numbers=True, extra=self.extra)
        values = DateFormat(**self.format).parse([str(cell) for cell in cells])
        values[missing] = np.nan
        return values, ~missing & np.isnan(values)

    def write(self, numbers: np.ndarray) -> list[Any]:
        form = DateFormat(**self.format)
        return [form.spell(float(number)) for number in numbers]


@dataclasses.dataclass(frozen=True)
class Epochs(Cells):
    """Whole numbers that count from 1970, in text or typed, as seconds.

    Attributes:
        unit: `"s"`, `"ms"`, `"us"` or `"ns"`.
        text: Whether cells are text.
    """

    unit: str
    text: bool = True
    extra: tuple[str, ...] = ()

    def read(self, column: pd.Series) -> tuple[np.ndarray, np.ndarray]:
        values, bad = (
            NumberCells({}, self.extra).read(column)
            if is_text(column)
            else Numbers().read(column)
        )
        return values * EPOCHS[self.unit], bad

    def write(self, numbers: np.ndarray) -> list[Any]:
        whole = [round(float(number) / EPOCHS[self.unit]) for number in numbers]
        return [str(number) for number in whole] if self.text else list(whole)


@dataclasses.dataclass(frozen=True)
class Moments(Cells):
    """Timestamps of pandas, or dates of Python, as seconds since 1970 (UTC).

    Attributes:
        dtype: Name of the dtype; `"date"` for objects of `datetime.date`.
        step: Smallest difference between values, in seconds: 86400, 1, or less.
    """

    dtype: str = "datetime64[ns]"
    step: float = 1.0

    def read(self, column: pd.Series) -> tuple[np.ndarray, np.ndarray]:
        import pandas as pd

        moments = pd.to_datetime(column, utc=True, errors="coerce")
        bad = (moments.isna() & column.notna()).to_numpy()
        return seconds_of(moments), bad

    def write(self, numbers: np.ndarray) -> list[Any]:
        import pandas as pd

        zone = self.dtype.partition(", ")[2].rstrip("]") or None
        cells = []
        for number in numbers:
            # Days are days of the local calendar.
            whole = round(float(number) / self.step) * self.step
            moment = pd.Timestamp(whole, unit="s", tz="UTC")
            if self.dtype == "date":
                cells.append(moment.date())
            else:
                cells.append(moment.tz_convert(zone) if zone else moment.tz_localize(None))
        return cells


@dataclasses.dataclass(frozen=True)
class Spans(Cells):
    """Lengths of time (`timedelta64`), in seconds."""

    step: float = 1.0

    def read(self, column: pd.Series) -> tuple[np.ndarray, np.ndarray]:
        spans = column.dt.total_seconds().to_numpy("float64", na_value=np.nan)
        return spans, np.zeros(len(spans), bool)

    def write(self, numbers: np.ndarray) -> list[Any]:
        import pandas as pd

        whole = [round(float(number) / self.step) * self.step for number in numbers]
        return [pd.Timedelta(number, unit="s") for number in whole]


@dataclasses.dataclass(frozen=True)
class Categories(Cells):
    """Categories by their places.

    Attributes:
        values: Categories in their order.
        kept: Spellings of missing that are categories here.
        text: Whether cells are text.
        extra: Spellings of missing beside the usual ones.
    """

    values: Sequence[Any]
    kept: tuple[str, ...] = ()
    text: bool = False
    extra: tuple[str, ...] = ()

    def read(self, column: pd.Series) -> tuple[np.ndarray, np.ndarray]:
        cells = column.astype(object).tolist()
        if self.text or is_text(column):
            kept = {*self.kept, *(v for v in self.values if isinstance(v, str))}
            missing = missing_cells(cells, kept=kept, extra=self.extra)
        else:
            missing = column.isna().to_numpy()
        codes = self._codes()
        found = [None if gone else _code(cell, codes) for cell, gone in zip(cells, missing)]
        numbers = np.array([math.nan if code is None else code for code in found], "float64")
        return numbers, ~missing & np.isnan(numbers)

    def write(self, numbers: np.ndarray) -> list[Any]:
        places = np.clip(np.rint(numbers), 0, len(self.values) - 1).astype(int)
        cells = [self.values[place] for place in places]
        return [str(cell) for cell in cells] if self.text else cells

    def _codes(self) -> dict[Any, float]:
        codes: dict[Any, float] = {}
        for code, value in enumerate(self.values):
            for spelled in _spellings(value):
                codes.setdefault(spelled, float(code))
        return codes


def _spellings(value: Any) -> list[Any]:
    """A category and how it may be spelled in text, and as a number."""
    # Python's True equals 1: booleans of one file are "True" or "TRUE" in another.
    found = [(type(value) is bool, value), (False, str(value))]
    if isinstance(value, bool):
        found += [(False, str(value).upper()), (False, str(value).lower())]
    elif isinstance(value, str):
        if value.lower() in ("true", "false"):
            found.append((True, value.lower() == "true"))
        try:
            number = float(value)
        except ValueError:
            return found
        if not value.strip().startswith("0") or value.strip() == "0":
            found += [(False, number), (False, f"{number:g}"), (False, str(number))]
    else:
        found += [(False, f"{value:g}"), (False, str(float(value)))]
    return found


def _code(cell: Any, codes: Mapping[Any, float]) -> float | None:
    if isinstance(cell, str):
        cell = cell if (False, cell) in codes else cell.strip()
    try:
        return codes.get((isinstance(cell, (bool, np.bool_)), cell))
    except TypeError:
        return None


def is_text(column: pd.Series) -> bool:
    """Whether a column holds text: strings, or objects the first of which is one."""
    import pandas as pd

    if isinstance(column.dtype, pd.CategoricalDtype):
        return False
    if isinstance(column.dtype, pd.StringDtype):
        return True
    if column.dtype != object:
        return str(column.dtype).startswith(("string", "large_string"))
    present = (cell for cell in column if cell is not None and cell == cell)
    return isinstance(next(present, None), str)


def made_form(config: Mapping[str, Any] | None) -> Cells | None:
    """Return the cells of a config."""
    if config is None:
        return None
    kinds: tuple[type[Cells], ...] = (
        *(Numbers, NumberCells, Dates, Epochs, Moments, Spans, Categories),
    )
    fields = {k: tuple(v) if isinstance(v, list) else v for k, v in config.items() if k != "is"}
    return {kind.__name__: kind for kind in kinds}[config["is"]](**fields)


def as_float(column: pd.Series) -> np.ndarray:
    """Return the numbers of a numeric column, float64, NaN where missing."""
    if column.dtype == object:
        cells = [math.nan if cell is None or cell != cell else float(cell) for cell in column]
        return np.array(cells, "float64")
    return np.asarray(column.to_numpy("float64", na_value=np.nan))


def seconds_of(column: pd.Series) -> np.ndarray:
    """Return seconds since 1970 (UTC) of timestamps, NaN where missing."""
    import pandas as pd

    moments = pd.to_datetime(column, utc=True)
    missing = moments.isna().to_numpy()
    naive = moments.dt.tz_localize(None).to_numpy()
    seconds = naive.astype("datetime64[us]").astype("int64") / 1e6
    return np.where(missing, np.nan, seconds)
