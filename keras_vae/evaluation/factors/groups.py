"""Scores of disentanglement by groups of examples that share a factor.

Floor 5.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from keras_vae.arguments import require_integer
from keras_vae.evaluation.factors.checking import accuracy, checked

__all__ = ["beta_vae_score", "factor_vae_score", "interventional_robustness"]

# A latent that varies less, as in `active_units`, tells nothing: its variance after scaling
# would be that of noise.
_ACTIVE = 0.01
# Deviations beyond are outliers: Suter et al. (2019), section 4.2.
_QUANTILE = 0.99


def beta_vae_score(
    codes: Any, factors: Any, *, pairs: int = 64, votes: int = 2_000, seed: int = 0
) -> float:
    """Whether it shows in the codes which factor several pairs of examples share.

    The mean absolute difference of `pairs` pairs that share one factor is one vote; the score
    is the held-out accuracy of a linear classifier of the shared factor. Chance is 1 over the
    number of factors: with one factor the score is 1 whatever the codes.

    Args:
        codes: As in `disentanglement`.
        factors: As in `disentanglement`.
        pairs: Of one vote. Defaults to `64`.
        votes: For training, and half as many for testing. Defaults to `2000`.
        seed: Of the pairs.

    Example:
    >>> factors = np.random.default_rng(0).integers(0, 4, size=[600, 2])
    >>> keras_vae.evaluation.beta_vae_score(1.0 * factors, factors)
    1.0

    Reference: Higgins et al. (2017), beta-VAE, section 3.
    """
    import sklearn.linear_model

    require_integer("pairs", pairs)
    require_integer("votes", votes, least=2)
    codes, factors = checked(codes, factors)
    rng = np.random.default_rng(seed)

    count = votes + votes // 2
    seen, shared = np.empty((count, codes.shape[1])), np.empty(count, int)
    for sharing in _shared(factors, count, rng):
        first = rng.integers(len(codes), size=(len(sharing.draws), pairs))
        second = sharing.others(sharing.value[first], rng)
        for draw, a, b in zip(sharing.draws, first, second):
            seen[draw] = np.mean(np.abs(codes[a] - codes[b]), axis=0)
        shared[sharing.draws] = sharing.factor
    classifier = sklearn.linear_model.LogisticRegression(max_iter=1_000)
    return accuracy(classifier, (seen[:votes], seen[votes:]), (shared[:votes], shared[votes:]))


def factor_vae_score(
    codes: Any, factors: Any, *, examples: int = 64, votes: int = 2_000, seed: int = 0
) -> float:
    """Whether one latent varies least where one factor is fixed, another for each factor.

    The latent with the smallest variance, relative to that over all data, among `examples`
    that share a factor is one vote; the score is the held-out accuracy of the majority vote.
    Latents with a variance below 0.01 do not take part; without others it is 0. Chance is 1
    over the number of factors, as in `beta_vae_score`.

    Args:
        codes: As in `disentanglement`.
        factors: As in `disentanglement`.
        examples: Of one vote. Defaults to `64`.
        votes: For training, and half as many for testing. Defaults to `2000`.
        seed: Of the examples.

    Example:
    >>> factors = np.random.default_rng(0).integers(0, 4, size=[600, 2])
    >>> keras_vae.evaluation.factor_vae_score(1.0 * factors, factors)
    1.0

    Reference: Kim and Mnih (2018), Disentangling by Factorising, section 4.
    """
    require_integer("examples", examples)
    require_integer("votes", votes, least=2)
    codes, factors = checked(codes, factors)
    variances = codes.var(axis=0)
    active = variances >= _ACTIVE
    if not np.any(active):
        return 0.0
    scaled = codes[:, active] / np.sqrt(variances[active])
    rng = np.random.default_rng(seed)

    count = votes + votes // 2
    seen, shared = np.empty(count, int), np.empty(count, int)
    for sharing in _shared(factors, count, rng):
        one = sharing.value[rng.integers(len(codes), size=(len(sharing.draws), 1))]
        rows = sharing.others(np.broadcast_to(one, (len(one), examples)), rng)
        for draw, alike in zip(sharing.draws, rows):
            seen[draw] = np.argmin(scaled[alike].var(axis=0))
        shared[sharing.draws] = sharing.factor
    table = np.zeros((scaled.shape[1], factors.shape[1]))
    np.add.at(table, (seen[:votes], shared[:votes]), 1)
    majority = np.argmax(table, axis=1)
    return float(np.mean(majority[seen[votes:]] == shared[votes:]))


def interventional_robustness(codes: Any, factors: Any) -> float:
    """How little each latent moves where its factor is fixed and the others change: IRS.

    Constant latents do not take part; without others it is 0.

    Args:
        codes: As in `disentanglement`.
        factors: As in `disentanglement`.

    Example:
    >>> factors = np.random.default_rng(0).integers(0, 4, size=[600, 2])
    >>> keras_vae.evaluation.interventional_robustness(1.0 * factors, factors)
    1.0

    Reference: Suter, Miladinovic, Schoelkopf and Bauer (2019), Robustly Disentangled Causal
    Mechanisms, section 4.
    """
    codes, factors = checked(codes, factors)
    codes = codes[:, np.ptp(codes, axis=0) > 0]
    if codes.shape[1] == 0:
        return 0.0
    largest = np.max(np.abs(codes - codes.mean(axis=0)), axis=0)
    moved = np.zeros((codes.shape[1], factors.shape[1]))
    for factor, values in enumerate(factors.T):
        groups = [codes[values == value] for value in np.unique(values)]
        moved[:, factor] = np.mean(
            [
                np.quantile(np.abs(group - group.mean(axis=0)), _QUANTILE, axis=0)
                for group in groups
            ],
            axis=0,
        )
    robust = 1 - moved / largest[:, None]
    return float(np.average(robust.max(axis=1), weights=largest))


def _shared(factors: np.ndarray, count: int, rng: np.random.Generator) -> Iterator[_Sharing]:
    """Draw which factor is shared, so many times, and yield the draws by factor."""
    shared = rng.integers(factors.shape[1], size=count)
    for factor, values in enumerate(factors.T):
        _, value, counts = np.unique(values, return_inverse=True, return_counts=True)
        order = np.argsort(value, kind="stable")
        yield _Sharing(
            np.flatnonzero(shared == factor),
            factor,
            value,
            order,
            np.cumsum(counts) - counts,
            counts,
        )


class _Sharing(NamedTuple):
    """Examples by their value of one factor.

    Attributes:
        draws: Numbers of the draws that share this factor.
        factor: Which it is.
        value: Number of each example's value.
        order: Examples by value.
        starts: Where each value's examples begin there.
        counts: How many there are.
    """

    draws: np.ndarray
    factor: int
    value: np.ndarray
    order: np.ndarray
    starts: np.ndarray
    counts: np.ndarray

    def others(self, values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Examples at random, one with each of these values."""
        places = np.floor(rng.random(values.shape) * self.counts[values]).astype(int)
        rows: np.ndarray = self.order[self.starts[values] + places]
        return rows
