"""All scores of disentanglement, with their standard errors.

Floor 5.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
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

__all__ = ["Score", "disentanglement", "over_parts"]

# Fewest examples of a part, a third of which classifiers are tested on.
_LEAST = 6


class Score(NamedTuple):
    """A score over several disjoint parts of the data.

    Attributes:
        value: Mean over the parts.
        standard_error: How much other data, of as many examples, would change it: 1.96 of it to
            both sides are a 95% interval.
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

    Scores are computed on disjoint parts of the data, so that their spread shows what other
    data would change: overlapping parts are more alike than that. The spread of few parts is
    known with an error of its own; standard errors are widened as Student's distribution asks.
    With one factor `"modularity"` is left out.

    Args:
        codes: Latents, `[examples, latent_dim]`.
        factors: Value of each factor, `[examples, factors]`: whole numbers, strings or
            booleans. Constant ones have no part in any score.
        repeats: Disjoint parts of the data, at random, that scores are computed on. Defaults to
            `5`.
        max_examples: Size of a part at most: some scores train classifiers. Defaults to
            `10000`.
        seed: Random seed of the parts, splits and pairs.

    Raises:
        ValueError: If codes or factors are no matrices of equally many rows, codes are not
            finite, there are fewer than 6 rows for each part, or factors are continuous,
            missing or constant in a part.

    Example:
    >>> factors = np.random.default_rng(0).integers(0, 4, size=[600, 2])
    >>> scores = keras_vae.evaluation.disentanglement(1.0 * factors, factors, repeats=2)
    >>> round(scores["mutual_information_gap"].value, 1)
    1.0
    """
    codes, factors = checked(codes, factors)
    require_integer("repeats", repeats, least=2)
    require_integer("max_examples", max_examples, least=_LEAST)
    if len(codes) < _LEAST * repeats:
        raise ValueError(
            f"`codes` must have at least {_LEAST} rows for each of {repeats} parts. "
            f"Received: {len(codes)}."
        )
    size = min(len(codes) // repeats, max_examples)
    return over_parts(_all_scores, codes, factors, size=size, repeats=repeats, seed=seed)


def over_parts(
    scores: Callable[[np.ndarray, np.ndarray, int], Mapping[str, float]],
    codes: np.ndarray,
    factors: np.ndarray,
    *,
    size: int,
    repeats: int,
    seed: int,
) -> dict[str, Score]:
    """Compute scores on disjoint parts of the data, with standard errors.

    Args:
        scores: `(codes, factors, seed) -> scores by name`.
        codes: `[examples, latent_dim]`.
        factors: `[examples, factors]`.
        size: Examples of a part.
        repeats: Number of parts.
        seed: Random seed of the parts; each is given one of its own.
    """
    import scipy.stats

    order = np.random.default_rng(seed).permutation(len(codes))
    found: dict[str, list[float]] = {}
    for repeat in range(repeats):
        rows = order[repeat * size : (repeat + 1) * size]
        if (factors[rows] == factors[rows[0]]).all():
            raise ValueError(
                f"`factors` must vary within {repeats} parts of {size} examples. Received: "
                f"factors that are constant in one of them. Use fewer `repeats`, or leave "
                f"factors out that hardly vary."
            )
        for name, value in scores(codes[rows], factors[rows], seed + repeat).items():
            found.setdefault(name, []).append(value)
    factor = scipy.stats.t.ppf(0.975, repeats - 1) / scipy.stats.norm.ppf(0.975)
    factor /= math.sqrt(repeats)
    return {
        name: Score(float(np.mean(v)), float(factor * np.std(v, ddof=1)))
        for name, v in found.items()
    }


def _all_scores(codes: np.ndarray, factors: np.ndarray, seed: int) -> Mapping[str, float]:
    by_trees = dci(codes, factors, seed=seed)
    found = {
        "mutual_information_gap": mutual_information_gap(codes, factors),
        "separated_attributes": separated_attributes(codes, factors, seed=seed),
        "dci_disentanglement": by_trees.disentanglement,
        "dci_completeness": by_trees.completeness,
        "dci_informativeness": by_trees.informativeness,
        "beta_vae_score": beta_vae_score(codes, factors, seed=seed),
        "factor_vae_score": factor_vae_score(codes, factors, seed=seed),
        "interventional_robustness": interventional_robustness(codes, factors),
    }
    if factors.shape[1] > 1:
        found["modularity"] = modularity(codes, factors)
    return {**found, "explicitness": explicitness(codes, factors, seed=seed)}
