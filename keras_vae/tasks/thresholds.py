"""From which score on an example is an anomaly: thresholds of a given rate of false alarms.

Floor 6.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from keras_vae.arguments import is_number

__all__ = ["Threshold", "threshold"]

# Share of the scores, up to so many, that the tail of "pareto" is fitted to. Of more scores
# the number of those in the tail grows by the square root: the further out, the nearer the
# tail is to a Pareto distribution.
_TAIL = 0.1
_FEW_SCORES = 1_000
_LEAST_EXCESSES = 30
# The grid on which "pareto" integrates: points of shape and scale, of the share in the tail.
_POINTS, _SHARES = 40, 9
# Prior of the shape, normal: scores of models have tails between those of the normal (about
# -0.1) and of Student's distribution with three degrees of freedom (1/3).
_SHAPE, _SHAPE_SPREAD, _LEAST_SHAPE = 0.1, 0.3, -1.5
# Half-widths of the grid at 50 scores in the tail, several standard deviations.
_BELOW, _ABOVE, _SCALES = 1.1, 1.3, 1.1
# Shapes below are 0.
_SMALL = 1e-8


class Threshold(NamedTuple):
    """Result of `threshold`.

    Attributes:
        value: Scores above it are anomalies.
        low: Lower end of its confidence interval.
        high: Upper end; infinite if there are too few scores to tell.
    """

    value: float
    low: float
    high: float


def threshold(
    scores: Any,
    rate: float = 0.01,
    *,
    tail: str = "quantile",
    confidence: float = 0.95,
    seed: int = 0,
) -> Threshold:
    """The score above which examples like these lie at this rate only: false alarms.

    - `"quantile"`: of the scores themselves; its interval is that of order statistics, with
      ranks between two of them interpolated. Rates below `1 / len(scores)` cannot be told:
      the interval has no upper end, and what that would miss is left to the lower one.
    - `"pareto"`: of a generalised Pareto distribution fitted to the highest tenth, of more
      than 1,000 scores to the highest `sqrt(10 * len(scores))`; for rates that the scores are
      too few for. Its interval holds that share of the posterior distribution of the
      threshold. The scores must have a variance.

    95% intervals of both were seen to hold the true threshold in 93 to 97% of simulated sets
    of 500 to 3,000 scores (`benchmarks/intervals.py`).

    Args:
        scores: Scores of normal examples that the model was not trained on, `[examples]`.
        rate: Share of normal examples above it. Defaults to `0.01`.
        tail: One of the above. Defaults to `"quantile"`.
        confidence: Level of the interval. Defaults to `0.95`.
        seed: Not used: neither method draws. Kept for code that gives it.

    Raises:
        ValueError: If scores are not finite, or too few; or an argument is out of range.

    Example:
    >>> scores = np.random.default_rng(0).exponential(size=5_000)
    >>> found = keras_vae.tasks.threshold(scores, 0.001, tail="pareto")
    >>> bool(found.low < -np.log(0.001) < found.high)
    True

    Reference: Siffer, Fouque, Termier and Largouet (2017), Anomaly Detection in Streams with
    Extreme Value Theory, equation 1; Hosking and Wallis (1987), Parameter and Quantile
    Estimation for the Generalized Pareto Distribution, of the fit; David and Nagaraja (2003),
    Order Statistics, 7.1; Coles and Powell (1996), Bayesian Methods in Extreme Value
    Modelling, of the interval.
    """
    try:
        scores = np.asarray(scores, "float64")
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"`scores` must be two finite numbers or more. Received: a "
            f"{type(scores).__name__} of something else."
        ) from error
    if scores.ndim != 1 or len(scores) < 2 or not np.isfinite(scores).all():
        raise ValueError(
            f"`scores` must be two finite numbers or more. Received: shape {scores.shape}"
            f"{'' if np.isfinite(scores).all() else ', NaN or infinities'}."
        )
    for name, value in (("rate", rate), ("confidence", confidence)):
        if not is_number(value) or not 0 < value < 1:
            raise ValueError(f"`{name}` must be in (0, 1). Received: {name}={value!r}.")
    if tail == "quantile":
        return _of_quantile(np.sort(scores), rate, confidence)
    if tail == "pareto":
        return _of_pareto(scores, rate, confidence)
    raise ValueError(f"`tail` must be 'quantile' or 'pareto'. Received: {tail!r}.")


def _of_quantile(ordered: np.ndarray, rate: float, confidence: float) -> Threshold:
    import scipy.optimize
    import scipy.stats

    count, missed = len(ordered), 1 - confidence
    ranks = np.arange(1, count + 1)
    # The share of the distribution below the score of rank r is Beta(r, count + 1 - r).
    beta = scipy.stats.beta

    def too_low(rank: float) -> float:
        return float(beta.cdf(1 - rate, rank, count + 1 - rank)) - missed / 2

    def too_high(rank: float) -> float:
        return float(beta.sf(1 - rate, rank, count + 1 - rank)) - left

    low, high, left = -math.inf, math.inf, missed
    if too_low(count) < 0:
        left = missed / 2
        rank = 1.0 if too_low(1) <= 0 else scipy.optimize.brentq(too_low, 1, count)
        high = float(np.interp(rank, ranks, ordered))
    if too_high(1) < 0:
        rank = count if too_high(count) <= 0 else scipy.optimize.brentq(too_high, 1, count)
        low = float(np.interp(rank, ranks, ordered))
    value = float(np.quantile(ordered, 1 - rate))
    return Threshold(value, min(low, value), max(high, value))


def _of_pareto(scores: np.ndarray, rate: float, confidence: float) -> Threshold:
    if rate >= _TAIL:
        raise ValueError(
            f"`rate` must be below {_TAIL} with tail='pareto', which is fitted to that share "
            f"of the scores. Received: rate={rate}. Use tail='quantile'."
        )
    fewer = _TAIL * math.sqrt(_FEW_SCORES / max(len(scores), _FEW_SCORES))
    start = float(np.quantile(scores, 1 - min(_TAIL, max(fewer, 2 * rate))))
    excesses = scores[scores > start] - start
    if len(excesses) < _LEAST_EXCESSES or np.ptp(excesses) == 0:
        raise ValueError(
            f"tail='pareto' needs {_LEAST_EXCESSES} different scores in the highest tenth. "
            f"Received: {len(np.unique(excesses))} of {len(scores)}."
        )
    shape, scale = _generalised_pareto(excesses)
    value = start + float(_excess(rate * len(scores) / len(excesses), shape, scale))
    heights, weights = _posterior(excesses, len(scores), rate, shape, scale)
    order = np.argsort(heights)
    below = np.cumsum(weights[order])
    ends = [(1 - confidence) / 2, (1 + confidence) / 2]
    low, high = start + np.interp(ends, below / below[-1], heights[order])
    return Threshold(value, float(min(low, value)), float(max(high, value)))


def _posterior(
    excesses: np.ndarray, count: int, rate: float, shape: float, scale: float
) -> tuple[np.ndarray, np.ndarray]:
    """Excesses that are exceeded at this rate, over a grid of parameters, with their weights.

    Args:
        excesses: Excesses of scores over the start of the tail.
        count: All scores.
        rate: Share of scores above the threshold.
        shape: An estimate, around which the grid lies.
        scale: The same.
    """
    import scipy.stats

    tail = len(excesses)
    width = math.sqrt(50 / tail)
    centre = min(max(shape, _LEAST_SHAPE + 0.1), 1.0)
    shapes = np.linspace(
        max(_LEAST_SHAPE, centre - _BELOW * width), centre + _ABOVE * width, _POINTS
    )[:, None]
    scales = scale * np.exp(np.linspace(-_SCALES, _SCALES, _POINTS) * width)
    log_weights = -0.5 * ((shapes - _SHAPE) / _SHAPE_SPREAD) ** 2 - tail * np.log(scales)
    least = np.finfo("float64").tiny
    for place, one in enumerate(shapes[:, 0]):
        inside = 1 + one * excesses / scales[:, None]
        possible = inside.min(axis=1) > 0
        logs = np.log(np.maximum(inside, least)).sum(axis=1)
        # At a shape of 0 the distribution is exponential.
        slope = excesses.sum() / scales if abs(one) < _SMALL else (1 + 1 / one) * logs
        log_weights[place] = np.where(possible, log_weights[place] - slope, -np.inf)
    weights = np.exp(log_weights - log_weights.max())
    # The share of the distribution in the tail is not known either.
    places = (np.arange(_SHARES) + 0.5) / _SHARES
    shares = scipy.stats.beta.ppf(places, tail + 0.5, count - tail + 0.5)
    heights = _excess(rate / shares, shapes[..., None], scales[:, None])
    return heights.ravel(), np.broadcast_to(weights[..., None], heights.shape).ravel()


def _excess(beyond: Any, shape: Any, scale: Any) -> Any:
    """What a generalised Pareto distribution exceeds with this probability."""
    shape = np.where(np.abs(shape) < _SMALL, _SMALL, shape)
    return scale * np.expm1(-shape * np.log(beyond)) / shape


def _generalised_pareto(excesses: np.ndarray) -> tuple[float, float]:
    """Shape and scale by probability-weighted moments."""
    ordered = np.sort(excesses)
    count = len(ordered)
    above = 1 - (np.arange(1, count + 1) - 0.35) / count
    first, second = ordered.mean(), (above * ordered).mean()
    return 2 - first / (first - 2 * second), 2 * first * second / (first - 2 * second)
