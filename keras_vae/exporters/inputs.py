"""The inputs that signatures take: shape, meaning, and values to try them on.

Floor 6.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from keras_vae import numerics
from keras_vae.exporters.probes import Probes, raw_dtype
from keras_vae.exporters.signature import TensorInfo
from keras_vae.models import VAE

__all__ = ["Input", "conditions_of", "events_of", "latents_of", "noise_name", "noise_of"]


class Input(NamedTuple):
    """An input of a signature.

    Attributes:
        info: Its shape, dtype and meaning.
        role: As `probes.at_edge` knows it.
        probe: Typical values, given the batch size.
    """

    info: TensorInfo
    role: str
    probe: Callable[[int], np.ndarray]


def latents_of(model: VAE) -> Input:
    """Latents."""
    info = TensorInfo(tuple(model.posterior.latent_shape), numerics.density_dtype(), "latents")
    return Input(info, "z", Probes(model).latents)


def events_of(model: VAE) -> dict[str, Input]:
    """Events, as raw data, with a mask and a condition where the model has them."""
    shape, probes = tuple(model.raw_shape), Probes(model)
    meaning = f"data, in {model.likelihood.support}"
    if model.preprocessor is not None:
        meaning = f"raw data; {type(model.preprocessor).__name__} comes before the networks"
    info = TensorInfo(shape, raw_dtype(model), meaning)
    inputs = {"x": Input(info, "x", probes.events)}
    if model.missing:
        info = TensorInfo(shape, "bool", "which values of x were observed")
        inputs["mask"] = Input(info, "mask", probes.mask)
    return {**inputs, **conditions_of(model)}


def conditions_of(model: VAE) -> dict[str, Input]:
    """A condition, where the model has one."""
    probes, shape = Probes(model), model.conditions.shape
    if shape is None:
        return {}
    info = TensorInfo(shape, numerics.density_dtype(), "what the model is conditioned on")
    return {"condition": Input(info, "condition", probes.condition)}  # type: ignore[arg-type]


def noise_of(model: VAE, specs: Mapping[str, numerics.NoiseSpec]) -> dict[str, Input]:
    """The noise that a part asks for."""
    probes, dtype = Probes(model), numerics.density_dtype()

    def probe(name: str, rows: int) -> np.ndarray:
        return probes.noise(specs, rows)[name]

    words = {"normal": "standard normal noise", "uniform": "uniform noise on [0, 1)"}
    return {
        noise_name(name): Input(
            TensorInfo(spec.shape, dtype, words[spec.kind]),
            spec.kind,
            functools.partial(probe, name),
        )
        for name, spec in specs.items()
    }


def noise_name(name: str) -> str:
    """Name of the input for noise of that name."""
    return f"noise_{name}"
