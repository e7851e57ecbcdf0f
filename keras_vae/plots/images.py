"""Grids of images.

Floor 5.
"""

from __future__ import annotations

import os
import pathlib
from typing import Any

import numpy as np

from keras_vae.arguments import require_integer
from keras_vae.models import VAE
from keras_vae.plots.figures import HEADING, MARGIN, checked_path, head, new_figure, save

__all__ = [
    "COLUMNS",
    "IMAGES_WIDTH",
    "check_images",
    "given",
    "grey",
    "mosaic_of",
    "reconstructions",
    "samples",
    "show",
]

COLUMNS = 10
_SAMPLES = 4 * COLUMNS

# Inches.
IMAGES_WIDTH = 6.2


def reconstructions(
    model: VAE, x: Any, *, condition: Any = None, path: str | os.PathLike[str] | None = None
) -> Any:
    """Draw a picture of images, each above its reconstruction.

    Args:
        model: A model of images, as in `overview`.
        x: Images, `[examples, height, width, channels]`; all are shown, ten in a row.
        condition: Of a conditional model, one for each image. Defaults to `None`.
        path: As in `overview`. Defaults to `None`.

    Returns:
        The path, or the Matplotlib figure if there is none.

    Raises:
        ImportError: If Matplotlib is not installed.
        ValueError: If the model's events are not such images, or x does not fit it.
    """
    where, figure = checked_path(path), new_figure()
    check_images(model)
    reconstructed = model.reconstruct(x, condition=condition)
    pairs = np.stack([grey(model, x), grey(model, reconstructed)])
    # A row of originals, the row of their reconstructions; the last rows filled with white.
    missing = -pairs.shape[1] % COLUMNS
    pairs = np.pad(pairs, [(0, 0), (0, missing), *[(0, 0)] * 3], constant_values=1.0)
    rows = pairs.reshape(2, -1, COLUMNS, *model.event_shape).swapaxes(0, 1)
    mosaic = mosaic_of(rows.reshape(-1, *model.event_shape))
    return write_grid(figure, "Originals, each above its reconstruction", mosaic, where)


def samples(
    model: VAE,
    count: int = _SAMPLES,
    *,
    condition: Any = None,
    path: str | os.PathLike[str] | None = None,
    seed: int = 0,
) -> Any:
    """Draw a picture of generated images: means of p(x|z) at draws from the prior.

    Args:
        model: A model of images, as in `overview`.
        count: How many; ten stand in a row. Defaults to `40`.
        condition: Of a conditional model, any number; they take turns. Defaults to `None`.
        path: As in `overview`. Defaults to `None`.
        seed: Of the draws.

    Returns:
        The path, or the Matplotlib figure if there is none.

    Raises:
        ImportError: If Matplotlib is not installed.
        ValueError: If the model's events are not such images, or `count < 1`.
    """
    where, figure = checked_path(path), new_figure()
    check_images(model)
    count = require_integer("count", count)
    generated = model.generate(count, condition=given(condition, count), seed=seed)
    return write_grid(
        figure, "Samples from the prior", mosaic_of(grey(model, generated)), where
    )


def write_grid(figure: Any, heading: str, mosaic: np.ndarray, path: pathlib.Path | None) -> Any:
    images_height = IMAGES_WIDTH * mosaic.shape[0] / mosaic.shape[1]
    width, height = 2 * MARGIN + IMAGES_WIDTH, 2 * MARGIN + HEADING + images_height
    figure.set_size_inches(width, height)
    box = (MARGIN / width, MARGIN / height, IMAGES_WIDTH / width, images_height / height)
    show(figure.add_axes(box), heading, mosaic)
    return save(figure, path)


def show(ax: Any, name: str, mosaic: np.ndarray) -> None:
    """Draw a mosaic under its heading."""
    ax.imshow(mosaic, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    ax.set_axis_off()
    head(ax, name)


def grey(model: VAE, images: Any) -> np.ndarray:
    """Raw images as `[examples, height, width, channels]` in [0, 1]."""
    images = np.asarray(images).reshape(-1, *model.event_shape)
    bits = model.preprocessor is not None and model.preprocessor.raw_dtype == "uint8"
    shades: np.ndarray = images / 255.0 if bits else images
    return shades


def mosaic_of(images: np.ndarray) -> np.ndarray:
    """Images side by side in rows, one white pixel in eight between them."""
    count, height, width, channels = images.shape
    gap = max(1, height // 8)
    rows, columns = -(-count // COLUMNS), COLUMNS
    canvas = np.ones((rows * (height + gap) - gap, columns * (width + gap) - gap, channels))
    for index, image in enumerate(np.clip(images, 0.0, 1.0)):
        top = (index // columns) * (height + gap)
        start = (index % columns) * (width + gap)
        canvas[top : top + height, start : start + width] = image
    return canvas[..., 0] if channels == 1 else canvas


def given(condition: Any, count: int) -> Any:
    """Conditions for so many examples, in turn."""
    if condition is None:
        return None
    condition = np.asarray(condition)
    if not condition.ndim:
        return condition
    if not len(condition):
        raise ValueError("`condition` must not be empty. Received: none.")
    return condition[np.arange(count) % len(condition)]


def check_images(model: VAE) -> None:
    """Raise a ValueError unless a model is one of images."""
    shape = model.event_shape
    if len(shape) != 3 or shape[-1] not in (1, 3):
        raise ValueError(
            f"`model` must be one of images [height, width, 1 or 3]. Received: a model of "
            f"events of shape {shape}."
        )
