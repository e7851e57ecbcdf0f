"""Table files of all formats, read as they stand and written back.

Floor 3. pandas is imported when a file is read.
"""

from __future__ import annotations

import dataclasses
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_vae.core.atomic_io import writing
from keras_vae.core.paths import local_path
from keras_vae.data.number_text import parse_numbers
from keras_vae.data.text_encoding import compress
from keras_vae.data.text_format import DELIMITERS, TextFormat, ending
from keras_vae.data.text_tables import read_text

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "TABLE_SUFFIXES",
    "TableFile",
    "check_table_path",
    "is_table_path",
    "read_table_file",
    "write_table_file",
]

_TYPED = (".parquet", ".feather", ".xlsx", ".xls")
#: Endings of table files, those of compressions aside.
TABLE_SUFFIXES = (*DELIMITERS, *_TYPED)


@dataclasses.dataclass(frozen=True)
class TableFile:
    """A table as its source has it.

    Attributes:
        frame: Columns and rows in the order of the source. Of text formats each cell is a
            string, verbatim, and the index is `rows`; of Parquet, Feather, Excel and frames
            in memory, columns keep their types and the index is theirs.
        rows: Position of each row in the source, from 0; the line of names is not counted,
            rows that were left out are.
        format: Dialect of a text file; `None` for other sources.
        skipped: Reasons by name of the row that was left out, such as `"row 24"`.
        path: Path of the file; `None` for frames.
    """

    frame: pd.DataFrame
    rows: np.ndarray
    format: TextFormat | None = None
    skipped: Mapping[str, str] = dataclasses.field(default_factory=dict)
    path: Path | None = None

    @property
    def decimal(self) -> str | None:
        """Decimal mark of a text file; `None` if there is no evidence."""
        return self.format.decimal if self.format is not None else "."

    def without(self, bad: Mapping[int, str]) -> TableFile:
        """Return the table without some rows, which are named in `skipped`.

        Args:
            bad: Reasons by position in `frame`.
        """
        keep = np.array([index not in bad for index in range(len(self.rows))], bool)
        reasons = {f"row {self.rows[index]}": bad[index] for index in sorted(bad)}
        return dataclasses.replace(
            self,
            frame=self.frame[keep],
            rows=self.rows[keep],
            skipped={**self.skipped, **reasons},
        )


def is_table_path(source: Any) -> bool:
    """Return whether a source is a path with the ending of a table file.

    Args:
        source: Anything.
    """
    if not isinstance(source, (str, os.PathLike)):
        return False
    return ending(Path(os.fsdecode(source)))[0] in TABLE_SUFFIXES


def check_table_path(path: Path, also: Sequence[str] = ()) -> Path:
    """Return a path, if a table can be written there.

    Args:
        path: Path of a file.
        also: Other endings that are allowed. Defaults to none.

    Raises:
        ValueError: If its ending is of no table.
    """
    suffix, packed = ending(path)
    writable = [found for found in TABLE_SUFFIXES if found != ".xls"]
    if suffix in also and not packed:
        return path
    if suffix not in writable or (packed and suffix not in DELIMITERS):
        raise ValueError(
            f"`path` must end in one of {[*writable, *also]}, text also compressed. "
            f"Received: {path}."
        )
    return path


def read_table_file(source: Any, *, skip_bad: bool = False) -> TableFile:
    r"""Read a table as it stands.

    Text formats (`.csv`, `.tsv`, `.tab`, `.txt`, also compressed: `.gz`, `.bz2`, `.xz`, `.zip`,
    `.zst`) are recognised by their content: delimiter (comma, semicolon, tab, pipe, or spaces
    between numbers), encoding (UTF-8, UTF-16, UTF-32; else Windows-1252, with a warning), line
    ends, quotes with line breaks, comments with # before the line of names, a delimiter at
    the end of lines, names of rows as R writes them, and a missing line of names (with a
    warning: columns are called 0, 1, ...). Names lose spaces around them; an empty one becomes
    `Unnamed: 3`, a second `age` becomes `age.1`. A blank line is no row, but in a file of one
    column it is a missing value, if others follow.

    Args:
        source: Path of a text table, `.parquet`, `.feather`, `.xlsx` or `.xls`, or a frame of
            pandas or polars.
        skip_bad: Whether to leave out rows with too many or too few fields, or with null
            characters. Defaults to `False`: they are an error.

    Raises:
        ImportError: If the package for the format is not installed.
        ValueError: If there is no such file, it is damaged or empty, or has bad rows.

    Example:
    >>> from pathlib import Path
    >>> import tempfile
    >>> from keras_vae.data.table_files import read_table_file
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "people.csv")
    ...     _ = path.write_bytes("name;size\nÅse;1,72\nIda;\n".encode())
    ...     table = read_table_file(path)
    >>> table.frame["size"].tolist(), table.format.delimiter
    (['1,72', ''], ';')
    """
    if not isinstance(source, (str, os.PathLike)):
        return _in_memory(source)
    path = local_path(source, "source")
    if not path.is_file():
        raise ValueError(f"`source` must be an existing file. Received: {path}.")
    suffix = ending(path)[0]
    if suffix in _TYPED:
        frame = _typed(path, suffix)
        return TableFile(frame, np.arange(len(frame)), None, {}, path)
    if suffix not in DELIMITERS:
        raise ValueError(
            f"`source` must end in one of {list(TABLE_SUFFIXES)}, text also compressed. "
            f"Received: {path}."
        )
    return _text(path, skip_bad)


