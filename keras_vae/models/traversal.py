"""One latent moves, the others stay.

Floor 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_vae.arguments import require_integer
from keras_vae.models.vae import VAE

__all__ = ["traverse"]

# Ends of a way, as shares of the draws of q(z|x) over the data that lie below.
_ENDS = (0.01, 0.99)


def traverse(
    model: VAE,
    x: Any,
    latents: Sequence[int] | np.ndarray | None = None,
    values: Any = 10,
    *,
    condition: Any = None,
    seed: int = 0,
) -> np.ndarray:
    """Decode the code of the first example as one latent after the other moves.

    `plots.traversals` makes a picture of it.

    Args:
        model: One whose latents are real vectors.
        x: `[examples, *raw_shape]`: the first is decoded; the others tell how far latents go.
        latents: Numbers of those that move, in turn. Defaults to `None`: all of them.
        values: What a latent takes, `[steps]`; or how many values, at least 2, evenly from the
            lowest to the highest hundredth of the draws of q(z|x) over x. Defaults to `10`.
        condition: One per example, or one for all; the first example's is decoded with.
            Defaults to `None`.
        seed: Of the draws.

    Returns:
        `[latents, steps, *raw_shape]`.

    Raises:
        ValueError: If x is bad, the latents are no real vectors or not those numbers, or
            `values` are neither finite numbers nor an integer that is at least 2.

    Example:
    >>> model = keras_vae.VAE(
    ...     keras_vae.networks.MLP([8]),
    ...     keras_vae.networks.MLP([8]),
    ...     keras_vae.posteriors.DiagonalNormal(2),
    ...     likelihood=keras_vae.likelihoods.Normal(),
    ...     event_shape=(3,),
    ... )
    >>> x = np.eye(3)
    >>> keras_vae.tasks.traverse(model, x).shape
    (2, 10, 3)
    >>> keras_vae.tasks.traverse(model, x, [1], np.linspace(-3, 3, 7)).shape
    (1, 7, 3)

    Reference: Higgins et al. (2017), beta-VAE, figure 4.
    """
    if model.posterior.space != "real vectors":
        raise ValueError(
            f"`model` must have latents that are real vectors, which move one by one. "
            f"Received: latents that are {model.posterior.space}."
        )
    moved = _moved(latents, model.posterior.latent_dim)
    x = model.checked_events(x)
    condition = model.conditions.check("condition", condition, len(x))
    own = None if condition is None else condition[:1]
    if np.ndim(values) == 0:
        require_integer("values", values, least=2)
        draws = model.encode(x, condition=condition, sample=True, seed=seed)
        low, high = np.quantile(draws[:, moved], _ENDS, axis=0)
        ways = np.linspace(low, high, values, axis=-1)
    else:
        ways = np.tile(_finite_vector(values), (len(moved), 1))
    z = np.tile(model.encode(x[:1], condition=own), (*ways.shape, 1))
    for row, latent, way in zip(z, moved, ways):
        row[:, latent] = way
    repeated = None if own is None else np.repeat(own, ways.size, axis=0)
    decoded = model.decode(z.reshape(-1, z.shape[-1]), condition=repeated)
    return decoded.reshape(*ways.shape, *decoded.shape[1:])


def _moved(latents: Any, latent_dim: int) -> np.ndarray:
    moved = np.arange(latent_dim) if latents is None else np.asarray(latents)
    whole = moved.ndim == 1 and moved.size and np.issubdtype(moved.dtype, np.integer)
    if not whole or moved.min() < 0 or moved.max() >= latent_dim:
        raise ValueError(
            f"`latents` must be numbers from 0 to {latent_dim - 1}, such as [0, "
            f"{latent_dim - 1}]. Received: latents={latents!r}."
        )
    return moved


def _finite_vector(values: Any) -> np.ndarray:
    vector = np.asarray(values, "float32")
    if vector.ndim != 1 or not vector.size or not np.isfinite(vector).all():
        raise ValueError(
            f"`values` must be finite numbers in one row, or how many of them. Received: "
            f"values={values!r}."
        )
    return vector
