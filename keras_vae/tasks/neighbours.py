"""Which examples are alike, by their codes.

Floor 6.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import sklearn.neighbors

from keras_vae.arguments import require_integer
from keras_vae.geometry import poincare
from keras_vae.models import VAE

__all__ = ["Neighbours", "nearest"]

# Distances held at a time, of points of a ball: 64 MiB.
_HELD = 2**23


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
    own neighbour, at distance 0.

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
    if k > len(x):
        raise ValueError(f"`k` must be at most the number of x, {len(x)}. Received: k={k}.")
    codes = model.encode(x, condition=condition).astype("float64")
    asked = model.encode(queries, condition=query_condition).astype("float64")
    space = model.posterior.space
    curvature = getattr(model.posterior, "curvature", None)
    if curvature is not None and space == poincare.space(curvature):
        return _hyperbolic(asked, codes, k, curvature)
    found = sklearn.neighbors.NearestNeighbors(n_neighbors=k).fit(codes)
    distances, indices = found.kneighbors(asked)
    if space == "points of the unit sphere":
        # Chords are ordered as angles are.
        distances = 2 * np.arcsin(np.minimum(distances / 2, 1))
    return Neighbours(indices, distances)


def _hyperbolic(asked: np.ndarray, codes: np.ndarray, k: int, curvature: float) -> Neighbours:
    rows = max(1, _HELD // len(codes))
    indices, distances = [], []
    for start in range(0, len(asked), rows):
        apart = _ball_distances(asked[start : start + rows], codes, curvature)
        near = np.argpartition(apart, k - 1, axis=1)[:, :k]
        of_near = np.take_along_axis(apart, near, axis=1)
        order = np.argsort(of_near, axis=1, kind="stable")
        indices.append(np.take_along_axis(near, order, axis=1))
        distances.append(np.take_along_axis(of_near, order, axis=1))
    return Neighbours(np.concatenate(indices), np.concatenate(distances))


def _ball_distances(a: np.ndarray, b: np.ndarray, curvature: float) -> np.ndarray:
    """Hyperbolic distances between points of the ball, `[len(a), len(b)]`."""
    import scipy.spatial.distance

    squared = curvature * scipy.spatial.distance.cdist(a, b, "sqeuclidean")
    shrink_a, shrink_b = (1 - curvature * np.sum(z**2, axis=1) for z in (a, b))
    # arcosh(1 + 2 f) = 2 arsinh(sqrt(f)), without the loss of digits at small f.
    between = 2 * np.arcsinh(np.sqrt(squared / np.outer(shrink_a, shrink_b)))
    distances: np.ndarray = between / np.sqrt(curvature)
    return distances
