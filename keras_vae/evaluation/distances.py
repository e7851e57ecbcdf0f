"""Distances between rows, and the check of what they are taken of.

Floor 5. One algorithm for all of evaluation: squared differences, summed. The quicker
`|a|**2 + |b|**2 - 2 a.b` loses the digits of small distances between large numbers, and gives
copies of a row other distances in other places, so that ties fall by rounding.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

__all__ = [
    "centred",
    "distance_blocks",
    "feature_matrices",
    "flat_rows",
    "reach",
    "squared_distances",
]

# Distances held at a time: 64 MiB.
_HELD = 2**23


def squared_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Squared Euclidean distances between rows, `[len(a), len(b)]`: equal rows have 0."""
    import scipy.spatial.distance

    workers = os.cpu_count() or 1
    parts = [part for part in np.array_split(a, workers) if len(part)]
    with ThreadPoolExecutor(workers) as pool:
        blocks = pool.map(
            lambda part: scipy.spatial.distance.cdist(part, b, "sqeuclidean"), parts
        )
        found: np.ndarray = np.concatenate(list(blocks))
    return found


def distance_blocks(a: np.ndarray, b: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield rows of `squared_distances(a, b)`, a block at a time, with their places in a."""
    rows = max(1, _HELD // max(1, len(b)))
    for start in range(0, len(a), rows):
        block = slice(start, min(start + rows, len(a)))
        yield block, squared_distances(a[block], b)


def reach(rows: np.ndarray, neighbours: int) -> np.ndarray:
    """Squared distance of each row to its neighbour of that rank, itself left out."""
    found = np.empty(len(rows))
    for block, squares in distance_blocks(rows, rows):
        squares[np.arange(len(squares)), np.arange(block.start, block.stop)] = np.inf
        found[block] = np.partition(squares, neighbours - 1, axis=1)[:, neighbours - 1]
    return found


def centred(*sets: np.ndarray) -> tuple[np.ndarray, ...]:
    """Shift sets of rows by the mean of the first, so that no digits go to their place."""
    centre = sets[0].mean(axis=0)
    return tuple(rows - centre for rows in sets)


def flat_rows(x: Any) -> np.ndarray:
    """Return examples of any shape as rows of numbers."""
    x = np.asarray(x)
    rows: np.ndarray = x.reshape(len(x), math.prod(x.shape[1:])) if x.ndim else x
    return rows


def feature_matrices(sets: Mapping[str, Any], least: int = 2) -> list[np.ndarray]:
    """Return features as float64 matrices of equally many columns, or raise a ValueError.

    Args:
        sets: Features `[examples, features]` by argument name.
        least: Fewest examples of each. Defaults to `2`.
    """
    found = {}
    for name, given in sets.items():
        try:
            found[name] = np.asarray(given, "float64")
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"`{name}` must be numbers [examples, features]. "
                f"Received: a {type(given).__name__} that is no array of numbers."
            ) from error
    shapes = [rows.shape for rows in found.values()]
    if any(len(shape) != 2 for shape in shapes) or len({shape[1] for shape in shapes}) > 1:
        raise ValueError(
            f"Features must be matrices [examples, features] of equally many columns. "
            f"Received: shapes {', '.join(map(str, shapes))}. Give images to a network "
            f"first: feature_network(x, labels).predict(images)."
        )
    for name, rows in found.items():
        if len(rows) < least or not rows.shape[1]:
            few = "two examples" if least == 2 else f"{least} example"
            raise ValueError(
                f"`{name}` must have at least {few} and one feature. "
                f"Received: shape {rows.shape}."
            )
        if not np.isfinite(rows).all():
            raise ValueError(
                f"`{name}` must be finite. Received: NaN or infinities in row "
                f"{int(np.argmin(np.isfinite(rows).all(axis=1)))}."
            )
    return list(found.values())
