"""Scores of disentanglement by mutual information.

Floor 5.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_vae.evaluation.factors.checking import checked, gap

__all__ = ["modularity", "mutual_information_gap"]

# Histograms of codes, as in disentanglement_lib.
_BINS = 20


def mutual_information_gap(codes: Any, factors: Any) -> float:
    """How much more the best latent tells of a factor than the second best, over its entropy.

    Codes are put into 20 bins of equal width. A single latent has a second best of 0.

    Args:
        codes: As in `disentanglement`.
        factors: As in `disentanglement`.

    Example:
    >>> factors = np.random.default_rng(0).integers(0, 4, size=[600, 2])
    >>> round(keras_vae.evaluation.mutual_information_gap(1.0 * factors, factors), 2)
    1.0

    Reference: Chen, Li, Grosse and Duvenaud (2018), Isolating Sources of Disentanglement in
    Variational Autoencoders, equation 6.
    """
    codes, factors = checked(codes, factors)
    information = _mutual_information(codes, factors)
    entropies = np.array([_entropy(column) for column in factors.T])
    return float(np.mean(gap(information) / entropies))


def modularity(codes: Any, factors: Any) -> float:
    """Whether each latent tells of one factor only, by mutual information.

    A latent that tells nothing counts as perfect, as in the paper, and so does any where one
    factor alone varies: read it with `explicitness`.

    Args:
        codes: As in `disentanglement`.
        factors: As in `disentanglement`; at least two.

    Example:
    >>> factors = np.random.default_rng(0).integers(0, 4, size=[600, 2])
    >>> round(keras_vae.evaluation.modularity(1.0 * factors, factors), 2)
    1.0

    Reference: Ridgeway and Mozer (2018), Learning Deep Disentangled Embeddings with the
    F-Statistic Loss, section 3.
    """
    if np.ndim(factors) == 2 and np.shape(factors)[1] < 2:
        raise ValueError("`factors` must be at least two. Received: one.")
    codes, factors = checked(codes, factors)
    if factors.shape[1] < 2:
        return 1.0  # others are constant: there is nothing else to tell of
    squares = _mutual_information(codes, factors) ** 2
    largest = squares.max(axis=1)
    others = (squares.sum(axis=1) - largest) / (factors.shape[1] - 1)
    share = np.divide(others, largest, out=np.zeros_like(others), where=largest > 0)
    return float(np.mean(1 - share))


def _mutual_information(codes: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """In nats, `[latent_dim, factors]`."""
    import sklearn.metrics

    binned = [np.floor(np.minimum(_BINS * _share(code), _BINS - 1)) for code in codes.T]
    return np.array(
        [[sklearn.metrics.mutual_info_score(f, c) for f in factors.T] for c in binned]
    )


def _share(code: np.ndarray) -> np.ndarray:
    """Place of each value between the smallest and the largest, 0 to 1."""
    # The range of numbers near the largest of their kind is infinite: halves of them first.
    low, high = code.min() / 2, code.max() / 2
    # A range that can hardly be told from 0 has no inverse.
    width = max(high - low, np.finfo("float64").tiny)
    share: np.ndarray = (code / 2 - low) / width
    return share


def _entropy(values: np.ndarray) -> float:
    shares = np.unique(values, return_counts=True)[1] / len(values)
    return float(-np.sum(shares * np.log(shares)))
