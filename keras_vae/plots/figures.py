"""Figures: made without a window, drawn in few colours, written whole or not at all.

Floor 5.
"""

from __future__ import annotations

import pathlib
from typing import Any

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


def save(figure: Any, path: pathlib.Path) -> pathlib.Path:
    """Write a figure to a file, which appears when it is whole, and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        figure.savefig(part, dpi=150)
        part.replace(path)
        return path
    finally:
        part.unlink(missing_ok=True)
