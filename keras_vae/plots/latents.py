"""Where examples lie among the latents.

Floor 5.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from keras_vae.arguments import require_examples
from keras_vae.data.labels import classes_of, flat_labels
from keras_vae.models import VAE
from keras_vae.plots.figures import (
    COLOURS,
    INK,
    MUTED,
    axes_style,
    checked_path,
    head,
    new_figure,
    save,
)
from keras_vae.plots.images import given

__all__ = ["POINTS", "check_labels", "draw_latents", "latent_map"]

# Examples that are drawn.
POINTS = 5_000

# Inches.
_SIDE = 6.0

# Of the plot's side.
_LABEL_WIDTH = 0.045
_PUSHES = 100


def latent_map(
    model: VAE,
    x: Any,
    labels: Any = None,
    *,
    condition: Any = None,
    path: str | os.PathLike[str] | None = None,
) -> Any:
    """Draw a picture of where examples lie among the latents, as in `overview`.

    Args:
        model: Any model.
        x: `[examples, *raw_shape]`; the first 5,000 are drawn.
        labels: As in `overview`. Defaults to `None`.
        condition: Of a conditional model, one for each example. Defaults to `None`.
        path: As in `overview`. Defaults to `None`.

    Returns:
        The path, or the Matplotlib figure if there is none.

    Raises:
        ImportError: If Matplotlib is not installed.
        ValueError: If x or labels do not fit.

    Example:
    >>> import os, tempfile
    >>> model = keras_vae.VAE(
    ...     keras_vae.networks.MLP([8]),
    ...     keras_vae.networks.MLP([8]),
    ...     keras_vae.posteriors.DiagonalNormal(latent_dim=3),
    ...     likelihood=keras_vae.likelihoods.Normal(),
    ...     event_shape=(5,),
    ... )
    >>> path = os.path.join(tempfile.mkdtemp(), "map.png")
    >>> keras_vae.plots.latent_map(model, np.eye(5), [0, 0, 1, 1, 1], path=path).name
    'map.png'
    """
    where, figure = checked_path(path), new_figure()
    labels = check_labels(labels, require_examples("x", x))
    figure.set_size_inches(_SIDE, _SIDE)
    figure.set_layout_engine("constrained", w_pad=0.12, h_pad=0.12)
    draw_latents(figure.add_subplot(), model, np.asarray(x[:POINTS]), labels, condition)
    return save(figure, where)


def check_labels(labels: Any, count: int) -> np.ndarray | None:
    """Return a label for each of so many examples, or none; else raise a ValueError."""
    if labels is None:
        return None
    found = flat_labels(labels, count)
    classes, _ = classes_of(found, count)
    if found.dtype.kind not in "fiub" and len(classes) > len(COLOURS):
        raise ValueError(
            f"`labels` must be numbers if there are more than {len(COLOURS)} of them. "
            f"Received: {len(classes)} classes, dtype {found.dtype}."
        )
    return found


def draw_latents(
    ax: Any, model: VAE, x: np.ndarray, labels: Any, condition: Any = None
) -> None:
    """Draw where examples lie, coloured by their labels."""
    condition = given(condition, len(x))
    if model.posterior.has_moments:
        latents, scales = model.encode(x, condition=condition, return_scale=True)
    else:
        latents = model.encode(x, condition=condition)
        scales = np.zeros_like(latents)
    points, names, title = _plane(latents, scales)
    head(ax, title)
    ax.set_xlabel(names[0], color=MUTED)
    ax.set_ylabel(names[1], color=MUTED)
    axes_style(ax)
    size = float(np.clip(30_000 / len(points), 6, 30))
    dots = {"s": size, "alpha": 0.75, "linewidths": 0}
    if labels is None:
        ax.scatter(*points.T, color=COLOURS[0], **dots)
        return
    labels = np.asarray(labels)[: len(points)]
    classes = np.unique(labels)
    if len(classes) > len(COLOURS):
        coloured = ax.scatter(*points.T, c=labels, cmap="viridis", **dots)
        ax.figure.colorbar(coloured, ax=ax, shrink=0.6, label="label")
        return
    order = np.random.default_rng(0).permutation(len(points))  # no class on top of all others
    colours = np.array(COLOURS)[np.searchsorted(classes, labels)]
    ax.scatter(*points[order].T, c=colours[order], **dots)
    middles = np.stack([np.median(points[labels == label], axis=0) for label in classes])
    for label, colour, middle in zip(classes, COLOURS, _apart(middles, np.ptp(points, axis=0))):
        ax.text(
            *middle,
            str(label),
            ha="center",
            va="center",
            fontsize=11,
            weight="bold",
            color=INK,
            bbox={
                "boxstyle": "circle,pad=0.25",
                "facecolor": "white",
                "edgecolor": colour,
                "linewidth": 2,
            },
        )


def _apart(places: np.ndarray, extent: np.ndarray) -> np.ndarray:
    """Push places apart until none is nearer to another than a label is wide."""
    extent = np.maximum(extent, np.finfo("float64").tiny)
    places = places / extent
    # Places on top of each other need a direction to part in: one of their own.
    places = places + 1e-6 * np.random.default_rng(0).normal(size=places.shape)
    for _ in range(_PUSHES):
        between = places[:, None] - places
        distance = np.linalg.norm(between, axis=-1) + np.eye(len(places))
        push = np.maximum(_LABEL_WIDTH - distance, 0) / 2
        places = places + np.sum((push / distance)[..., None] * between, axis=1)
    return np.asarray(places * extent)


def _plane(means: np.ndarray, scales: np.ndarray) -> tuple[np.ndarray, tuple[str, str], str]:
    """Points in a plane, what its axes are, and what to call it."""
    means = means.reshape(len(means), -1).astype("float64")
    title = "Latent space: means of q(z|x)"
    if means.shape[1] == 1:
        points = np.concatenate([means, scales.reshape(len(means), 1)], axis=1)
        return points, ("mean", "standard deviation"), "Latent space: q(z|x)"
    if means.shape[1] == 2:
        return means, ("z[0]", "z[1]"), title
    centred = means - means.mean(axis=0)
    _, singular, directions = np.linalg.svd(centred, full_matrices=False)
    # A direction's sign is arbitrary: its largest entry is made positive.
    largest = np.argmax(np.abs(directions), axis=1)
    signs = np.sign(directions[range(len(directions)), largest])
    shares = singular**2 / max(np.sum(singular**2), np.finfo("float64").tiny)
    first, second = (
        f"principal component {i + 1} ({shares[i]:.0%} of the variance)" for i in range(2)
    )
    title += f", PCA of {means.shape[1]} dimensions"
    return centred @ (directions * signs[:, None])[:2].T, (first, second), title
