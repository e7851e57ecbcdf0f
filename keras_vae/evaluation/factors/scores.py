"""All scores of disentanglement, with their standard errors.

Floor 5.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from keras_vae.arguments import require_integer
from keras_vae.evaluation.factors.checking import checked
from keras_vae.evaluation.factors.groups import (
    beta_vae_score,
    factor_vae_score,
    interventional_robustness,
)
from keras_vae.evaluation.factors.information import modularity, mutual_information_gap
from keras_vae.evaluation.factors.prediction import dci, explicitness, separated_attributes

__all__ = ["Score", "disentanglement"]


class Score(NamedTuple):
    """A score over several random halves of the data.

    Attributes:
        value: Mean.
        standard_error: Of the mean of as many disjoint halves, by the spread of these: what
            other data of the size of one half would change.
    """

    value: float
    standard_error: float


def disentanglement(
    codes: Any,
    factors: Any,
    *,
    repeats: int = 5,
    max_examples: int = 10_000,
    seed: int = 0,
) -> dict[str, Score]:
    """All scores, with their standard errors, by name.

    Args:
        codes: Latents, `[examples, latent_dim]`.
        factors: Whole numbers, `[examples, factors]`: which value each factor had.
        repeats: Random halves of the data that scores are computed on. Defaults to `5`.
        max_examples: Size of a half at most: some scores train classifiers. Defaults to
            `10000`.
        seed: Of the halves, splits and pairs.

    Raises:
        ValueError: If codes or factors are no matrices of equally many rows, codes are not
            finite, factors are not whole numbers, or a factor is constant.

    Example:
    >>> factors = np.random.default_rng(0).integers(0, 4, size=[600, 2])
    >>> scores = keras_vae.evaluation.disentanglement(1.0 * factors, factors, repeats=2)
    >>> round(scores["mutual_information_gap"].value, 2)
    1.0
    """
    codes, factors = checked(codes, factors)
    require_integer("repeats", repeats, least=2)
    found: dict[str, list[float]] = {}
    for repeat in range(repeats):
        rng = np.random.default_rng([seed, repeat])
        size = min(len(codes) // 2, max_examples)
        rows = rng.permutation(len(codes))[:size]
        for name, value in _all_scores(codes[rows], factors[rows], seed + repeat).items():
            found.setdefault(name, []).append(value)
    return {
        name: Score(float(np.mean(v)), float(np.std(v, ddof=1) / np.sqrt(repeats)))
        for name, v in found.items()
    }


def _all_scores(codes: np.ndarray, factors: np.ndarray, seed: int) -> Mapping[str, float]:
    by_trees = dci(codes, factors, seed=seed)
    return {
        "mutual_information_gap": mutual_information_gap(codes, factors),
        "separated_attributes": separated_attributes(codes, factors, seed=seed),
        "dci_disentanglement": by_trees.disentanglement,
        "dci_completeness": by_trees.completeness,
        "dci_informativeness": by_trees.informativeness,
        "beta_vae_score": beta_vae_score(codes, factors, seed=seed),
        "factor_vae_score": factor_vae_score(codes, factors, seed=seed),
        "interventional_robustness": interventional_robustness(codes, factors),
        "modularity": modularity(codes, factors),
        "explicitness": explicitness(codes, factors, seed=seed),
    }
