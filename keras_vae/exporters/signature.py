"""What a signature is: a function of tensors with named inputs and outputs.

Floor 6.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from keras_vae.exporters.checks import ExportError, ModelError, one_line
from keras_vae.exporters.dtypes import check_dtype
from keras_vae.exporters.probes import BATCHES

__all__ = ["Case", "Signature", "TensorInfo", "naming"]

Arrays = Mapping[str, np.ndarray]


class TensorInfo(NamedTuple):
    """A named input or output.

    Attributes:
        shape: Without the batch axis, which is the first and of any size.
        dtype: Such as `"float32"`.
        meaning: What it is, in a few words.
    """

    shape: tuple[int, ...]
    dtype: str
    meaning: str = ""


class Case(NamedTuple):
    """Inputs of a signature, and what the model makes of them, by name."""

    inputs: Arrays
    outputs: dict[str, np.ndarray]


@contextlib.contextmanager
def naming(signature: str) -> Iterator[None]:
    """Raise a ModelError that names the signature in place of any error of the model's.

    Args:
        signature: Name of what is computed.
    """
    try:
        yield
    except ExportError:
        raise
    except Exception as error:  # Networks and parts of users may raise any.
        raise ModelError(
            f"The model itself cannot compute `{signature}`: {one_line(error)} "
            f"Nothing was written."
        ) from error


@dataclasses.dataclass(frozen=True)
class Signature:
    """A function of a model that can be exported.

    Attributes:
        name: Such as `"decode"`.
        meaning: What it computes, in a sentence.
        inputs: In the order of the function's arguments, which have these names.
        function: Tensors in, a dictionary of tensors out. Each part of the model is called
            in a name scope, so that an op can be traced back to it.
        probe: Returns inputs such as the function will see, given the batch size.
        edges: Case -> inputs as no data will be, but clients may send.
        parts: Name scope -> class of the part that is called there.
        properties: What a file should say of itself, for formats that can.
        meanings: What outputs are, in a few words, by name.
    """

    name: str
    meaning: str
    inputs: Mapping[str, TensorInfo]
    function: Callable[..., dict[str, tf.Tensor]]
    probe: Callable[[int], dict[str, np.ndarray]]
    edges: Mapping[str, Callable[[], dict[str, np.ndarray]]]
    parts: Mapping[str, str]
    properties: Mapping[str, str]
    meanings: Mapping[str, str]

    @functools.cached_property
    def traced(self) -> Any:
        """The `tf.function`, for any batch size."""
        specs = [
            tf.TensorSpec([None, *info.shape], info.dtype, name=name)
            for name, info in self.inputs.items()
        ]

        def positional(*tensors: tf.Tensor) -> dict[str, tf.Tensor]:
            return self.function(**dict(zip(self.inputs, tensors)))

        return tf.function(positional, input_signature=specs)

    @functools.cached_property
    def concrete(self) -> Any:
        """The graph, for any batch size.

        Raises:
            ModelError: If the model cannot be traced.
        """
        with naming(self.name):
            concrete = self.traced.get_concrete_function()
            found = {name: x.dtype.name for name, x in concrete.structured_outputs.items()}
            found.update({name: info.dtype for name, info in self.inputs.items()})
            for name, dtype in found.items():
                check_dtype(f"`{name}`", dtype)
        return concrete

    @functools.cached_property
    def outputs(self) -> dict[str, TensorInfo]:
        """What the function returns, by name."""
        found = self.concrete.structured_outputs
        # TensorFlow sorts them by name; here what one most wants is first.
        order = [name for name in self.meanings if name in found]
        order += [name for name in found if name not in order]
        return {
            name: TensorInfo(
                tuple(found[name].shape[1:]),
                found[name].dtype.name,
                self.meanings.get(name, ""),
            )
            for name in order
        }

    def evaluate(self, inputs: Arrays) -> dict[str, np.ndarray]:
        """Run the function eagerly: what an export is compared with.

        On the processor, where exports are checked: other devices may round to fewer digits.

        Raises:
            ModelError: If the model fails there.
        """
        with naming(self.name), tf.device("/cpu:0"):
            tensors = {name: tf.convert_to_tensor(inputs[name]) for name in self.inputs}
            return {name: x.numpy() for name, x in self.function(**tensors).items()}

    @functools.cached_property
    def cases(self) -> dict[str, Case]:
        """What exports are compared on: batch size or edge -> inputs and the model's answer.

        Raises:
            ModelError: If the model fails on one of them.
        """
        with naming(self.name):
            inputs = {str(rows): self.probe(rows) for rows in BATCHES}
            inputs.update({case: make() for case, make in self.edges.items()})
        return {case: Case(given, self.evaluate(given)) for case, given in inputs.items()}
