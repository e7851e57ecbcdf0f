"""Numbers in text: decimal marks, thousands, percent, currency, and missing values.

Floor 3.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from keras_vae.data.number_format import (
    NumberFormat,
    NumberParts,
    body_value,
    number_parts,
    spelled_format,
)

__all__ = [
    "NumberFormat",
    "NumberProblem",
    "decimal_mark",
    "number_format",
    "parse_numbers",
]

# Spellings that pandas reads as missing, in lower case.
_MISSING = {
    *("", "#n/a", "#n/a n/a", "#na", "-1.#ind", "-1.#qnan", "-nan", "1.#ind", "1.#qnan"),
    *("<na>", "n/a", "na", "null", "nan", "none", "nat"),
}
# Thousands or three decimals: 1,234 and 1.234.
_EITHER = re.compile(r"[1-9]\d{0,2}[.,]\d{3}")
# From this share of the evidence on, the rest are slips.
_CLEAR = 0.9


class NumberProblem(NamedTuple):
    """Cells of a column that are no numbers, or could be two.

    Attributes:
        positions: Positions of the cells in the column.
        value: The first of them.
        reason: Why it is not used, to follow the value: "is no number".
        share: Share of the cells that are not missing that are numbers.
        ambiguous: Whether the cells are numbers, but it is open which.
    """

    positions: np.ndarray
    value: str
    reason: str
    share: float
    ambiguous: bool = False


def parse_numbers(
    column: Iterable[Any], decimal: str | None = None
) -> tuple[np.ndarray, NumberProblem | None]:
    """Parse a column of numbers spelled as text.

    Spaces around a number, `+`, exponents, thousands (`1,234`, `1 234`, `1'234`), percent
    (`12.3%` is 12.3), a currency sign before or after it and accounting's parentheses for
    negative numbers are understood. Cells that pandas reads as missing, `NA` and `None` among
    them, are NaN: whether a column of words means them is not decided here.

    The decimal mark is that of the file if it is given. Else the column decides: `12,5` and
    `0,123` have a decimal comma, `1,234,567` and `1,234.5` have thousands. If each cell with
    a comma is like `1,234`, it is thousands if numbers below 1,000 stand beside it and none
    above is spelled without; otherwise it is ambiguous, and named as a problem. So is a
    column of `1.234` and whole numbers below 1,000, unless the file's decimal mark is known.
    Numbers in two currencies, or with and without percent, are a problem as well.

    Args:
        column: Cells as strings; `None` and NaN are missing.
        decimal: Decimal mark of the file, `"."` or `","`. Defaults to `None`: the column
            decides.

    Returns:
        The numbers, float64 of shape `[cells]`, NaN where a cell is missing or no number; and
        the problem, or `None` if there is none.

    Example:
    >>> from keras_vae.data.number_text import parse_numbers
    >>> parse_numbers(["$1,500.00", "-$20.00", ""])[0]
    array([1500.,  -20.,   nan])
    """
    cells = [_text(cell) for cell in column]
    if decimal != ",":
        found = _plain(cells, decimal)
        if found is not None:
            return found, None
    parts = {cell: number_parts(cell) for cell in set(cells)}
    bodies = [part.body for cell in cells if (part := parts[cell]) is not None]
    mark = decimal or decimal_mark(bodies)
    if mark is None and any(_fits(body) for body in bodies if not body.isdigit()):
        return _unclear(cells, parts)
    mark = mark or "."
    known = {cell: _value(cell, part, mark) for cell, part in parts.items()}
    values = np.array([known[cell] for cell in cells], "float64")
    bad = [i for i, cell in enumerate(cells) if math.isnan(known[cell]) and not _missing(cell)]
    if bad:
        return values, _problem(cells, values, bad, "is no number", False)
    other = _other_units(cells, parts)
    if other:
        values[other] = np.nan
        return values, _problem(
            cells, values, other, "has another unit than other cells", False
        )
    return values, None


def number_format(column: Iterable[Any], decimal: str | None = None) -> NumberFormat:
    """Return how the numbers of a column are spelled, to spell others like them.

    Args:
        column: Cells as strings; those that are missing or no numbers are passed over.
        decimal: Decimal mark of the file. Defaults to `None`: the column decides.

    Example:
    >>> from keras_vae.data.number_text import number_format
    >>> number_format(["$1,500.00", "$20.00"]).format([49998.8359375])
    ['$49,998.84']
    """
    cells = [cell for cell in map(_text, column) if not _missing(cell)]
    parts = [part for part in map(number_parts, cells) if part is not None]
    mark = decimal or decimal_mark([part.body for part in parts]) or "."
    return spelled_format(parts, mark)


def decimal_mark(bodies: Sequence[str]) -> str | None:
    """Return the decimal mark that the numbers of a column are evidence for.

    Args:
        bodies: Numbers without sign, currency and exponent.

    Returns:
        `"."`, `","`, or `None` if there is no evidence or as good for either.
    """
    # Numbers that can be read with one of the marks only.
    votes = {".": 0, ",": 0}
    either, plain = [], []
    for body in bodies:
        if _EITHER.fullmatch(body):
            either.append(body)
        elif body.isdigit():
            plain.append(body)
        else:
            fits = [mark for mark in votes if body_value(body, mark) is not None]
            if len(fits) == 1:
                votes[fits[0]] += 1
    total = sum(votes.values())
    for mark, count in votes.items():
        if total and count >= _CLEAR * total:
            return mark
    if total or not either:
        return None
    return _mark_of_either(either, plain)


def _mark_of_either(either: list[str], plain: list[str]) -> str | None:
    """The decimal mark where all marks stand before three digits."""
    marks = {"," if "," in body else "." for body in either}
    if len(marks) > 1:
        return None
    grouped = bool(plain) and max(map(len, plain)) <= 3
    if marks == {","}:
        return "." if grouped else None
    return None if grouped else "."


def _text(cell: Any) -> str:
    if isinstance(cell, str):
        return cell.strip()
    return "" if cell is None or cell != cell else str(cell)


def _missing(cell: str) -> bool:
    return cell.lower() in _MISSING


def _plain(cells: list[str], decimal: str | None) -> np.ndarray | None:
    """Numbers as Python spells them, without a look at each; else `None`."""
    try:
        values = [math.nan if not cell else float(cell) for cell in cells]
    except ValueError:
        return None
    if any("_" in cell for cell in cells) or not all(map(str.isascii, cells)):
        return None
    if decimal is None:
        marked = [cell for cell in cells if "." in cell]
        if marked and all(_EITHER.fullmatch(cell.lstrip("+-")) for cell in marked):
            return None
    return np.array(values, "float64")


def _value(cell: str, part: NumberParts | None, mark: str) -> float:
    if part is not None:
        return part.value(mark)
    if cell.lower().lstrip("+-") in ("inf", "infinity"):
        return float(cell)
    return math.nan


def _fits(body: str) -> bool:
    return any(body_value(body, mark) is not None for mark in ".,")


def _other_units(cells: list[str], parts: dict[str, NumberParts | None]) -> list[int]:
    """Positions of numbers in another currency than most, or with and without percent."""
    found = [(part.prefix + part.suffix).strip() if (part := parts[c]) else "" for c in cells]
    named = [unit for unit in found if unit]
    if not named:
        return []
    usual = Counter(named).most_common(1)[0][0]
    strict = "%" in named or "\u2030" in named
    return [
        index
        for index, unit in enumerate(found)
        if unit != usual and (unit or (strict and parts[cells[index]] is not None))
    ]


def _unclear(
    cells: list[str], parts: dict[str, NumberParts | None]
) -> tuple[np.ndarray, NumberProblem]:
    marked = [
        index
        for index, cell in enumerate(cells)
        if (part := parts[cell]) is not None and not part.body.isdigit() and _fits(part.body)
    ]
    values = np.array([_value(cell, parts[cell], ".") for cell in cells], "float64")
    values[marked] = np.nan
    body = next(part.body for i in marked if (part := parts[cells[i]]) is not None)
    found = [body_value(body, mark) for mark in ".,"]
    if None in found:
        reason = "has another decimal mark than other cells"
    else:
        reason = f"may be {found[0]:.12g} or {found[1]:.12g}: write it without thousands"
    return values, _problem(cells, values, marked, reason, True)


def _problem(
    cells: list[str], values: np.ndarray, positions: list[int], reason: str, ambiguous: bool
) -> NumberProblem:
    present = sum(not _missing(cell) for cell in cells)
    numbers = int((~np.isnan(values)).sum())
    share = (numbers + ambiguous * len(positions)) / max(present, 1)
    return NumberProblem(np.array(positions), cells[positions[0]], reason, share, ambiguous)
