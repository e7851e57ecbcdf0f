"""Text tables: bytes to cells and the format to write them back.

Floor 3.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from keras_vae.data.text_dialect import (
    csv_records,
    file_decimal,
    find_delimiter,
    has_header,
    is_blank,
)
from keras_vae.data.text_encoding import decode, decompress
from keras_vae.data.text_format import DELIMITERS, Record, TextFormat, compose, ending

__all__ = ["TextTable", "read_text"]

# Characters that the delimiter is looked for in.
_SAMPLE = 1 << 20
_FIELD = (1 << 31) - 1
# Characters that text has none of.
_CONTROLS = [chr(code) for code in range(32) if chr(code) not in "\t\n\v\f\r"]
_DIRECTIVE = re.compile(r"sep=(.)[\r\n]+", re.I)
# Ragged rows at the beginning that show the shape of the others.
_SHAPE = 1000


class TextTable(NamedTuple):
    """Cells of a text table.

    Attributes:
        rows: Position of each record that is kept, from 0 without the line of names.
        cells: Their cells.
        format: Dialect of the file.
        skipped: Reasons by name of the row that was left out.
        notes: Sentences about what was decided.
    """

    rows: list[int]
    cells: list[tuple[str, ...]]
    format: TextFormat
    skipped: dict[str, str]
    notes: tuple[str, ...]


class _Line(NamedTuple):
    fields: list[str]
    text: str
    before: str


def read_text(path: Path, skip_bad: bool = False) -> TextTable:
    """Read the cells of a text table as they stand.

    Args:
        path: Path of the file.
        skip_bad: Whether to leave out records with too many or too few fields. Defaults to
            `False`: they are an error.

    Raises:
        ValueError: If the file is damaged, is no text, has no rows, or bad records.
    """
    suffix, packed = ending(path)
    text, codec, mark, guess = decode(decompress(path, packed))
    notes = [] if guess is None else [guess]
    newline = _newline(text)
    ends = text.endswith(("\n", "\r")) or not text
    text = text if ends else text + newline
    preamble, directive = _preamble(text)
    body = text[len(preamble) :]
    _check_text(path, body)
    usual = DELIMITERS.get(suffix, ",")
    delimiter = directive or find_delimiter(body[:_SAMPLE], usual if "\t" in body else ",")
    spaced = f'{delimiter} "' in body[:_SAMPLE]
    lines, tail = _lines(path, body, delimiter, spaced)
    header, preamble, lines = _split_header(preamble, lines, delimiter, spaced)
    width, padding, index = _shape(header, lines)
    if header is None:
        notes.append(
            f"It has no line of names: its columns are called 0 to {width - 1}"
            if width > 1
            else "It has no line of names: its column is called 0"
        )
    names, said = _names(header.fields if header else [], width, index)
    notes += said
    dialect = TextFormat(
        delimiter=delimiter,
        encoding=codec,
        bom=mark,
        newline=newline,
        ends=ends,
        names=names,
        header=None if header is None else header.text,
        preamble=preamble + (header.before if header else ""),
        tail=tail,
        padding=padding,
        quoted=_quoted(lines, delimiter, width),
        suffix=suffix + packed,
    )
    return _table(path, lines, dialect, skip_bad, notes)


def _table(
    path: Path, lines: list[_Line], dialect: TextFormat, skip_bad: bool, notes: list[str]
) -> TextTable:
    width = len(dialect.names)
    rows, cells, records = [], [], {}
    bad: dict[str, str] = {}
    plain = width > 1 and not dialect.quoted and not dialect.padding
    for row, line in enumerate(lines):
        reason = _reason(line, width)
        if reason:
            bad[f"row {row}"] = reason
            continue
        found = tuple(line.fields[:width])
        # The usual case first: it is much faster than `line`.
        joined = dialect.delimiter.join(found) + dialect.newline
        usual = plain and not line.before and joined == line.text and '"' not in joined
        if not usual and (line.before or dialect.line(found, dialect.quoted) != line.text):
            records[row] = Record(found, line.text, line.before)
        rows.append(row)
        cells.append(found)
    if bad and (not skip_bad or not rows):
        raise _ragged(path, bad, width, bool(rows))
    columns = list(zip(*cells[:_SHAPE]))
    decimal = file_decimal(columns, dialect.delimiter)
    dialect = TextFormat(**{**vars(dialect), "records": records, "decimal": decimal})
    return TextTable(rows, cells, dialect, bad, tuple(notes))


def _reason(line: _Line, width: int) -> str | None:
    if "\0" in line.text:
        return "a null character"
    count = len(line.fields)
    if count < width:
        return f"{count} fields instead of {width}"
    if any(line.fields[width:]):
        return f"{count} fields instead of {width}"
    return None


def _ragged(path: Path, bad: dict[str, str], width: int, some: bool) -> ValueError:
    row, reason = next(iter(bad.items()))
    fix = "Mend the file, or leave them out with skip_bad=True."
    if not some:
        fix = (
            "If the first line is a title, begin it with #; if commas are decimal marks, "
            "separate the columns by ;."
        )
    return ValueError(
        f"Rows of {path} must all have {width} fields. Received: {row} with {reason}, "
        f"{len(bad)} such in all. {fix}"
    )


def _check_text(path: Path, body: str) -> None:
    if not body.strip("\r\n\t ,;|"):
        raise ValueError(
            f"`source` must be a file with rows. Received: {path}, which is empty."
        )
    if sum(body.count(character) for character in _CONTROLS) > len(body) / 10:
        raise ValueError(
            f"`source` must be a text file. Received: {path}, which is not text. Give it the "
            f"ending of its format, such as .parquet or .xlsx."
        )


def _newline(text: str) -> str:
    found = Counter(re.findall(r"\r\n|\r|\n", text[:_SAMPLE]))
    return found.most_common(1)[0][0] if found else "\n"


def _preamble(text: str) -> tuple[str, str | None]:
    """Comments and blank lines at the beginning, and the delimiter that Excel's sep= names."""
    directive = _DIRECTIVE.match(text)
    if directive is not None:
        return directive[0], directive[1]
    return re.match(r"(?:[ \t]*(?:#[^\r\n]*)?(?:\r\n|\r|\n))*", text)[0], None  # type: ignore[index]


