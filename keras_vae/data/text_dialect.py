"""Dialect of a text table by evidence: delimiter, line of names, decimal mark.

Floor 3.
"""

from __future__ import annotations

import csv
import io
import itertools
from collections import Counter
from collections.abc import Iterator, Sequence

from keras_vae.data.number_format import number_parts
from keras_vae.data.number_text import decimal_mark, parse_numbers

__all__ = ["csv_records", "file_decimal", "find_delimiter", "has_header", "is_blank"]

# Records that are looked at.
_SAMPLE = 1000
# In this order where several fit: commas stand in numbers and words as well.
_CANDIDATES = ("\t", ";", "|", ",")
# Cells of a column that must be numbers for it to be one of numbers.
_NUMERIC = 0.9


def csv_records(
    text: str, delimiter: str, spaced: bool = False
) -> Iterator[tuple[list[str], str]]:
    """Parse records one by one.

    Args:
        text: Text of a table.
        delimiter: Character between fields; runs of spaces are one.
        spaced: Whether spaces after a delimiter are no part of the field. Defaults to
            `False`.

    Yields:
        The fields of a record, none for a blank line, and its text with the line terminator.
    """
    lines = io.StringIO(text, newline="")
    taken: list[str] = []

    def feed() -> Iterator[str]:
        for line in lines:
            taken.append(line)
            yield line

    for fields in csv.reader(
        feed(), delimiter=delimiter, skipinitialspace=spaced or delimiter == " "
    ):
        record = "".join(taken)
        taken.clear()
        # Spaces at the end of a line are no field.
        yield fields[:-1] if delimiter == " " and fields[-1:] == [""] else fields, record


def is_blank(fields: Sequence[str]) -> bool:
    """Return whether a record is a blank line.

    Args:
        fields: Fields of the record.
    """
    return len(fields) < 2 and not "".join(fields).strip()


def find_delimiter(text: str, usual: str) -> str:
    """Return the delimiter by which most records have as many fields.

    Spaces are one only between numbers.

    Args:
        text: Text of a table, without comments at the beginning.
        usual: Delimiter of a file with one column.
    """
    scores = {mark: _consistency(text, mark) for mark in _CANDIDATES}
    best = max(scores.values())
    if best > 0:
        return next(mark for mark, score in scores.items() if score == best)
    if _consistency(text, " ") >= 1:
        records = [fields for fields, _ in _sample(text, " ")]
        cells = [cell for fields in records[1:] for cell in fields]
        if cells and parse_numbers(cells, ".")[1] is None:
            return " "
    return usual


def has_header(records: Sequence[Sequence[str]]) -> bool:
    """Return whether the first record of a table is its line of names.

    It is if it has a word above a column of numbers. It is not if one of its cells has
    decimals, or occurs in its column again. Only whole numbers are names if they count up.

    Args:
        records: The first records, with as many fields each.
    """
    first, rest = [cell.strip() for cell in records[0]], records[1:]
    if not rest or list(records[0]) in [list(record) for record in rest]:
        return True
    columns = [[record[i].strip() for record in rest] for i in range(len(first))]
    numbers = [number_parts(cell) is not None for cell in first]
    if any(c and not n and _is_numeric(cs) for c, n, cs in zip(first, numbers, columns)):
        return True
    if all(numbers):
        return _counts_up(first) and not (len(first) == 1 and _is_whole(columns[0]))
    if any(n and not cell.isdigit() for cell, n in zip(first, numbers)):
        return False
    return not any(cell and cell in cells for cell, cells in zip(first, columns))


def file_decimal(columns: Sequence[Sequence[str]], delimiter: str) -> str | None:
    """Return the decimal mark of a file.

    Args:
        columns: Cells of the columns, or some of them.
        delimiter: Delimiter of the file: commas leave the point, if nothing speaks against it.
    """
    votes: Counter[str] = Counter()
    for cells in columns:
        present = [cell.strip() for cell in itertools.islice(cells, _SAMPLE)]
        parts = [part for cell in present if cell and (part := number_parts(cell)) is not None]
        if parts and len(parts) >= _NUMERIC * sum(map(bool, present)):
            # Whole numbers are evidence for thousands within one column only.
            bodies = [part.body for part in parts if not part.body.isdigit()]
            mark = decimal_mark(bodies)
            if mark is not None and not all(_three_digits(body) for body in bodies):
                votes[mark] += 1
    if len(votes) == 1:
        return next(iter(votes))
    return "." if delimiter == "," and not votes else None


def _three_digits(body: str) -> bool:
    whole, _, rest = body.replace(",", ".").partition(".")
    return 0 < len(whole) <= 3 and len(rest) == 3 and whole[0] != "0"


def _sample(text: str, delimiter: str) -> list[tuple[list[str], str]]:
    found = csv_records(text, delimiter)
    records = (pair for pair in found if not is_blank(pair[0]))
    try:
        return list(itertools.islice(records, _SAMPLE))
    except csv.Error:
        return []


def _consistency(text: str, delimiter: str) -> float:
    """Share of records with the usual number of fields, and 1 more if the first has it."""
    widths = [len(fields) for fields, _ in _sample(text, delimiter)]
    usual, times = Counter(widths).most_common(1)[0] if widths else (0, 0)
    if usual < 2:
        # One record with names alone, or short rows below it.
        return 0.5 if widths and widths[0] > 1 else 0.0
    # Lines of R have a name of the row before; those of others a delimiter at the end.
    first = widths[0] == usual or (widths[0] == usual - 1 and widths[0] > 1)
    return times / len(widths) + first


def _is_numeric(cells: Sequence[str]) -> bool:
    present = [cell for cell in cells if cell]
    if not present:
        return False
    return sum(number_parts(cell) is not None for cell in present) >= _NUMERIC * len(present)


def _is_whole(cells: Sequence[str]) -> bool:
    return all(cell.isdigit() for cell in cells if cell)


def _counts_up(cells: Sequence[str]) -> bool:
    if not _is_whole(cells) or "" in cells:
        return False
    values = [int(cell) for cell in cells]
    return values == list(range(values[0], values[0] + len(values))) and (
        len(values) > 1 or values == [0]
    )
