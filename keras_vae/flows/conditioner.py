"""The network inside a flow: dense layers with masks (MADE).

Floor 1. Germain et al. (2015), MADE: Masked Autoencoder for Distribution Estimation.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_vae.arguments import require_size, require_sizes
from keras_vae.component import Component
from keras_vae.flows.base import Bijection

__all__ = ["Conditioned", "Conditioner"]


class Conditioner(Component):
    """Numbers for each output, from the inputs of lower degree only.

    Every unit has a degree, and sees units of the layer before whose degree is not above its
    own; an output sees hidden units of lower degree. Outputs of degree 1, 2, ... of inputs of
    degree 1, 2, ... are autoregressive; outputs of degree 1 of inputs of degree 0 see all.
    Parameters of the encoder's are seen by all units and outputs. The last layer begins at
    zero.

    Args:
        input_degrees: One per input.
        output_degrees: One per output, at least 1.
        numbers: How many numbers each output has.
        hidden: Width of each hidden layer.
        activation: Of the hidden layers.
        params_size: How many parameters come from the encoder.
        **kwargs: As in any Keras layer.
    """

    def __init__(
        self,
        input_degrees: Sequence[int],
        output_degrees: Sequence[int],
        numbers: int,
        hidden: Sequence[int],
        activation: Any,
        params_size: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.input_degrees = input_degrees
        self.output_degrees = output_degrees
        self.numbers = numbers
        self.hidden = hidden
        self.activation = activation
        self.params_size = params_size

    def build(self, _: None = None) -> None:
        """Make masks and weights."""
        if self.built:
            return
        highest = max(self.output_degrees) - 1
        lowest = min(*self.input_degrees, highest)
        degrees = [np.asarray(self.input_degrees)]
        degrees += [np.rint(np.linspace(lowest, highest, n)) for n in self.hidden]
        self._masks = [a[:, None] <= b for a, b in itertools.pairwise(degrees)]
        self._last_mask = (degrees[-1][:, None] < np.asarray(self.output_degrees))[..., None]
        self.kernels = [
            self.add_weight(mask.shape, "glorot_uniform", name=f"kernel_{index}")
            for index, mask in enumerate(self._masks)
        ]
        self.biases = [
            self.add_weight((width,), "zeros", name=f"bias_{index}")
            for index, width in enumerate(self.hidden)
        ]
        last = (len(self.output_degrees), self.numbers)
        if self.params_size:
            self.params_kernels = [
                self.add_weight((self.params_size, n), "glorot_uniform", name=f"params_{index}")
                for index, n in enumerate(self.hidden)
            ]
            self.last_params_kernel = self.add_weight(
                (self.params_size, *last), "zeros", name="last_params"
            )
        self.last_kernel = self.add_weight((self.hidden[-1], *last), "zeros", name="last")
        self.last_bias = self.add_weight(last, "zeros", name="last_bias")
        self.built = True

    def call(self, x: tf.Tensor, params: tf.Tensor | None = None) -> tf.Tensor:
        """Return the numbers.

        Args:
            x: `[*leading, inputs]`.
            params: `[..., params_size]`, or `None`.

        Returns:
            `[*leading, outputs, numbers]`.
        """
        activation = keras.activations.get(self.activation)
        if self.params_size:
            x, params = _of_equal_rank(x, params)
        for index, (kernel, mask) in enumerate(zip(self.kernels, self._masks)):
            x = tf.tensordot(x, kernel * mask.astype(kernel.dtype), 1) + self.biases[index]
            if self.params_size:
                x = x + tf.tensordot(
                    params, tf.convert_to_tensor(self.params_kernels[index]), 1
                )
            x = activation(x)
        kernel = self.last_kernel * self._last_mask.astype(self.last_kernel.dtype)
        numbers = tf.tensordot(x, kernel, 1) + self.last_bias
        if not self.params_size:
            return numbers
        return numbers + tf.tensordot(params, tf.convert_to_tensor(self.last_params_kernel), 1)


def _of_equal_rank(x: tf.Tensor, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Give the tensor of lower rank leading axes of size 1.

    TensorFlow on a CPU fuses a matrix product `[n, k]` with what is added to it, and takes
    `[1, 1, k]` for a bias: the sum then has the shape `[n, k]`, without its first axis.
    """
    rank = max(x.shape.rank, y.shape.rank)

    def raised(t: tf.Tensor) -> tf.Tensor:
        return t[(None,) * (rank - t.shape.rank)]

    return raised(x), raised(y)


class Conditioned(Bijection):
    """A flow whose numbers come from a `Conditioner`.

    Args:
        hidden: Width of each hidden layer of the network. Defaults to `(64, 64)`.
        activation: Of the hidden layers; a smooth one. Defaults to `"elu"`.
        context_size: How many numbers for each example the network takes from the encoder,
            beside the vector itself. Defaults to `0`.
        **kwargs: As in any Keras layer.

    Raises:
        ValueError: If `hidden` is not a list of positive integers, or `context_size` is not
            an integer >= 0.
    """

    def __init__(
        self,
        hidden: Sequence[int] = (64, 64),
        activation: Any = "elu",
        context_size: int = 0,
        **kwargs: Any,
    ) -> None:
        require_sizes("hidden", hidden)
        require_size("context_size", context_size, 0)
        super().__init__(**kwargs)
        self.hidden = hidden
        self.activation = activation
        self.context_size = context_size

    def params_size(self, dim: int) -> int:
        return self.context_size

    def broadcast(self, x: tf.Tensor, params: tf.Tensor | None) -> tf.Tensor:
        """Give x the leading axes that its image will have."""
        if params is None or not self.context_size:
            return x
        return x + tf.zeros_like(params[..., :1])

    def make_conditioner(
        self, input_degrees: Sequence[int], output_degrees: Sequence[int], numbers: int
    ) -> Conditioner:
        """Return the built network of this flow."""
        conditioner = Conditioner(
            input_degrees,
            output_degrees,
            numbers,
            self.hidden,
            self.activation,
            self.context_size,
            name="conditioner",
        )
        conditioner.build()
        return conditioner
