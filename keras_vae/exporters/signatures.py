"""WHAT is exported: functions of tensors with named inputs and outputs.

The other modules of this package say HOW. A new signature is one function here that returns
a `Signature`, and its entry in `signatures_of`. Noise, where one needs it, is an input: the
graphs stay deterministic and run where there is no random generator.

Floor 6.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib.metadata
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from keras_vae import numerics
from keras_vae.models import VAE

__all__ = ["Signature", "TensorInfo", "decode", "signatures_of"]

Arrays = Mapping[str, np.ndarray]


class TensorInfo(NamedTuple):
    """A named input or output.

    Attributes:
        shape: Without the batch axis, which is the first and of any size.
        dtype: Such as `"float32"`.
    """

    shape: tuple[int, ...]
    dtype: str


@dataclasses.dataclass(frozen=True)
class Signature:
    """A function of a model that can be exported.

    Attributes:
        name: Such as `"decode"`.
        inputs: In the order of the function's arguments, which have these names.
        outputs: What the function returns, by name.
        function: Tensors in, a dictionary of tensors out. Each part of the model is called
            in a name scope, so that an op can be traced back to it.
        probe: Returns inputs such as the function will see, given the batch size.
        parts: Name scope -> class of the part that is called there.
        properties: What a file should say of itself, for formats that can.
    """

    name: str
    inputs: Mapping[str, TensorInfo]
    outputs: Mapping[str, TensorInfo]
    function: Callable[..., dict[str, tf.Tensor]]
    probe: Callable[[int], dict[str, np.ndarray]]
    parts: Mapping[str, str]
    properties: Mapping[str, str]

    @functools.cached_property
    def traced(self) -> Any:
        """The `tf.function`, for any batch size."""
        specs = [
            tf.TensorSpec([None, *info.shape], info.dtype, name=name)
            for name, info in self.inputs.items()
        ]
        return tf.function(self.function, input_signature=specs)

    def evaluate(self, inputs: Arrays) -> dict[str, np.ndarray]:
        """Run the function eagerly: what an export is compared with.

        On the processor, where exports are checked: other devices may round to fewer digits.
        """
        with tf.device("/cpu:0"):
            tensors = {name: tf.convert_to_tensor(inputs[name]) for name in self.inputs}
            return {name: x.numpy() for name, x in self.function(**tensors).items()}


def decode(model: VAE) -> Signature:
    """What stands for p(x|z): z `[batch, latent_dim]` -> x `[batch, *event_shape]`.

    A conditional model's has a second input, `condition [batch, *condition_shape]`.

    Raises:
        ValueError: If the decoder is autoregressive.
    """
    if model.autoregressive:
        raise ValueError(
            "An autoregressive decoder is a loop over its own output, which `decode` cannot "
            "be exported as. Received: a decoder of type "
            f"{type(model.decoder).__name__}."
        )

    shape = model.conditions.shape

    def function(z: tf.Tensor, condition: tf.Tensor | None = None) -> dict[str, tf.Tensor]:
        with tf.name_scope("decoder"):
            prepared = model.conditions.prepared(condition, z)
            params = model.likelihood_params(z, condition=prepared)
        with tf.name_scope("likelihood"):
            return {"x": model.likelihood.point(params)}

    def probe(rows: int) -> dict[str, np.ndarray]:
        key = numerics.key_from_seed(rows)
        noise = numerics.draw_noise(model.prior.noise_spec(), [rows], key)
        condition = None
        if shape is not None:
            spec = {"condition": numerics.NoiseSpec("uniform", shape)}
            condition = numerics.draw_noise(spec, [rows], numerics.fold_in(key, 1))["condition"]
        prepared = model.conditions.prepared(condition, tf.zeros([rows]))
        z = model.prior.sample(noise, model.context(condition=prepared)).numpy()
        return {"z": z} if condition is None else {"z": z, "condition": condition.numpy()}

    dtype = numerics.density_dtype()
    inputs = {"z": TensorInfo(tuple(model.posterior.latent_shape), dtype)}
    if shape is not None:
        inputs["condition"] = TensorInfo(shape, dtype)
    return Signature(
        name="decode",
        inputs=inputs,
        outputs={"x": TensorInfo(tuple(model.event_shape), dtype)},
        function=function,
        probe=probe,
        parts={
            "decoder": type(model.decoder).__name__,
            "likelihood": type(model.likelihood).__name__,
        },
        properties=_properties(model, "decode"),
    )


def signatures_of(model: VAE) -> list[Signature]:
    """All signatures that are exported of a model."""
    return [decode(model)]


def _properties(model: VAE, name: str) -> dict[str, str]:
    return {
        "keras_vae_version": importlib.metadata.version("keras-vae"),
        "signature": name,
        "latent_dim": str(model.posterior.latent_dim),
        "event_shape": str(list(model.event_shape)),
        "likelihood": type(model.likelihood).__name__,
    }
