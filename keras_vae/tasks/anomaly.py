"""Which examples are unlike the training data, where, and from which score on.

Floor 6.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from keras_vae import numerics
from keras_vae.arguments import require_integer
from keras_vae.models import VAE

__all__ = ["Threshold", "anomaly_score", "attribution", "threshold"]

_KINDS = ("bound", "likelihood", "reconstruction", "typicality")
# Share of the scores that the tail of "pareto" is fitted to, and how few are too few.
_TAIL = 0.1
_LEAST_EXCESSES = 30
_REFITS = 200


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


def anomaly_score(
    model: VAE,
    x: Any,
    *,
    kind: str = "bound",
    condition: Any = None,
    samples: int = 100,
    reference: Any = None,
    seed: int = 0,
    batch_size: int = 128,
) -> np.ndarray:
    """How unlike the training data each example is, in nats: higher is more so.

    - `"bound"`: minus the ELBO.
    - `"likelihood"`: minus the importance-weighted estimate of log p(x).
    - `"reconstruction"`: minus the mean of log p(x|z) over draws of q(z|x), which does not ask
      how probable z is; for posteriors without a density, too.
    - `"typicality"`: how far -log p(x) is from its mean over `reference`, above or below:
      simple x, such as empty images, can be more probable than any training example.

    Args:
        model: Any model; all kinds but `"reconstruction"` need a density of latents.
        x: `[examples, *raw_shape]`; NaN where missing, if the model knows of it.
        kind: One of the above. Defaults to `"bound"`.
        condition: One per example, or one for all. Defaults to `None`.
        samples: Latents drawn per example. Defaults to `100`.
        reference: Examples like those trained on, but not of them, for `"typicality"`; under
            the same condition, if that is one for all. Defaults to `None`.
        seed: Of the draws.
        batch_size: Examples at a time. Defaults to `128`.

    Returns:
        `[examples]`.

    Raises:
        ValueError: If x is bad, `kind` is unknown, the posterior has no density where one is
            needed, or `reference` is missing or not wanted.

    Example:
    >>> model = keras_vae.VAE(
    ...     keras_vae.networks.MLP([8]),
    ...     keras_vae.networks.MLP([8]),
    ...     keras_vae.posteriors.DiagonalNormal(2),
    ...     likelihood=keras_vae.likelihoods.Normal(1.0),
    ...     event_shape=(3,),
    ... )
    >>> x = np.array([[0.0, 0.0, 0.0], [9.0, 9.0, 9.0]])
    >>> near, far = keras_vae.tasks.anomaly_score(model, x)
    >>> bool(far > near + 10)
    True

    Reference: An and Cho (2015), Variational Autoencoder based Anomaly Detection using
    Reconstruction Probability; Nalisnick, Matsukawa, Teh and Lakshminarayanan (2019),
    Detecting Out-of-Distribution Inputs Using Typicality, for one example.
    """
    if kind not in _KINDS:
        raise ValueError(f"`kind` must be one of {_KINDS}. Received: {kind!r}.")
    if (reference is not None) != (kind == "typicality"):
        raise ValueError(
            f"`reference` goes with kind='typicality', and only with it. Received: "
            f"kind={kind!r}, reference {'None' if reference is None else 'given'}."
        )
    require_integer("samples", samples)
    options: dict[str, Any] = {"samples": samples, "seed": seed, "batch_size": batch_size}
    if kind == "reconstruction":
        return -_log_likelihood(model, x, condition, elementwise=False, **options)
    if kind == "bound":
        found: np.ndarray = -model.elbo(x, condition=condition, **options)
        return found
    values: np.ndarray = -model.log_marginal(x, condition=condition, **options)
    if kind == "likelihood":
        return values
    shared = condition if np.ndim(condition) == 0 else None
    usual = -model.log_marginal(reference, condition=shared, **options)
    distances: np.ndarray = np.abs(values - usual.mean())
    return distances


def attribution(
    model: VAE,
    x: Any,
    *,
    condition: Any = None,
    samples: int = 100,
    seed: int = 0,
    batch_size: int = 128,
) -> np.ndarray:
    """Which elements make each example unlike: the score `"reconstruction"`, by element.

    Args:
        model: One whose likelihood is a product over the elements of x.
        x: `[examples, *raw_shape]`; what is missing gets 0.
        condition: One per example, or one for all. Defaults to `None`.
        samples: Latents drawn per example. Defaults to `100`.
        seed: Of the draws.
        batch_size: Examples at a time. Defaults to `128`.

    Returns:
        Nats, `[examples, *event_shape]`; summed over the event they are the score.

    Raises:
        ValueError: If x is bad, or the likelihood is no product over the elements.

    Example:
    >>> model = keras_vae.VAE(
    ...     keras_vae.networks.MLP([8]),
    ...     keras_vae.networks.MLP([8]),
    ...     keras_vae.posteriors.DiagonalNormal(2),
    ...     likelihood=keras_vae.likelihoods.Normal(1.0),
    ...     event_shape=(3,),
    ... )
    >>> parts = keras_vae.tasks.attribution(model, np.array([[0.0, 30.0, 0.0]]))
    >>> int(parts[0].argmax())
    1

    Reference: An and Cho (2015).
    """
    require_integer("samples", samples)
    if not model.likelihood.maskable:
        raise ValueError(
            f"`model` must have a likelihood that is a product over the elements of x. "
            f"Received: {type(model.likelihood).__name__} with arguments under which it is not."
        )
    options: dict[str, Any] = {"samples": samples, "seed": seed, "batch_size": batch_size}
    return -_log_likelihood(model, x, condition, elementwise=True, **options)


def _log_likelihood(
    model: VAE,
    x: Any,
    condition: Any,
    *,
    elementwise: bool,
    samples: int,
    seed: int,
    batch_size: int,
) -> np.ndarray:
    """Mean of log p(x|z) over draws of q(z|x), of the event or of its elements."""
    likelihood = model.likelihood

    def mean(x: tf.Tensor, key: tf.Tensor, condition: Any = None) -> tuple[tf.Tensor]:
        condition = model.conditions.prepared(condition, x)
        y = model.preprocessed(x)
        context, target = model.masked(model.context(condition=condition), y)
        params = model.posterior_params(y, condition=condition)

        def one(index: tf.Tensor) -> tf.Tensor:
            own_key = numerics.fold_in(key, index)
            noise = numerics.draw_noise(
                model.posterior.noise_spec(), [1, tf.shape(x)[0]], own_key
            )
            z = model.posterior.sample_and_log_prob(params, noise, context).latents
            decoded = model.likelihood_params(z, False, condition, target)
            density = likelihood.observed_log_prob if elementwise else likelihood.log_prob
            return density(decoded, target, context.mask, context)[0]

        def add(index: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return index + 1, total + one(index)

        first = one(tf.constant(0))
        total = tf.while_loop(lambda i, _: i < samples, add, (tf.constant(1), first))[1]
        return (total / samples,)

    x = model.checked_events(x, scored=True)
    name = f"log_likelihood {elementwise} {samples}"
    values: np.ndarray = model.in_batches(name, mean, x, batch_size, seed, condition)[0]
    return values


def threshold(
    scores: Any,
    rate: float = 0.01,
    *,
    tail: str = "quantile",
    confidence: float = 0.95,
    seed: int = 0,
) -> Threshold:
    """The score above which examples like these lie at this rate only: false alarms.

    - `"quantile"`: of the scores themselves; its interval is that of order statistics, and
      holds whatever their distribution. Rates below `1 / len(scores)` cannot be told.
    - `"pareto"`: of a generalised Pareto distribution fitted to the highest tenth; for rates
      that the scores are too few for. Its interval is that of refits to draws of the fit. The
      scores must have a variance.

    Args:
        scores: Of normal examples that the model was not trained on, `[examples]`.
        rate: Share of normal examples above it. Defaults to `0.01`.
        tail: One of the above. Defaults to `"quantile"`.
        confidence: Of the interval. Defaults to `0.95`.
        seed: Of the draws of `"pareto"`.

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
    Order Statistics, 7.1.
    """
    scores = np.asarray(scores, "float64")
    if scores.ndim != 1 or len(scores) < 2 or not np.isfinite(scores).all():
        raise ValueError(
            f"`scores` must be two finite numbers or more. Received: shape {scores.shape}"
            f"{'' if np.isfinite(scores).all() else ', NaN or infinities'}."
        )
    for name, value in (("rate", rate), ("confidence", confidence)):
        if not 0 < value < 1:
            raise ValueError(f"`{name}` must be in (0, 1). Received: {name}={value}.")
    if tail == "quantile":
        return _of_quantile(np.sort(scores), rate, confidence)
    if tail == "pareto":
        return _of_pareto(scores, rate, confidence, np.random.default_rng(seed))
    raise ValueError(f"`tail` must be 'quantile' or 'pareto'. Received: {tail!r}.")


def _of_quantile(ordered: np.ndarray, rate: float, confidence: float) -> Threshold:
    import scipy.stats

    count = len(ordered)
    # How many scores lie below the true quantile is binomial.
    below = scipy.stats.binom(count, 1 - rate)
    low, high = below.ppf((1 - confidence) / 2), below.ppf((1 + confidence) / 2)
    value = float(np.quantile(ordered, 1 - rate))
    lower = float(ordered[int(low) - 1]) if low >= 1 else -math.inf
    upper = float(ordered[int(high)]) if high < count else math.inf
    return Threshold(value, min(lower, value), max(upper, value))


def _of_pareto(
    scores: np.ndarray, rate: float, confidence: float, rng: np.random.Generator
) -> Threshold:
    import scipy.stats

    if rate >= _TAIL:
        raise ValueError(
            f"`rate` must be below {_TAIL} with tail='pareto', which is fitted to that share "
            f"of the scores. Received: rate={rate}. Use tail='quantile'."
        )
    start = float(np.quantile(scores, 1 - _TAIL))
    excesses = scores[scores > start] - start
    if len(excesses) < _LEAST_EXCESSES:
        raise ValueError(
            f"tail='pareto' needs {_LEAST_EXCESSES} different scores in the highest tenth. "
            f"Received: {len(excesses)} of {len(scores)}."
        )
    beyond = rate * len(scores) / len(excesses)
    shape, scale = _generalised_pareto(excesses)
    drawn = scipy.stats.genpareto.rvs(
        shape, 0, scale, size=(_REFITS, len(excesses)), random_state=rng
    )
    shapes, scales = _generalised_pareto(np.concatenate([excesses[None], drawn]))
    value, *again = start + scipy.stats.genpareto.isf(beyond, shapes, 0, scales)
    low, high = np.quantile(again, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Threshold(float(value), float(min(low, value)), float(max(high, value)))


def _generalised_pareto(excesses: np.ndarray) -> tuple[Any, Any]:
    """Shape and scale along the last axis, by probability-weighted moments."""
    ordered = np.sort(excesses, axis=-1)
    count = ordered.shape[-1]
    above = 1 - (np.arange(1, count + 1) - 0.35) / count
    first, second = ordered.mean(axis=-1), (above * ordered).mean(axis=-1)
    return 2 - first / (first - 2 * second), 2 * first * second / (first - 2 * second)
