"""Time columns of series: found by evidence, put in order, gaps reported.

Floor 3. pandas is imported when dates are parsed.
"""

from __future__ import annotations

import dataclasses
import re
import warnings
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_vae.data.number_text import parse_numbers

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Times", "find_times", "is_index_name", "sampling_note"]

_TIME_NAME = re.compile(
    r"(^|[\W_])(t|ts|time|times|timestamp|date|datetime|epoch|utc|sec|secs|seconds|ms|year)"
    r"([\W_]|$)|(time|stamp|date)$|_at$",
    re.I,
)
# Names that need no other evidence than numbers that mostly go one way, or stamps of today.
_SURE_NAME = re.compile(
    r"t|ts|(unix|epoch)?[ _]?(time|time[ _]?stamp|date|epoch)|date[ _]?time", re.I
)
_ONE_WAY = 0.9
# Seconds since 1970 from 1990 to 2040, and their thousandths and so on.
_STAMPS = (631_152_000, 2_208_988_800)
_INDEX_NAME = re.compile(
    r"(Unnamed: \d+|index|idx|level_\d+|row|rows|row_?(number|nr|no|id)|step|id|nr|no|#)", re.I
)
_CLOCK = re.compile(r"\d{1,2}:\d{2}(:\d{2}([.,]\d+)?)?( ?[AaPp][Mm])?")
_DATE = re.compile(r"(?=.*\d).*[-/.: ]")
# Whole numbers that are dates such as 20240131.
_DAYS = (19_000_101, 21_001_231)
_DAY, _MONTH = 86_400.0, (27.9 * 86_400, 31.1 * 86_400)
# A step differs from the usual one by more than this share of it.
_SAME = 0.01


@dataclasses.dataclass(frozen=True)
class Times:
    """Times of the rows of a table.

    Attributes:
        columns: Names of the columns that hold them, kept aside.
        values: Seconds, or the numbers of the column; `None` if they are no order, such as
            times of day.
        dates: Whether they are seconds.
    """

    columns: tuple[str, ...] = ()
    values: np.ndarray | None = None
    dates: bool = False

    @property
    def name(self) -> str:
        """Names of the columns, for sentences."""
        return " and ".join(repr(name) for name in self.columns)


def find_times(
    frame: pd.DataFrame, channels: Collection[str] = (), series: np.ndarray | None = None
) -> Times:
    """Find the columns that say when each row was.

    Dates come first: of the index, of columns with a dtype for them, then of text. Times of
    day in a column of their own are added. Then numbers that never decrease, or never
    increase, in a column that is named like a time, and stamps since 1970 in any order; then
    whole numbers that count, in one that is named like an index.

    Args:
        frame: Columns of a table.
        channels: Names of columns that are data. Defaults to none.
        series: Number of the series of each row. Defaults to `None`: it is one.
    """
    dates, clocks, numbers, counters = [], [], [], []
    for name in (str(name) for name in frame.columns if str(name) not in channels):
        column = frame[name]
        clock = _clock(column)
        seconds = None if clock is not None else _dates(column, name)
        if clock is not None:
            clocks.append((name, clock))
        elif seconds is not None:
            dates.append((name, seconds))
        elif (values := _numbers(column)) is not None:
            steps = _steps(values, series)
            if _TIME_NAME.search(name) and _are_times(name, values, steps):
                numbers.append((name, values))
            elif is_index_name(name) and _one_way(steps) == 1 and _counts(values, steps):
                counters.append((name, values))
    aside = tuple(name for name, _ in [*dates, *clocks, *numbers, *counters])
    if not dates and (found := _dates(frame.index.to_series(), "")) is not None:
        return Times(aside, found, True)
    if dates:
        total = dates[0][1] + (clocks[0][1] if clocks else 0.0)
        return Times((dates[0][0], *(n for n in aside if n != dates[0][0])), total, True)
    if clocks:
        return Times(aside)
    chosen = [*numbers, *counters]
    return Times(aside, chosen[0][1]) if chosen else Times()


def is_index_name(name: str) -> bool:
    """Return whether a column is named like an index.

    Args:
        name: Name of the column.
    """
    return _INDEX_NAME.fullmatch(name.strip()) is not None


def sampling_note(values: np.ndarray, name: str, dates: bool) -> str | None:
    """Return a sentence about steps that are not as long as most, or `None`.

    Args:
        values: Times of the rows of one series, in order.
        name: Name of the column.
        dates: Whether they are seconds.
    """
    steps = np.diff(values)
    if not len(steps):
        return None
    same = int((steps == 0).sum())
    if same:
        return (
            f"{same} of {len(values)} rows have the same time in {name} as the row before; the "
            f"order of the file is kept"
        )
    usual = float(np.median(steps))
    if dates and ((steps >= _MONTH[0]) & (steps <= _MONTH[1])).all():
        return None
    other = np.abs(steps - usual) > _SAME * usual
    if not other.any():
        return None
    longest = float(steps.max())
    gap = f", the longest is {_span(longest, dates)}" if longest > usual else ""
    return (
        f"{int(other.sum())} of {len(steps)} steps in {name} are not {_span(usual, dates)} "
        f"long{gap}; windows take rows as equally spaced"
    )


