"""Numbers as curves and bars: of a training, of latents, of ranks, of several models.

Floor 5.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_vae.plots.figures import (
    COLOURS,
    FAINT,
    INK,
    MUTED,
    axes_style,
    checked_path,
    head,
    new_figure,
    save,
)

__all__ = ["kl_spectrum", "learning_curves", "rank_histogram", "rate_distortion"]

# Inches.
_WIDTH, _HEIGHT = 4.2, 3.0


def learning_curves(history: Any, *, path: str | os.PathLike[str] | None = None) -> Any:
    """Draw a picture of a training: each logged value over epochs, with its `val_` beside it.

    Args:
        history: History returned by `model.fit`, or name -> value of each epoch.
        path: Where to write; the ending tells the format, such as `.png`. Defaults to `None`:
            the figure is returned, which notebooks show.

    Returns:
        The path, or the Matplotlib figure if there is none.

    Raises:
        ImportError: If Matplotlib is not installed.
        ValueError: If there is nothing to draw.

    Example:
    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "curves.png")
    >>> history = {"elbo": [-9.0, -5.0, -4.0], "val_elbo": [-8.0, -6.0, -6.5]}
    >>> keras_vae.plots.learning_curves(history, path=path).name
    'curves.png'
    """
    where = checked_path(path)
    values = getattr(history, "history", history)
    if not isinstance(values, Mapping):
        raise ValueError(
            f"`history` must be what `fit` returns, or a dictionary of it. "
            f"Received: a {type(history).__name__}."
        )
    history = {name: _epochs(name, of_name) for name, of_name in values.items()}
    names = [name for name in history if not name.startswith("val_") and len(history[name])]
    if not names:
        raise ValueError(
            "`history` must hold values of epochs by name, as `fit(...).history` does. "
            f"Received: {dict(values)}."
        )
    figure, grid = _panels(len(names))
    for ax, name in zip(grid, names):
        for index, key in enumerate((name, f"val_{name}")):
            if key not in history:
                continue
            values = history[key]
            epochs = np.arange(1, len(values) + 1)
            label = "validation" if index else "training"
            marker = "o" if len(values) == 1 else None
            ax.plot(epochs, values, color=COLOURS[index], label=label, lw=1.8, marker=marker)
        head(ax, name.replace("_", " "))
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.set_xlabel("epoch", color=MUTED)
        axes_style(ax)
        if f"val_{name}" in history:
            ax.legend(frameon=False, fontsize=9)
    return save(figure, where)


def kl_spectrum(kl: Any, *, path: str | os.PathLike[str] | None = None) -> Any:
    """Draw a picture of the KL of each group of latents, largest first.

    Args:
        kl: Nats, `[groups]`, such as `evaluation.latent_summary(model, x).kl`.
        path: As in `learning_curves`. Defaults to `None`.

    Returns:
        The path, or the Matplotlib figure if there is none.

    Raises:
        ImportError: If Matplotlib is not installed.
        ValueError: If `kl` is not a vector of numbers.

    Example:
    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "kl.png")
    >>> keras_vae.plots.kl_spectrum([0.01, 3.1, 1.2], path=path).name
    'kl.png'
    """
    where = checked_path(path)
    kl = _vector("kl", kl)
    order = np.argsort(-kl)
    figure, (ax,) = _panels(1, width=2 * _WIDTH)
    ax.bar(np.arange(len(kl)), kl[order], color=COLOURS[0], width=0.85)
    places = np.unique(np.linspace(0, len(kl) - 1, min(len(kl), 20)).astype(int))
    ax.set_xticks(places, [f"{order[place]}" for place in places])
    ax.set_xlabel("latent", color=MUTED)
    ax.set_ylabel("nats", color=MUTED)
    head(ax, f"KL of q(z|x) from the prior: {kl.sum():.1f} nats in all")
    axes_style(ax)
    return save(figure, where)


def rank_histogram(
    shares: Any, standard_errors: Any = None, *, path: str | os.PathLike[str] | None = None
) -> Any:
    """Draw a picture of how often data take each rank among draws of the model.

    Args:
        shares: `[ranks]`, such as `evaluation.calibration(model, x).mean`.
        standard_errors: Of each; two of them are drawn as a bar. Defaults to `None`.
        path: As in `learning_curves`. Defaults to `None`.

    Returns:
        The path, or the Matplotlib figure if there is none.

    Raises:
        ImportError: If Matplotlib is not installed.
        ValueError: If `shares` is not a vector of numbers.

    Example:
    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "ranks.png")
    >>> keras_vae.plots.rank_histogram([0.3, 0.4, 0.3], path=path).name
    'ranks.png'
    """
    where = checked_path(path)
    shares = _vector("shares", shares)
    errors = (
        None if standard_errors is None else 2 * _vector("standard_errors", standard_errors)
    )
    if errors is not None and (len(errors) != len(shares) or errors.min() < 0):
        raise ValueError(
            f"`standard_errors` must be {len(shares)} numbers >= 0, one for each rank. "
            f"Received: {len(errors)}, the least {errors.min() / 2:g}."
        )
    figure, (ax,) = _panels(1, width=2 * _WIDTH)
    bars = {"ecolor": INK, "error_kw": {"elinewidth": 1}}
    ax.bar(np.arange(len(shares)), shares, color=COLOURS[0], width=0.85, yerr=errors, **bars)
    ax.axhline(1 / len(shares), color=COLOURS[2], lw=1.5, label="as it should be")
    ax.set_ylim(top=1.3 * max(shares.max(), 1 / len(shares)))  # room for the legend
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.set_xlabel("draws below x", color=MUTED)
    ax.set_ylabel("share", color=MUTED)
    ax.legend(frameon=False, fontsize=9)
    head(ax, "Rank of data among draws of p(x|z)")
    axes_style(ax)
    return save(figure, where)


def rate_distortion(
    points: Mapping[Any, tuple[float, float]], *, path: str | os.PathLike[str] | None = None
) -> Any:
    """Draw a picture of what models pay for z and for x given z: lower left is better.

    Args:
        points: Label, such as a beta -> rate and distortion in nats, as
            `evaluation.rate_distortion` returns them.
        path: As in `learning_curves`. Defaults to `None`.

    Returns:
        The path, or the Matplotlib figure if there is none.

    Raises:
        ImportError: If Matplotlib is not installed.
        ValueError: If there are no points.

    Example:
    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "curve.png")
    >>> points = {0.5: (30.0, 60.0), 1: (25.0, 64.0), 4: (10.0, 95.0)}
    >>> keras_vae.plots.rate_distortion(points, path=path).name
    'curve.png'

    Reference: Alemi, Poole, Fischer, Dillon, Saurous and Murphy (2018), figure 3.
    """
    where = checked_path(path)
    if not isinstance(points, Mapping):
        raise ValueError(
            f"`points` must be a dictionary, label -> (rate, distortion). "
            f"Received: a {type(points).__name__}."
        )
    if not points:
        raise ValueError("`points` must not be empty. Received: {}.")
    labels = list(points)
    pairs = {label: _vector(f"points[{label!r}]", points[label]) for label in labels}
    if any(len(pair) != 2 for pair in pairs.values()):
        raise ValueError(
            f"`points` must have a rate and a distortion each. Received: {dict(points)}."
        )
    rates, distortions = np.stack(list(pairs.values()), axis=1)
    figure, (ax,) = _panels(1, width=1.5 * _WIDTH, height=1.3 * _HEIGHT)
    order = np.argsort(rates)
    ax.plot(rates[order], distortions[order], color=COLOURS[0], lw=1.8, marker="o")
    for label, rate, distortion in zip(labels, rates, distortions):
        ax.annotate(
            str(label),
            (rate, distortion),
            textcoords="offset points",
            xytext=(6, 6),
            color=INK,
            fontsize=9,
        )
    # The bound on log p(x) is the same along lines of slope -1: here that of the best model.
    best = np.min(rates + distortions)
    ends = np.array([rates.min(), rates.max()])
    label = f"-ELBO = {best:.1f} nats"
    ax.plot(ends, best - ends, color=FAINT, lw=1.2, ls="--", label=label)
    ax.set_xlabel("rate: KL of q(z|x) from the prior, nats", color=MUTED)
    ax.set_ylabel("distortion: -log p(x|z), nats", color=MUTED)
    ax.legend(frameon=False, fontsize=9)
    head(ax, "Rate and distortion")
    axes_style(ax)
    return save(figure, where)


def _panels(count: int, *, width: float = _WIDTH, height: float = _HEIGHT) -> tuple[Any, Any]:
    """A figure with so many axes, three in a row."""
    columns = min(count, 3)
    rows = -(-count // columns)
    figure = new_figure()
    figure.set_size_inches(columns * width, rows * height)
    figure.set_layout_engine("constrained", w_pad=0.12, h_pad=0.12)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for ax in grid[count:]:
        ax.set_axis_off()
    return figure, grid[:count]


def _epochs(name: str, values: Any) -> np.ndarray:
    """Values of a curve; those that are not finite leave gaps in it."""
    try:
        curve = np.atleast_1d(np.asarray(values, "float64"))
    except (TypeError, ValueError):
        curve = np.empty((0, 0))
    if curve.ndim != 1:
        raise ValueError(
            f"`history` must hold one number of each epoch. Received: {name}={values!r}."
        )
    return curve


def _vector(name: str, values: Any) -> np.ndarray:
    try:
        vector = np.asarray(values, "float64")
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"`{name}` must be a vector of finite numbers. Received: a "
            f"{type(values).__name__} of something else."
        ) from error
    if vector.ndim != 1 or not len(vector) or not np.isfinite(vector).all():
        raise ValueError(
            f"`{name}` must be a vector of finite numbers. Received: shape {vector.shape}"
            f"{'' if np.isfinite(vector).all() else ', NaN or infinities'}."
        )
    return vector
