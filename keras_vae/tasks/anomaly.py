"""Which examples are unlike the training data, and where.

Floor 6.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from keras_vae import estimators, numerics
from keras_vae.arguments import require_integer
from keras_vae.data.streaming import is_streamed
from keras_vae.models import VAE
from keras_vae.models.extremes import capped, representable, without_nan
from keras_vae.streams import Stream
from keras_vae.tasks.frames import taken

__all__ = ["anomaly_score", "attribution", "shared_noise"]

_KINDS = ("bound", "likelihood", "reconstruction", "typicality")
# Latents per example that are decoded at a time: not as many as the batch leaves room for, or
# the score would depend on that.
_CHUNK = 8


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
) -> Any:
    """How unlike the training data each example is, in nats: higher is more so.

    All rows share the noise of the draws, so that a row's score depends on the row and the seed
    alone, to the rounding of float32: not on its neighbours, its place or `batch_size`. Each
    score is as exact as with noise of its own; differences of scores are more so. Their mean is
    less: for log p(x) of a data set use `evaluation.log_marginal`.

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
        `[examples]`, for a frame of pandas a series with its index; `inf`, which is above any
        threshold, for examples so extreme that their numbers leave float32. Never NaN.

    Raises:
        ValueError: If x is bad, `kind` is unknown, the posterior has no density where one is
            needed, or `reference` is missing, not wanted or has infinite scores.

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
    x, frame = taken(x)
    if kind != "reconstruction" and not model.posterior.has_density:
        raise ValueError(
            f"kind={kind!r} needs log q(z|x), but a {type(model.posterior).__name__} posterior "
            f"has no density. Use kind='reconstruction'."
        )

    def score(x: Any, condition: Any) -> np.ndarray:
        if kind == "reconstruction":
            return -_log_likelihood(model, x, condition, elementwise=False, **options)
        if kind == "bound":
            return -_bound(model, x, condition, **options)
        return -_log_marginal(model, x, condition, **options)

    values = _tolerant(model, x, lambda x: score(x, condition))
    if kind != "typicality":
        return frame.series(values, kind)
    shared = condition if np.ndim(condition) == 0 else None
    reference, _ = taken(reference, "reference")
    usual = _tolerant(model, reference, lambda x: score(x, shared))
    if not np.isfinite(usual).all():
        raise ValueError(
            f"`reference` must have finite scores. Received: an infinite one in row "
            f"{np.flatnonzero(~np.isfinite(usual))[0]}. Leave such examples out."
        )
    return frame.series(np.abs(values - usual.mean()), kind)


def _tolerant(model: VAE, x: Any, score: Callable[[Any], np.ndarray]) -> np.ndarray:
    """Scores, infinite for examples that leave float32."""
    array = x
    if isinstance(x, (list, tuple)) or (hasattr(x, "__array__") and not is_streamed(x)):
        array = np.asarray(x)
    kind = getattr(getattr(array, "dtype", None), "kind", "")
    if kind not in ("i", "u", "f") or tuple(array.shape[1:]) != model.raw_shape:
        return score(x)  # which says what is wrong
    fits = representable(model, array)
    if fits.all():
        return without_nan(model, score(x), np.inf)
    if not fits.any():
        return np.full(len(array), np.inf, "float32")
    # Another example stands in for each, so that conditions keep their places.
    standing = np.where(fits, np.arange(len(array)), np.flatnonzero(fits)[0])
    values = without_nan(model, score(np.asarray(array)[standing]), np.inf)
    values[~fits] = np.inf
    return values


