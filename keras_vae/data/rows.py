"""Tables of columns of different kinds.

Floor 3.
"""

from __future__ import annotations

import dataclasses
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from keras_vae.component import register
from keras_vae.data.column_decisions import decide_columns
from keras_vae.data.column_schema import Column, check_frame, kept_aside, schema_kinds
from keras_vae.data.column_values import Cells, is_text
from keras_vae.data.missing_values import missing_cells
from keras_vae.data.schema import Read, Schema, report_skipped
from keras_vae.data.source import Source, shuffled, split
from keras_vae.data.table_columns import Table
from keras_vae.data.table_files import (
    TABLE_SUFFIXES,
    TableFile,
    read_table_file,
    write_table_file,
)
from keras_vae.data.table_rows import changed_rows, layout_of, new_rows, text_format
from keras_vae.data.text_format import COMPRESSIONS, ending
from keras_vae.preprocessors import Identity, Preprocessor, Rescaling

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["TableSchema", "from_table"]

_IDS = ("identifier", "index")
_TYPED = (".parquet", ".feather", ".xlsx")


class _Origin(NamedTuple):
    """A table file as read, and how it spells the columns of a model."""

    file: TableFile
    forms: list[Cells | None]

    def places(self, rows: np.ndarray) -> np.ndarray:
        """Positions in the frame of rows of the source."""
        return np.searchsorted(self.file.rows, rows)


@register("data")
class TableSchema(Schema):
    """Rows of a table.

    Args:
        table: Columns that the model learns.
        label: A column that is the class of a row, and no part of it. Defaults to `None`.
        columns: All columns of the file in their order, each with "name" and "kind", and what
            else new rows need: "step", "value", "dtype". Defaults to none: those of `table`.
        layout: How the file was written, for new rows. Defaults to `None`: as usual.

    Example:
    >>> import pandas as pd
    >>> table = keras_vae.tables.Table.from_frame(pd.DataFrame({"a": [0.5, 1.0, 2.0]}))
    >>> keras_vae.data.TableSchema(table).event_shape
    (1,)
    """

    kind = "table"

    def __init__(
        self,
        table: Table,
        label: str | None = None,
        columns: Sequence[Mapping[str, Any]] = (),
        layout: Mapping[str, Any] | None = None,
    ) -> None:
        self.table = table
        self.label = label
        self.columns = columns
        self.layout = layout

    @property
    def event_shape(self) -> tuple[int, ...]:
        return self.table.event_shape

    def suffixes(self) -> tuple[str, ...]:
        return (*TABLE_SUFFIXES, *COMPRESSIONS, ".npy")

    def read(self, source: Any, skip_bad: bool = False) -> Read:
        file = (
            source
            if isinstance(source, TableFile)
            else read_table_file(source, skip_bad=skip_bad)
        )
        frame = file.frame
        check_frame(frame)
        forms = self.table.forms_of(frame, file.decimal)
        self._report_extra(frame)
        x, bad = self.table.read(frame, forms)
        skipped = dict(file.skipped)
        good = ~bad.any(axis=1)
        for place in np.flatnonzero(~good):
            row, column = int(file.rows[place]), int(np.flatnonzero(bad[place])[0])
            if not skip_bad:
                where = f"row {row}" + (f" of {file.path}" if file.path else "")
                raise ValueError(self.table.complaint(frame, int(place), column, where))
            name = self.table.names[column]
            skipped[f"row {row}"] = f"{name} is {frame[name].iloc[place]!r}"
        if not good.any():
            raise ValueError(f"`source` must have rows. Received: {skipped or 'none'}.")
        labels = None
        if self.label is not None and self.label in frame:
            labels = _labels(frame[self.label], self.table.na_values or ())[good]
            labels = None if all(label is None for label in labels) else _compact(labels)
        rows = np.asarray(file.rows)[good]
        ids = {
            column["name"]: frame.loc[good, column["name"]].to_numpy()
            for column in self.columns
            if column["kind"] in _IDS and column["name"] in frame.columns
        }
        names = [str(row) for row in rows]
        return Read(x[good], names, labels, skipped, rows, ids, _Origin(file, forms))

    def write(
        self, x: np.ndarray, path: str | os.PathLike[str], like: Read | None = None
    ) -> Path:
        """Write rows: the file that was read with what changed, or new rows.

        - With `like`, the columns of the file in their order, also those that the model does
          not know, and every value that did not change as it was spelled; new values with
          the column's decimals, thousands, date format and dtype.
        - Without, rows as the training file has them: an index counts on, constants repeat,
          identifiers, text and labels are empty.

        `.npy` takes the numbers of the model alone.
        """
        target = self.checked(path)
        if target.suffix == ".npy":
            return super().write(x, path, like)
        x = np.asarray(x)
        if x.dtype == np.float32:
            # 1.7, not 1.7000000476837158.
            x = x.astype(str).astype("float64")
        if like is not None and isinstance(like.origin, _Origin):
            origin = like.origin
            frame = origin.file.frame.iloc[origin.places(like.positions)]
            frame = changed_rows(frame, self.table, origin.forms, np.asarray(like.x), x)
            return write_table_file(frame, origin.file.format, target)
        layout = None if ending(target)[0] in _TYPED else text_format(self.layout)
        frame = new_rows(x, self.table, self.columns, layout is not None)
        return write_table_file(frame, layout, target)

    def _report_extra(self, frame: pd.DataFrame) -> None:
        known = {*self.table.names, self.label, *(c["name"] for c in self.columns)}
        extra = [name for name in frame.columns if name not in known]
        if extra and self.columns:
            warnings.warn(
                f"Columns that the model does not know are carried along: {', '.join(extra)}.",
                stacklevel=3,
            )


