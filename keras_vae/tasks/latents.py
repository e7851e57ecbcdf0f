"""From one example to another, and towards a property: walks among the latents.

Floor 6.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_vae.arguments import require_examples, require_integer, require_number
from keras_vae.data.labels import classes_of, listed
from keras_vae.geometry import paths, poincare
from keras_vae.models import VAE
from keras_vae.tasks.frames import taken

__all__ = ["direction", "edit", "interpolate"]

_PATHS = ("geodesic", "linear", "spherical")


def interpolate(
    model: VAE,
    start: Any,
    end: Any,
    steps: int = 10,
    *,
    path: str = "geodesic",
    condition: Any = None,
) -> Any:
    """Examples on the way from one to another, by their codes.

    - `"geodesic"`: the shortest way where the latents live: straight among real vectors, a
      great circle on the sphere, a geodesic of the Poincare ball.
    - `"linear"`: straight, through whatever lies between.
    - `"spherical"`: angle and length change evenly, so that the way between draws of a standard
      normal in many dimensions stays where such draws are.

    Between opposite points of a sphere, where all great circles are equally long, the way goes
    by the axis along which the start is shortest. A code at the origin has no direction: the
    spherical way from or to it is straight.

    Args:
        model: Any model.
        start: `[pairs, *raw_shape]`.
        end: The same.
        steps: Examples of each way, both ends included; at least 2. Defaults to `10`.
        path: One of the above. Defaults to `"geodesic"`.
        condition: One for each pair, or one for all. Defaults to `None`.

    Returns:
        `[pairs, steps, *raw_shape]`; if `start` is a frame of pandas, a frame, the last level
        of whose index counts steps.

    Raises:
        ValueError: If x are bad or not equally many, `path` is unknown, or the latents have
            no such path, as on a sphere of one dimension, which is two points.

    Example:
    >>> model = keras_vae.VAE(
    ...     keras_vae.networks.MLP([8]),
    ...     keras_vae.networks.MLP([8]),
    ...     keras_vae.posteriors.DiagonalNormal(2),
    ...     likelihood=keras_vae.likelihoods.Normal(),
    ...     event_shape=(3,),
    ... )
    >>> way = keras_vae.tasks.interpolate(model, np.zeros([1, 3]), np.ones([1, 3]), steps=5)
    >>> way.shape
    (1, 5, 3)

    Reference: White (2016), Sampling Generative Networks, of `"spherical"`; Mathieu et al.
    (2019), equation 2, of the ball.
    """
    require_integer("steps", steps, least=2)
    if path not in _PATHS:
        raise ValueError(f"`path` must be one of {_PATHS}. Received: {path!r}.")
    (start, frame), (end, _) = taken(start, "start"), taken(end, "end")
    if require_examples("start", start) != require_examples("end", end):
        raise ValueError(
            f"`start` and `end` must have equally many examples. "
            f"Received: {len(start)} and {len(end)}."
        )
    condition = model.conditions.check("condition", condition, len(start))
    first, last = (model.encode(x, condition=condition) for x in (start, end))
    shares = np.linspace(0, 1, steps, dtype="float32")
    z = np.stack([_way(model, a, b, shares, path) for a, b in zip(first, last)])
    given = None if condition is None else np.repeat(condition, steps, axis=0)
    x = model.decode(z.reshape(-1, *z.shape[2:]), condition=given)
    return frame.stacked(x.reshape(len(z), steps, *x.shape[1:]), "step", inner=True)


def direction(model: VAE, x: Any, labels: Any, *, condition: Any = None) -> np.ndarray:
    """The way among the latents from examples without a property to those with it.

    Of two classes the second one, in sorted order, is taken for the property: `True`, 1, or
    the later of two words.

    Args:
        model: One whose latents are real vectors.
        x: `[examples, *raw_shape]`.
        labels: The class of each example, `[examples]`: two classes, of any kind.
        condition: One per example, or one for all. Defaults to `None`.

    Returns:
        Difference of the mean codes, `[latent_dim]`: give it to `edit`.

    Raises:
        ValueError: If x is bad, or labels are not one for each, missing, or not of two classes.

    Example:
    >>> model = keras_vae.VAE(
    ...     keras_vae.networks.MLP([8]),
    ...     keras_vae.networks.MLP([8]),
    ...     keras_vae.posteriors.DiagonalNormal(2),
    ...     likelihood=keras_vae.likelihoods.Normal(),
    ...     event_shape=(3,),
    ... )
    >>> keras_vae.tasks.direction(model, np.eye(3), [True, False, False]).shape
    (2,)

    Reference: Larsen, Sonderby, Larochelle and Winther (2016), Autoencoding beyond Pixels,
    section 4.2.
    """
    _require_vectors(model)
    x = model.checked_events(taken(x)[0])
    classes, numbers = classes_of(labels, len(x))
    if len(classes) != 2:
        raise ValueError(
            f"`labels` must have two classes. Received: {len(classes)}, {listed(classes)}. "
            f"Take the examples of two, or say which one is meant: labels == {classes[0]!r}."
        )
    has = numbers == 1
    codes = model.encode(x, condition=condition).astype("float64")
    difference: np.ndarray = codes[has].mean(axis=0) - codes[~has].mean(axis=0)
    return difference.astype("float32")


def edit(
    model: VAE, x: Any, direction: Any, amount: float = 1.0, *, condition: Any = None
) -> Any:
    """Reconstruct examples with their codes moved along a direction.

    Args:
        model: One whose latents are real vectors.
        x: `[examples, *raw_shape]`.
        direction: `[latent_dim]`, such as of `direction`.
        amount: How far; negative for the other way. Defaults to `1.0`: as far as the two kinds
            of examples are apart.
        condition: One per example, or one for all. Defaults to `None`.

    Returns:
        `[examples, *raw_shape]`, a frame for a frame of pandas.

    Raises:
        ValueError: If x is bad, or the direction is none of the latents.

    Example:
    >>> model = keras_vae.VAE(
    ...     keras_vae.networks.MLP([8]),
    ...     keras_vae.networks.MLP([8]),
    ...     keras_vae.posteriors.DiagonalNormal(2),
    ...     likelihood=keras_vae.likelihoods.Normal(),
    ...     event_shape=(3,),
    ... )
    >>> keras_vae.tasks.edit(model, np.eye(3), [0.0, 1.0], 2.0).shape
    (3, 3)
    """
    _require_vectors(model)
    direction = np.asarray(direction)
    if direction.dtype.kind not in "biuf" or not np.isfinite(direction).all():
        raise ValueError(
            f"`direction` must be finite numbers. Received: dtype {direction.dtype}"
            f"{', NaN or infinities' if direction.dtype.kind in 'biuf' else ''}."
        )
    direction = direction.astype("float32")
    if direction.shape != (model.posterior.latent_dim,):
        raise ValueError(
            f"`direction` must have shape ({model.posterior.latent_dim},). "
            f"Received: {direction.shape}."
        )
    amount = require_number("amount", amount)
    x, frame = taken(x)
    z = model.encode(x, condition=condition) + amount * direction
    return frame.rows(model.decode(z, condition=condition))


def _require_vectors(model: VAE) -> None:
    if model.posterior.space != "real vectors":
        raise ValueError(
            f"`model` must have latents that are real vectors, which have directions. "
            f"Received: latents that are {model.posterior.space}."
        )


def _way(model: VAE, a: np.ndarray, b: np.ndarray, shares: np.ndarray, path: str) -> np.ndarray:
    """Latents from a to b, `[steps, *latent_shape]`; the ends are a and b themselves."""
    space = model.posterior.space
    curvature = getattr(model.posterior, "curvature", None)
    ends = a.ravel(), b.ravel()
    if path == "spherical" or (path == "geodesic" and space == "points of the unit sphere"):
        way = paths.spherical(*ends, shares)
    elif path == "geodesic" and curvature is not None and space == poincare.space(curvature):
        way = paths.hyperbolic(*ends, shares, curvature)
    elif path == "geodesic" and space != "real vectors":
        raise ValueError(
            f"path='geodesic' needs latents that are real vectors, or points of a sphere or a "
            f"ball. Received: latents that are {space}. Use path='linear'."
        )
    else:
        along = shares.reshape(-1, 1)
        way = (1 - along) * ends[0] + along * ends[1]
    way = way.reshape(len(shares), *a.shape).astype("float32")
    way[0], way[-1] = a, b
    return way
