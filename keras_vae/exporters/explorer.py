"""What the explorer page is told of a model: the content of its `explorer.json`.

Floor 6.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from keras_vae import numerics
from keras_vae.exporters.signatures import signatures_of
from keras_vae.likelihoods import Categorical, Columns
from keras_vae.models import VAE
from keras_vae.priors import StandardNormal
from keras_vae.streams import Stream

__all__ = ["TIMES", "Options", "check_explorable", "describe"]

#: Stands between the sizes of an axis and the next.
TIMES = " \N{MULTIPLICATION SIGN} "

_FORMAT = 1
# Sliders of a standard normal go this far to either side, and those of other priors to the
# quantiles of their draws that are as rare: one in 740.
_REACH = 3.0
_RARE = 0.00135
_DRAWS = 4096
# Draws whose decoding tells the range of values, where neither data nor likelihood do.
_DECODED = 64
_EXAMPLES = 8
# As in evaluation.active_units.
_ACTIVE = 0.01
# Longer events are lines, shorter ones bars.
_BARS_AT_MOST = 40
# Matrices with more columns are images, those with fewer curves.
_CURVES_AT_MOST = 4


class Options(NamedTuple):
    """How a model is to be shown; `None` where the model or its data tell.

    Attributes:
        data: Examples, `[examples, *event_shape]`, or x and condition by name.
        labels: A name for each element of a condition.
        vocabulary: A word or character for each category.
        sample_rate: Of events that are sound, samples per second.
        title: Of the page.
    """

    data: Any = None
    labels: Sequence[str] | None = None
    vocabulary: Sequence[str] | None = None
    sample_rate: int | None = None
    title: str | None = None


def check_explorable(model: VAE, options: Options) -> None:
    """Raise a ValueError if a page of sliders cannot show the model, or not in this way."""
    space = model.posterior.space
    if space != "real vectors" or len(model.posterior.latent_shape) != 1:
        raise ValueError(
            f"The explorer page moves latents that are real vectors. Received: a model whose "
            f"latents are {space} of shape {model.posterior.latent_shape}. "
            f"exporters.export_onnx exports it."
        )
    shape = model.conditions.shape
    if shape is not None and len(shape) != 1:
        raise ValueError(
            f"The explorer page chooses conditions among labels, which are one-hot vectors. "
            f"Received: a model whose conditions have shape {shape}. "
            f"exporters.export_onnx exports it."
        )
    count = 0 if shape is None else shape[0]
    if options.labels is not None and len(options.labels) != count:
        raise ValueError(
            f"`labels` must name the {count} elements of the model's condition. "
            f"Received: {len(options.labels)} names."
        )
    if options.data is not None:
        x, condition = _split(options.data)
        if len(x) < 2:
            raise ValueError(f"`data` must have at least two examples. Received: {len(x)}.")
        _label_numbers(model, condition, len(x))
    _kind(model, options)


def describe(model: VAE, options: Options) -> dict[str, Any]:
    """Return what the page should know of a model, files left out.

    Args:
        model: One that `check_explorable` accepts.
        options: How to show it.
    """
    labels = _labels(model, options)
    draws = _prior_draws(model, len(labels))
    latent = _latent(model, options, draws)
    return {
        "format": _FORMAT,
        "title": options.title or "Latent explorer",
        "subtitle": _subtitle(model, options),
        "latent": latent,
        "event_shape": list(model.raw_shape),
        "display": _display(model, options, draws),
        "condition": {"labels": labels} if labels else None,
    }


def _subtitle(model: VAE, options: Options) -> str:
    """Such as "A variational autoencoder: 10 latents, decoded to images of 8 x 8 pixels"."""
    latents, shape = model.posterior.latent_dim, tuple(model.raw_shape)
    events = {
        "image": f"images of {TIMES.join(map(str, shape[:2][::-1]))} pixels",
        "line": f"curves of {shape[0]} points",
        "bars": f"{shape[0]} values",
        "table": f"rows of {shape[0]} columns",
        "audio": f"{shape[0] / (options.sample_rate or 1):.2g} s of sound",
        "text": f"texts of {shape[0]} tokens",
    }
    return (
        f"A variational autoencoder: {latents} latent{'s' if latents > 1 else ''}, decoded to "
        f"{events[_kind(model, options)]}."
    )


def _split(data: Any) -> tuple[Any, Any]:
    """Return x and condition, as `fit` takes them."""
    if isinstance(data, Mapping):
        if "x" not in data or not set(data) <= {"x", "condition"}:
            raise ValueError(
                f"`data` must be an array or hold 'x' and 'condition'. "
                f"Received: {sorted(map(str, data))}."
            )
        return data["x"], data.get("condition")
    return data, None


def _labels(model: VAE, options: Options) -> list[str]:
    if model.conditions.shape is None:
        return []
    return [str(name) for name in options.labels or range(model.conditions.shape[0])]


# Latents.


def _prior_draws(model: VAE, labels: int) -> np.ndarray:
    """Latents from the prior, `[_DRAWS, latent_dim]`, all labels equally often."""
    noise = numerics.draw_noise(model.prior.noise_spec(), [_DRAWS], Stream.EXPLORER.key(0))
    condition = tf.constant(_one_hot(labels)) if labels else None
    prepared = model.conditions.prepared(condition, tf.zeros([_DRAWS]))
    draws: np.ndarray = model.prior.sample(noise, model.context(condition=prepared)).numpy()
    return draws


def _one_hot(labels: int) -> np.ndarray:
    dtype = numerics.density_dtype()
    rows: np.ndarray = np.eye(labels, dtype=dtype)[np.arange(_DRAWS) % labels]
    return rows


def _latent(model: VAE, options: Options, draws: np.ndarray) -> dict[str, Any]:
    dim = model.posterior.latent_dim
    if isinstance(model.prior, StandardNormal):
        low, high = np.full(dim, -_REACH), np.full(dim, _REACH)
    else:
        low, high = _readable(np.quantile(draws, [_RARE, 1 - _RARE], axis=0))
        high = _above(low, high)
    order, active, examples = np.arange(dim), None, []
    if options.data is not None:
        x, condition = _split(options.data)
        means = np.asarray(model.encode(x, condition=condition), "float64")
        variance = means.var(axis=0)
        order = np.argsort(-variance, kind="stable")
        active = int(np.sum(variance > _ACTIVE))
        labels = _label_numbers(model, condition, len(means))
        rows = _various(labels)
        examples = [{"z": means[row].tolist(), "label": int(labels[row])} for row in rows]
    return {
        "dim": dim,
        "low": low.tolist(),
        "high": high.tolist(),
        "order": order.tolist(),
        "active": active,
        "examples": examples,
    }


def _readable(values: np.ndarray) -> np.ndarray:
    """Three digits of each value."""
    rounded: np.ndarray = np.vectorize(lambda value: float(f"{value:.3g}"))(values)
    return rounded


def _above(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """`high`, moved where it is not above `low`."""
    above: np.ndarray = np.where(high > low, high, low + 1)
    return above


def _label_numbers(model: VAE, condition: Any, rows: int) -> np.ndarray:
    """`[rows]`, 0 for models without condition."""
    checked = model.conditions.check("condition", condition, rows)
    if checked is None:
        return np.zeros(rows, "int64")
    numbers: np.ndarray = np.argmax(checked, axis=-1)
    if not np.array_equal(np.eye(checked.shape[-1])[numbers], checked):
        raise ValueError(
            "`data['condition']` must hold labels, or one-hot vectors: the explorer page "
            "chooses among labels. Received: other vectors."
        )
    return numbers


def _various(labels: np.ndarray) -> np.ndarray:
    """Rows to show as examples: of all labels, or from all over the data if there is one."""
    _, first = np.unique(labels, return_index=True)
    if len(first) > 1:
        return np.sort(first)[:_EXAMPLES]
    return np.linspace(0, len(labels) - 1, min(_EXAMPLES, len(labels))).astype(int)


# Events.


def _kind(model: VAE, options: Options) -> str:
    shape, likelihood = tuple(model.raw_shape), model.likelihood
    given = f"Received: events of shape {shape} with a {type(likelihood).__name__} likelihood."
    if options.vocabulary is not None and options.sample_rate is not None:
        raise ValueError(
            f"Events are text or sound, not both. Received: a vocabulary of "
            f"{len(options.vocabulary)} words and sample_rate={options.sample_rate}."
        )
    if options.vocabulary is not None:
        _check_text(model, len(options.vocabulary), given)
        return "text"
    if options.sample_rate is not None:
        if not _is_column(shape):
            raise ValueError(
                f"`sample_rate` is for events of one channel, such as (8000,) or (8000, 1). "
                f"{given}"
            )
        if not 3000 <= options.sample_rate <= 192_000:
            raise ValueError(
                f"`sample_rate` must be from 3000 to 192000 samples per second, which "
                f"browsers can play. Received: sample_rate={options.sample_rate}."
            )
        return "audio"
    if isinstance(likelihood, Categorical) and len(shape) < 3:
        raise ValueError(
            f"Categories are shown as text: pass vocabulary=[...], a word or character for "
            f"each of the {likelihood.classes}. {given}"
        )
    if isinstance(likelihood, Columns) and len(shape) == 1:
        return "table"
    if len(shape) == 1:
        return "bars" if shape[0] <= _BARS_AT_MOST else "line"
    if len(shape) == 2:
        return "line" if shape[1] <= _CURVES_AT_MOST else "image"
    if len(shape) == 3 and shape[2] in (1, 3):
        return "image"
    raise ValueError(
        f"The explorer page shows vectors, curves, and images of 1 or 3 channels. {given} "
        f"exporters.export_onnx exports it."
    )


def _check_text(model: VAE, words: int, given: str) -> None:
    shape, likelihood = tuple(model.raw_shape), model.likelihood
    if not isinstance(likelihood, Categorical) or not _is_column(shape):
        raise ValueError(
            f"`vocabulary` is for sequences of categories: a Categorical likelihood and "
            f"events of shape (length,) or (length, 1). {given}"
        )
    if words != likelihood.classes:
        raise ValueError(
            f"`vocabulary` must hold a word or character for each of the "
            f"{likelihood.classes} categories. Received: {words}."
        )


def _is_column(shape: tuple[int, ...]) -> bool:
    return len(shape) == 1 or (len(shape) == 2 and shape[1] == 1)


def _display(model: VAE, options: Options, draws: np.ndarray) -> dict[str, Any]:
    kind = _kind(model, options)
    if options.vocabulary is not None:
        return {
            "kind": kind,
            "vocabulary": [str(word) for word in options.vocabulary],
            "end": model.likelihood.end_token,
        }
    if kind == "table":
        lows, highs = _column_ranges(model, options, draws)
        names = list(model.likelihood.columns)
        return {"kind": kind, "columns": names, "low": lows.tolist(), "high": highs.tolist()}
    low, high = _range(model, options, draws)
    display = {"kind": kind, "low": low, "high": high}
    if options.sample_rate is not None:
        display["sample_rate"] = options.sample_rate
    return display


def _range(model: VAE, options: Options, draws: np.ndarray) -> tuple[float, float]:
    """Values shown as black and white, or as the bottom and top of a plot."""
    known = model.raw_range()
    if known is not None:
        return known
    values = _values(model, options, draws)
    low, high = np.nanmin(values), np.nanmax(values)
    return float(low), float(_above(low, high))


def _column_ranges(
    model: VAE, options: Options, draws: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The ends of each column of a table, for columns have units of their own."""
    values = np.asarray(_values(model, options, draws), "float64")
    values = np.where(np.all(np.isnan(values), axis=0), 0.0, values)
    low, high = np.nanmin(values, axis=0), np.nanmax(values, axis=0)
    if model.preprocessor is None:
        for column, part in enumerate(model.likelihood.columns.values()):
            lower, upper = part.support.lower, part.support.upper
            if lower is not None and upper is not None:
                low[column], high[column] = lower, upper
    return low, _above(low, high)


def _values(model: VAE, options: Options, draws: np.ndarray) -> np.ndarray:
    """Events as they come: the data, or some that are decoded."""
    if options.data is not None:
        return np.asarray(_split(options.data)[0])
    z = draws[:_DECODED]
    inputs = {"z": z}
    if model.conditions.shape is not None:
        inputs["condition"] = _one_hot(model.conditions.shape[0])[: len(z)]
    (decode,) = signatures_of(model, ["decode"])
    return decode.evaluate(inputs)["x"]
