"""Figures: made without a window, drawn in few colours, written whole or not at all.

Floor 5.
"""

from __future__ import annotations

import functools
import io
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
    "checked_path",
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

_DPI = 150

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
    figure = _shown_by_notebooks(Figure)(facecolor="white")
    FigureCanvasAgg(figure)
    return figure


@functools.cache
def _shown_by_notebooks(figure_class: Any) -> Any:
    """Give a class of figures the method by which notebooks show what pyplot does not know."""

    def picture(figure: Any) -> bytes:
        written = io.BytesIO()
        figure.savefig(written, format="png", dpi=_DPI)
        return written.getvalue()

    return type("Figure", (figure_class,), {"_repr_png_": picture})


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


def checked_path(path: Any) -> pathlib.Path | None:
    """Return a path whose ending is a format of pictures, before anything is drawn.

    Raises:
        TypeError: If it is no path.
        ValueError: If Matplotlib cannot write such files, or it is a folder.
    """
    if path is None:
        return None
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(
            f"`path` must be a path such as 'plot.png', or None for a figure. "
            f"Received: a {type(path).__name__}."
        )
    found = local_path(path)
    formats = sorted(new_figure().canvas.get_supported_filetypes())
    if found.suffix[1:].lower() not in formats:
        raise ValueError(
            f"`path` must end in a format of pictures: {', '.join(f'.{f}' for f in formats)}. "
            f"Received: {str(path)!r}."
        )
    if found.is_dir():
        raise ValueError(f"`path` must be a file. Received: the folder {str(path)!r}.")
    return found


def save(figure: Any, path: pathlib.Path | None) -> Any:
    """Write a figure to a file, which appears when it is whole, and return its path.

    Without a path the figure itself is returned, to be shown or changed.
    """
    if path is None:
        return figure
    with writing(path) as draft:
        figure.savefig(draft, dpi=_DPI)
    return path
