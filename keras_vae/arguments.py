"""Checks of constructor arguments that parts share.

Floor 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = ["require_integer", "require_one_of", "require_positive"]


def require_integer(name: str, value: Any, least: int = 1) -> None:
    """Raise a ValueError unless `value` is an integer of at least `least`."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f"`{name}` must be an integer >= {least}. Received: {name}={value!r}.")


def require_one_of(name: str, value: Any, options: Sequence[Any]) -> None:
    """Raise a ValueError that lists the options if `value` is none of them."""
    if value not in options:
        raise ValueError(f"`{name}` must be one of {options}. Received: {name}={value!r}.")


def require_positive(name: str, value: Any) -> None:
    """Raise a ValueError unless `value` is a positive number."""
    if not value > 0:
        raise ValueError(f"`{name}` must be positive. Received: {name}={value}.")