def from_table(
    source: Any,
    *,
    kinds: Mapping[str, str] | None = None,
    label: str | None = None,
    ignore: Sequence[str] = (),
    held_out: float = 0.1,
    seed: int = 0,
    skip_bad: bool = False,
    schema: Any = None,
    na_values: Sequence[str] = (),
) -> Source:
    """Load a table, with NaN where values are missing.

    `source.columns` says what each column was found to be, and why. Columns that tell nothing
    about a row are kept aside, with a warning, and written back: identifiers, an index, text
    that differs from row to row, constants and empty columns. If values are missing, build
    the model with `missing="nan"`.

    Args:
        source: A frame of pandas, or a file: text such as `.csv`, `.parquet`, and what else
            `table_files.read_table_file` reads.
        kinds: Kinds of columns by name, where the evidence misleads: "real", "positive",
            "count", "binary", "category", "ordinal", "date"; or "identifier", "text" and
            "ignored", which are kept aside. Defaults to `None`.
        label: A column that is the class of a row, and no part of it. Defaults to `None`.
        ignore: Columns to keep aside. Defaults to `()`.
        held_out: Share that is not trained on. Defaults to `0.1`.
        seed: Random seed of the choice of those. Defaults to `0`.
        skip_bad: Whether to leave out, with a warning, rows that cannot be used. Defaults to
            `False`: they are an error.
        schema: Kinds in another form: a mapping, a `tables.Table`, or what
            `keras-vae inspect --json` prints; `kinds` overrules it. Defaults to `None`.
        na_values: Spellings of missing beside those of pandas. Defaults to none.

    Returns:
        A `Source` of rows, `[rows, columns]`, float64, NaN where missing, categories by
        number. `source.schema.table` turns arrays into frames. Its preprocessor brings real,
        positive and date columns to spreads of 1.

    Raises:
        TypeError: If a column holds anything but numbers, words, dates and categories.
        ValueError: If there are no rows, names of columns that are not there, missing labels,
            or cells that do not suit their column.

    Example:
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"size": np.linspace(0, 1, 30), "kind": ["a", "b", "c"] * 10})
    >>> keras_vae.data.from_table(frame)
    <Source of table: 27 to train on, 3 held out, (2,), 0 left out>
    """
    file = read_table_file(source, skip_bad=skip_bad)
    frame = file.frame
    _require_columns(frame, label, ignore)
    found = decide_columns(
        frame,
        kinds={**_known_kinds(schema, frame), **(kinds or {})},
        label=label,
        ignore=ignore,
        na_values=na_values,
        decimal=file.decimal,
    )
    learnt = [column for column in found if column.modelled]
    if not learnt or not len(frame):
        raise ValueError(
            f"`source` must have rows, and columns that differ between them. Received: shape "
            f"{frame.shape}."
        )
    table = Table.from_columns(frame, learnt, na_values, scaled=True)
    described = [_description(column, frame) for column in found]
    made = TableSchema(table, label, described, layout_of(file.format))
    read = made.read(_labelled(file, label, skip_bad, na_values), skip_bad)
    _report_aside(found)
    report_skipped(read.skipped, "rows")
    read, _ = shuffled(read._replace(origin=None), seed)
    aside = {c.name: c.why for c in kept_aside(found) if c.kind not in ("label", "ignored")}
    read = read._replace(skipped={**aside, **read.skipped})
    loaded = split(read, held_out, made, _preprocessor(table, read.x, made))
    return dataclasses.replace(loaded, columns=tuple(found))


