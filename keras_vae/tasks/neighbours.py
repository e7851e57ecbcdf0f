"""Which examples are alike, by their codes.

Floor 6.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from keras_vae.arguments import require_integer
from keras_vae.evaluation.distances import distance_blocks
from keras_vae.geometry import poincare
from keras_vae.models import VAE
from keras_vae.tasks.frames import taken

__all__ = ["Neighbours", "nearest"]


class Neighbours(NamedTuple):
    """Result of `nearest`.

    Attributes:
        indices: Rows of x, the nearest first, `[queries, k]`.
        distances: Between the codes, `[queries, k]`, float64.
    """

    indices: np.ndarray
    distances: np.ndarray


def nearest(
    model: VAE,
    queries: Any,
    x: Any,
    k: int = 5,
    *,
    condition: Any = None,
    query_condition: Any = None,
) -> Neighbours:
    """Find the examples of x whose codes are nearest to those of the queries.

    Distances are those of the space that latents live in: angles on the sphere, hyperbolic
    distances in the Poincare ball, Euclidean ones elsewhere. An example that is in both is its
    own neighbour, at distance 0. Of equally near ones the first in x come first.

    Args:
        model: Any model.
        queries: `[queries, *raw_shape]`.
        x: `[examples, *raw_shape]`.
        k: Neighbours of each query. Defaults to `5`.
        condition: Of x, one per example, or one for all. Defaults to `None`.
        query_condition: The same of the queries. Defaults to `None`.

    Raises:
        ValueError: If queries or x are bad, or `k` is no integer from 1 to the number of x.

    Example:
    >>> model = keras_vae.VAE(
    ...     keras_vae.networks.MLP([8]),
    ...     keras_vae.networks.MLP([8]),
    ...     keras_vae.posteriors.DiagonalNormal(2),
    ...     likelihood=keras_vae.likelihoods.Normal(),
    ...     event_shape=(3,),
    ... )
    >>> x = np.random.default_rng(0).normal(size=(50, 3))
    >>> found = keras_vae.tasks.nearest(model, x[:4], x, k=2)
    >>> found.indices[:, 0].tolist()
    [0, 1, 2, 3]
    >>> found.distances.shape
    (4, 2)

    Reference: Nickel and Kiela (2017), Poincare Embeddings for Learning Hierarchical
    Representations, equation 1, of distances in the ball.
    """
    require_integer("k", k)
    x, queries = taken(x)[0], taken(queries, "queries")[0]
    x, queries = model.checked_events(x), model.checked_events(queries)
    if k > len(x):
        raise ValueError(f"`k` must be at most the number of x, {len(x)}. Received: k={k}.")
    codes = model.encode(x, condition=condition).astype("float64")
    asked = model.encode(queries, condition=query_condition).astype("float64")
    space = model.posterior.space
    curvature = getattr(model.posterior, "curvature", None)
    if curvature is not None and space == poincare.space(curvature):
        return _hyperbolic(asked, codes, k, curvature)
    codes, asked = (np.reshape(z, (len(z), -1)) for z in (codes, asked))
    indices, squares = _smallest(distance_blocks(asked, codes), k)
    distances = np.sqrt(squares)
    if space == "points of the unit sphere":
        # Chords are ordered as angles are.
        distances = 2 * np.arcsin(np.minimum(distances / 2, 1))
    return Neighbours(indices, distances)


def _hyperbolic(asked: np.ndarray, codes: np.ndarray, k: int, curvature: float) -> Neighbours:
    blocks = (
        (rows, _ball_distances(asked[rows], codes, squares, curvature))
        for rows, squares in distance_blocks(asked, codes)
    )
    return Neighbours(*_smallest(blocks, k))


def _smallest(
    blocks: Iterable[tuple[slice, np.ndarray]], k: int
) -> tuple[np.ndarray, np.ndarray]:
    """Places and values of the k smallest of each row, of equal ones the first."""
    places, values = [], []
    for _, apart in blocks:
        # Above the k-th smallest none is near; at it, the first are.
        last = np.partition(apart, k - 1, axis=1)[:, k - 1 : k]
        rank = (apart >= last).astype("uint8") + (apart > last)
        near = np.sort(np.argsort(rank, axis=1, kind="stable")[:, :k], axis=1)
        of_near = np.take_along_axis(apart, near, axis=1)
        order = np.argsort(of_near, axis=1, kind="stable")
        places.append(np.take_along_axis(near, order, axis=1))
        values.append(np.take_along_axis(of_near, order, axis=1))
    return np.concatenate(places), np.concatenate(values)


def _ball_distances(
    a: np.ndarray, b: np.ndarray, squares: np.ndarray, curvature: float
) -> np.ndarray:
    """Hyperbolic distances between points of the ball, `[len(a), len(b)]`."""
    squared = curvature * squares
    shrink_a, shrink_b = (1 - curvature * np.sum(z**2, axis=1) for z in (a, b))
    # arcosh(1 + 2 f) = 2 arsinh(sqrt(f)), without the loss of digits at small f.
    between = 2 * np.arcsinh(np.sqrt(squared / np.outer(shrink_a, shrink_b)))
    distances: np.ndarray = between / np.sqrt(curvature)
    return distances
