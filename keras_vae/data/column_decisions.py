"""Columns of a table: kind, why, missing values and examples of each.

Floor 3. Importing it loads neither TensorFlow nor pandas.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_vae.data.column_forms import form_of
from keras_vae.data.column_kinds import ASIDE, MODELLED, Decision, number_kind, word_kind
from keras_vae.data.column_schema import Column, check_frame, require_kind
from keras_vae.data.column_values import Cells, Epochs, NumberCells, Numbers, is_text
from keras_vae.data.date_text import find_date_format
from keras_vae.data.missing_values import missing_cells, words_kept

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["decide_columns"]

# This share of the cells must be numbers for the others to be errors.
_NUMBERS = 0.9
_EXAMPLES = 3
# Values that programs write for missing numbers, if they stand far from all others.
_SENTINELS = (-1, -9, -99, -999, -9999, -99999, 999, 9999, 99999)
_LEADING_ZERO = re.compile(r"0\d+")


def decide_columns(
    frame: pd.DataFrame,
    *,
    kinds: Mapping[str, str] | None = None,
    label: str | None = None,
    ignore: Sequence[str] = (),
    na_values: Sequence[str] = (),
    decimal: str | None = None,
) -> list[Column]:
    """Decide what the columns of a frame are, by their values.

    Args:
        frame: Cells of a text file as strings, or typed columns of pandas.
        kinds: Kinds by name that overrule the evidence. Defaults to `None`.
        label: A column that is the class of a row. Defaults to `None`.
        ignore: Columns to keep aside. Defaults to none.
        na_values: Further spellings of missing. Defaults to none.
        decimal: Decimal mark of the file, `"."` or `","`. Defaults to `None`: each column
            decides.

    Raises:
        ValueError: If names are no strings or occur twice, a cell holds a list, or a column
            cannot be of the kind that was asked for.

    Example:
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"size": np.geomspace(1, 1e4, 50), "zip": ["02139", "90210"] * 25})
    >>> from keras_vae.data.column_decisions import decide_columns
    >>> [column.kind for column in decide_columns(frame)]
    ['positive', 'binary']
    """
    check_frame(frame)
    given = dict(kinds or {})
    unknown = sorted(set(given) - set(frame.columns))
    if unknown:
        raise ValueError(
            f"`kinds` must have names of columns. Received: {unknown}. There are "
            f"{_some(frame.columns)}."
        )
    for name, kind in given.items():
        require_kind(name, kind)
    columns = []
    for name in frame.columns:
        wish = "label" if name == label else "ignored" if name in ignore else given.get(name)
        columns.append(_decided(frame[name], wish, tuple(na_values), decimal))
    return columns


def _decided(
    column: pd.Series, wish: str | None, extra: tuple[str, ...], decimal: str | None
) -> Column:
    name = str(column.name)
    text = is_text(column)
    if wish not in ASIDE:
        _require_dtype(column)
    form = None
    if wish not in (*ASIDE, "category", "categorical", "ordinal", "binary"):
        form = _form(column, wish, text, extra, decimal)
    kept = () if form is not None or not text else words_kept(column.tolist(), extra)
    missing = _missing(column, text, form is not None, kept, extra)
    present = column[~missing]
    decision, step = _decision(name, present, form, bool(missing.any()), text)
    if wish is not None and decision.kind != "empty":
        decision = _overruled(name, wish, decision, form)
    elif wish == "label":
        decision = Decision("label", "class of a row, no data")
    if form is not None and decision.kind == "date" and not _is_date(form):
        form = form_of(column, "date", None, extra)
    if decision.kind in ("category", "categorical", "ordinal", "binary"):
        form = None
        kept = words_kept(column.tolist(), extra) if text else ()
    examples = tuple(dict.fromkeys(str(cell).strip() for cell in present.iloc[:50]))
    return Column(
        *(name, decision.kind, decision.why, int(missing.sum()), examples[:_EXAMPLES]),
        form,
        kept,
        step,
    )


def _require_dtype(column: pd.Series) -> None:
    """Raise a TypeError for dtypes that are no numbers, words, dates or categories."""
    if column.dtype.kind == "c" or str(column.dtype).startswith(("period", "interval")):
        raise TypeError(
            f"Column {column.name!r} must hold numbers, strings, dates or categories. "
            f"Received: dtype {column.dtype}. Convert it, or leave it out with `ignore`."
        )


def _form(
    column: pd.Series,
    wish: str | None,
    text: bool,
    extra: tuple[str, ...],
    decimal: str | None,
) -> Cells | None:
    """How a column holds numbers or dates, if that is what it does."""
    if wish == "date":
        return form_of(column, "date", None, extra)
    if not text:
        return form_of(column, "real", None, extra) or form_of(column, "date", None, extra)
    cells = [c.strip() for c in column if isinstance(c, str)]
    present = [c for c in cells if not missing_cells([c], numbers=True, extra=extra)[0]]
    if not present:
        return None
    digits = sum(cell.isdigit() for cell in present)
    if digits == len(present) and any(_LEADING_ZERO.fullmatch(cell) for cell in present):
        return None if wish is None else form_of(column, "real", None, extra, decimal)
    if wish is None and (digits in (0, len(present))) and find_date_format(present) is not None:
        return form_of(column, "date", None, extra)
    found = form_of(column, "real", None, extra, decimal)
    if found is None or wish is not None:
        return found
    values, bad = found.read(column)
    numbers = np.isfinite(values).sum()
    if bad.sum() > (1 - _NUMBERS) * (numbers + bad.sum()):
        return None
    # Codes such as 1, 2 and X.
    return None if bad.any() and len(np.unique(values[np.isfinite(values)])) <= _FEW else found


_FEW = 10


def _missing(
    column: pd.Series, text: bool, numbers: bool, kept: tuple[str, ...], extra: tuple[str, ...]
) -> np.ndarray:
    if text:
        return missing_cells(column.tolist(), numbers=numbers, kept=kept, extra=extra)
    return np.asarray(column.isna().to_numpy(), bool)


def _decision(
    name: str, present: pd.Series, form: Cells | None, holes: bool, text: bool
) -> tuple[Decision, tuple[float, float] | None]:
    """What the present cells are evidence for, and the steps of an index."""
    import pandas as pd

    if not len(present):
        return Decision("empty", "no values"), None
    cells = present.map(str.strip) if text else present
    dtype = present.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        size = len(dtype.categories)
        kind = "ordinal" if dtype.ordered else "binary" if size == 2 else "category"
        return Decision(kind, f"{size} {'ordered ' * dtype.ordered}categories of pandas"), None
    different = int(cells.nunique())
    if different == 1:
        return Decision("constant", "one value"), None
    if different == 2:
        found = cells.drop_duplicates().tolist()
        return Decision("binary", f"two values, {found[0]} and {found[1]}"), None
    if form is None:
        return _words(name, cells, text), None
    values, bad = form.read(present)
    values = values[np.isfinite(values)]
    if not len(values):
        return _words(name, cells, text), None
    if _is_date(form):
        return _dates(values, different, holes, form)
    decision = number_kind(
        name,
        values,
        whole=_whole(form, values, holes),
        different=different,
        complete=not holes,
    )
    step = None
    if decision.kind == "index":
        step = (float(values[0]), float(values[1] - values[0]))
    note = _sentinel(values)
    why = decision.why + (f"; {note}" if note else "") + _spelled(form)
    if bad.any():
        why += f"; {int(bad.sum())} cells are no numbers"
    return Decision(decision.kind, why), step


def _words(name: str, cells: pd.Series, text: bool) -> Decision:
    words = cells.astype(str)
    decision = word_kind(name, words.tolist(), int(words.nunique()))
    if text and words.str.fullmatch(_LEADING_ZERO.pattern).any():
        return Decision(decision.kind, f"{decision.why}; leading zeros")
    return decision


def _dates(
    values: np.ndarray, different: int, holes: bool, form: Cells
) -> tuple[Decision, tuple[float, float] | None]:
    spelled = getattr(form, "format", {}).get("form", "")
    why = f"dates {spelled}".strip() if not isinstance(form, Epochs) else "times since 1970"
    steps = np.diff(values)
    even = len(steps) >= _FEW and not holes and different == len(values)
    if even and steps[0] != 0 and np.allclose(steps, steps[0], rtol=1e-9, atol=1e-6):
        return Decision("index", f"{why}, a row every {_duration(steps[0])}"), (
            float(values[0]),
            float(steps[0]),
        )
    return Decision("date", why), None


def _duration(seconds: float) -> str:
    for unit, size in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds % size == 0:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} seconds"


def _is_date(form: Cells) -> bool:
    return type(form).__name__ in ("Dates", "Epochs", "Moments")


def _whole(form: Cells, values: np.ndarray, holes: bool) -> bool:
    if isinstance(form, NumberCells):
        plain = not (form.format["prefix"] or form.format["suffix"] or form.format["exponent"])
        # pandas writes whole numbers with missing ones among them as 3.0.
        return plain and (form.format["decimals"] == 0 or (holes and form.places == 0))
    if not isinstance(form, Numbers) or not np.array_equal(values, np.round(values)):
        return False
    # pandas keeps whole numbers with holes as floats.
    return form.dtype.lower().startswith(("int", "uint")) or (holes and form.decimals == 0)


def _sentinel(values: np.ndarray) -> str:
    """A note on a value that may stand for missing."""
    for value in _SENTINELS:
        same = values == value
        others = values[~same]
        if not 2 <= same.sum() < 0.5 * len(values) or len(np.unique(others)) < _FEW:
            continue
        low, high = others.min(), others.max()
        gap = max(low - value, value - high)
        if gap > 0.2 * (high - low) or (value < 0 <= low and gap > 0 and value <= -9):
            return f"{value} {int(same.sum())} times: missing? (na_values)"
    return ""


def _spelled(form: Cells) -> str:
    """How numbers are written, where that is not plain."""
    if not isinstance(form, NumberCells):
        return ""
    fields, seen = form.format, []
    if fields["decimal"] == ",":
        seen.append("decimal comma")
    if fields["thousands"]:
        seen.append(f"thousands {fields['thousands']!r}")
    for part in ("prefix", "suffix"):
        if fields[part].strip():
            seen.append("percent" if "%" in fields[part] else fields[part].strip())
    return f"; {', '.join(seen)}" if seen else ""


def _overruled(name: str, wish: str, found: Decision, form: Cells | None) -> Decision:
    numeric = ("real", "positive", "count", "poisson", "negative_binomial", "date")
    if wish in numeric and form is None:
        raise ValueError(
            f"Column {name!r} cannot be of kind {wish!r}: its values are "
            f"{'no dates' if wish == 'date' else 'no numbers'}. Choose 'category' or 'text'."
        )
    if wish in ("label", "ignored"):
        why = {"label": "class of a row, no data", "ignored": "left out as asked"}[wish]
        return Decision(wish, why)
    if wish not in ASIDE and found.kind == "constant":
        return found if wish not in MODELLED else Decision(wish, "as asked; one value")
    return Decision(wish, "as asked")


def _some(names: Iterable[Any]) -> str:
    shown = [str(name) for name in names]
    return ", ".join(shown[:8]) + (", ..." if len(shown) > 8 else "")
