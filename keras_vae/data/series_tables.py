"""Series in tables: channels, times and names of series told apart, and written back.

Floor 3. pandas is imported when a table is written.
"""

from __future__ import annotations

import dataclasses
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_vae.data.number_text import number_format, parse_numbers
from keras_vae.data.schema import check_names
from keras_vae.data.series_times import Times, find_times, sampling_note
from keras_vae.data.series_windows import SeriesRows
from keras_vae.data.table_files import TableFile, read_table_file, write_table_file

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["read_series", "write_series"]

_THINGS = (
    "series|sensor|unit|device|machine|station|site|ticker|symbol|patient|subject|run|trial|item"
    "|store|asset|group"
)
# Names that are evidence alone, and those that need more.
_SERIES = re.compile(rf"id|({_THINGS})?[ _]?(id|name)?|({_THINGS})(Id|ID)", re.I)
_MAYBE = re.compile(rf"(^|[\W_])(id|{_THINGS})([\W_]|$)|[a-z](Id|ID)$", re.I)
# Share of the cells of a channel that are numbers; fewer, and the column has words.
_NUMBERS = 0.5
_LARGEST = float(np.finfo("float32").max)


def read_series(
    source: Any, channels: Sequence[str] = (), skip_bad: bool = False
) -> SeriesRows:
    """Read a table whose rows are steps of series.

    Args:
        source: Table, as `read_table_file` takes it.
        channels: Names of the channels that are wanted. Defaults to none: all columns of
            numbers but times, indices and names of series.
        skip_bad: Whether to leave out rows with other numbers of fields, or with cells of
            channels that are no numbers. Defaults to `False`: they are an error.

    Raises:
        ValueError: If there are no channels, others than wanted, or bad cells or rows; or if
            rows have the same times and no column says which series they are of.
    """
    file = read_table_file(source, skip_bad=skip_bad)
    file = dataclasses.replace(file, frame=file.frame.rename(columns=str))
    known = set(channels) & set(file.frame.columns)
    times = find_times(file.frame, known)
    group = _group_column(file.frame, [*times.columns, *known], times)
    if group is not None:
        times = find_times(file.frame, {*known, group}, _codes(file.frame, group))
    aside = [*times.columns, *([group] if group else [])]
    columns = {n: _numbers(file, n) for n in file.frame.columns if n not in aside}
    skipped: dict[str, str] = {}
    names = _chosen(columns, channels, skipped)
    file, values = _without_bad(file, {name: columns[name] for name in names}, skip_bad)
    if len(file.frame) < len(next(iter(columns.values()))[0]):
        codes = None if group is None else _codes(file.frame, group)
        times = find_times(file.frame, {*columns, *known, *([group] if group else [])}, codes)
    series, labels = _ordered(file, times, group)
    return SeriesRows(
        values=values.astype("float32"),
        channels=tuple(names),
        series=tuple(series),
        labels=tuple(labels),
        rows=file.rows,
        ids={name: file.frame[name].to_numpy() for name in aside} | _index_ids(file.frame),
        file=file,
        skipped={**skipped, **file.skipped},
    )


def write_series(values: np.ndarray, path: Path, like: SeriesRows) -> Path:
    """Write the table that series are from, with other values.

    Args:
        values: `[rows, channels]`; NaN leaves a cell as it is, and so does the value that it
            has already.
        path: Path of the table, with an ending that `write_table_file` takes.
        like: The rows as read from a table.
    """
    file = like.file
    if file is None:
        raise TypeError("`like` must come from a table.")
    frame = file.frame.copy()
    for channel, name in enumerate(like.channels):
        column = values[:, channel]
        changed = ~np.isnan(column) & (column.astype("float32") != like.values[:, channel])
        if changed.any():
            frame[name] = _written(file.frame[name], column, changed, file.decimal)
    return write_table_file(frame, file.format, path)


def _written(
    column: pd.Series, values: np.ndarray, changed: np.ndarray, decimal: str | None
) -> pd.Series:
    import pandas as pd

    if _is_text(column):
        cells = column.astype(object).to_numpy(copy=True)
        cells[changed] = number_format(cells, decimal).format(values[changed])
        return pd.Series(cells, column.index, dtype=object)
    if pd.api.types.is_integer_dtype(column.dtype):
        values = np.round(values)
    if column.dtype == object:
        cells = column.to_numpy(copy=True)
        cells[changed] = values[changed]
        return pd.Series(cells, column.index, dtype=object)
    found = column.copy()
    found[changed] = values[changed].astype(getattr(column.dtype, "numpy_dtype", column.dtype))
    return found


