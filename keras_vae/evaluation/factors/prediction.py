"""Scores of disentanglement by how factors can be predicted.

Floor 5.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from keras_vae.evaluation.factors.checking import accuracy, checked, gap, split

__all__ = ["DCI", "dci", "explicitness", "separated_attributes"]


class DCI(NamedTuple):
    """Result of `dci`.

    Attributes:
        disentanglement: Whether each latent matters to one factor only.
        completeness: Whether each factor is told by one latent only.
        informativeness: Share of held-out factors that the latents tell.
    """

    disentanglement: float
    completeness: float
    informativeness: float


def separated_attributes(codes: Any, factors: Any, *, seed: int = 0) -> float:
    """How much better the best latent alone predicts a factor than the second best: SAP.

    Prediction is the held-out accuracy of a linear support vector machine on one latent. A
    constant latent, and a second best where there is one latent, guess: 1 in as many as the
    factor has values.

    Args:
        codes: As in `disentanglement`.
        factors: As in `disentanglement`.
        seed: Of the split into training and test.

    Example:
    >>> factors = np.random.default_rng(0).integers(0, 2, size=[600, 2])
    >>> 0.4 < keras_vae.evaluation.separated_attributes(1.0 * factors, factors) < 0.7
    True

    Reference: Kumar, Sattigeri and Balakrishnan (2018), Variational Inference of Disentangled
    Latent Concepts from Unlabeled Observations, section 3.
    """
    import sklearn.svm

    codes, factors = checked(codes, factors)
    train, test = split(len(codes), seed)
    # The machine gives all values of a factor the same weight.
    guesses = np.array([1 / len(np.unique(values)) for values in factors.T])
    scores = np.tile(guesses, (max(2, codes.shape[1]), 1))
    for place, code in enumerate(codes.T):
        if np.ptp(code) == 0 or code.std() == 0:
            continue
        scaled = ((code - code.mean()) / code.std())[:, None]
        for factor, values in enumerate(factors.T):
            machine = sklearn.svm.LinearSVC(C=0.01, class_weight="balanced", random_state=seed)
            scores[place, factor] = accuracy(
                machine, (scaled[train], scaled[test]), (values[train], values[test])
            )
    return float(np.mean(gap(scores)))


def dci(codes: Any, factors: Any, *, seed: int = 0) -> DCI:
    """Disentanglement, completeness and informativeness, by gradient-boosted trees.

    A hundred trees predict each factor of all latents; how they use the latents gives the first
    two, which are 0 if the latents tell nothing. It takes a minute for 2,500 examples of
    factors with a hundred values in all.

    Args:
        codes: As in `disentanglement`.
        factors: As in `disentanglement`.
        seed: Of the trees and the split into training and test.

    Example:
    >>> factors = np.random.default_rng(0).integers(0, 3, size=[600, 2])
    >>> [round(value, 2) for value in keras_vae.evaluation.dci(1.0 * factors, factors)]
    [1.0, 1.0, 1.0]

    Reference: Eastwood and Williams (2018), A Framework for the Quantitative Evaluation of
    Disentangled Representations, section 2.
    """
    import sklearn.ensemble

    codes, factors = checked(codes, factors)
    train, test = split(len(codes), seed)
    importance = np.zeros((codes.shape[1], factors.shape[1]))
    accuracies = []
    for factor, values in enumerate(factors.T):
        # As many as scikit-learn makes by itself, and disentanglement_lib with it: with fewer,
        # noisy codes look better.
        trees = sklearn.ensemble.GradientBoostingClassifier(random_state=seed)
        told = accuracy(trees, (codes[train], codes[test]), (values[train], values[test]))
        accuracies.append(told)
        if hasattr(trees, "feature_importances_"):
            importance[:, factor] = np.abs(trees.feature_importances_)
    # Latents that nothing can be told by have no importance: then both scores are 0.
    total = importance.sum() or 1.0
    by_code, by_factor = importance.sum(axis=1), importance.sum(axis=0)
    return DCI(
        float(np.sum(_concentration(importance) * by_code) / total),
        float(np.sum(_concentration(importance.T) * by_factor) / total),
        float(np.mean(accuracies)),
    )


def explicitness(codes: Any, factors: Any, *, seed: int = 0) -> float:
    """How well factors can be read off the codes by a linear classifier.

    The mean, over factors and their values, of the area under the ROC curve of telling that
    value from the others on held-out examples: 0.5 is chance, and the score where no value can
    be tried.

    Args:
        codes: As in `disentanglement`.
        factors: As in `disentanglement`.
        seed: Of the split into training and test.

    Example:
    >>> factors = np.random.default_rng(0).integers(0, 2, size=[600, 2])
    >>> keras_vae.evaluation.explicitness(1.0 * factors, factors)
    1.0

    Reference: Ridgeway and Mozer (2018), section 3.
    """
    import sklearn.linear_model
    import sklearn.metrics

    codes, factors = checked(codes, factors)
    train, test = split(len(codes), seed)
    spread = np.maximum(codes.std(axis=0), 1e-12)
    scaled = (codes - codes.mean(axis=0)) / spread
    areas = []
    for values in factors.T:
        if np.ptp(values[train]) == 0:
            continue
        classifier = sklearn.linear_model.LogisticRegression(max_iter=1_000)
        classifier.fit(scaled[train], values[train])
        told = classifier.predict_proba(scaled[test])
        for place, value in enumerate(classifier.classes_):
            is_it = values[test] == value
            if 0 < is_it.sum() < len(is_it):
                areas.append(sklearn.metrics.roc_auc_score(is_it, told[:, place]))
    return float(np.mean(areas)) if areas else 0.5


def _concentration(importance: np.ndarray) -> np.ndarray:
    """By row, 1 if one column has it all, 0 if all have the same."""
    columns = importance.shape[1]
    if columns == 1:
        return np.ones(len(importance))
    totals = importance.sum(axis=1, keepdims=True)
    shares = np.divide(
        importance, totals, out=np.full_like(importance, 1 / columns), where=totals > 0
    )
    logs = np.log(shares, out=np.zeros_like(shares), where=shares > 0)
    concentration: np.ndarray = 1 + np.sum(shares * logs, axis=1) / np.log(columns)
    return concentration
