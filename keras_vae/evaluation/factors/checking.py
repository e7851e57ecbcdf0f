"""What codes and factors must be, and their split for classifiers.

Floor 5.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_vae.arguments import require_integer
from keras_vae.data.labels import classes_of, flat_labels

__all__ = ["accuracy", "checked", "gap", "split"]

# Share of the examples that classifiers are tested on.
_TESTED = 1 / 3
# Fewest examples: of fewer none would be tested on.
_LEAST = 3


def checked(codes: Any, factors: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return codes, and the numbers of the values of factors that vary, as matrices.

    Raises:
        ValueError: If they are no matrices of equally many rows, codes are not finite, or
            factors are missing, continuous or all constant.
    """
    try:
        codes = np.asarray(codes, "float64")
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"`codes` must be numbers [examples, latents]. Received: a "
            f"{type(codes).__name__} that is no array of numbers."
        ) from error
    factors = np.asarray(factors)
    if codes.ndim != 2 or factors.ndim != 2 or len(codes) != len(factors):
        raise ValueError(
            f"`codes` and `factors` must be matrices of equally many rows. "
            f"Received: shapes {codes.shape} and {factors.shape}."
        )
    if len(codes) < _LEAST or 0 in (codes.shape[1], factors.shape[1]):
        raise ValueError(
            f"`codes` and `factors` must have at least {_LEAST} rows and a column. "
            f"Received: shapes {codes.shape} and {factors.shape}."
        )
    if not np.isfinite(codes).all():
        raise ValueError("`codes` must be finite. Received: NaN or infinities.")
    columns = [_numbers(column, place) for place, column in enumerate(factors.T)]
    varying = [column for column in columns if np.ptp(column) > 0]
    if not varying:
        raise ValueError("`factors` must vary. Received: constant columns alone.")
    return codes, np.stack(varying, axis=1)


def _numbers(column: np.ndarray, place: int) -> np.ndarray:
    """Number of each example's value of a factor; strings and booleans have numbers, too."""
    name = f"factors[:, {place}]"
    column = flat_labels(column, len(column), name)
    if column.dtype.kind == "f" and not np.array_equal(column, np.round(column)):
        raise ValueError(
            f"`factors` must be whole numbers. Received: others in column {place}. Put "
            f"continuous ones into bins: np.digitize."
        )
    return classes_of(column, len(column), name)[1]


def split(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows to train on, and rows to test on."""
    require_integer("seed", seed, least=0)
    order = np.random.default_rng(seed).permutation(count)
    tested = int(count * _TESTED)
    return order[tested:], order[:tested]


def gap(scores: np.ndarray) -> np.ndarray:
    """By column, the best less the second best, which is 0 where there is none."""
    ordered = np.sort(np.vstack([scores, np.zeros((1, scores.shape[1]))]), axis=0)
    difference: np.ndarray = ordered[-1] - ordered[-2]
    return difference


def accuracy(
    classifier: Any,
    codes: tuple[np.ndarray, np.ndarray],
    values: tuple[np.ndarray, np.ndarray],
) -> float:
    """Share of the values that a classifier tells, once fitted.

    Where all values to learn from are one, it tells that one: classifiers refuse these.

    Args:
        classifier: Classifier of scikit-learn.
        codes: To train on, and to test on.
        values: The same.
    """
    if np.ptp(values[0]) == 0:
        return float(np.mean(values[1] == values[0][0]))
    classifier.fit(codes[0], values[0])
    return float(classifier.score(codes[1], values[1]))
