"""Windows of series: cut from rows, and brought back to them.

Floor 3.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from keras_vae.data.schema import Read
    from keras_vae.data.table_files import TableFile

__all__ = ["SeriesRows", "merge_windows", "row_scores", "window_starts"]


@dataclasses.dataclass(frozen=True)
class SeriesRows:
    """Rows of one or several series, from which windows are cut.

    Attributes:
        values: `[rows, channels]`, float32, NaN where missing.
        channels: Names of the channels.
        series: Positions in `values` of the steps of each series, in the order of time.
        labels: Names of the series.
        rows: Position of each row in the source, from 0.
        ids: Columns kept aside, by name: times, names of series.
        file: Table that they are from. Defaults to `None`: an array.
        shape: Shape of the array that they are from. Defaults to `None`.
        skipped: Reasons by name of what was left out. Defaults to nothing.
    """

    values: np.ndarray
    channels: tuple[str, ...]
    series: tuple[np.ndarray, ...]
    labels: tuple[str, ...]
    rows: np.ndarray
    ids: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    file: TableFile | None = None
    shape: tuple[int, ...] | None = None
    skipped: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def name(self, series: int, step: int) -> str:
        """Return the name of a step.

        Args:
            series: Number of the series.
            step: Number of the step in it.
        """
        return f"{self.labels[series]}:{step}" if len(self.series) > 1 else str(step)


def window_starts(length: int, window: int, stride: int, whole: bool = False) -> np.ndarray:
    """Return the first steps of windows.

    Args:
        length: Steps of the series, at least a window.
        window: Steps of a window.
        stride: Steps from one window to the next.
        whole: Whether each step is to be in a window: none is jumped over, and a last window
            ends with the series. Defaults to `False`.

    Example:
    >>> from keras_vae.data.series_windows import window_starts
    >>> window_starts(11, 4, 3, whole=True)
    array([0, 3, 6, 7])
    """
    last = length - window
    starts = np.arange(0, last + 1, min(stride, window) if whole else stride)
    return np.append(starts, last) if whole and starts[-1] != last else starts


def merge_windows(read: Read, x: Any) -> np.ndarray:
    """Bring windows back to rows: the mean of the windows that hold a row.

    Args:
        read: Windows as `SeriesSchema.read` returns them.
        x: `[windows, window, channels]`, for the windows of `read`.

    Returns:
        `[rows, channels]`, float64, NaN where no window has a value.
    """
    origin: SeriesRows = read.origin
    x = np.asarray(x, "float64")
    places = _places(read, x.shape[1])
    shape = (len(origin.values), x.shape[2])
    total, count = np.zeros(shape), np.zeros(shape)
    known = ~np.isnan(x)
    np.add.at(total, places, np.where(known, x, 0.0))
    np.add.at(count, places, known)
    return np.divide(total, count, out=np.full(shape, np.nan), where=count > 0)


def row_scores(read: Read, scores: Any) -> tuple[dict[str, Any], np.ndarray]:
    """Score each row of series by the mean score of the windows that hold it.

    Args:
        read: Windows as `SeriesSchema.read` returns them.
        scores: `[windows]`.

    Returns:
        Columns by name, `[rows]` each: `row` in the source, `example`, and what was kept
        aside, such as times; and the scores of the rows, `[rows]`. Rows of series that are
        shorter than a window are left out.

    Example:
    >>> from keras_vae.data.series_windows import row_scores
    >>> schema = keras_vae.data.SeriesSchema(["volts"], window=2, stride=1)
    >>> row_scores(schema.read(np.array([1.0, 2.0, 3.0])), [10.0, 20.0])[1]
    array([10., 15., 20.])
    """
    origin: SeriesRows = read.origin
    window = np.shape(read.x)[1]
    values = np.broadcast_to(np.asarray(scores)[:, None, None], (len(read.x), window, 1))
    merged = merge_windows(read, values)[:, 0]
    steps = {
        int(position): origin.name(number, step)
        for number, positions in enumerate(origin.series)
        for step, position in enumerate(positions)
    }
    covered = np.zeros(len(merged), bool)
    covered[_places(read, window)] = True
    found = np.flatnonzero(covered)
    columns = {
        "row": origin.rows[found],
        "example": [steps[int(position)] for position in found],
        **{name: values[found] for name, values in origin.ids.items()},
    }
    return columns, merged[found]


def _places(read: Read, window: int) -> np.ndarray:
    """Positions in the rows of the steps of each window, `[windows, window]`."""
    origin: SeriesRows = read.origin
    at = np.empty(len(origin.rows), "int64")
    number = np.empty(len(origin.rows), "int64")
    for index, positions in enumerate(origin.series):
        at[positions], number[positions] = np.arange(len(positions)), index
    starts = np.searchsorted(origin.rows, read.positions)
    parts = [origin.series[number[start]][at[start] : at[start] + window] for start in starts]
    return np.array(parts, "int64").reshape(-1, window)