def _known_kinds(schema: Any, frame: pd.DataFrame) -> dict[str, str]:
    return {} if schema is None else schema_kinds(schema)


def _require_columns(frame: pd.DataFrame, label: str | None, ignore: Sequence[str]) -> None:
    named = [name for name in (label, *ignore) if name is not None]
    absent = sorted(set(named) - set(frame.columns))
    if absent:
        raise ValueError(
            f"`label` and `ignore` must name columns. Received: {absent}. There are "
            f"{list(frame.columns)}."
        )


def _labelled(
    file: TableFile, label: str | None, skip_bad: bool, na_values: Sequence[str]
) -> TableFile:
    """The rows that have a label."""
    if label is None:
        return file
    labels = _labels(file.frame[label], na_values)
    missing = np.array([value is None for value in labels], bool)
    if not missing.any():
        return file
    places = np.flatnonzero(missing)
    if not skip_bad:
        raise ValueError(
            f"Every row must have a label. Received: {len(places)} rows without one, the first "
            f"of them row {file.rows[places[0]]}, column {label!r}"
            f"{f' of {file.path}' if file.path else ''}. Fill them in, or leave such rows out "
            f"with skip_bad=True."
        )
    return file.without({int(place): f"no label in {label!r}" for place in places})


def _labels(column: pd.Series, na_values: Sequence[str]) -> np.ndarray:
    """Labels as text; `None` where missing."""
    cells = column.astype(object).tolist()
    gone = (
        missing_cells(cells, extra=na_values) if is_text(column) else column.isna().to_numpy()
    )
    labels = np.empty(len(cells), dtype=object)
    labels[:] = [None if lost else str(cell) for cell, lost in zip(cells, gone)]
    return labels


def _compact(labels: np.ndarray) -> np.ndarray:
    return labels if any(label is None for label in labels) else labels.astype(str)


def _description(column: Column, frame: pd.DataFrame) -> dict[str, Any]:
    """What new rows need to know of a column."""
    found: dict[str, Any] = {"name": column.name, "kind": column.kind}
    if column.modelled:
        return found
    if not is_text(frame[column.name]):
        found["dtype"] = str(frame[column.name].dtype)
    if column.kind == "constant":
        values = frame[column.name].drop_duplicates().tolist()
        found["value"] = (
            column.examples[0] if is_text(frame[column.name]) else _plain(values[0])
        )
    if column.step is not None:
        found["step"] = list(column.step)
        if column.cells is not None and type(column.cells).__name__ == "Dates":
            found["form"] = column.cells.config()["format"]
    return found


def _plain(value: Any) -> Any:
    value = value.item() if hasattr(value, "item") else value
    return value if isinstance(value, (bool, int, float, str)) else str(value)


def _report_aside(columns: Sequence[Column]) -> None:
    aside = [c for c in kept_aside(columns) if c.kind not in ("label", "ignored")]
    if aside:
        some = "; ".join(f"{column.name}: {column.why}" for column in aside)
        warnings.warn(
            f"Kept aside {len(aside)} columns, which the model does not learn: {some}.",
            stacklevel=3,
        )


def _preprocessor(table: Table, x: np.ndarray, schema: TableSchema) -> Preprocessor:
    """Columns with densities in units of their spreads; all others as they are."""
    scale, offset = np.ones(x.shape[1]), np.zeros(x.shape[1])
    for place, kind in enumerate(table.kinds):
        cells = x[~np.isnan(x[:, place]), place]
        if kind in ("real", "date") and len(cells) and cells.min() < cells.max():
            scale[place] = 1 / cells.std()
            offset[place] = -cells.mean() / cells.std()
        elif kind == "positive" and len(cells):
            scale[place] = 1 / np.median(cells)
    if (scale == 1).all() and (offset == 0).all():
        return Identity(schema=schema)
    return Rescaling(scale.tolist(), offset.tolist(), schema=schema)
