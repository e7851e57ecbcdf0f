"""One picture of a model: what it reconstructs, what it makes, where things lie.

Floor 5.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from keras_vae.arguments import require_examples
from keras_vae.models import VAE
from keras_vae.plots.figures import GAP, HEADING, INK, MARGIN, checked_path, new_figure, save
from keras_vae.plots.images import (
    COLUMNS,
    IMAGES_WIDTH,
    check_images,
    given,
    grey,
    mosaic_of,
    show,
)
from keras_vae.plots.latents import POINTS, check_labels, draw_latents

__all__ = ["overview"]

_ORIGINALS = 2 * COLUMNS
_SAMPLES = 4 * COLUMNS

# Inches.
_TICKS = 0.7


def overview(
    model: VAE,
    x: Any,
    labels: Any = None,
    *,
    condition: Any = None,
    path: str | os.PathLike[str] | None = None,
    title: str | None = None,
    seed: int = 0,
) -> Any:
    """Draw a picture: originals, reconstructions, samples and the latent space.

    The first twenty images of x stand above their reconstructions; forty means of p(x|z) at
    draws from the prior stand below. The latent space shows the posterior's means of up to
    5,000 images: the latents themselves if there are two, their first two principal
    components if there are more, and the mean against the standard deviation if there is one.

    Args:
        model: A model of images `[height, width, channels]` with values in [0, 1] and 1 or 3
            channels.
        x: Images, `[examples, height, width, channels]`.
        labels: Their classes, `[examples]`: up to ten get a colour each; more, if they are
            numbers, get a scale of colours. Defaults to `None`: one colour.
        condition: Of a conditional model, one for each image; samples are given the same, in
            turn. Defaults to `None`.
        path: Where to write; the ending tells the format, such as `.png`. An older file is
            replaced once the new one is complete. Defaults to `None`: the figure is returned,
            which notebooks show.
        title: Above everything. Defaults to `None`.
        seed: Of the samples.

    Returns:
        The path, or the Matplotlib figure if there is none.

    Raises:
        ImportError: If Matplotlib is not installed.
        ValueError: If the model's events are not such images, there are fewer than two, or
            labels do not fit them.

    Example:
    >>> import os, tempfile
    >>> model = keras_vae.VAE(
    ...     keras_vae.networks.MLP([8]),
    ...     keras_vae.networks.MLP([8]),
    ...     keras_vae.posteriors.DiagonalNormal(latent_dim=2),
    ...     likelihood=keras_vae.likelihoods.Bernoulli(),
    ...     event_shape=(8, 8, 1),
    ... )
    >>> path = os.path.join(tempfile.mkdtemp(), "overview.png")
    >>> keras_vae.plots.overview(model, np.zeros([20, 8, 8, 1]), path=path).name
    'overview.png'
    """
    where, figure = checked_path(path), new_figure()
    check_images(model)
    if require_examples("x", x) < 2:
        raise ValueError(f"`x` must have at least two images. Received: {len(x)}.")
    labels = check_labels(labels, len(x))
    shown = np.asarray(x[:_ORIGINALS])
    panels = {
        "Originals": shown,
        "Reconstructions": model.reconstruct(shown, condition=given(condition, len(shown))),
        "Samples from the prior": model.generate(
            _SAMPLES, condition=given(condition, _SAMPLES), seed=seed
        ),
    }
    panels = {name: mosaic_of(grey(model, images)) for name, images in panels.items()}
    heights = [IMAGES_WIDTH * m.shape[0] / m.shape[1] for m in panels.values()]
    content = sum(heights) + 2 * (GAP + HEADING)  # without the first heading
    side = max(content - _TICKS / 2, 3.0)
    width = MARGIN + IMAGES_WIDTH + GAP + _TICKS + side + MARGIN
    above = MARGIN + HEADING + (0 if title is None else HEADING)
    height = above + content + MARGIN
    figure.set_size_inches(width, height)

    def axes(left: float, top: float, w: float, h: float) -> Any:
        return figure.add_axes((left / width, 1 - (top + h) / height, w / width, h / height))

    if title is not None:
        figure.text(
            MARGIN / width,
            1 - MARGIN / height,
            title,
            fontsize=15,
            weight="bold",
            color=INK,
            va="top",
        )
    top = above
    for (name, mosaic), h in zip(panels.items(), heights):
        show(axes(MARGIN, top, IMAGES_WIDTH, h), name, mosaic)
        top += h + GAP + HEADING
    ax = axes(MARGIN + IMAGES_WIDTH + GAP + _TICKS, above, side, side)
    draw_latents(ax, model, np.asarray(x[:POINTS]), labels, condition)
    return save(figure, where)
