"""How close generated data comes to real data.

Floor 5. Gretton, Borgwardt, Rasch, Schoelkopf and Smola (2012), A Kernel Two-Sample Test.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from keras_vae.arguments import require_integer, require_positive
from keras_vae.evaluation.distances import (
    centred,
    feature_matrices,
    flat_rows,
    squared_distances,
)

__all__ = ["TwoSampleTest", "median_distance", "two_sample_test"]

# Splits that swap equal rows tie with the given one but for the rounding of sums of kernel
# values, which are at most 1, in float64.
_ROUNDING = 1e-12


class TwoSampleTest(NamedTuple):
    """Result of `two_sample_test`.

    Attributes:
        statistic: Unbiased estimate of the squared maximum mean discrepancy: 0 on average if
            both samples come from one distribution, larger the further apart they are.
        p_value: Share of random splits of the pooled sample, the given one included, whose
            statistic is at least as large.
        bandwidth: Of the Gaussian kernel.
    """

    statistic: float
    p_value: float
    bandwidth: float


def median_distance(x: Any) -> float:
    """Median Euclidean distance between two different examples.

    Args:
        x: `[examples, ...]`; at least two examples.

    Example:
    >>> keras_vae.evaluation.median_distance(np.array([[0.0], [1.0], [3.0]]))
    2.0

    Reference: Gretton et al. (2012), section 8: the usual bandwidth of the kernel.
    """
    (rows,) = centred(_rows("x", x))
    return _median(squared_distances(rows, rows))


def two_sample_test(
    x: Any,
    y: Any,
    *,
    bandwidth: float | None = None,
    permutations: int = 1_000,
    seed: int = 0,
) -> TwoSampleTest:
    """Test whether two samples come from one distribution, by their mean kernel values.

    The kernel is `exp(-|a - b|**2 / (2 * bandwidth**2))`. Statistics are comparable between
    tests of the same bandwidth only: give it when several models are compared. Memory is the
    square of the number of examples.

    Args:
        x: `[examples, ...]`; at least two examples.
        y: The same, of any number of examples.
        bandwidth: Defaults to `None`: the median distance within the pooled sample; the mean
            one if more than half of the pairs are equal, 1 if all are.
        permutations: Number of random splits. Defaults to `1000`.
        seed: Of the splits.

    Returns:
        A `TwoSampleTest`.

    Raises:
        ValueError: If the examples' sizes differ, there are fewer than two, values are not
            finite, or `bandwidth` or `permutations` is not positive.

    Example:
    >>> rng = np.random.default_rng(0)
    >>> x, y = rng.normal(size=[100, 2]), rng.normal(size=[100, 2])
    >>> keras_vae.evaluation.two_sample_test(x, y).p_value > 0.05
    True
    >>> keras_vae.evaluation.two_sample_test(x, y + 1).p_value < 0.01
    True

    Reference: Gretton et al. (2012), equation 3 (the statistic) and section 8 (the
    bandwidth); Phipson and Smyth (2010), Permutation P-values Should Never Be Zero.
    """
    x, y = _rows("x", x), _rows("y", y)
    if x.shape[1] != y.shape[1]:
        raise ValueError(
            f"`x` and `y` must have examples of one size. Received: {x.shape[1]} and "
            f"{y.shape[1]} numbers per example."
        )
    require_integer("permutations", permutations)
    require_integer("seed", seed, least=0)
    (pooled,) = centred(np.concatenate([x, y]))
    squares = squared_distances(pooled, pooled)
    if bandwidth is None:
        bandwidth = _median(squares) or _mean(squares) or 1.0
    require_positive("bandwidth", bandwidth)
    kernel = np.exp(squares / (-2 * bandwidth**2))
    np.fill_diagonal(kernel, 0.0)

    # A column is one split: 1 for the rows that stand for x. The first is the given one.
    split = (np.arange(len(kernel)) < len(x)).astype("float64")
    rng = np.random.default_rng(seed)
    splits = rng.permuted(np.tile(split[:, None], permutations + 1), axis=0)
    splits[:, 0] = split
    statistics = _squared_discrepancies(kernel, splits)
    p_value = float(np.mean(statistics >= statistics[0] - _ROUNDING))
    return TwoSampleTest(float(statistics[0]), p_value, bandwidth)


def _squared_discrepancies(kernel: np.ndarray, splits: np.ndarray) -> np.ndarray:
    """Unbiased estimates, one per column of `splits`; the kernel's diagonal is zero."""
    first = splits.sum(axis=0)
    second = len(kernel) - first
    products = kernel @ splits
    within_first = np.sum(splits * products, axis=0)
    across = np.sum(products, axis=0) - within_first
    within_second = kernel.sum() - within_first - 2 * across
    discrepancies: np.ndarray = (
        within_first / (first * (first - 1))
        + within_second / (second * (second - 1))
        - 2 * across / (first * second)
    )
    return discrepancies


def _median(squares: np.ndarray) -> float:
    """Median distance of two different rows."""
    return float(np.sqrt(np.median(squares[np.triu_indices(len(squares), k=1)])))


def _mean(squares: np.ndarray) -> float:
    return float(np.sqrt(squares[np.triu_indices(len(squares), k=1)]).mean())


def _rows(name: str, x: Any) -> np.ndarray:
    (rows,) = feature_matrices({name: flat_rows(x)})
    return rows
