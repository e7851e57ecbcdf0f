"""Measure a model: section after section.

Floor 5.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_vae.arguments import require_examples, require_integer
from keras_vae.evaluation.calibration import Calibration
from keras_vae.evaluation.reporting.contents import Likelihood, Report
from keras_vae.evaluation.reporting.pictures import pictures_of
from keras_vae.evaluation.reporting.sections import SECTIONS, Given, LeftOutError
from keras_vae.models import VAE
from keras_vae.models.describing import described

__all__ = ["report"]

# Training data among which copies are looked for.
_TRAIN = 20_000
_INTERRUPTED = "interrupted"


def report(
    model: VAE,
    data: Any,
    labels: Any = None,
    factors: Any = None,
    *,
    condition: Any = None,
    train: Any = None,
    history: Any = None,
    network: Any = None,
    samples: int = 500,
    max_examples: int = 5_000,
    pictures: bool = True,
    seed: int = 0,
    progress: bool = True,
) -> Report:
    """Measure all that can be measured of a model, on held-out data.

    What cannot be measured is left out, with the reason. Interrupted from the keyboard, it
    returns what it has. FID and the like need features: those of `network`; else, for images
    with labels, of a network trained on one half of the data, to measure on the other; else
    the first principal components of that half.

    Args:
        model: Any model.
        data: Held-out x, `[examples, *raw_shape]`.
        labels: Classes, `[examples]`, to be read off the codes. Defaults to `None`.
        factors: Whole numbers, `[examples, factors]`, that made x, for the scores of
            disentanglement. Defaults to `None`.
        condition: Of a conditional model, one for each example. Defaults to `None`.
        train: Training data, to tell whether samples copy them. Defaults to `None`.
        history: Of the training: what `fit` returned, or name -> values. Defaults to `None`:
            that of the model's last `fit`, if it was not loaded since.
        network: A Keras model of features, from raw x. Defaults to `None`.
        samples: Latents per example for log p(x). Defaults to `500`.
        max_examples: Examples drawn from the data at most. Defaults to `5000`.
        pictures: Whether to draw pictures, if Matplotlib is there. Defaults to `True`.
        seed: Of all draws.
        progress: Whether to say what is being measured, with bars. Defaults to `True`.

    Raises:
        ValueError: If data, labels, factors or conditions do not fit.

    Example:
    >>> model = keras_vae.VAE(
    ...     keras_vae.networks.MLP([8]),
    ...     keras_vae.networks.MLP([8]),
    ...     keras_vae.posteriors.DiagonalNormal(2),
    ...     likelihood=keras_vae.likelihoods.Bernoulli(),
    ...     event_shape=(6,),
    ... )
    >>> x = np.random.default_rng(0).integers(0, 2, [40, 6])
    >>> found = keras_vae.evaluation.report(model, x, samples=10, progress=False)
    >>> found.latents.kl.shape
    (2,)
    >>> found.left_out["labels"]
    'no labels were given'
    """
    require_integer("samples", samples)
    require_integer("max_examples", max_examples, least=2)
    require_integer("seed", seed, least=0)
    if train is not None:
        require_examples("train", train)
    if network is not None and not callable(getattr(network, "predict", None)):
        raise TypeError(
            f"`network` must be a Keras model of features. Received: a "
            f"{type(network).__name__}."
        )
    history = _history(model, history)
    rows = _rows(data, {"labels": labels, "factors": factors}, max_examples, seed)

    def taken(values: Any) -> Any:
        return None if values is None else np.asarray(values)[rows]

    given = Given(
        model=model,
        x=model.checked_events(taken(data)),
        labels=taken(labels),
        factors=taken(factors),
        condition=taken(model.conditions.check("condition", condition, len(data))),
        train=None if train is None else model.checked_events(train[:_TRAIN]),
        network=network,
        samples=samples,
        seed=seed,
        progress=progress,
    )
    found, left_out = _measured(given)
    whole = Report(
        model={
            **{name: fact for name, fact in described(model).items() if fact is not None},
            "parameters": model.count_params() - model.state.count_params(),
        },
        settings={
            "examples": len(given.x),
            "samples_for_log_p(x)": samples,
            "seed": seed,
            "keras": keras.__version__,
            "tensorflow": tf.__version__,
        },
        history=history,
        left_out=left_out,
        **found,
    )
    if not pictures or _INTERRUPTED in left_out.values():
        return whole
    _say(given, "pictures")
    drawn, undrawn = pictures_of(
        whole, given.model, given.x, given.labels, given.condition, seed
    )
    return dataclasses.replace(whole, pictures=drawn, left_out={**left_out, **undrawn})


def _rows(data: Any, given: Mapping[str, Any], most: int, seed: int) -> np.ndarray:
    """Draw the examples that count, after a look at how many there are."""
    count = require_examples("data", data, 2)
    for name, values in given.items():
        if values is None:
            continue
        rows = len(values) if hasattr(values, "__len__") else f"a {type(values).__name__}"
        if rows != count:
            raise ValueError(
                f"`{name}` must have one row for each of {count} examples. Received: {rows}."
            )
    chosen: np.ndarray = np.random.default_rng(seed).permutation(count)[:most]
    return chosen


def _measured(given: Given) -> tuple[dict[str, Any], dict[str, str]]:
    """Sections by name, and why others are missing."""
    found: dict[str, Any] = {}
    left_out: dict[str, str] = {}
    interrupted = False
    for name, section in SECTIONS.items():
        if interrupted:
            left_out[name] = _INTERRUPTED
            continue
        _say(given, name)
        try:
            found[name] = section(given)
        except LeftOutError as reason:
            left_out[name] = str(reason)
        except KeyboardInterrupt:
            left_out[name] = _INTERRUPTED
            interrupted = True
        else:
            interrupted = _cut_short(found[name], len(given.x))
    return found, left_out


def _cut_short(section: Any, count: int) -> bool:
    """Whether a section was interrupted, and holds what it had."""
    if isinstance(section, Calibration):
        return section.interrupted
    return isinstance(section, Likelihood) and len(section.log_marginal.values) < count


def _say(given: Given, section: str) -> None:
    if given.progress:
        from rich.console import Console

        Console(stderr=True).print(f"measuring: {section}", highlight=False)


def _history(model: VAE, history: Any) -> dict[str, list[float]] | None:
    history = getattr(model, "history", None) if history is None else history
    values = getattr(history, "history", history)
    if not values:
        return None
    try:
        return {name: [float(v) for v in of_name] for name, of_name in values.items()}
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(
            f"`history` must be what `fit` returned, or name -> values of epochs. "
            f"Received: a {type(values).__name__}."
        ) from error
