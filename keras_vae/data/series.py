"""Windows of time series.

Floor 3.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_vae.arguments import require_integer
from keras_vae.component import register
from keras_vae.data.schema import Read, Schema, check_names, load_array, report_skipped
from keras_vae.data.series_tables import read_series, write_series
from keras_vae.data.series_windows import SeriesRows, merge_windows, row_scores, window_starts
from keras_vae.data.source import Source
from keras_vae.data.table_files import (
    TABLE_SUFFIXES,
    check_table_path,
    is_table_path,
    write_table_file,
)
from keras_vae.data.text_format import COMPRESSIONS
from keras_vae.preprocessors import Standardization

__all__ = ["SeriesSchema", "from_series"]


@register("data")
class SeriesSchema(Schema):
    """Windows of series of some channels.

    Args:
        names: Of the channels.
        window: Steps of a window.
        stride: Steps from the beginning of one window to that of the next.

    Raises:
        ValueError: If `window` or `stride` is not an integer >= 1.

    Example:
    >>> keras_vae.data.SeriesSchema(["volts"], window=64, stride=32).event_shape
    (64, 1)
    """

    kind = "series"

    def __init__(self, names: Sequence[str], window: int, stride: int) -> None:
        require_integer("window", window)
        require_integer("stride", stride)
        self.names = names
        self.window = window
        self.stride = stride

    @property
    def event_shape(self) -> tuple[int, ...]:
        return (self.window, len(self.names))

    def suffixes(self) -> tuple[str, ...]:
        return (*TABLE_SUFFIXES, *COMPRESSIONS, ".npy")

    def checked(self, path: str | os.PathLike[str]) -> Path:
        return check_table_path(super().checked(path), (".npy",))

    def read(self, source: Any, skip_bad: bool = False) -> Read:
        """Read windows: of files and frames such that each row is in one.

        The last window ends with its series then; of arrays in memory, rows that are left at
        the end are in no window.

        Rows that times put in another order are used in that of time. `rows` of the result
        are the first row of each window; its `origin` is what `write` and `row_scores` need to
        bring windows back to rows.

        Args:
            source: As for `from_series`. Channels are found by name in tables, times and
                other columns are kept aside.
            skip_bad: Whether to leave out rows that cannot be used. Defaults to `False`: they
                are an error.

        Raises:
            ValueError: If there are no such channels, bad rows, or no series is as long as a
                window.
        """
        rows = _series(source, self.names, skip_bad)
        if not all(name.isdigit() for name in rows.channels) or (
            len(rows.channels) != len(self.names)
        ):
            check_names("channels", self.names, rows.channels)
        in_memory = rows.file is None and not isinstance(source, (str, os.PathLike))
        return self.windows(rows, whole=not in_memory)

    def windows(self, rows: SeriesRows, whole: bool = False) -> Read:
        """Cut windows from series.

        Args:
            rows: Rows of series.
            whole: Whether windows are to hold each row, as in `read`. Defaults to `False`.

        Raises:
            ValueError: If no series is as long as a window.
        """
        skipped = dict(rows.skipped)
        found, names, places = [], [], []
        for number, positions in enumerate(rows.series):
            if len(positions) < self.window:
                name = rows.labels[number]
                skipped[f"series {name}"] = f"{len(positions)} steps, shorter than a window"
                continue
            starts = window_starts(len(positions), self.window, self.stride, whole)
            views = np.lib.stride_tricks.sliding_window_view(
                rows.values[positions], self.window, axis=0
            )
            found.append(views[starts].swapaxes(1, 2))
            names += [rows.name(number, step) for step in starts]
            places.append(positions[starts])
        if not found:
            raise _too_short(rows, self.window)
        place = np.concatenate(places)
        ids = {name: values[place] for name, values in rows.ids.items()}
        x = np.concatenate(found)
        return Read(x, names, None, skipped, rows.rows[place], ids, rows)

    def write(
        self, x: np.ndarray, path: str | os.PathLike[str], like: Read | None = None
    ) -> Path:
        """Write windows, or the rows that they are from.

        With `like`, windows become rows again: a row is the mean of the windows that hold it. A
        table comes back with all its columns, times, order and decimals, and with the cells
        that are as they were; so does an array with its shape. Without, tables have columns
        for the number of the window and the step, and `.npy` holds `[windows, window,
        channels]`.

        Args:
            x: `[windows, window, channels]`.
            path: Ends in `.npy`, or like a table.
            like: Windows that x was made from. Defaults to `None`: new windows.
        """
        target = self.checked(path)
        x = np.asarray(x)
        origin = None if like is None else like.origin
        if like is not None and isinstance(origin, SeriesRows):
            return _write_rows(merge_windows(like, x), target, origin)
        if target.suffix == ".npy":
            return super().write(x, path)
        import pandas as pd

        frame = pd.DataFrame(x.reshape(-1, len(self.names)), columns=list(self.names))
        frame.insert(0, "window", np.repeat(np.arange(len(x)), self.window))
        frame.insert(1, "step", np.tile(np.arange(self.window), len(x)))
        return write_table_file(frame, None, target)

    def align(self, values: np.ndarray, read: Read) -> tuple[dict[str, Any], np.ndarray]:
        """Return values of rows: the mean over the windows that hold a row.

        Args:
            values: `[windows]`.
            read: The windows.
        """
        if isinstance(read.origin, SeriesRows):
            return row_scores(read, values)
        return super().align(values, read)


def from_series(
    source: Any,
    *,
    window: int = 64,
    stride: int | None = None,
    held_out: float = 0.1,
    skip_bad: bool = False,
) -> Source:
    """Load time series as windows.

    Missing values are NaN, and stay so: build the model with `missing="nan"` then. Held out is
    the end of each series, and no window there shares a step with one to train on.

    Args:
        source: An array `[steps]`, `[steps, channels]` or `[series, steps, channels]`, a list
            of the first two, a `.npy` file, `.npz` with x, a frame of pandas or polars, or a
            table file: `.csv`, `.tsv`, `.txt` (also compressed), `.parquet`, `.feather` or
            `.xlsx`. Of tables, columns of times, indices and names of series (`id`, `sensor`
            ...) are kept aside, and rows are used in the order of time, each series by itself.
            Other columns that are no numbers are left out with a warning; another one reports
            uneven steps.
        window: Steps of a window. Defaults to `64`.
        stride: Steps from one window to the next. Defaults to `None`: half a window.
        held_out: Share of each series that is not trained on. Defaults to `0.1`.
        skip_bad: Whether to leave out, with a warning, rows with other numbers of fields, and
            with cells of channels that are no finite numbers. Defaults to `False`: they are an
            error.

    Returns:
        A `Source` of windows, `[windows, window, channels]`; its preprocessor standardises
        each channel.

    Raises:
        ValueError: If there are no numbers, or too few for a window to train on and one held
            out.

    Example:
    >>> times = np.arange(1_000)
    >>> keras_vae.data.from_series(np.sin(times / 5), window=50, held_out=0.2)
    <Source of series: 31 to train on, 7 held out, (50, 1), 0 left out>
    """
    rows = _series(source, (), skip_bad)
    schema = SeriesSchema(list(rows.channels), window, stride or max(window // 2, 1))
    if not 0 <= held_out < 1:
        raise ValueError(
            f"`held_out` must be a share of 0 or more and below 1. Received: {held_out}."
        )
    cuts = [len(steps) - round(len(steps) * held_out) for steps in rows.series]
    first = [steps[:cut] for steps, cut in zip(rows.series, cuts)]
    trained = schema.windows(dataclasses.replace(rows, series=tuple(first)))
    report_skipped(trained.skipped, "columns, rows and series")
    tested = trained.x[:0]
    if held_out:
        last = [steps[cut:] for steps, cut in zip(rows.series, cuts)]
        longest = max(len(steps) for steps in last)
        if longest < window:
            raise ValueError(
                f"`held_out` must leave a window of {window} steps to test on. Received: "
                f"held_out={held_out}, which are {longest} steps. Hold out more, choose a "
                f"shorter window, or held_out=0."
            )
        tested = schema.windows(dataclasses.replace(rows, series=tuple(last))).x
    preprocessor = Standardization(schema=schema)
    return Source(trained.x, tested, schema, preprocessor, skipped=trained.skipped)


def _series(source: Any, channels: Sequence[str], skip_bad: bool) -> SeriesRows:
    """Rows of series of a table or of arrays."""
    if (
        is_table_path(source)
        or hasattr(source, "select_dtypes")
        or hasattr(source, "to_pandas")
    ):
        return read_series(source, channels, skip_bad)
    if isinstance(source, (str, os.PathLike)):
        source = load_array(source)
    several, shape = _arrays(source)
    ends = np.cumsum([len(values) for values in several])
    return SeriesRows(
        values=np.concatenate(several),
        channels=tuple(str(channel) for channel in range(several[0].shape[1])),
        series=tuple(np.arange(end - len(x), end) for end, x in zip(ends, several)),
        labels=tuple(str(number) for number in range(len(several))),
        rows=np.arange(ends[-1]),
        shape=shape,
    )


def _arrays(source: Any) -> tuple[list[np.ndarray], tuple[int, ...] | None]:
    """Series `[steps, channels]`, and the shape of the array that they are from."""
    if isinstance(source, (list, tuple)) and len(source) and np.ndim(source[0]):
        several, shape = [_floats(values) for values in source], None
    else:
        values = _floats(source)
        several = list(values) if values.ndim == 3 else [values]
        shape = values.shape
    several = [values[:, None] if values.ndim == 1 else values for values in several]
    shapes = {values.shape[1:] for values in several}
    if len(shapes) != 1 or len(next(iter(shapes))) != 1:
        raise ValueError(
            f"`source` must be series of steps and channels, all of as many channels. "
            f"Received: shapes {sorted(str(values.shape) for values in several)[:3]}."
        )
    return several, shape


def _floats(values: Any) -> np.ndarray:
    found = np.asarray(values)
    if found.dtype.kind in "biuf":
        return found.astype("float32", copy=False)
    try:
        if found.dtype.kind == "O":
            return found.astype("float32")
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"`source` must be an array of numbers. Received: objects ({error})."
        ) from error
    raise ValueError(
        f"`source` must be an array of real numbers. Received: dtype {found.dtype}. Pass "
        f"numbers, or a table file if there are times or names."
    )


def _too_short(rows: SeriesRows, window: int) -> ValueError:
    longest = max(len(steps) for steps in rows.series)
    channels = len(rows.channels)
    fix = "Choose a shorter window."
    if channels >= window:
        fix = (
            f"There are {channels} channels: if these are the steps, swap the last two axes: "
            f"np.swapaxes(x, -1, -2)."
        )
    return ValueError(
        f"`source` must be a window long or longer: {window} steps. Received: {longest} steps. "
        f"{fix}"
    )


def _write_rows(values: np.ndarray, target: Path, origin: SeriesRows) -> Path:
    if target.suffix != ".npy" and origin.file is not None:
        return write_series(values, target, origin)
    # A row that no window holds stays as it was.
    whole = np.where(np.isnan(values), origin.values, values).astype("float32")
    if target.suffix == ".npy":
        found = whole if origin.shape is None else whole.reshape(origin.shape)
        return Schema().write(found, target)
    import pandas as pd

    frame = pd.DataFrame(whole, columns=list(origin.channels))
    if len(origin.series) > 1:
        numbers = [np.full(len(steps), n) for n, steps in enumerate(origin.series)]
        frame.insert(0, "series", np.concatenate(numbers))
    return write_table_file(frame, None, target)
