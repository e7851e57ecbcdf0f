"""Spectrograms of sound.

Floor 5.
"""

from __future__ import annotations

import os
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_vae.plots.figures import GAP, HEADING, MARGIN, head, new_figure, save

__all__ = ["spectrograms"]

# Inches.
_WIDTH, _HEIGHT = 1.2, 0.9


def spectrograms(rows: Mapping[str, Any], *, path: str | os.PathLike[str]) -> pathlib.Path:
    """Write a picture of spectrograms: time from left to right, low bands below.

    Args:
        rows: Spectrograms `[examples, frames, bands]` by name; each name is a row. All share a
            scale, from their quietest (dark) to their loudest.
        path: As in `overview`.

    Returns:
        The path.

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
    figure = new_figure()
    found = {name: np.asarray(levels) for name, levels in rows.items()}
    shapes = [levels.shape for levels in found.values()]
    if not shapes or any(len(shape) != 3 or 0 in shape for shape in shapes):
        raise ValueError(
            f"`rows` must be spectrograms [examples, frames, bands]. Received: shapes {shapes}."
        )
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
    return save(figure, path)