def _lines(path: Path, body: str, delimiter: str, spaced: bool) -> tuple[list[_Line], str]:
    """Records with the blank lines before each, and those at the end."""
    found: list[tuple[list[str], str]] = []
    before = csv.field_size_limit(_FIELD)
    try:
        found.extend(csv_records(body, delimiter, spaced))
    finally:
        csv.field_size_limit(before)
    narrow = max((len(fields) for fields, _ in found), default=0) < 2
    last = max(i for i, (fields, _) in enumerate(found) if not is_blank(fields))
    _check_quotes(path, found[last], last)
    lines: list[_Line] = []
    blanks = ""
    for fields, text in found[: last + 1]:
        if is_blank(fields) and not (narrow and lines):
            blanks += text
            continue
        # In a file of one column, a blank line is a missing value.
        lines.append(_Line(fields or [""], text, blanks))
        blanks = ""
    return lines, "".join(text for _, text in found[last + 1 :])


def _check_quotes(path: Path, record: tuple[list[str], str], position: int) -> None:
    fields, text = record
    if text.count('"') % 2 and "\n" in text.strip("\r\n").replace("\r", "\n"):
        start = next((f for f in fields if "\n" in f.replace("\r", "\n")), "")[:30]
        raise ValueError(
            f"Quotation marks of {path} must close. Received: one in row "
            f"{max(position - 1, 0)} that is open to the end, before {start!r}. Close it."
        )


def _split_header(
    preamble: str, lines: list[_Line], delimiter: str, spaced: bool
) -> tuple[_Line | None, str, list[_Line]]:
    """The line of names, what is before it, and the other lines."""
    commented = _commented_names(preamble, lines, delimiter, spaced)
    if commented is not None:
        text = commented.text
        return commented, preamble[: len(preamble) - len(text)], lines
    width = len(lines[0].fields)
    sample = [line.fields for line in lines[:_SHAPE] if len(line.fields) == width]
    if has_header(sample):
        return lines[0], preamble, lines[1:]
    return None, preamble, lines


def _commented_names(
    preamble: str, lines: list[_Line], delimiter: str, spaced: bool
) -> _Line | None:
    """The last comment, if it names the columns of numbers that follow."""
    found = re.search(r"#[^\r\n]*(?:\r\n|\r|\n)$", preamble)
    if found is None:
        return None
    names = next(csv_records(found[0].lstrip("# "), delimiter, spaced))[0]
    fields = [line.fields for line in lines[:_SHAPE]]
    same = len(names) > 1 and all(len(names) == len(each) for each in fields)
    if not same or has_header(fields) or not has_header([names, *fields]):
        return None
    return _Line(names, found[0], "")


def _shape(header: _Line | None, lines: list[_Line]) -> tuple[int, int, bool]:
    """Number of columns, of empty fields at the end, and whether rows begin with a name."""
    rows = [line.fields for line in lines[:_SHAPE]]
    usual = Counter(map(len, rows)).most_common(1)[0][0] if rows else 0
    named = len(header.fields) if header else usual
    if (
        usual == named + 1
        and rows
        and any(fields[-1] for fields in rows if len(fields) == usual)
    ):
        whole = sum(len(fields) == usual for fields in rows) > len(rows) / 2
        if whole and (named > 1 or '"' in lines[0].text):
            return usual, 0, True
    width = named
    wide = [fields for fields in rows if len(fields) >= width]
    # Columns at the end without a name and without values are delimiters.
    while width > 1 and header and not header.fields[width - 1].strip() and lines:
        if any(line.fields[width - 1 : width] not in ([], [""]) for line in lines):
            break
        width -= 1
    padding = Counter(len(fields) - width for fields in wide).most_common(1)
    return width, max(padding[0][0], 0) if padding else 0, False


def _names(fields: Sequence[str], width: int, index: bool) -> tuple[tuple[str, ...], list[str]]:
    """Names of the columns, all different, and notes about those that were made."""
    if not fields:
        return tuple(str(number) for number in range(width)), []
    given = [*([""] if index else []), *(field.strip() for field in fields)][:width]
    names: list[str] = []
    notes = []
    for number, name in enumerate(given):
        unique = name or f"Unnamed: {number}"
        times = 0
        while unique in names or (times and unique in given):
            times += 1
            unique = f"{name or f'Unnamed: {number}'}.{times}"
        if times:
            notes.append(f"Several columns are called {name!r}: one of them is now {unique!r}")
        if not name and number:
            notes.append(f"Column {number} has no name: it is called {unique!r}")
        names.append(unique)
    return tuple(names), notes


def _quoted(lines: list[_Line], delimiter: str, width: int) -> frozenset[int]:
    """Positions of columns that are quoted where they need not be."""
    for line in lines[:_SHAPE]:
        text = line.text.rstrip("\r\n")
        if {"\n", "\r", "\0"} & set(text) or not all(line.fields[:width]):
            continue
        plain = next(csv.reader([text], delimiter=delimiter, quoting=csv.QUOTE_NONE), [])
        if len(plain) >= width and not any(delimiter in field for field in line.fields):
            return frozenset(
                index
                for index, field in enumerate(plain[:width])
                if field.startswith('"') and compose([line.fields[index]], delimiter) != field
            )
    return frozenset()
