"""Spectrograms of sound.

Floor 5.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_vae.plots.figures import GAP, HEADING, MARGIN, checked_path, head, new_figure, save

__all__ = ["spectrograms"]

# Inches.
_WIDTH, _HEIGHT = 1.2, 0.9


def spectrograms(rows: Mapping[str, Any], *, path: str | os.PathLike[str] | None = None) -> Any:
    """Draw a picture of spectrograms: time from left to right, low bands below.

    Args:
        rows: Spectrograms `[examples, frames, bands]` by name; each name is a row. All share a
            scale, from their quietest (dark) to their loudest.
        path: As in `overview`. Defaults to `None`.

    Returns:
        The path, or the Matplotlib figure if there is none.

    Raises:
        ImportError: If Matplotlib is not installed.
        ValueError: If rows are none, or no spectrograms.

    Example:
    >>> import os, tempfile
    >>> tone = np.sin(np.arange(4_000))[None]
    >>> source = keras_vae.data.from_audio(tone, sample_rate=8_000, held_out=0)
    >>> path = os.path.join(tempfile.mkdtemp(), "tone.png")
    >>> keras_vae.plots.spectrograms({"A tone": source.x_train}, path=path).name
    'tone.png'
    """
    where, figure = checked_path(path), new_figure()
    if not isinstance(rows, Mapping):
        raise ValueError(
            f"`rows` must be spectrograms by name. Received: a {type(rows).__name__}."
        )
    found = {name: np.asarray(levels) for name, levels in rows.items()}
    shapes = [levels.shape for levels in found.values()]
    if not shapes or any(len(shape) != 3 or 0 in shape for shape in shapes):
        raise ValueError(
            f"`rows` must be spectrograms [examples, frames, bands]. Received: shapes {shapes}."
        )
    if any(level.dtype.kind not in "biuf" for level in found.values()):
        raise ValueError("`rows` must hold real numbers. Received: something else.")
    columns, line = max(shape[0] for shape in shapes), HEADING + _HEIGHT
    width = 2 * MARGIN + columns * _WIDTH
    height = 2 * MARGIN + len(found) * (line + GAP) - GAP
    figure.set_size_inches(width, height)
    quietest = min(levels.min() for levels in found.values())
    loudest = max(levels.max() for levels in found.values())
    for row, (name, levels) in enumerate(found.items()):
        bottom = height - MARGIN - row * (line + GAP) - line
        for column, level in enumerate(levels):
            left = MARGIN + column * _WIDTH
            box = (left / width, bottom / height, 0.95 * _WIDTH / width, _HEIGHT / height)
            ax = figure.add_axes(box)
            ax.imshow(level.T, origin="lower", aspect="auto", vmin=quietest, vmax=loudest)
            ax.set_axis_off()
            if not column:
                head(ax, name)
    return save(figure, where)
