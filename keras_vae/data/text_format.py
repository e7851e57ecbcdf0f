"""Dialect of a text table, kept so that the file can be written back as it stood.

Floor 3.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

__all__ = ["COMPRESSIONS", "DELIMITERS", "Record", "TextFormat", "compose", "ending"]

#: Endings of compressed files.
COMPRESSIONS = (".gz", ".bz2", ".xz", ".zip", ".zst")

#: Delimiter that an ending asks for.
DELIMITERS = {".csv": ",", ".tsv": "\t", ".tab": "\t", ".txt": "\t"}


@dataclasses.dataclass(frozen=True)
class Record:
    """A record that its dialect alone would not reproduce.

    Attributes:
        cells: Cells, in the order of the frame's columns.
        text: Text in the file, with a line terminator.
        before: Blank lines before it.
    """

    cells: tuple[str, ...]
    text: str
    before: str = ""


@dataclasses.dataclass(frozen=True)
class TextFormat:
    """Dialect of a text table.

    Attributes:
        delimiter: Character between fields.
        encoding: Name of the codec, byte order mark aside.
        bom: Bytes of the byte order mark, or none.
        newline: Line terminator.
        ends: Whether the last line has one.
        names: Names of the frame's columns.
        header: Text of the line of names with a terminator; `""` to write it anew, `None` if
            the file has none.
        preamble: Text before that: comments, blank lines.
        tail: Blank lines after the last record.
        padding: Number of empty fields at the end of each record.
        quoted: Positions of columns whose cells are always quoted.
        records: Records by row that these rules do not reproduce.
        decimal: Decimal mark of the file, `.` or `,`; `None` if there is no evidence.
        suffix: Ending of the file, with that of its compression, in lower case.
    """

    delimiter: str = ","
    encoding: str = "utf-8"
    bom: bytes = b""
    newline: str = "\n"
    ends: bool = True
    names: tuple[str, ...] = ()
    header: str | None = ""
    preamble: str = ""
    tail: str = ""
    padding: int = 0
    quoted: frozenset[int] = frozenset()
    records: Mapping[int, Record] = dataclasses.field(default_factory=dict)
    decimal: str | None = "."
    suffix: str = ".csv"

    def suited(self, path: Path) -> TextFormat:
        """Return the format for a path: another ending takes the delimiter of that ending.

        Args:
            path: Path of the file to write.
        """
        wanted = ending(path)[0]
        if wanted == ending(Path("x" + self.suffix))[0]:
            return self
        delimiter = DELIMITERS[wanted]
        if delimiter == self.delimiter:
            return self
        # Records and header were written with the old delimiter.
        return dataclasses.replace(
            self, delimiter=delimiter, header=self.header and "", records={}
        )

    def render(self, names: Sequence[str], rows: Iterable[tuple[int, tuple[str, ...]]]) -> str:
        """Return the text of a table.

        Args:
            names: Names of the columns.
            rows: Number of each row in the source, and its cells.
        """
        same = tuple(names) == self.names
        parts = [self.preamble, self._head(names, same)]
        for number, cells in rows:
            known = self.records.get(number) if same else None
            if known is not None:
                parts.append(known.before)
            if known is not None and known.cells == cells:
                parts.append(known.text)
            else:
                parts.append(self.line(cells, self.quoted if same else frozenset()))
        text = "".join([*parts, self.tail])
        return text if self.ends else text.removesuffix(self.newline)

    def line(self, cells: Sequence[str], quoted: frozenset[int] = frozenset()) -> str:
        """Return a record with its terminator.

        Args:
            cells: Cells of the record.
            quoted: Positions of cells to quote in any case. Defaults to none.
        """
        text = compose(cells, self.delimiter, quoted)
        return text + self.delimiter * self.padding + self.newline

    def _head(self, names: Sequence[str], same: bool) -> str:
        if self.header is None:
            return ""
        return self.header if same and self.header else self.line(names)


def compose(cells: Sequence[str], delimiter: str, quoted: frozenset[int] = frozenset()) -> str:
    """Return a record without its terminator: cells are quoted where they must be.

    Args:
        cells: Cells of the record.
        delimiter: Character between them.
        quoted: Positions of cells to quote in any case. Defaults to none.
    """
    special = {delimiter, '"', "\n", "\r"}
    alone = len(cells) == 1 and not cells[0]
    return delimiter.join(
        '"' + cell.replace('"', '""') + '"'
        if alone or index in quoted or not special.isdisjoint(cell)
        else cell
        for index, cell in enumerate(cells)
    )


def ending(path: Path) -> tuple[str, str]:
    """Return the ending of a table file and that of its compression, in lower case.

    Args:
        path: Path of the file.

    Example:
    >>> ending(Path("people.CSV.gz"))
    ('.csv', '.gz')
    """
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in COMPRESSIONS:
        return (suffixes[-2] if len(suffixes) > 1 else ""), suffixes[-1]
    return (suffixes[-1] if suffixes else ""), ""