def write_table_file(
    frame: pd.DataFrame, file_format: TextFormat | None, path: str | os.PathLike[str]
) -> Path:
    """Write a table; the file appears when it is whole.

    With a format, cells are strings and the index is the row of each in the source: a row
    whose cells are those of the source is written as it stood. Other endings than that of the
    source convert the table: for `.tsv` the delimiter, for `.parquet`, `.feather` and `.xlsx`
    columns of numbers become numbers.

    Args:
        frame: Columns and rows.
        file_format: Format of the file that the cells come from. `None` for typed columns.
        path: Path of the file, with an ending that `read_table_file` takes, but `.xls`.

    Returns:
        The path.

    Raises:
        ImportError: If the package for the format is not installed.
        ValueError: If the ending is of no table.
    """
    target = local_path(path)
    suffix, packed = ending(target)
    check_table_path(target)
    if suffix in _TYPED:
        typed = frame if file_format is None else _converted(frame, file_format.decimal)
        with writing(target) as draft:
            _write_typed(typed, draft, suffix)
        return target
    if file_format is None:
        text = _with_index(frame).to_csv(
            index=False, sep=DELIMITERS[suffix], lineterminator="\n"
        )
        content = text.encode()
    else:
        content = _rendered(frame, file_format.suited(target))
    with writing(target) as draft:
        draft.write_bytes(compress(content, target, packed))
    return target


def _in_memory(source: Any) -> TableFile:
    import pandas as pd

    if isinstance(source, pd.Series):
        source = source.to_frame()
    elif not isinstance(source, pd.DataFrame) and hasattr(source, "to_pandas"):
        source = source.to_pandas()
    if not isinstance(source, pd.DataFrame):
        raise TypeError(
            f"`source` must be a path or a frame of pandas or polars. Received: "
            f"{type(source).__name__}."
        )
    return TableFile(source, np.arange(len(source)))


def _text(path: Path, skip_bad: bool) -> TableFile:
    import pandas as pd

    table = read_text(path, skip_bad)
    for note in table.notes:
        warnings.warn(f"{path.name}: {note}.", stacklevel=3)
    if not table.rows:
        raise ValueError(
            f"`source` must have rows. Received: {path}, which has names of columns only."
        )
    rows = np.array(table.rows, "int64")
    columns = dict(zip(table.format.names, zip(*table.cells)))
    frame = pd.DataFrame(
        {name: np.array(cells, dtype=object) for name, cells in columns.items()},
        index=pd.Index(rows),
        dtype=object,
    )
    return TableFile(frame, rows, table.format, table.skipped, path)


def _typed(path: Path, suffix: str) -> pd.DataFrame:
    import pandas as pd

    try:
        if suffix == ".parquet":
            return pd.read_parquet(path)
        if suffix == ".feather":
            return pd.read_feather(path)
        sheets = pd.read_excel(path, sheet_name=None, keep_default_na=False, na_values=[""])
    except ImportError as error:
        raise ImportError(
            f"{path} needs a package that is not installed ({error}). Install it: "
            f"pip install 'keras-vae[tables]'."
        ) from error
    except Exception as error:  # Each engine has errors of its own.
        raise ValueError(
            f"`source` must be a {suffix} file that is whole. Received: {path} "
            f"({str(error).splitlines()[0] if str(error) else type(error).__name__})."
        ) from error
    filled = {name: sheet for name, sheet in sheets.items() if len(sheet)}
    if not filled:
        raise ValueError(f"`source` must have rows. Received: {path}, which is empty.")
    name, frame = next(iter(filled.items()))
    if len(filled) > 1:
        others = [other for other in filled if other != name]
        warnings.warn(f"{path.name}: Read sheet {name!r}, not {others}.", stacklevel=4)
    return frame


def _rendered(frame: pd.DataFrame, file_format: TextFormat) -> bytes:
    columns = [[_cell(cell) for cell in frame[name]] for name in frame.columns]
    rows: Sequence[tuple[int, tuple[str, ...]]] = list(zip(frame.index, zip(*columns)))
    text = file_format.render([str(name) for name in frame.columns], rows)
    try:
        return file_format.bom + text.encode(file_format.encoding)
    except UnicodeEncodeError:
        return text.encode("utf-8")


def _cell(cell: Any) -> str:
    if isinstance(cell, str):
        return cell
    return "" if cell is None or cell != cell else str(cell)


def _converted(frame: pd.DataFrame, decimal: str | None) -> pd.DataFrame:
    """Columns of numbers as numbers; leading zeros make text."""
    import pandas as pd

    found = {}
    for name in frame.columns:
        cells = [_cell(cell) for cell in frame[name]]
        values, problem = parse_numbers(cells, decimal)
        present = [cell.strip() for cell in cells if cell.strip()]
        coded = any(len(cell) > 1 and cell[0] == "0" and cell.isdigit() for cell in present)
        if problem is not None or coded or not present:
            found[name] = pd.Series(cells, dtype=object).replace("", None)
        elif all(cell.lstrip("+-").isdigit() for cell in present):
            whole = pd.to_numeric(pd.Series(cells).replace("", None))
            found[name] = whole.astype("Int64" if whole.isna().any() else "int64")
        else:
            found[name] = pd.Series(values)
    return pd.DataFrame(found)


def _write_typed(frame: pd.DataFrame, path: Path, suffix: str) -> None:
    if suffix == ".parquet":
        frame.to_parquet(path)
    elif suffix == ".feather":
        _with_index(frame).to_feather(path)
    else:
        _with_index(frame).to_excel(path, index=False)


def _with_index(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with an index that says something, names or times, as a column."""
    plain = frame.index.dtype.kind in "iu" and frame.index.name is None
    return frame.reset_index(drop=plain)
