"""Windows of time series.

Floor 3.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_vae.arguments import require_integer
from keras_vae.component import register
from keras_vae.core.atomic_io import writing
from keras_vae.core.paths import local_path
from keras_vae.data.schema import (
    Read,
    Schema,
    check_names,
    check_rows,
    load_array,
    report_skipped,
)
from keras_vae.data.source import Source
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
        return (".csv", ".npy")

    def read(self, source: Any, skip_bad: bool = False) -> Read:
        series, names, skipped = _series(source, skip_bad)
        if not all(name.isdigit() for name in names) or len(names) != len(self.names):
            check_names("channels", self.names, names)
        windows, found = [], []
        for number, values in enumerate(series):
            if len(values) < self.window:
                skipped[f"series {number}"] = f"{len(values)} steps, shorter than a window"
                continue
            starts = np.arange(0, len(values) - self.window + 1, self.stride)
            views = np.lib.stride_tricks.sliding_window_view(values, self.window, axis=0)
            windows.append(views[starts].swapaxes(1, 2))
            found += [f"{number}:{s}" if len(series) > 1 else str(s) for s in starts]
        if not found:
            longest = max(len(values) for values in series)
            raise ValueError(
                f"`source` must be a window long or longer: {self.window} steps. Received: "
                f"{longest} steps. Choose a shorter window."
            )
        return Read(np.concatenate(windows), found, None, skipped)

    def write(
        self, x: np.ndarray, path: str | os.PathLike[str], like: Read | None = None
    ) -> Path:
        """Write windows: `.csv` with their number, the step and the channels, or `.npy`."""
        target = self.checked(path)
        if target.suffix != ".csv":
            return super().write(x, path, like)
        import pandas as pd

        x = np.asarray(x)
        frame = pd.DataFrame(x.reshape(-1, len(self.names)), columns=list(self.names))
        frame.insert(0, "window", np.repeat(np.arange(len(x)), self.window))
        frame.insert(1, "step", np.tile(np.arange(self.window), len(x)))
        with writing(target) as draft:
            frame.to_csv(draft, index=False)
        return target


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
            of the first two, a `.npy` file, `.npz` with x, a frame of pandas, or `.csv` with a
            line of names. Columns of a frame that are no numbers, such as times, are left out
            with a warning.
        window: Steps of a window. Defaults to `64`.
        stride: Steps from one window to the next. Defaults to `None`: half a window.
        held_out: Share of each series that is not trained on. Defaults to `0.1`.
        skip_bad: Whether to leave out, with a warning, lines of other length than the first.
            Defaults to `False`: they are an error.

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
    series, names, skipped = _series(source, skip_bad)
    schema = SeriesSchema(names, window, stride or max(window // 2, 1))
    if not 0 <= held_out < 1:
        raise ValueError(
            f"`held_out` must be a share of 0 or more and below 1. Received: {held_out}."
        )
    cuts = [len(values) - round(len(values) * held_out) for values in series]
    trained = schema.read([values[:cut] for values, cut in zip(series, cuts)])
    skipped.update(trained.skipped)
    report_skipped(skipped, "columns, lines and series")
    tested = trained.x[:0]
    if held_out:
        tested = schema.read([values[cut:] for values, cut in zip(series, cuts)]).x
    preprocessor = Standardization(schema=schema)
    return Source(trained.x, tested, schema, preprocessor, skipped=skipped)


def _series(source: Any, skip_bad: bool) -> tuple[list[np.ndarray], list[str], dict[str, str]]:
    """Series `[steps, channels]`, names of the channels, and what was left out."""
    skipped: dict[str, str] = {}
    if isinstance(source, (str, os.PathLike)):
        path = local_path(source, "source")
        if path.suffix == ".csv":
            import pandas as pd

            skipped = check_rows(path, skip_bad)
            source = pd.read_csv(path, on_bad_lines="skip")
        else:
            source = load_array(path)
    if hasattr(source, "select_dtypes"):
        numbers = source.select_dtypes("number")
        for name in source.columns.difference(numbers.columns):
            skipped[str(name)] = "no numbers"
        if not len(numbers.columns):
            raise ValueError(
                f"`source` must have a column of numbers. Received: {list(source.columns)}."
            )
        names = [str(name) for name in numbers.columns]
        return [numbers.to_numpy("float32", na_value=np.nan)], names, skipped
    if isinstance(source, (list, tuple)) and len(source) and np.ndim(source[0]):
        several = [np.asarray(values, "float32") for values in source]
    else:
        values = np.asarray(source, "float32")
        several = list(values) if values.ndim == 3 else [values]
    several = [values[:, None] if values.ndim == 1 else values for values in several]
    shapes = {values.shape[1:] for values in several}
    if len(shapes) != 1 or len(next(iter(shapes))) != 1:
        raise ValueError(
            f"`source` must be series of steps and channels, all of as many channels. "
            f"Received: shapes {sorted(str(values.shape) for values in several)[:3]}."
        )
    return several, [str(channel) for channel in range(several[0].shape[1])], skipped
