"""Kinds of data that the commands take.

Floor 7.
"""

import enum

__all__ = ["Kind"]


class Kind(enum.StrEnum):
    """Kinds of data."""

    images = "images"
    audio = "audio"
    text = "text"
    table = "table"
    counts = "counts"
    series = "series"