def _is_text(column: pd.Series) -> bool:
    return any(isinstance(cell, str) for cell in column.head(1000))


def _numbers(file: TableFile, name: str) -> tuple[np.ndarray, dict[int, str] | None]:
    """Numbers of a column and its bad cells; `None` for these if it is no channel."""
    import pandas as pd

    column = file.frame[name]
    bad: dict[int, str] = {}
    if pd.api.types.is_bool_dtype(column.dtype):
        return np.full(len(column), np.nan), None
    if pd.api.types.is_numeric_dtype(column.dtype):
        values = column.to_numpy("float64", na_value=np.nan)
    elif column.dtype == object or isinstance(column.dtype, pd.StringDtype):
        values, problem = parse_numbers(column, file.decimal)
        if problem is not None and problem.share < _NUMBERS:
            return values, None
        if problem is not None:
            cells = column.to_numpy()
            bad = {
                int(i): f"{str(cells[i])[:40]!r}, which {problem.reason}"
                for i in problem.positions
            }
    else:
        return np.full(len(column), np.nan), None
    for position in np.flatnonzero(np.abs(values) > _LARGEST):
        cell = column.iloc[position]
        beyond = "is not finite" if np.isinf(values[position]) else "is beyond float32"
        bad[int(position)] = f"{cell!s}, which {beyond}"
    return values, bad


def _chosen(
    columns: dict[str, tuple[np.ndarray, dict[int, str] | None]],
    wanted: Sequence[str],
    skipped: dict[str, str],
) -> list[str]:
    """Names of the channels; reasons for the other columns, if all are wanted."""
    found = []
    for name, (values, bad) in columns.items():
        if bad is None:
            reason = "no numbers"
        elif not bad and np.isnan(values).all():
            reason = "no values"
        else:
            found.append(name)
            continue
        if not wanted:
            skipped[name] = reason
    if not wanted:
        if not found:
            raise ValueError(
                f"`source` must have a column of numbers. Received: {list(columns)}."
            )
        return found
    if set(wanted) <= set(columns):
        _check_channels(columns, wanted)
        return list(wanted)
    if len(found) == len(wanted) and all(name.isdigit() for name in (*found, *wanted)):
        return found
    check_names("channels", wanted, found)
    return found


def _check_channels(
    columns: dict[str, tuple[np.ndarray, dict[int, str] | None]], wanted: Sequence[str]
) -> None:
    for name in wanted:
        if columns[name][1] is None:
            raise ValueError(
                f"Channel {name!r} must have numbers. Received: a column of words, dates "
                f"or truth values."
            )


def _without_bad(
    file: TableFile,
    columns: dict[str, tuple[np.ndarray, dict[int, str] | None]],
    skip_bad: bool,
) -> tuple[TableFile, np.ndarray]:
    """The table without rows that have bad cells, and `[rows, channels]`."""
    bad: dict[int, str] = {}
    for name, (_, cells) in columns.items():
        for position, reason in (cells or {}).items():
            bad.setdefault(position, f"column {name!r} has {reason}")
    values = np.stack([values for values, _ in columns.values()], 1)
    if not bad:
        return file, values
    if not skip_bad:
        position = min(bad)
        where = f"Row {file.rows[position]} of {file.path or 'the frame'}"
        raise ValueError(
            f"Cells of channels must be finite numbers or empty. Received: {where}: "
            f"{bad[position]}; {len(bad)} such rows in all. Mend the file, or leave them out "
            f"with skip_bad=True."
        )
    keep = [position for position in range(len(values)) if position not in bad]
    if not keep:
        raise ValueError(
            f"`source` must have rows of numbers. Received: {file.path or 'a frame'}, where "
            f"{next(iter(bad.values()))} and so on in each of {len(bad)} rows."
        )
    return file.without(bad), values[keep]


