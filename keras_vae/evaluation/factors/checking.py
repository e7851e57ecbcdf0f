"""What codes and factors must be, and their split for classifiers.

Floor 5.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["checked", "gap", "split"]

# Share of the examples that classifiers are tested on.
_TESTED = 1 / 3


def checked(codes: Any, factors: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return codes and factors as matrices, or raise a ValueError."""
    codes, factors = np.asarray(codes, "float64"), np.asarray(factors)
    if codes.ndim != 2 or factors.ndim != 2 or len(codes) != len(factors):
        raise ValueError(
            f"`codes` and `factors` must be matrices of equally many rows. "
            f"Received: shapes {codes.shape} and {factors.shape}."
        )
    if not np.isfinite(codes).all():
        raise ValueError("`codes` must be finite. Received: NaN or infinities.")
    if not np.array_equal(factors, np.round(factors)):
        raise ValueError(
            "`factors` must be whole numbers. Received: others. Put continuous ones into bins: "
            "np.digitize."
        )
    constant = [place for place, column in enumerate(factors.T) if np.ptp(column) == 0]
    if constant:
        raise ValueError(
            f"`factors` must vary. Received: constant columns {constant}. Leave them out."
        )
    return codes, factors.astype("int64")


def split(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows to train on, and rows to test on."""
    order = np.random.default_rng(seed).permutation(count)
    tested = int(count * _TESTED)
    return order[tested:], order[:tested]


def gap(scores: np.ndarray) -> np.ndarray:
    """By column, the best less the second best, which is 0 where there is none."""
    ordered = np.sort(np.vstack([scores, np.zeros((1, scores.shape[1]))]), axis=0)
    difference: np.ndarray = ordered[-1] - ordered[-2]
    return difference
