"""Spellings of missing values in text, and words that only look like them.

Floor 3.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np

__all__ = ["MISSING", "missing_cells", "words_kept"]

#: Spellings that pandas reads as missing (`na_values` of `read_csv`).
MISSING = frozenset(
    {
        *("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND"),
        *("1.#QNAN", "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null", "NaT"),
    }
)
#: In columns of numbers and dates these stand for missing as well.
MARKS = frozenset({"?", "-", "--", ".", "none", "na", "Null"})
_COUNTRY = re.compile(r"[A-Z]{2}")


def missing_cells(
    cells: Sequence[object],
    *,
    numbers: bool = False,
    kept: Iterable[str] = (),
    extra: Iterable[str] = (),
) -> np.ndarray:
    """Return whether each cell is missing.

    Args:
        cells: Texts, or `None` and NaN where something else found them missing.
        numbers: Whether the others are numbers or dates. Defaults to `False`.
        kept: Spellings that are values of this column. Defaults to none.
        extra: Further spellings of missing. Defaults to none.
    """
    spelled = ((MISSING | MARKS) if numbers else MISSING) - set(kept) | set(extra)
    return np.array(
        [not isinstance(cell, str) or cell.strip() in spelled for cell in cells], bool
    )


def words_kept(cells: Sequence[object], extra: Iterable[str] = ()) -> tuple[str, ...]:
    """Return spellings of missing that are words of a column.

    - `None` is a word, as in "some, none, all": programs leave missing cells empty.
    - `NA` is one among codes of two capitals (Namibia), or where missing cells are empty.

    Args:
        cells: Texts of the column.
        extra: Spellings that the user calls missing. Defaults to none.
    """
    texts = [cell.strip() for cell in cells if isinstance(cell, str)]
    present = set(texts) - MISSING
    kept = ["None"] if "None" in texts and present else []
    codes = [text for text in present if _COUNTRY.fullmatch(text)]
    if "NA" in texts and present and (len(codes) > 0.8 * len(present) or "" in texts):
        kept.append("NA")
    return tuple(word for word in kept if word not in set(extra))