def _span(value: float, dates: bool) -> str:
    if not dates:
        return f"{value:.6g}"
    for name, size in (("days", _DAY), ("h", 3600.0), ("min", 60.0)):
        if value >= size:
            return f"{value / size:.4g} {name}"
    return f"{value:.4g} s"


def _dates(column: pd.Series, name: str) -> np.ndarray | None:
    """Seconds of a column of dates, NaN where missing; `None` if it has others."""
    import pandas as pd

    if isinstance(column.dtype, pd.PeriodDtype):
        column = column.dt.to_timestamp()
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        return _seconds(column)
    if pd.api.types.is_integer_dtype(column.dtype) or not _is_text(column):
        if not pd.api.types.is_numeric_dtype(column.dtype) or "date" not in name.lower():
            return None
        return _whole_dates(column.astype("float64").to_numpy())
    present = [cell.strip() for cell in column if isinstance(cell, str) and cell.strip()]
    if not present:
        return None
    if all(cell.isdigit() for cell in present):
        return _whole_dates(parse_numbers(column)[0]) if "date" in name.lower() else None
    if not all(_DATE.match(cell) for cell in present[:100]):
        return None
    if parse_numbers(present[:100])[1] is None:
        return None
    cells = pd.Series([c.strip() if isinstance(c, str) else c for c in column], dtype=object)
    return _parsed(cells.replace("", None), len(present))


def _parsed(cells: pd.Series, count: int) -> np.ndarray | None:
    """Seconds, by the first reading that fits all cells; in order, if several do."""
    import pandas as pd

    fitting = []
    readings: list[dict[str, Any]] = [{"format": "ISO8601"}, {}, {"dayfirst": True}]
    for reading in readings:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                found = pd.to_datetime(cells, errors="coerce", utc=True, **reading)
            except (ValueError, TypeError):
                continue
        if int(found.notna().sum()) == count:
            seconds = _seconds(found)
            if "format" in reading or (np.diff(seconds) >= 0).all():
                return seconds
            fitting.append(seconds)
    return fitting[0] if fitting else None


def _whole_dates(values: np.ndarray) -> np.ndarray | None:
    import pandas as pd

    if not len(values) or not (np.isfinite(values) & (values % 1 == 0)).all():
        return None
    if values.min() < _DAYS[0] or values.max() > _DAYS[1]:
        return None
    found = pd.to_datetime(
        pd.Series(values.astype("int64").astype(str)), format="%Y%m%d", errors="coerce"
    )
    return None if found.isna().any() else _seconds(found)


def _seconds(column: pd.Series) -> np.ndarray:
    import pandas as pd

    moments = pd.to_datetime(column, utc=True)
    missing = moments.isna().to_numpy()
    whole = moments.dt.tz_localize(None).to_numpy().astype("datetime64[us]").astype("int64")
    return np.where(missing, np.nan, whole / 1e6)


def _clock(column: pd.Series) -> np.ndarray | None:
    """Seconds of a column of times of day."""
    import pandas as pd

    if not _is_text(column):
        return None
    present = [cell.strip() for cell in column if isinstance(cell, str) and cell.strip()]
    if not present or not all(map(_CLOCK.fullmatch, present)):
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = pd.to_datetime(column.str.strip(), errors="coerce", format="mixed")
    return np.asarray(_seconds(found) % _DAY)


def _numbers(column: pd.Series) -> np.ndarray | None:
    """Numbers of a column, if all are finite and not all are the same."""
    import pandas as pd

    if _is_text(column):
        values, problem = parse_numbers(column)
        if problem is not None:
            return None
    elif pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_bool_dtype(
        column.dtype
    ):
        values = column.to_numpy("float64", na_value=np.nan)
    else:
        return None
    same = len(values) > 1 and (values == values[0]).all()
    return values if len(values) and np.isfinite(values).all() and not same else None


def _steps(values: np.ndarray, series: np.ndarray | None) -> np.ndarray:
    """Differences from row to row within each series."""
    if series is None:
        return np.diff(values)
    order = np.argsort(series, kind="stable")
    within = np.diff(series[order]) == 0
    return np.asarray(np.diff(values[order])[within])


def _one_way(steps: np.ndarray) -> float:
    """Share of steps that go the way that most go."""
    return float(max((steps >= 0).mean(), (steps <= 0).mean())) if len(steps) else 1.0


def _are_times(name: str, values: np.ndarray, steps: np.ndarray) -> bool:
    share = _one_way(steps)
    if share == 1 or _SURE_NAME.fullmatch(name) is None:
        return share == 1
    return share >= _ONE_WAY or any(
        ((values >= _STAMPS[0] * unit) & (values <= _STAMPS[1] * unit)).all()
        for unit in (1.0, 1e3, 1e6, 1e9)
    )


def _counts(values: np.ndarray, steps: np.ndarray) -> bool:
    return bool((values % 1 == 0).all() and (steps != 0).all())


def _is_text(column: pd.Series) -> bool:
    import pandas as pd

    if isinstance(column.dtype, pd.StringDtype):
        return True
    return column.dtype == object and all(
        isinstance(cell, str) for cell in column[:100].dropna()
    )
