"""Spelling of numbers in text: its parts, and the same spelling for other numbers.

Floor 3.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

__all__ = ["NumberFormat", "NumberParts", "body_value", "number_parts", "spelled_format"]

_CURRENCY = (
    r"(?:[A-Z]{0,3}[$€£¥₹₩₽₺₫₪฿]|USD|EUR|GBP|CHF|JPY|CNY|INR|CAD|AUD|SEK|NOK|DKK|PLN|BRL|kr|zł)"
)
_SPACES = " \u00a0\u202f\u2009"
_SPACE = f"[{_SPACES}]?"
_NUMBER = re.compile(
    rf"(?P<open>\(?)(?P<sign>[+\-\u2212]?)(?P<prefix>(?:{_CURRENCY}{_SPACE})?)(?P<inner>[+\-]?)"
    rf"(?P<body>[0-9.,'\u2019{_SPACES}]*[0-9.,])(?P<exponent>(?:[eE][+-]?[0-9]+)?)"
    rf"(?P<suffix>(?:{_SPACE}(?:[%\u2030]|{_CURRENCY}))?)(?P<close>\)?)"
)
# Digits in groups of three, apart from those of decimals.
_BLANK_GROUPS = re.compile(rf"[0-9]{{1,3}}(?:([{_SPACES}'\u2019])[0-9]{{3}}(?:\1[0-9]{{3}})*)")
_BODIES = {
    mark: re.compile(
        rf"[0-9]+|[0-9]*{re.escape(mark)}[0-9]+|[0-9]+{re.escape(mark)}"
        rf"|[1-9][0-9]{{0,2}}(?:{re.escape(group)}[0-9]{{3}})+(?:{re.escape(mark)}[0-9]*)?"
    )
    for mark, group in ((".", ","), (",", "."))
}
# Decimals from which on a number is spelled by its shortest form.
_LONG = 9


class NumberParts(NamedTuple):
    """Parts of a number in text.

    Attributes:
        negative: Whether it is negative.
        plus: Whether it has a plus.
        parentheses: Whether parentheses say that it is negative.
        prefix: Currency before it, with a space if there is one.
        body: Digits, decimal mark and thousands.
        exponent: Exponent with its letter, or `""`.
        suffix: Percent or currency after it, with a space if there is one.
    """

    negative: bool
    plus: bool
    parentheses: bool
    prefix: str
    body: str
    exponent: str
    suffix: str

    def value(self, mark: str) -> float:
        """Return the number, NaN if it is none with this decimal mark."""
        found = body_value(self.body, mark)
        if found is None:
            return math.nan
        if self.exponent:
            plain = self.body.replace(",", ".") if mark == "," else self.body.replace(",", "")
            found = float(plain + self.exponent)
        return -found if self.negative else found


@dataclasses.dataclass(frozen=True)
class NumberFormat:
    """How the numbers of a column are spelled. All fields are JSON values.

    Attributes:
        decimals: Most decimals. Defaults to `None`: as many as a number needs.
        fixed: Whether all numbers have as many. Defaults to `True`.
        decimal: Decimal mark. Defaults to `"."`.
        thousands: Mark between thousands. Defaults to `""`.
        prefix: Currency before the digits. Defaults to `""`.
        suffix: Percent or currency after them. Defaults to `""`.
        plus: Whether positive numbers have a plus. Defaults to `False`.
        parentheses: Whether negative numbers stand in parentheses. Defaults to `False`.
        width: Digits of whole numbers that are filled up by zeros. Defaults to `0`: not so.
        exponent: Whether numbers have exponents. Defaults to `False`.

    Example:
    >>> from keras_vae.data.number_format import NumberFormat
    >>> NumberFormat(decimals=1, decimal=",", suffix=" %").format([12.34])
    ['12,3 %']
    """

    decimals: int | None = None
    fixed: bool = True
    decimal: str = "."
    thousands: str = ""
    prefix: str = ""
    suffix: str = ""
    plus: bool = False
    parentheses: bool = False
    width: int = 0
    exponent: bool = False

    def format(self, values: Iterable[Any]) -> list[str]:
        """Spell numbers; NaN becomes an empty cell.

        Args:
            values: Numbers.
        """
        return [self.spell(float(value)) for value in values]

    def parse(self, cells: Iterable[str]) -> np.ndarray:
        """Parse cells with this decimal mark; what is no number becomes NaN.

        Args:
            cells: Text of the cells.
        """
        values = []
        for cell in cells:
            text = cell.strip()
            part = number_parts(text)
            endless = text.lower().lstrip("+-") in ("inf", "infinity")
            known = part.value(self.decimal) if part is not None else math.nan
            values.append(float(text) if endless else known)
        return np.array(values, "float64")

    def spell(self, value: float) -> str:
        """Spell one number; NaN becomes an empty cell.

        Args:
            value: Number.
        """
        if not math.isfinite(value):
            return "" if math.isnan(value) else str(value)
        body = self._body(abs(value))
        negative = value < 0 and any(digit in body for digit in "123456789")
        if negative and self.parentheses:
            return f"({self.prefix}{body}{self.suffix})"
        sign = "-" if negative else "+" if self.plus else ""
        return f"{sign}{self.prefix}{body}{self.suffix}"

    def _body(self, value: float) -> str:
        if self.exponent:
            places = 6 if self.decimals is None else min(self.decimals, 16)
            text = f"{value:.{places}e}"
        elif self.decimals is None or (not self.fixed and self.decimals >= _LONG):
            text = np.format_float_positional(value, precision=self.decimals, trim="0")
        else:
            text = f"{value:.{self.decimals}f}"
            if not self.fixed and "." in text:
                text = text.rstrip("0")
                text += "0" if text.endswith(".") else ""
        whole, point, rest = text.partition(".")
        if self.thousands:
            whole = re.sub(r"(?<=\d)(?=(?:\d{3})+$)", self.thousands, whole)
        return whole.zfill(self.width) + (self.decimal if point else "") + rest


def number_parts(text: str) -> NumberParts | None:
    """Return the parts of a number; `None` if the text is none.

    Args:
        text: Text without spaces around it.
    """
    found = _NUMBER.fullmatch(text)
    if found is None or not any(character.isdigit() for character in found["body"]):
        return None
    closed = bool(found["open"])
    if closed != bool(found["close"]) or (closed and found["sign"]):
        return None
    if found["inner"] and (found["sign"] or not found["prefix"]):
        return None
    if found["prefix"] and found["suffix"]:
        return None
    sign = found["sign"] or found["inner"]
    negative = closed or sign in ("-", "\u2212")
    return NumberParts(
        *(negative, sign == "+", closed, found["prefix"], found["body"]),
        *(found["exponent"], found["suffix"]),
    )


def body_value(body: str, mark: str) -> float | None:
    """Return the value of digits with marks; `None` if they do not fit.

    Args:
        body: Digits, decimal mark and thousands.
        mark: Decimal mark: `"."` or `","`.
    """
    whole = re.split(r"[.,]", body)[0]
    if not whole.isdigit() and whole:
        if not _BLANK_GROUPS.fullmatch(whole):
            return None
        body = re.sub(rf"[{_SPACES}'\u2019]", "", whole) + body[len(whole) :]
    if not _BODIES[mark].fullmatch(body):
        return None
    return float(body.replace("." if mark == "," else ",", "").replace(mark, "."))


def spelled_format(parts: Sequence[NumberParts], mark: str) -> NumberFormat:
    """Return the format that most of the numbers of a column have.

    Args:
        parts: Parts of the numbers.
        mark: Their decimal mark.
    """
    if not parts:
        return NumberFormat(decimal=mark)
    places = [len(part.body.partition(mark)[2]) for part in parts if not part.exponent]
    exponents = 2 * sum(bool(part.exponent) for part in parts) > len(parts)
    if exponents:
        places = [len(part.body.partition(mark)[2]) for part in parts if part.exponent]
    decimals = max(places, default=0)
    positive = [part for part in parts if not part.negative]
    return NumberFormat(
        decimals=decimals,
        fixed=len(set(places)) <= 1,
        decimal=mark,
        thousands=_thousands([part.body for part in parts], mark),
        prefix=_commonest([part.prefix for part in parts]),
        suffix=_commonest([part.suffix for part in parts]),
        plus=bool(positive) and all(part.plus or part.value(mark) == 0 for part in positive),
        parentheses=any(part.parentheses for part in parts),
        width=_width([part.body for part in parts]),
        exponent=exponents,
    )


def _thousands(bodies: list[str], mark: str) -> str:
    group = "," if mark == "." else "."
    marks = {character for body in bodies for character in body} - set("0123456789") - {mark}
    known = [character for character in (group, *_SPACES, "'", "\u2019") if character in marks]
    return known[0] if known else ""


def _commonest(texts: list[str]) -> str:
    return Counter(texts).most_common(1)[0][0]


def _width(bodies: list[str]) -> int:
    widths = {len(body) for body in bodies}
    zeros = any(len(body) > 1 and body[0] == "0" for body in bodies)
    whole = all(body.isdigit() for body in bodies)
    return widths.pop() if zeros and whole and len(widths) == 1 else 0
