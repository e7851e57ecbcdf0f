"""Bars for long work.

Floor 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

__all__ = ["tracked"]

Item = TypeVar("Item")


def tracked(items: Sequence[Item], label: str | None) -> Iterable[Item]:
    """Go over items with a progress bar on standard error.

    Args:
        items: What to go over.
        label: What the bar says; `None`: no bar.
    """
    if label is None:
        return items
    import rich.console
    import rich.progress

    console = rich.console.Console(stderr=True)
    quiet = not console.is_terminal
    return rich.progress.track(items, label, transient=True, console=console, disable=quiet)
