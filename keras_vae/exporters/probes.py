"""Inputs on which exports are compared with their model.

Floor 6.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from keras_vae import numerics
from keras_vae.models import VAE
from keras_vae.streams import Stream

__all__ = ["BATCHES", "EDGES", "Probes", "at_edge", "raw_dtype"]

Arrays = dict[str, np.ndarray]

#: Batch sizes on which an export is compared: one, which graphs often fix by mistake, and more.
BATCHES = (1, 3, 64)
#: Inputs as no data will be, but clients may send.
EDGES = ("zeros", "large", "denormal")

_LARGE = 10.0
_DENORMAL = 1e-40
# Nearer to 1, float32 does not determine draws that come of 1 - u.
_LAST_UNIFORM = 0.999
# What a key is folded with, to draw what.
_NOISE, _CONDITION, _MASK, _LATENTS, _EVENTS = 1, 2, 3, 4, 5


class Probes:
    """Inputs such as a model will see, the same at each call.

    Args:
        model: Gives shapes, latents from its prior, and events decoded from those.
    """

    def __init__(self, model: VAE) -> None:
        self.model = model

    def condition(self, rows: int) -> np.ndarray | None:
        """`[rows, *condition_shape]`, uniform; `None` for a model without."""
        shape = self.model.conditions.shape
        if shape is None:
            return None
        return self._draw("uniform", shape, rows, _CONDITION)

    def latents(self, rows: int) -> np.ndarray:
        """Latents from the prior, `[rows, *latent_shape]`."""
        latents: np.ndarray = self._latents(rows).numpy()
        return latents

    def events(self, rows: int) -> np.ndarray:
        """Draws of p(x|z) at these latents, as raw data, `[rows, *raw_shape]`."""
        key = _key(rows, _EVENTS)
        x = self.model.decoded_points(self._latents(rows), self._prepared(rows), key)
        return _as_raw(x.numpy(), raw_dtype(self.model))

    def mask(self, rows: int) -> np.ndarray:
        """What was observed, four in five: boolean, `[rows, *raw_shape]`."""
        return self._draw("uniform", self.model.raw_shape, rows, _MASK) < 0.8

    def noise(self, specs: Mapping[str, numerics.NoiseSpec], rows: int) -> Arrays:
        """Noise that a part asks for, each `[rows, *spec.shape]`."""
        drawn = numerics.draw_noise(specs, [rows], _key(rows, _NOISE))
        return {name: value.numpy() for name, value in drawn.items()}

    def _latents(self, rows: int) -> tf.Tensor:
        noise = numerics.draw_noise(self.model.prior.noise_spec(), [rows], _key(rows, _LATENTS))
        return self.model.prior.sample(
            noise, self.model.context(condition=self._prepared(rows))
        )

    def _prepared(self, rows: int) -> tf.Tensor | None:
        return self.model.conditions.prepared(self.condition(rows), tf.zeros([rows]))

    def _draw(self, kind: str, shape: tuple[int, ...], rows: int, number: int) -> np.ndarray:
        key = _key(rows, number)
        spec = {"draw": numerics.NoiseSpec(kind, shape)}
        drawn: np.ndarray = numerics.draw_noise(spec, [rows], key)["draw"].numpy()
        return drawn


def _key(rows: int, number: int) -> tf.Tensor:
    return numerics.fold_in(Stream.PROBES.key(rows), number)


def raw_dtype(model: VAE) -> str:
    """Type of the raw data that exports of a model take."""
    given = None if model.preprocessor is None else model.preprocessor.raw_dtype
    return numerics.density_dtype() if given is None else given


def _as_raw(values: np.ndarray, dtype: str) -> np.ndarray:
    if np.dtype(dtype).kind == "f":
        return values.astype(dtype)
    limits = np.iinfo(dtype)
    return np.clip(np.round(values), limits.min, limits.max).astype(dtype)


def at_edge(edge: str, role: str, typical: np.ndarray, model: VAE) -> np.ndarray:
    """Move an input to an edge, if it has one there.

    Args:
        edge: One of `EDGES`.
        role: What the input is: `"x"`, `"z"`, `"normal"`, `"uniform"`, `"seed"`, `"mask"`,
            or anything else, which stays as it is.
        typical: Where it is otherwise.
        model: Knows which x and z there can be.

    Returns:
        An array like `typical`.
    """
    if role == "z" and model.posterior.space != "real vectors":
        return typical
    values: dict[str, dict[str, Any]] = {
        "zeros": {"x": 0, "z": 0, "normal": 0, "uniform": 0, "seed": 0, "mask": False},
        "large": {
            "x": _LARGE * typical.astype("float64"),
            "z": _LARGE * typical,
            "normal": _LARGE * typical,
            "uniform": _LAST_UNIFORM,
            "seed": 2**62,
        },
        "denormal": dict.fromkeys(("x", "z", "normal", "uniform"), _DENORMAL),
    }
    value = values[edge].get(role, typical)
    if role == "x":
        value = _as_raw(np.asarray(value), typical.dtype.name)
    moved = np.broadcast_to(np.asarray(value, typical.dtype), typical.shape).copy()
    if role == "x" and not _possible(moved, model):
        return typical
    return moved


def _possible(x: np.ndarray, model: VAE) -> bool:
    values = model.preprocessed(x)
    finite = bool(tf.reduce_all(tf.math.is_finite(values)))
    return finite and not model.likelihood.violations(values)
