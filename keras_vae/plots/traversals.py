"""What each latent does to an image.

Floor 5.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from keras_vae.arguments import require_examples, require_integer
from keras_vae.models import VAE
from keras_vae.models.traversal import traverse
from keras_vae.plots.figures import GAP, HEADING, MARGIN, MUTED, checked_path, new_figure, save
from keras_vae.plots.images import (
    COLUMNS,
    IMAGES_WIDTH,
    check_images,
    given,
    grey,
    mosaic_of,
    show,
)

__all__ = ["traversals"]

_DRAWN = 5_000
# Inches.
_NAMES = 0.5


def traversals(
    model: VAE,
    x: Any,
    *,
    condition: Any = None,
    latents: int = 10,
    path: str | os.PathLike[str] | None = None,
    seed: int = 0,
) -> Any:
    """Draw a picture of the first image as one latent after the other moves: `tasks.traverse`.

    Each row moves one latent over the range that it takes on the data, from the lowest to the
    highest hundredth; the others stay at the code of `x[0]`. The latents whose means vary most
    over the data come first.

    Args:
        model: A model of images, as in `overview`, whose latents are real vectors.
        x: Images, `[examples, *raw_shape]`, at least two: the ranges are those of up to 5,000.
        condition: Of a conditional model, one for each image. Defaults to `None`.
        latents: Rows at most. Defaults to `10`.
        path: As in `overview`. Defaults to `None`.
        seed: Of the draws that give the ranges.

    Returns:
        The path, or the Matplotlib figure if there is none.

    Raises:
        ImportError: If Matplotlib is not installed.
        ValueError: If the model's events are not such images, its latents are no real vectors,
            or there are fewer than two images.

    Example:
    >>> import os, tempfile
    >>> model = keras_vae.VAE(
    ...     keras_vae.networks.MLP([8]),
    ...     keras_vae.networks.MLP([8]),
    ...     keras_vae.posteriors.DiagonalNormal(latent_dim=2),
    ...     likelihood=keras_vae.likelihoods.Bernoulli(),
    ...     event_shape=(8, 8, 1),
    ... )
    >>> path = os.path.join(tempfile.mkdtemp(), "traversals.png")
    >>> keras_vae.plots.traversals(model, np.zeros([20, 8, 8, 1]), path=path).name
    'traversals.png'

    Reference: Higgins et al. (2017), beta-VAE, figure 4.
    """
    where, figure = checked_path(path), new_figure()
    check_images(model)
    require_integer("latents", latents)
    if require_examples("x", x) < 2:
        raise ValueError(f"`x` must have at least two images. Received: {len(x)}.")
    x = x[:_DRAWN]
    condition = given(condition, len(x))
    codes = model.encode(x, condition=condition)
    moved = np.argsort(-codes.var(axis=0), kind="stable")[:latents]
    images = traverse(model, x, moved, COLUMNS, condition=condition, seed=seed)
    mosaic = mosaic_of(grey(model, images.reshape(-1, *images.shape[2:])))

    images_height = IMAGES_WIDTH * mosaic.shape[0] / mosaic.shape[1]
    width = MARGIN + _NAMES + IMAGES_WIDTH + MARGIN
    height = MARGIN + HEADING + images_height + GAP
    figure.set_size_inches(width, height)
    box = (
        (MARGIN + _NAMES) / width,
        GAP / height,
        IMAGES_WIDTH / width,
        images_height / height,
    )
    ax = figure.add_axes(box)
    show(ax, "One image as one latent after the other moves", mosaic)
    rows = mosaic.shape[0] / len(moved)
    for index, latent in enumerate(moved):
        middle = rows * (index + 0.5)
        ax.text(-6, middle, f"z[{latent}]", ha="right", va="center", color=MUTED, fontsize=9)
    return save(figure, where)
