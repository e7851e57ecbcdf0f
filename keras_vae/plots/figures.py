"""Figures: made without a window, drawn in few colours, written whole or not at all.

Floor 5.
"""

from __future__ import annotations

import os
import pathlib
from typing import Any

from keras_vae.core.atomic_io import writing
from keras_vae.core.paths import local_path

__all__ = [
    "COLOURS",
    "FAINT",
    "GAP",
    "HEADING",
    "INK",
    "MARGIN",
    "MUTED",
    "axes_style",
    "head",
    "new_figure",
    "save",
]

# Petroff (2021), Accessible Color Sequences for Data Visualization: ten colours that people
# with colour vision deficiencies can tell apart, too.
COLOURS = (
    "#3f90da",
    "#ffa90e",
    "#bd1f01",
    "#94a4a2",
    "#832db6",
    "#a96b59",
    "#e76300",
    "#b9ac70",
    "#717581",
    "#92dadd",
)
INK, MUTED, FAINT = "#222222", "#666666", "#bbbbbb"

# Inches.
MARGIN, GAP, HEADING = 0.3, 0.2, 0.32


def new_figure() -> Any:
    """Make a figure, without pyplot: no state that is shared, and no window."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            'Plots need Matplotlib. Install it with: pip install "keras-vae[plots]"'
        ) from error
    figure = Figure(facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def head(ax: Any, text: str) -> None:
    """Write a heading above axes."""
    ax.set_title(text, fontsize=11, color=INK, loc="left", pad=6)


def axes_style(ax: Any) -> None:
    """Draw axes in the background: two faint sides, small ticks."""
    ax.tick_params(colors=MUTED, labelsize=9, length=3)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    for side in ("bottom", "left"):
        ax.spines[side].set_color(FAINT)


def save(figure: Any, path: str | os.PathLike[str]) -> pathlib.Path:
    """Write a figure to a file, which appears when it is whole, and return its path."""
    target = local_path(path)
    with writing(target) as draft:
        figure.savefig(draft, dpi=150)
    return target
