"""Scores of disentanglement by groups of examples that share a factor.

Floor 5.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from keras_vae.evaluation.factors.checking import checked

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
    is the held-out accuracy of a linear classifier of the shared factor.

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

    codes, factors = checked(codes, factors)
    rng = np.random.default_rng(seed)

    def vote(alike: Callable[[], np.ndarray]) -> np.ndarray:
        first, second = (codes[rows] for rows in alike().reshape(-1, 2).T)
        difference: np.ndarray = np.mean(np.abs(first - second), axis=0)
        return difference

    seen, shared = _votes(factors, vote, pairs, votes + votes // 2, rng, together=2)
    classifier = sklearn.linear_model.LogisticRegression(max_iter=1_000)
    classifier.fit(seen[:votes], shared[:votes])
    return float(classifier.score(seen[votes:], shared[votes:]))


def factor_vae_score(
    codes: Any, factors: Any, *, examples: int = 64, votes: int = 2_000, seed: int = 0
) -> float:
    """Whether one latent varies least where one factor is fixed, another for each factor.

    The latent with the smallest variance, relative to that over all data, among `examples`
    that share a factor is one vote; the score is the held-out accuracy of the majority vote.
    Latents with a variance below 0.01 do not take part.

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
    codes, factors = checked(codes, factors)
    variances = codes.var(axis=0)
    active = variances >= _ACTIVE
    if not np.any(active):
        return 0.0
    scaled = codes[:, active] / np.sqrt(variances[active])
    rng = np.random.default_rng(seed)

    def vote(alike: Callable[[], np.ndarray]) -> np.ndarray:
        return np.array([np.argmin(scaled[alike()].var(axis=0))])

    seen, shared = _votes(factors, vote, examples, votes + votes // 2, rng)
    table = np.zeros((scaled.shape[1], factors.shape[1]))
    np.add.at(table, (seen[:votes, 0], shared[:votes]), 1)
    majority = np.argmax(table, axis=1)
    return float(np.mean(majority[seen[votes:, 0]] == shared[votes:]))


def interventional_robustness(codes: Any, factors: Any) -> float:
    """How little each latent moves where its factor is fixed and the others change: IRS.

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


def _votes(
    factors: np.ndarray,
    vote: Callable[[Callable[[], np.ndarray]], np.ndarray],
    size: int,
    count: int,
    rng: np.random.Generator,
    together: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """What examples that share a factor look like, and which factor it is.

    Args:
        factors: `[examples, factors]`.
        vote: Is given a function that draws rows of examples: `size` that share one value, or
            `size` groups of `together`, each of a value of its own.
        size: How many.
        count: Of votes.
        rng: Draws.
        together: Size of groups; 0 for all examples in one.
    """
    members = [
        [np.flatnonzero(values == value) for value in np.unique(values)] for values in factors.T
    ]
    shares = [np.array([len(rows) for rows in groups]) / len(factors) for groups in members]
    shared = rng.integers(len(members), size=count)
    seen = []
    for factor in shared:
        groups, share = members[factor], shares[factor]

        def alike(groups: Any = groups, share: Any = share) -> np.ndarray:
            if not together:
                rows: np.ndarray = rng.choice(groups[rng.choice(len(groups), p=share)], size)
                return rows
            chosen = rng.choice(len(groups), size, p=share)
            return np.concatenate([rng.choice(groups[each], together) for each in chosen])

        seen.append(vote(alike))
    return np.stack(seen), shared