def attribution(
    model: VAE,
    x: Any,
    *,
    condition: Any = None,
    samples: int = 100,
    seed: int = 0,
    batch_size: int = 128,
) -> Any:
    """Which elements make each example unlike: the score `"reconstruction"`, by element.

    Noise is that of the score: the same for all rows.

    Args:
        model: One whose likelihood is a product over the elements of x.
        x: `[examples, *raw_shape]`; what is missing gets 0.
        condition: One per example, or one for all. Defaults to `None`.
        samples: Latents drawn per example. Defaults to `100`.
        seed: Of the draws.
        batch_size: Examples at a time. Defaults to `128`.

    Returns:
        Nats, `[examples, *event_shape]`, a frame for a frame of pandas; summed over the event
        they are the score. Elements that leave float32 get `inf`.

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
    x, frame = taken(x)
    found = _tolerant(
        model, x, lambda x: -_log_likelihood(model, x, condition, elementwise=True, **options)
    )
    return frame.rows(found, typed=False)


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
        params = model.posterior_params(capped(y), condition=condition)

        def one(index: tf.Tensor) -> tf.Tensor:
            noise = shared_noise(model, 1, tf.shape(x)[0], numerics.fold_in(key, index))
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
    values: np.ndarray = model.in_batches(
        name, mean, x, batch_size, Stream.ANOMALY.key(seed), condition, shared=True
    )[0]
    return values


def _bound(
    model: VAE, x: Any, condition: Any, *, samples: int, seed: int, batch_size: int
) -> np.ndarray:
    """ELBO of each example, in nats."""

    def bound(x: tf.Tensor, key: tf.Tensor, condition: Any = None) -> tuple[tf.Tensor]:
        context = model.context(condition=model.conditions.prepared(condition, x))
        y = model.preprocessed(x)
        noise = {"posterior": shared_noise(model, samples, tf.shape(x)[0], key)}
        terms = model.elbo_terms(capped(y), y, noise, context, ())
        kl = tf.reduce_sum(terms.kl, axis=-1)
        return (tf.reduce_mean(terms.log_likelihood, axis=0) - kl,)

    x = model.checked_events(x, scored=True)
    values: np.ndarray = model.in_batches(
        f"shared bound {samples}",
        bound,
        x,
        batch_size,
        Stream.ANOMALY.key(seed),
        condition,
        shared=True,
    )[0]
    return values


def _log_marginal(
    model: VAE, x: Any, condition: Any, *, samples: int, seed: int, batch_size: int
) -> np.ndarray:
    """Importance-weighted estimates of log p(x) of each example, in nats."""
    chunk = min(samples, _CHUNK)

    def log_marginal(x: tf.Tensor, key: tf.Tensor, condition: Any = None) -> tuple[tf.Tensor]:
        condition = model.conditions.prepared(condition, x)
        y, rows = model.preprocessed(x), tf.shape(x)[0]
        params = model.posterior_params(capped(y), condition=condition)
        context, target = model.masked(model.context(condition=condition), y)

        def draw(index: tf.Tensor) -> tf.Tensor:
            noise = shared_noise(model, chunk, rows, numerics.fold_in(key, index))
            drawn = model.posterior.sample_and_log_prob(params, noise, context)
            decoded = model.likelihood_params(drawn.latents, False, condition, target)
            density = model.likelihood.log_prob(decoded, target, context.mask, context)
            return density + model.prior.log_prob(drawn.latents, context) - drawn.log_prob

        found = estimators.chunked_log_mean_exp(draw, samples, chunk, rows)
        return (tf.cast(found.value, numerics.density_dtype()),)

    x = model.checked_events(x, scored=True)
    values: np.ndarray = model.in_batches(
        f"shared log_marginal {samples}",
        log_marginal,
        x,
        batch_size,
        Stream.ANOMALY.key(seed),
        condition,
        shared=True,
    )[0]
    return values


def shared_noise(
    model: VAE, samples: int, rows: tf.Tensor, key: tf.Tensor
) -> dict[str, tf.Tensor]:
    """Draw noise of the posterior once, for all rows: `[samples, rows, ...]` by name."""
    drawn = numerics.draw_noise(model.posterior.noise_spec(), [samples, 1], key)
    return {name: tf.repeat(noise, rows, axis=1) for name, noise in drawn.items()}
