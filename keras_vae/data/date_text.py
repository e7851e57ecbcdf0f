"""Dates and times in text: the format found, and the same format written.

Floor 3. pandas is imported when texts are parsed.
"""

from __future__ import annotations

import dataclasses
import datetime
import re
from collections.abc import Sequence

import numpy as np

__all__ = ["DateFormat", "find_date_format"]

_DAYS = (
    "%Y-%m-%d",
    "%Y/%m/%d",
    "%d.%m.%Y",
    "%m/%d/%Y",
    "%d/%m/%Y",
    "%d-%m-%Y",
    "%d %b %Y",
    "%d %B %Y",
    "%d-%b-%Y",
    "%b %d, %Y",
    "%B %d, %Y",
    "%Y%m%d",
)
_CLOCKS = ("", "%H:%M:%S", "%H:%M", "%I:%M:%S %p", "%I:%M %p")
_OFFSET = re.compile(r"(?: ?(?:UTC|Z)|[+-]\d\d:?\d\d)$")
_FRACTION = re.compile(r"(?<=:\d\d)([.,])(\d{1,9})")
# A number of 8 digits is a date only within these years.
_YEARS = (1900, 2100)
_EPOCH = datetime.datetime(1970, 1, 1)


@dataclasses.dataclass(frozen=True)
class DateFormat:
    """How a column spells dates and times.

    Attributes:
        form: Format of `strptime` without fraction and offset.
        fraction: Digits of fractions of a second. Defaults to `0`.
        point: Mark before the fraction. Defaults to `"."`.
        offset: Offset from UTC as spelled, such as `"Z"` or `"+01:00"`. Defaults to `""`.
        padded: Whether days, months and hours below 10 have a leading zero. Defaults to
            `True`.
    """

    form: str
    fraction: int = 0
    point: str = "."
    offset: str = ""
    padded: bool = True

    def parse(self, cells: Sequence[str]) -> np.ndarray:
        """Return seconds since 1970 (UTC), NaN for what is spelled otherwise."""
        import pandas as pd

        seconds = np.full(len(cells), np.nan)
        plain = []
        extra = np.zeros(len(cells))
        for index, cell in enumerate(cells):
            text, after = _without_extras(str(cell).strip())
            plain.append(text)
            extra[index] = after
        found = pd.to_datetime(
            pd.Series(plain, dtype=object), format=self.form, errors="coerce"
        )
        known = found.notna().to_numpy()
        moments = found.to_numpy().astype("datetime64[us]").astype("int64") / 1e6
        seconds[known] = moments[known] + extra[known]
        return seconds

    @property
    def step(self) -> float:
        """Smallest difference that the format can spell, in seconds."""
        if self.fraction:
            return float(10.0**-self.fraction)
        if "%S" in self.form:
            return 1.0
        return 60.0 if "%M" in self.form else 86_400.0

    def spell(self, seconds: float) -> str:
        """Write seconds since 1970 (UTC), rounded to `step`."""
        local = round((seconds + _offset_seconds(self.offset)) / self.step) * self.step
        try:
            whole = _EPOCH + datetime.timedelta(seconds=float(np.floor(local + 1e-7)))
        except OverflowError:
            whole = datetime.datetime.max if local > 0 else datetime.datetime.min
        text = _strftime(whole, self.form)
        if not self.padded:
            text = re.sub(r"(?<![\d:.])0(?=\d)", "", text)
            text = re.sub(r"(?<=[/.-])0(?=\d)", "", text)
        if self.fraction:
            digits = round((local - np.floor(local + 1e-7)) * 10**self.fraction)
            clock = f"{self.point}{digits:0{self.fraction}d}"
            text = re.sub(r"(:\d\d)(?=\D*$)", rf"\g<1>{clock}", text)
        return text + self.offset


def find_date_format(cells: Sequence[str]) -> tuple[DateFormat, bool] | None:
    """Find the format that all cells have.

    Args:
        cells: Texts, none missing.

    Returns:
        The format, and whether another order of day and month fits as well; `None` if the
        cells are no dates of one format.
    """
    texts = [str(cell).strip() for cell in cells]
    if not texts or not all(any(c.isdigit() for c in text) for text in texts[:50]):
        return None
    fitting = []
    for form in _candidates(texts[0]):
        candidate = DateFormat(form)
        if np.isnan(candidate.parse(texts[:20])).any():
            continue
        seconds = candidate.parse(texts)
        if not np.isnan(seconds).any() and _plausible(form, seconds):
            fitting.append(form)
    if not fitting:
        return None
    return _described(fitting[0], texts), len(fitting) > 1


def _candidates(text: str) -> list[str]:
    plain, _ = _without_extras(text)
    joins = ("T",) if "T" in plain and plain[:4].isdigit() else (" ", ", ")
    if not re.search(r"\d:\d", plain):
        return list(_DAYS)
    return [f"{day}{join}{clock}" for day in _DAYS for join in joins for clock in _CLOCKS[1:]]


def _plausible(form: str, seconds: np.ndarray) -> bool:
    if form != "%Y%m%d":
        return True
    years = [1970 + value / 31_556_952 for value in (seconds.min(), seconds.max())]
    return bool(_YEARS[0] <= years[0] and years[1] <= _YEARS[1])


def _described(form: str, texts: list[str]) -> DateFormat:
    fractions = [_FRACTION.search(text) for text in texts]
    digits = max((len(f[2]) for f in fractions if f), default=0)
    point = next((f[1] for f in fractions if f), ".")
    offsets = [found[0] for text in texts if (found := _clock_offset(text))]
    offset = max(set(offsets), key=offsets.count) if offsets else ""
    padded = DateFormat(form, digits, point, offset)
    spelled = [padded.spell(value) for value in padded.parse(texts[:200])]
    same = all(a.casefold() == b.casefold() for a, b in zip(spelled, texts) if len(a) != len(b))
    return padded if same else dataclasses.replace(padded, padded=False)


def _clock_offset(text: str) -> re.Match[str] | None:
    # "2020-01-02" ends as an offset does.
    return _OFFSET.search(text) if re.search(r"\d:\d", text) else None


def _without_extras(text: str) -> tuple[str, float]:
    """A text without fraction and offset, and the seconds that they add."""
    extra = 0.0
    offset = _clock_offset(text)
    if offset:
        text = text[: offset.start()]
        extra -= _offset_seconds(offset[0])
    fraction = _FRACTION.search(text)
    if fraction:
        text = text[: fraction.start()] + text[fraction.end() :]
        extra += float(f"0.{fraction[2]}")
    return text, extra


def _offset_seconds(offset: str) -> int:
    digits = re.sub(r"\D", "", offset)
    if not digits:
        return 0
    sign = -1 if offset.strip().startswith("-") else 1
    return sign * (int(digits[:2]) * 3600 + int(digits[2:]) * 60)


def _strftime(moment: datetime.datetime, form: str) -> str:
    # strftime writes years before 1000 with fewer digits on some systems.
    return moment.strftime(form.replace("%Y", f"{moment.year:04d}"))