def _group_column(frame: pd.DataFrame, taken: Sequence[str], times: Times) -> str | None:
    """The column that tells series apart, if there is evidence for one.

    It has words or whole numbers that repeat. If it is not named like one of series, each
    series must be a block of rows, or times that repeat must differ within each.
    """
    repeated = times.values is not None and len(np.unique(times.values)) < len(frame)
    found: list[tuple[int, str]] = []
    for name in frame.columns:
        column = frame[name]
        different = column.nunique()
        if name in taken or not 0 < different <= len(column) / 2 or not _names_things(column):
            continue
        codes = column.factorize(use_na_sentinel=False)[0]
        apart = repeated and _unique_pairs(codes, times.values)
        blocks = different > 1 and int((np.diff(codes) != 0).sum()) == codes.max()
        evidence = _SERIES.fullmatch(name) or (_MAYBE.search(name) and (apart or blocks))
        if evidence or (apart and _is_text(column)):
            found.append((different, name))
    return max(found)[1] if found else None


def _unique_pairs(codes: np.ndarray, values: np.ndarray | None) -> bool:
    pairs = np.stack([codes, codes if values is None else values], 1)
    return len(np.unique(pairs, axis=0)) == len(pairs)


def _names_things(column: pd.Series) -> bool:
    """Whether a column has words or whole numbers."""
    if not _is_text(column):
        return str(column.dtype).lower().startswith(("int", "uint", "category"))
    values, problem = parse_numbers(column)
    return problem is not None or not (values % 1 != 0).any()


def _ordered(
    file: TableFile, times: Times, group: str | None
) -> tuple[list[np.ndarray], list[str]]:
    """Positions of the steps of each series in the order of time, and names of the series."""
    if group is None:
        parts, labels = [np.arange(len(file.frame))], ["0"]
    else:
        codes, found = file.frame[group].factorize(use_na_sentinel=False)
        parts = [np.flatnonzero(codes == code) for code in range(len(found))]
        labels = [str(label) for label in found]
        _say(file, f"Column {group!r} tells {len(parts)} series apart")
    series = [_in_time(file, part, times) for part in parts]
    _report_order(file, [np.diff(part) for part in series], times)
    _report_sampling(file, series, labels, times)
    return series, labels


def _codes(frame: pd.DataFrame, group: str) -> np.ndarray:
    codes, _ = frame[group].factorize(use_na_sentinel=False)
    return np.asarray(codes)


def _report_order(file: TableFile, jumps: Sequence[np.ndarray], times: Times) -> None:
    if times.values is None:
        return
    missing = int(np.isnan(times.values).sum())
    if missing:
        _say(
            file, f"{missing} rows have no time in {times.name}; the order of the file is kept"
        )
        return
    back = sum(bool((steps < 0).any()) for steps in jumps)
    if back:
        which = "" if len(jumps) == 1 else f" in {back} of {len(jumps)} series"
        whole = all((steps < 0).all() for steps in jumps)
        how = "run backwards" if whole else "are not sorted"
        _say(file, f"Times in {times.name} {how}{which}: rows are used in the order of time")


def _report_sampling(
    file: TableFile, series: Sequence[np.ndarray], labels: Sequence[str], times: Times
) -> None:
    if times.values is None or np.isnan(times.values).any():
        return
    found = [
        (label, note)
        for label, part in zip(labels, series)
        if (note := sampling_note(times.values[part], times.name, times.dates))
    ]
    if len(series) == 1 and found:
        _say(file, found[0][1])
    elif found:
        _say(
            file,
            f"{len(found)} of {len(series)} series are uneven; {found[0][0]}: {found[0][1]}",
        )


def _in_time(file: TableFile, part: np.ndarray, times: Times) -> np.ndarray:
    if times.values is None:
        return part
    values = times.values[part]
    steps = np.diff(values)
    if np.isnan(values).any() or not (steps < 0).any():
        return part
    if len(np.unique(values)) < len(values):
        row = file.rows[part[int(np.argmax(steps < 0)) + 1]]
        raise ValueError(
            f"Times in {times.name} of {file.path or 'the frame'} must not go back and "
            f"repeat. Received: row {row}, which is before the row above, and times that "
            f"occur twice. If the table holds several series, name them in a column "
            f"'series_id'; else sort it by time."
        )
    return part[np.argsort(values, kind="stable")]


def _index_ids(frame: pd.DataFrame) -> dict[str, np.ndarray]:
    """The index of a frame, if it is not one of whole numbers."""
    if frame.index.dtype.kind in "iu" and frame.index.name is None:
        return {}
    return {str(frame.index.name or "index"): frame.index.to_numpy()}


def _say(file: TableFile, note: str) -> None:
    place = f"{file.path.name}: " if file.path is not None else ""
    warnings.warn(f"{place}{note}.", stacklevel=2)
