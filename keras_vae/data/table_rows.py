"""Rows of a table for writing: the file's own with some cells changed, or new ones.

Floor 3. pandas is imported when frames are made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_vae.data.column_values import Cells
from keras_vae.data.date_text import DateFormat
from keras_vae.data.table_columns import Table
from keras_vae.data.text_format import TextFormat
from keras_vae.data.typed_columns import emptied

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["changed_rows", "layout_of", "new_rows", "text_format"]

_LAYOUT = ("delimiter", "encoding", "newline", "decimal", "suffix", "header")


def changed_rows(
    frame: pd.DataFrame,
    table: Table,
    forms: Sequence[Cells | None],
    before: np.ndarray,
    after: np.ndarray,
) -> pd.DataFrame:
    """Return rows of a file in which only values that changed are written anew.

    Args:
        frame: Rows as read, one for each of `before`.
        table: Columns of the model.
        forms: How the file spells them.
        before: Numbers as read, `[rows, columns]`.
        after: Numbers to write, `[rows, columns]`; NaN changes nothing.
    """
    frame = frame.copy()
    changed = ~np.isnan(after) & (np.isnan(before) | (after != before))
    numbers = table.numbers(np.where(changed, after, np.nan))
    for place, (name, form) in enumerate(zip(table.names, forms)):
        rows = np.flatnonzero(changed[:, place])
        if form is None or not len(rows):
            continue
        cells = form.write(numbers[rows, place])
        frame[name] = _replaced(frame[name], rows, cells)
    return frame


def _replaced(column: pd.Series, rows: np.ndarray, cells: list[Any]) -> pd.Series:
    import pandas as pd

    values = column.array.copy()
    values[rows] = pd.array(cells, dtype=column.dtype)
    return pd.Series(values, column.index, name=column.name)


def new_rows(
    x: np.ndarray, table: Table, columns: Sequence[Mapping[str, Any]], text: bool
) -> pd.DataFrame:
    """Return rows that a model made, in the order of the file that it was trained on.

    An index goes on from its first value, constants repeat, and other columns that the model
    does not know are empty.

    Args:
        x: Numbers, `[rows, columns]`.
        table: Columns of the model.
        columns: All columns of the file, with "name", "kind" and, for an index, "step".
        text: Whether cells are text.
    """
    import pandas as pd

    frame = _spelled(x, table) if text else table.to_frame(x)
    if not columns:
        return frame
    made: dict[str, Any] = {}
    for column in columns:
        name = column["name"]
        if name in frame.columns:
            made[name] = frame[name]
        else:
            made[name] = _aside(column, len(frame), text)
    return pd.DataFrame(made, index=frame.index)


def _spelled(x: np.ndarray, table: Table) -> pd.DataFrame:
    import pandas as pd

    numbers = table.numbers(x)
    cells = {}
    for place, name in enumerate(table.names):
        known = ~np.isnan(numbers[:, place])
        column = np.full(len(numbers), "", dtype=object)
        column[known] = [str(c) for c in table.form(place).write(numbers[known, place])]
        cells[name] = column
    return pd.DataFrame(cells, dtype=object)


def _aside(column: Mapping[str, Any], count: int, text: bool) -> Any:
    import pandas as pd

    if column.get("kind") == "constant":
        return pd.Series([column.get("value")] * count, dtype=object if text else None)
    step = column.get("step")
    if column.get("kind") == "index" and step is not None:
        numbers = step[0] + step[1] * np.arange(count)
        dates = column.get("form")
        if dates is not None:
            cells = [DateFormat(**dates).spell(float(number)) for number in numbers]
            return pd.Series(cells, dtype=object)
        if str(column.get("dtype", "")).startswith("datetime64"):
            moments = pd.to_datetime(pd.Series(numbers), unit="s", utc=True)
            zone = str(column["dtype"]).partition(", ")[2].rstrip("]")
            moments = moments.dt.tz_convert(zone) if zone else moments.dt.tz_localize(None)
            return moments.astype(column["dtype"])
        whole = [round(float(number)) for number in numbers]
        return pd.Series([str(n) for n in whole], dtype=object) if text else pd.Series(whole)
    if text:
        return pd.Series([""] * count, dtype=object)
    return emptied(count, str(column.get("dtype", "object")))


def layout_of(form: TextFormat | None) -> dict[str, Any] | None:
    """Return what new rows need of a text format, as JSON values.

    Args:
        form: Format of the training file; `None` for typed columns.
    """
    if form is None:
        return None
    kept = {name: getattr(form, name) for name in _LAYOUT}
    return {**kept, "bom": form.bom.hex(), "names": list(form.names)}


def text_format(layout: Mapping[str, Any] | None) -> TextFormat:
    """Return the text format of a layout, that of a plain CSV file for `None`."""
    if layout is None:
        return TextFormat()
    kept = {name: layout[name] for name in _LAYOUT}
    return TextFormat(**kept, bom=bytes.fromhex(layout["bom"]), names=tuple(layout["names"]))
