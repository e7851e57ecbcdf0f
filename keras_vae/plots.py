"""Pictures of a trained model. The one module that uses Matplotlib.

Floor 5.
"""

from __future__ import annotations

import os
import pathlib
from typing import Any

import numpy as np

from keras_vae.models import VAE

__all__ = ["overview", "reconstructions", "samples"]

# Petroff (2021), Accessible Color Sequences for Data Visualization: ten colours that people
# with colour vision deficiencies can tell apart, too.
_COLOURS = (
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
_COLUMNS = 10
_ORIGINALS = 2 * _COLUMNS
_SAMPLES = 4 * _COLUMNS
_POINTS = 5_000
_INK, _MUTED, _FAINT = "#222222", "#666666", "#bbbbbb"

# Inches.
_MARGIN, _GAP, _HEADING, _TICKS = 0.3, 0.2, 0.32, 0.7
_IMAGES_WIDTH = 6.2

# Of the plot's side.
_LABEL_WIDTH = 0.045
_PUSHES = 100


def overview(
    model: VAE,
    x: Any,
    labels: Any = None,
    *,
    condition: Any = None,
    path: str | os.PathLike[str],
    title: str | None = None,
    seed: int = 0,
) -> pathlib.Path:
    """Write a picture: originals, reconstructions, samples and the latent space.

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
            replaced once the new one is complete.
        title: Above everything. Defaults to `None`.
        seed: Of the samples.

    Returns:
        The path.

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
    figure = _new_figure()
    _check(model, x, labels)
    path = pathlib.Path(path)
    shown = np.asarray(x[:_ORIGINALS])
    panels = {
        "Originals": _mosaic(shown),
        "Reconstructions": _mosaic(
            model.reconstruct(shown, condition=_given(condition, len(shown)))
        ),
        "Samples from the prior": _mosaic(
            model.generate(_SAMPLES, condition=_given(condition, _SAMPLES), seed=seed)
        ),
    }
    heights = [_IMAGES_WIDTH * m.shape[0] / m.shape[1] for m in panels.values()]
    content = sum(heights) + 2 * (_GAP + _HEADING)  # without the first heading
    side = max(content - _TICKS / 2, 3.0)
    width = _MARGIN + _IMAGES_WIDTH + _GAP + _TICKS + side + _MARGIN
    above = _MARGIN + _HEADING + (0 if title is None else _HEADING)
    height = above + content + _MARGIN
    figure.set_size_inches(width, height)

    def axes(left: float, top: float, w: float, h: float) -> Any:
        return figure.add_axes((left / width, 1 - (top + h) / height, w / width, h / height))

    if title is not None:
        figure.text(
            _MARGIN / width,
            1 - _MARGIN / height,
            title,
            fontsize=15,
            weight="bold",
            color=_INK,
            va="top",
        )
    top = above
    for (name, mosaic), h in zip(panels.items(), heights):
        _show(axes(_MARGIN, top, _IMAGES_WIDTH, h), name, mosaic)
        top += h + _GAP + _HEADING
    ax = axes(_MARGIN + _IMAGES_WIDTH + _GAP + _TICKS, above, side, side)
    _draw_latents(ax, model, np.asarray(x[:_POINTS]), labels, condition)
    _save(figure, path)
    return path


def reconstructions(
    model: VAE, x: Any, *, condition: Any = None, path: str | os.PathLike[str]
) -> pathlib.Path:
    """Write a picture of images, each above its reconstruction.

    Args:
        model: A model of images, as in `overview`.
        x: Images, `[examples, height, width, channels]`; all are shown, ten in a row.
        condition: Of a conditional model, one for each image. Defaults to `None`.
        path: As in `overview`.

    Returns:
        The path.

    Raises:
        ImportError: If Matplotlib is not installed.
        ValueError: If the model's events are not such images, or x does not fit it.
    """
    figure = _new_figure()
    _check_images(model)
    pairs = np.stack([np.asarray(x), model.reconstruct(x, condition=condition)])
    # A row of originals, the row of their reconstructions; the last rows filled with white.
    missing = -pairs.shape[1] % _COLUMNS
    pairs = np.pad(pairs, [(0, 0), (0, missing), *[(0, 0)] * 3], constant_values=1.0)
    rows = pairs.reshape(2, -1, _COLUMNS, *model.event_shape).swapaxes(0, 1)
    mosaic = _mosaic(rows.reshape(-1, *model.event_shape))
    return _write_grid(figure, "Originals, each above its reconstruction", mosaic, path)


def samples(
    model: VAE,
    count: int = _SAMPLES,
    *,
    condition: Any = None,
    path: str | os.PathLike[str],
    seed: int = 0,
) -> pathlib.Path:
    """Write a picture of generated images: means of p(x|z) at draws from the prior.

    Args:
        model: A model of images, as in `overview`.
        count: How many; ten stand in a row. Defaults to `40`.
        condition: Of a conditional model, any number; they take turns. Defaults to `None`.
        path: As in `overview`.
        seed: Of the draws.

    Returns:
        The path.

    Raises:
        ImportError: If Matplotlib is not installed.
        ValueError: If the model's events are not such images, or `count < 1`.
    """
    figure = _new_figure()
    _check_images(model)
    generated = model.generate(count, condition=_given(condition, count), seed=seed)
    return _write_grid(figure, "Samples from the prior", _mosaic(generated), path)


def _given(condition: Any, count: int) -> Any:
    """Conditions for so many examples, in turn."""
    if condition is None:
        return None
    condition = np.asarray(condition)
    return condition[np.arange(count) % len(condition)]


def _write_grid(
    figure: Any, heading: str, mosaic: np.ndarray, path: str | os.PathLike[str]
) -> pathlib.Path:
    images_height = _IMAGES_WIDTH * mosaic.shape[0] / mosaic.shape[1]
    width, height = 2 * _MARGIN + _IMAGES_WIDTH, 2 * _MARGIN + _HEADING + images_height
    figure.set_size_inches(width, height)
    box = (_MARGIN / width, _MARGIN / height, _IMAGES_WIDTH / width, images_height / height)
    _show(figure.add_axes(box), heading, mosaic)
    path = pathlib.Path(path)
    _save(figure, path)
    return path


def _show(ax: Any, name: str, mosaic: np.ndarray) -> None:
    ax.imshow(mosaic, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    ax.set_axis_off()
    _head(ax, name)


def _head(ax: Any, text: str) -> None:
    ax.set_title(text, fontsize=11, color=_INK, loc="left", pad=6)


def _draw_latents(
    ax: Any, model: VAE, x: np.ndarray, labels: Any, condition: Any = None
) -> None:
    condition = _given(condition, len(x))
    if model.posterior.has_moments:
        latents, scales = model.encode(x, condition=condition, return_scale=True)
    else:
        latents = model.encode(x, condition=condition)
        scales = np.zeros_like(latents)
    points, names, title = _plane(latents, scales)
    _head(ax, title)
    ax.set_xlabel(names[0], color=_MUTED)
    ax.set_ylabel(names[1], color=_MUTED)
    ax.tick_params(colors=_MUTED, labelsize=9, length=3)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    for side in ("bottom", "left"):
        ax.spines[side].set_color(_FAINT)
    size = float(np.clip(30_000 / len(points), 6, 30))
    dots = {"s": size, "alpha": 0.75, "linewidths": 0}
    if labels is None:
        ax.scatter(*points.T, color=_COLOURS[0], **dots)
        return
    labels = np.asarray(labels)[: len(points)]
    classes = np.unique(labels)
    if len(classes) > len(_COLOURS):
        coloured = ax.scatter(*points.T, c=labels, cmap="viridis", **dots)
        ax.figure.colorbar(coloured, ax=ax, shrink=0.6, label="label")
        return
    order = np.random.default_rng(0).permutation(len(points))  # no class on top of all others
    colours = np.array(_COLOURS)[np.searchsorted(classes, labels)]
    ax.scatter(*points[order].T, c=colours[order], **dots)
    middles = np.stack([np.median(points[labels == label], axis=0) for label in classes])
    for label, colour, middle in zip(
        classes, _COLOURS, _apart(middles, np.ptp(points, axis=0))
    ):
        ax.text(
            *middle,
            str(label),
            ha="center",
            va="center",
            fontsize=11,
            weight="bold",
            color=_INK,
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


def _mosaic(images: np.ndarray) -> np.ndarray:
    """Images side by side in rows, one white pixel in eight between them."""
    count, height, width, channels = images.shape
    gap = max(1, height // 8)
    rows, columns = -(-count // _COLUMNS), _COLUMNS
    canvas = np.ones((rows * (height + gap) - gap, columns * (width + gap) - gap, channels))
    for index, image in enumerate(np.clip(images, 0.0, 1.0)):
        top = (index // columns) * (height + gap)
        start = (index % columns) * (width + gap)
        canvas[top : top + height, start : start + width] = image
    return canvas[..., 0] if channels == 1 else canvas


def _check_images(model: VAE) -> None:
    shape = model.event_shape
    if len(shape) != 3 or shape[-1] not in (1, 3):
        raise ValueError(
            f"`model` must be one of images [height, width, 1 or 3]. Received: a model of "
            f"events of shape {shape}."
        )


def _check(model: VAE, x: Any, labels: Any) -> None:
    _check_images(model)
    if len(x) < 2:
        raise ValueError(f"`x` must have at least two images. Received: {len(x)}.")
    if labels is None:
        return
    labels = np.asarray(labels)
    if labels.shape != (len(x),):
        raise ValueError(
            f"`labels` must have shape ({len(x)},), one for each image. "
            f"Received: {labels.shape}."
        )
    if labels.dtype.kind not in "fiub" and len(np.unique(labels)) > len(_COLOURS):
        raise ValueError(
            f"`labels` must be numbers if there are more than {len(_COLOURS)} of them. "
            f"Received: {len(np.unique(labels))} classes, dtype {labels.dtype}."
        )


def _save(figure: Any, path: pathlib.Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        figure.savefig(part, dpi=150)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _new_figure() -> Any:
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            'Plots need Matplotlib. Install it with: pip install "keras-vae[plots]"'
        ) from error
    # Without pyplot: no state that is shared, and no window.
    figure = Figure(facecolor="white")
    FigureCanvasAgg(figure)
    return figure
