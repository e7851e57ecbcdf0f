"""Kinds of table columns, decided by the values that a column holds.

Floor 3.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

__all__ = ["ASIDE", "MODELLED", "Decision", "epoch_unit", "number_kind", "word_kind"]

#: Kinds of columns that a model learns.
MODELLED = ("real", "positive", "count", "binary", "category", "ordinal", "date")
#: Kinds of columns that are kept aside, and written back as they are.
ASIDE = ("identifier", "text", "index", "constant", "empty", "label", "ignored")

#: Seconds in a unit of time since 1970.
EPOCHS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
# Whole numbers between these days (1990 to 2040) may be times since 1970.
_EPOCH_RANGE = (631_152_000, 2_208_988_800)
# Fewer rows prove nothing about a column.
_FEW = 10
# Counts have at most this mean; with zeros among them, at most the second.
_COUNT_MEANS = (30, 1000)
# Most levels of an ordinal column, and rows for each that are needed.
_LEVELS, _ROWS_PER_LEVEL = 11, 10
# A column of words with more different values than this, and than this share, is text.
_WORDS, _SHARE = 20, 0.5

_ID_NAME = re.compile(r"(^|[\W_])(id|ids|uuid|guid|key|no|nr|number|code|index|idx)$", re.I)
_ID_ENDING = re.compile(r"[a-z](ID|Id|Key|No|Nr)$")
_TIME_NAME = re.compile(
    r"(^|[\W_])(t|ts|time|timestamp|date|datetime|epoch)([\W_]|$)|_at$", re.I
)
_INDEX_NAMES = re.compile(r"^(Unnamed: \d+|index|level_\d+|)$")
_CODE = re.compile(r"(?=.*\d)[\w.:/#-]+")


class Decision(NamedTuple):
    """Kind of a column, and the evidence for it in words."""

    kind: str
    why: str


def number_kind(
    name: str, values: np.ndarray, *, whole: bool, different: int, complete: bool = True
) -> Decision:
    """Decide what a column of numbers is.

    Args:
        name: Name of the column.
        values: Numbers that are not missing, in the order of the file.
        whole: Whether all are spelled without decimals.
        different: Number of distinct values.
        complete: Whether none is missing. Defaults to `True`.
    """
    if whole:
        unit = epoch_unit(name, values)
        aside = _whole_aside(name, values, different, complete, unit)
        if aside is not None:
            return aside
        if unit is not None:
            return Decision("date", f"{_EPOCH_WORDS[unit]} since 1970")
        count = _count_evidence(values)
        if count is not None:
            return Decision("count", count)
        levels = _level_evidence(values)
        if levels is not None:
            return Decision("ordinal", levels)
    positive = _positive_evidence(values)
    if positive is not None:
        return Decision("positive", positive)
    ends = f"{values.min():.6g} to {values.max():.6g}"
    return Decision(
        "real", f"whole numbers, {ends}, no counts" if whole else f"numbers, {ends}"
    )


def word_kind(name: str, values: Sequence[Any], different: int) -> Decision:
    """Decide what a column of words is.

    Args:
        name: Name of the column.
        values: Words that are not missing.
        different: Number of distinct values.
    """
    if different <= max(_WORDS, _SHARE * len(values)):
        return Decision("category", f"{different} different words")
    words = [str(value) for value in values]
    coded = all(_CODE.fullmatch(word) for word in words)
    named = bool(_ID_NAME.search(name) or _ID_ENDING.search(name))
    seen = f"{different} different {'codes' if coded else 'words'} in {len(words)} rows"
    if different == len(words) and (coded or named):
        return Decision("identifier", seen)
    return Decision("text", seen)


_EPOCH_WORDS = {
    "s": "seconds",
    "ms": "milliseconds",
    "us": "microseconds",
    "ns": "nanoseconds",
}


def epoch_unit(name: str, values: np.ndarray) -> str | None:
    """Return the unit of whole numbers that are times since 1970; `None` if they are not."""
    if not len(values):
        return None
    low, high = values.min(), values.max()
    for unit, seconds in EPOCHS.items():
        if not (_EPOCH_RANGE[0] <= low * seconds and high * seconds <= _EPOCH_RANGE[1]):
            continue
        named = bool(_TIME_NAME.search(name))
        identified = bool(_ID_NAME.search(name) or _ID_ENDING.search(name))
        if named or (not identified and not _fills_range(values)):
            return unit
    return None


def _whole_aside(
    name: str, values: np.ndarray, different: int, complete: bool, unit: str | None
) -> Decision | None:
    """Decide whether whole numbers only tell rows apart."""
    count = len(values)
    if different < count or not count:
        return None
    steps = np.diff(values)
    even = len(steps) > 0 and complete and bool((steps == steps[0]).all()) and steps[0] != 0
    span = f"{values[0]:.0f} to {values[-1]:.0f}"
    if _INDEX_NAMES.match(name) and even and steps[0] == 1:
        return Decision("index", f"counts the rows, {span}")
    if count < _FEW:
        return None
    if even and unit is not None:
        seconds = steps[0] * EPOCHS[unit]
        return Decision("index", f"a row every {seconds:g} seconds since 1970")
    if even and abs(steps[0]) == 1:
        kind = "identifier" if _named_as_id(name) else "index"
        return Decision(kind, f"counts the rows, {span}")
    if unit is not None:
        return None
    if _named_as_id(name):
        return Decision("identifier", f"all {count} different, and named so")
    low, high = values.min(), values.max()
    if high - low == count - 1:
        return Decision("identifier", f"each of {low:.0f} to {high:.0f} once")
    if max(abs(low), abs(high)) >= 1e15 or high - low < 1e-6 * abs(high):
        return Decision("identifier", f"all {count} different, of {len(f'{high:.0f}')} digits")
    if low >= 100_000 and len(f"{low:.0f}") == len(f"{high:.0f}") and _uniform(values):
        return Decision("identifier", f"all {count} different, of {len(f'{low:.0f}')} digits")
    return None


def _named_as_id(name: str) -> bool:
    return bool(_ID_NAME.search(name) or _ID_ENDING.search(name))


def _fills_range(values: np.ndarray) -> bool:
    """Whether numbers of as many digits as these are spread over all such numbers."""
    digits = len(f"{values.min():.0f}")
    low, high = 10.0 ** (digits - 1), 10.0**digits
    return bool((values.max() - values.min()) > 0.5 * (high - low))


def _uniform(values: np.ndarray) -> bool:
    """Whether numbers are spread evenly between their ends."""
    low, high = values.min(), values.max()
    if low == high:
        return False
    place = np.sort((values - low) / (high - low))
    expected = np.linspace(0, 1, len(place))
    return bool(np.abs(place - expected).max() < 0.05 + 1 / np.sqrt(len(place)))


def _count_evidence(values: np.ndarray) -> str | None:
    """Say in what numbers behave like counts: small, from 0 on, as spread as counts are."""
    low, mean, variance = values.min(), values.mean(), values.var()
    zeros = (values == 0).mean()
    limit = _COUNT_MEANS[1] if zeros >= 0.01 else _COUNT_MEANS[0]
    if low < 0 or len(values) < _FEW or not 0 < mean <= limit or variance < 0.7 * mean:
        return None
    # Large means belong to counts that are far more spread than ages are.
    if mean > _COUNT_MEANS[0] and variance < 0.5 * mean**2:
        return None
    if (low > 2 and variance > 1.5 * mean) or np.gcd.reduce(values.astype("int64")) > 1:
        return None
    expected = _count_cdf(mean, variance, int(values.max()))
    # Where many more large values are expected, something limits them: levels, hours, months.
    if len(values) * (1 - expected[-1]) > 5:
        return None
    seen = np.bincount(values.astype("int64")).cumsum() / len(values)
    if np.abs(seen - expected).max() > 0.07 + 1 / np.sqrt(len(values)):
        return None
    return f"small whole numbers, mean {mean:.3g}, variance {variance:.3g}"


def _count_cdf(mean: float, variance: float, high: int) -> np.ndarray:
    """Distribution function at 0 ... high of Poisson or negative binomial counts."""
    k = np.arange(high)
    if variance <= 1.02 * mean:
        start, ratios = -mean, np.log(mean / (k + 1))
    else:
        size = mean**2 / (variance - mean)
        start = size * np.log(size / (size + mean))
        ratios = np.log((k + size) / (k + 1) * (mean / (size + mean)))
    return np.exp(start + np.concatenate([[0.0], np.cumsum(ratios)])).cumsum()


def _level_evidence(values: np.ndarray) -> str | None:
    """Say in what numbers are levels, such as ratings: few, next to each other, often used."""
    low, high = values.min(), values.max()
    levels = int(high - low) + 1 if high - low < _LEVELS else 0
    if not 3 <= levels <= _LEVELS or len(np.unique(values)) < levels:
        return None
    if len(values) < _ROWS_PER_LEVEL * levels or max(abs(low), abs(high)) > _LEVELS:
        return None
    return f"{levels} levels, {low:.0f} to {high:.0f}"


def _positive_evidence(values: np.ndarray) -> str | None:
    """Say in what numbers are sizes over several orders of magnitude."""
    if len(values) < _FEW or values.min() <= 0:
        return None
    logs = np.log10(values)
    low, high = np.quantile(logs, [0.05, 0.95])
    if logs.max() - logs.min() < 2 or high - low < 0.9:
        return None
    raw = _skewness(values / values.max())
    if raw < 1 or abs(_skewness(logs)) > raw:
        return None
    return f"above 0, from {values.min():.3g} to {values.max():.3g}, most of them small"


def _skewness(values: np.ndarray) -> float:
    centred = values - values.mean()
    spread = np.sqrt((centred**2).mean())
    return float(((centred / spread) ** 3).mean()) if spread > 0 else 0.0
