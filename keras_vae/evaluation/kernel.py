"""Kernel distance of features, with a standard error.

Floor 5. Binkowski, Sutherland, Arbel and Gretton (2018), Demystifying MMD GANs, section 4.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from keras_vae.arguments import require_integer
from keras_vae.evaluation.distances import feature_matrices

__all__ = ["KernelDistance", "kernel_distance"]

# Features of a subset.
_SUBSET = 1_000
# Fewest rows of which dependence of kernel values can be told from noise.
_LEAST = 4
# Standard errors of samples that are alike, beyond which samples are taken to differ. Of the
# most skewed that values can be, chi-squared variables, 1 of 100 is beyond.
_APART = 4.0


class KernelDistance(NamedTuple):
    """Result of `kernel_distance`.

    Attributes:
        value: Mean over subsets; about 0 for samples of one distribution, and may be below.
        standard_error: How much other data, of as many examples, would change it. Infinite
            for fewer than four examples.
    """

    value: float
    standard_error: float


def kernel_distance(
    real: Any, generated: Any, *, subsets: int = 100, size: int | None = None, seed: int = 0
) -> KernelDistance:
    """Squared maximum mean discrepancy of features under a cubic kernel: KID.

    Unlike `frechet_distance` it does not depend on the number of examples in the mean. It is
    unbiased for independent samples: of a set and itself it is below zero, since pairs of equal
    rows count between the sets and not within them.

    The standard error is that of the U-statistic of all examples, and of the choice of subsets.
    Where the value is within 4 standard errors of samples that are alike, it is theirs: 95% of
    the values of such samples lie within 1.96 of it (`benchmarks/intervals.py`).

    Args:
        real: Features of real examples, `[examples, features]`.
        generated: The same of generated ones.
        subsets: Random subsets that are averaged. Defaults to `100`.
        size: Size of a subset; at most all. Defaults to `None`: 1000, but at most half of the
            fewer, so that subsets differ.
        seed: Random seed of the subsets.

    Raises:
        ValueError: If they are no matrices of equally many columns, or a number is not a
            positive integer.

    Example:
    >>> rng = np.random.default_rng(0)
    >>> a, b = rng.normal(size=[500, 3]), rng.normal(size=[500, 3])
    >>> abs(keras_vae.evaluation.kernel_distance(a, b, size=100).value) < 0.05
    True

    Reference: Binkowski, Sutherland, Arbel and Gretton (2018), Demystifying MMD GANs,
    section 4; Serfling (1980), Approximation Theorems of Mathematical Statistics, 5.2.1, of the
    variance of U-statistics.
    """
    real, generated = feature_matrices({"real": real, "generated": generated})
    require_integer("subsets", subsets, least=2)
    require_integer("seed", seed, least=0)
    if size is not None:
        require_integer("size", size, least=2)
    fewer = min(len(real), len(generated))
    size = max(2, min(_SUBSET, fewer // 2)) if size is None else min(size, fewer)
    rng = np.random.default_rng(seed)
    taken = max(size, min(_LEAST, fewer))
    # The kernel at the centre is the same for all pairs, and cancels: left out, it takes no
    # digits from what differs.
    centre = (real.mean(axis=0) + generated.mean(axis=0)) / 2
    values, parts = [], []
    for _ in range(subsets):
        a = real[rng.choice(len(real), taken, replace=False)] - centre
        b = generated[rng.choice(len(generated), taken, replace=False)] - centre
        kernels = _cubic(a, a, centre), _cubic(b, b, centre), _cubic(a, b, centre)
        values.append(_discrepancy(*(kernel[:size, :size] for kernel in kernels)))
        if taken >= _LEAST:
            parts.append(_variances(*kernels))
    value = float(np.mean(values))
    if not parts:
        return KernelDistance(value, math.inf)
    mean = _Variances(*np.mean(parts, axis=0))

    def variance(differ: bool) -> float:
        of_all = mean.of_value(len(real), len(generated), differ)
        # Subsets scatter by as much as the value of one has more variance.
        of_one = mean.of_value(size, size, differ)
        return of_all + max(of_one - of_all, 0.0) / subsets

    alike = math.sqrt(variance(False))
    error = alike if abs(value) <= _APART * alike else math.sqrt(variance(True))
    return KernelDistance(value, error)


class _Variances(NamedTuple):
    """Variances of the parts of kernel values, by Hoeffding's decomposition.

    Attributes:
        real: Variance over real rows: mean kernel value with real less that with generated.
        generated: The same over generated rows.
        among_real: Variance of kernel values without the means of their rows.
        among_generated: The same among generated ones.
        between: The same between real and generated ones.
    """

    real: float
    generated: float
    among_real: float
    among_generated: float
    between: float

    def of_value(self, n: int, m: int, differ: bool) -> float:
        """Variance of the discrepancy of n real and m generated rows.

        Args:
            n: Real rows.
            m: Generated rows.
            differ: Whether their distributions do; else means of rows do not vary.
        """
        pairs = 2 * self.among_real / (n * (n - 1)) + 2 * self.among_generated / (m * (m - 1))
        total = pairs + 4 * self.between / (n * m)
        if differ:
            total += 4 * max(self.real, 0.0) / n + 4 * max(self.generated, 0.0) / m
        return total


def _variances(
    of_real: np.ndarray, of_generated: np.ndarray, between: np.ndarray
) -> _Variances:
    """Unbiased estimates: analyses of variance of the three tables of kernel values."""
    (real, among_real), (generated, among_generated) = map(_within, (of_real, of_generated))
    n, m = between.shape
    rows, columns = (between.mean(axis=axis) - between.mean() for axis in (1, 0))
    left = between - between.mean() - rows[:, None] - columns
    across = float(np.sum(left**2)) / ((n - 1) * (m - 1))
    return _Variances(
        float(np.var(real - rows, ddof=1)) - among_real / (n - 2) - across / m,
        float(np.var(generated - columns, ddof=1)) - among_generated / (m - 2) - across / n,
        among_real,
        among_generated,
        across,
    )


def _within(kernel: np.ndarray) -> tuple[np.ndarray, float]:
    """Effects of rows in a symmetric table without diagonal, and the variance of the rest."""
    count = len(kernel)
    off = kernel - np.diag(np.diag(kernel))
    totals = off.sum(axis=1)
    effects = (totals - totals.mean()) / (count - 2)
    left = off - totals.sum() / (count * (count - 1)) - effects[:, None] - effects
    np.fill_diagonal(left, 0.0)
    # Each pair stands there twice.
    return effects, float(np.sum(left**2)) / (count * (count - 3))


def _discrepancy(of_real: np.ndarray, of_generated: np.ndarray, between: np.ndarray) -> float:
    size = len(between)
    within = sum(kernel.sum() - np.trace(kernel) for kernel in (of_real, of_generated))
    return float(within / (size * (size - 1)) - 2 * between.mean())


def _cubic(a: np.ndarray, b: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Cubic kernel of rows less their centre, without its value at the centre."""
    features = a.shape[1]
    at_centre = centre @ centre / features + 1
    moved = (a @ b.T + (a @ centre)[:, None] + b @ centre) / features
    kernel: np.ndarray = moved * (3 * at_centre**2 + 3 * at_centre * moved + moved**2)
    return kernel
