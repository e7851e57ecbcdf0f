"""Tables of columns of different kinds.

Floor 3.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_vae.component import register
from keras_vae.core.atomic_io import writing
from keras_vae.core.paths import local_path
from keras_vae.data.schema import Read, Schema, check_rows, report_skipped
from keras_vae.data.source import Source, shuffled, split
from keras_vae.preprocessors import Identity
from keras_vae.tables import Table

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["TableSchema", "from_table"]

# A column of words of which more than this share, and so many, are there once is a name.
_NAMES, _FEW = 0.5, 20


@register("data")
class TableSchema(Schema):
    """Rows of a table.

    Args:
        table: What its columns are.
        label: A column that is the class of a row, and no part of it. Defaults to `None`.

    Example:
    >>> import pandas as pd
    >>> table = keras_vae.tables.Table.from_frame(pd.DataFrame({"a": [0.5, 1.0, 2.0]}))
    >>> keras_vae.data.TableSchema(table).event_shape
    (1,)
    """

    kind = "table"

    def __init__(self, table: Table, label: str | None = None) -> None:
        self.table = table
        self.label = label

    @property
    def event_shape(self) -> tuple[int, ...]:
        return self.table.event_shape

    def suffixes(self) -> tuple[str, ...]:
        return (".csv", ".parquet", ".npy")

    def read(self, source: Any, skip_bad: bool = False) -> Read:
        frame, skipped = _frame(source, skip_bad)
        good = np.ones(len(frame), bool)
        if skip_bad:
            for name, values in zip(self.table.names, self.table.categories):
                if values is not None and name in frame:
                    unknown = ~(frame[name].isna() | frame[name].isin(values)).to_numpy()
                    for row in np.flatnonzero(unknown & good):
                        skipped[f"row {row}"] = f"{name} is {frame[name].iloc[row]!r}"
                    good &= ~unknown
        if not good.any():
            raise ValueError(f"`source` must have rows. Received: {skipped or 'none'}.")
        x = self.table.to_array(frame[good])
        labels = None
        if self.label is not None and self.label in frame:
            labels = frame.loc[good, self.label].astype(str).to_numpy()
        rows = np.flatnonzero(good)
        return Read(x, [str(row) for row in rows], labels, skipped, rows)

    def write(
        self, x: np.ndarray, path: str | os.PathLike[str], like: Read | None = None
    ) -> Path:
        """Write rows: `.csv`, `.parquet`, or `.npy` of their numbers."""
        target = self.checked(path)
        if target.suffix not in (".csv", ".parquet"):
            return super().write(x, path, like)
        x = np.asarray(x)
        if x.dtype == np.float32:
            # 1.7, not 1.7000000476837158.
            x = x.astype(str).astype("float64")
        frame = self.table.to_frame(x)
        with writing(target) as draft:
            if target.suffix == ".csv":
                frame.to_csv(draft, index=False)
            else:
                frame.to_parquet(draft, index=False)
        return target


def from_table(
    source: Any,
    *,
    kinds: Mapping[str, str] | None = None,
    label: str | None = None,
    ignore: Sequence[str] = (),
    held_out: float = 0.1,
    seed: int = 0,
    skip_bad: bool = False,
) -> Source:
    """Load a table, with holes where values are missing.

    What a column is, `tables.Table.from_frame` tells. Columns that tell nothing are left out
    with a warning: those without values, of one value, and of words that are nearly all
    different, such as names. If there are holes, build the model with `missing="nan"`.

    Args:
        source: A frame of pandas, a `.csv` file with a line of names, or `.parquet` (pandas
            reads it with pyarrow).
        kinds: Kinds of columns by name, where the rule does not suit. Defaults to `None`.
        label: A column that is the class of a row, and no part of it. Defaults to `None`.
        ignore: Columns to leave out. Defaults to `()`.
        held_out: Share that is not trained on. Defaults to `0.1`.
        seed: Of the choice of those. Defaults to `0`.
        skip_bad: Whether to leave out, with a warning, lines of other length than the first.
            Defaults to `False`: they are an error.

    Returns:
        A `Source` of rows, `[rows, columns]`, float64, NaN where missing, categories by
        number. `source.schema.table` turns arrays into frames.

    Raises:
        TypeError: If a column holds anything but numbers, words and categories.
        ValueError: If there are no rows, or names of columns that are not there.

    Example:
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"size": np.linspace(0, 1, 30), "kind": ["a", "b", "c"] * 10})
    >>> keras_vae.data.from_table(frame)
    <Source of table: 27 to train on, 3 held out, (2,), 0 left out>
    """
    frame, skipped = _frame(source, skip_bad)
    named = [name for name in (label, *ignore) if name is not None]
    absent = sorted(set(named) - set(frame.columns))
    if absent:
        raise ValueError(
            f"`label` and `ignore` must name columns. Received: {absent}. There are "
            f"{list(frame.columns)}."
        )
    kinds = dict(kinds or {})
    columns = frame.drop(columns=named)
    for name in columns.columns:
        reason = None if name in kinds else _tells_nothing(columns[name])
        if reason is not None:
            skipped[str(name)] = reason
    columns = columns.drop(columns=[name for name in columns.columns if str(name) in skipped])
    report_skipped(skipped, "columns and lines")
    if not len(columns.columns) or not len(columns):
        raise ValueError(
            f"`source` must have rows, and columns that differ between them. Received: shape "
            f"{frame.shape}."
        )
    schema = TableSchema(Table.from_frame(columns, kinds), label)
    read, _ = shuffled(schema.read(frame), seed)
    read = read._replace(skipped=skipped)
    return split(read, held_out, schema, Identity(schema=schema))


def _frame(source: Any, skip_bad: bool) -> tuple[pd.DataFrame, dict[str, str]]:
    import pandas as pd

    if isinstance(source, pd.DataFrame):
        return source, {}
    path = local_path(source, "source")
    if not path.is_file():
        raise ValueError(f"`source` must be an existing file. Received: {path}.")
    if path.suffix == ".parquet":
        return pd.read_parquet(path), {}
    skipped = check_rows(path, skip_bad)
    bad = {int(line.removeprefix("line ")) - 1 for line in skipped}
    # Whole numbers with holes stay whole.
    return pd.read_csv(path, skiprows=sorted(bad)).convert_dtypes(), skipped


def _tells_nothing(column: pd.Series) -> str | None:
    import pandas as pd

    present = column.dropna()
    different = present.nunique()
    if different < 2:
        return "one value" if different else "no values"
    words = pd.api.types.is_string_dtype(column.dtype)
    words = words or pd.api.types.is_object_dtype(column.dtype)
    if words and different > max(_FEW, _NAMES * len(present)):
        return f"{different} different words in {len(present)} rows"
    return None
