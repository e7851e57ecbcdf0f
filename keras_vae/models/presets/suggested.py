"""A model to begin with, by what the data are.

Floor 4.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from keras_vae import likelihoods, networks, objectives, posteriors, schedules
from keras_vae.data import Source
from keras_vae.data.text import END
from keras_vae.likelihoods import Likelihood
from keras_vae.models.vae import VAE

__all__ = ["for_source"]

# Elements of an example up to which dense layers are the faster and no worse.
_DENSE = 1024
# Updates over which KL fades in where decoders could do without z.
_WARM_UP = 2_000


def for_source(source: Source, latent_dim: int | None = None, **kwargs: Any) -> VAE:
    """A model that suits loaded data: a place to start from, not the best there is.

    - images: dense layers up to 1,024 values, else convolutions; `Bernoulli` for black and
      white, `DiscretizedLogistic` for the rest; 32 latents.
    - audio: dense layers and `Normal` of optimal scale for spectrograms; for waveforms
      `DiscretizedLogistic`, dense layers up to 1,024 samples, else convolutions; 32 latents.
    - text: a recurrent encoder and a recurrent decoder that writes token by token, a quarter
      of its input hidden, KL fading in with a quarter of a nat a latent free; 32 latents.
    - table: dense layers and `Columns`; half as many latents as columns, at most 10. Where
      drawn rows are to train a classifier, let its label count more:
      `likelihood=Columns(source.schema.table.columns(), {"label": 10.0})`.
    - counts: dense layers, `NegativeBinomial` given the library size, so that bounds are on
      log p(x | its total count); 10 latents.
    - series: dense layers up to 1,024 values, else convolutions; `Normal` of predicted scale;
      16 latents.

    Args:
        source: As the loaders of `keras_vae.data` return it. Its holes, preprocessor and
            condition are the model's.
        latent_dim: Number of latents. Defaults to `None`: as above.
        **kwargs: What else `VAE` takes, and what takes the place of a part above.

    Raises:
        ValueError: If the source is of another kind.

    Example:
    >>> counts = np.random.default_rng(0).poisson(2.0, [50, 6])
    >>> model = keras_vae.presets.for_source(keras_vae.data.from_counts(counts))
    >>> type(model.likelihood).__name__, model.posterior.latent_dim
    ('NegativeBinomial', 10)
    """
    if source.kind not in _PARTS:
        raise ValueError(
            f"`source` must be of one of the kinds {list(_PARTS)}. Received: {source.kind!r}."
        )
    size, parts = _PARTS[source.kind](source)
    parts = {
        **parts,
        "posterior": posteriors.DiagonalNormal(latent_dim or size),
        "event_shape": source.event_shape,
        "preprocessor": source.preprocessor,
        "missing": "nan" if _has_holes(source) else None,
    }
    if source.condition_train is not None:
        parts["condition_shape"] = source.condition_train.shape[1:]
    return VAE(**{**parts, **kwargs})


def _images(source: Source) -> tuple[int, dict[str, Any]]:
    binary = source.schema.binary  # type: ignore[attr-defined]
    likelihood = likelihoods.Bernoulli() if binary else likelihoods.DiscretizedLogistic(5)
    if np.prod(source.event_shape) <= _DENSE:
        return 32, _dense(likelihood, 512)
    stages = [32, 64, 128][: max(1, int(np.log2(min(source.event_shape[:2]) / 4)))]
    return 32, {
        "encoder": networks.ConvEncoder(stages),
        "decoder": networks.ConvDecoder(stages[::-1]),
        "likelihood": likelihood,
    }


def _table(source: Source) -> tuple[int, dict[str, Any]]:
    columns = source.schema.table.columns()  # type: ignore[attr-defined]
    return max(2, min(10, -(-len(columns) // 2))), _dense(likelihoods.Columns(columns), 128)


def _counts(source: Source) -> tuple[int, dict[str, Any]]:
    return 10, _dense(likelihoods.NegativeBinomial(library="observed"), 128)


def _series(source: Source) -> tuple[int, dict[str, Any]]:
    return 16, _along_time(source, likelihoods.Normal("predicted"))


def _audio(source: Source) -> tuple[int, dict[str, Any]]:
    if source.schema.form == "spectrogram":  # type: ignore[attr-defined]
        return 32, _dense(likelihoods.Normal("optimal"), 512)
    return 32, _along_time(source, likelihoods.DiscretizedLogistic(2))


def _text(source: Source) -> tuple[int, dict[str, Any]]:
    tokens = len(source.schema.vocabulary)  # type: ignore[attr-defined]
    return 32, {
        "encoder": networks.RecurrentEncoder([128], end_token=END),
        "decoder": networks.RecurrentDecoder(
            [256], autoregressive=True, vocabulary=tokens, word_dropout=0.25
        ),
        "likelihood": likelihoods.Categorical(tokens, end_token=END),
        "objective": objectives.ELBO(schedules.LinearWarmup(_WARM_UP), free_bits=0.25),
    }


def _along_time(source: Source, likelihood: Likelihood) -> dict[str, Any]:
    if np.prod(source.event_shape) <= _DENSE:
        return _dense(likelihood, 256)
    return {
        "encoder": networks.ConvEncoder1D([64] * 5),
        "decoder": networks.CausalConvDecoder(64, dilations=(1, 2, 4, 8, 16)),
        "likelihood": likelihood,
    }


def _dense(likelihood: Likelihood, units: int) -> dict[str, Any]:
    return {
        "encoder": networks.MLP([units, units]),
        "decoder": networks.MLP([units, units]),
        "likelihood": likelihood,
    }


def _has_holes(source: Source) -> bool:
    sides = (source.x_train, source.x_test)
    floats = all(np.issubdtype(side.dtype, np.floating) for side in sides)
    whole = isinstance(source.x_train, np.ndarray)
    return floats and whole and any(bool(np.isnan(side).any()) for side in sides)


_PARTS: dict[str, Callable[[Source], tuple[int, dict[str, Any]]]] = {
    "images": _images,
    "table": _table,
    "counts": _counts,
    "series": _series,
    "audio": _audio,
    "text": _text,
}
