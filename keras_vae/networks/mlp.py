"""Dense networks.

Floor 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from keras_vae.arguments import require_share, require_sizes
from keras_vae.component import register
from keras_vae.networks.base import Network, spectral

__all__ = ["MLP"]


@register("networks")
class MLP(Network):
    """Dense layers; inputs of higher rank are flattened.

    Args:
        units: Width of each layer.
        activation: Of every layer, the last one too. Defaults to `"relu"`.
        dropout: Share of units dropped after each layer in training. Defaults to `0.0`.
        spectral_normalization: Whether to keep the largest singular value of each kernel
            near 1. Defaults to `False`.
        **kwargs: As in any Keras model.

    Raises:
        ValueError: If `units` is not a list of positive integers or `dropout` is outside
            [0, 1).

    Example:
    >>> body = keras_vae.networks.MLP([64, 32])
    >>> body(tf.zeros([2, 8, 8, 1])).shape
    TensorShape([2, 32])
    """

    flattens = True

    def __init__(
        self,
        units: Sequence[int],
        activation: Any = "relu",
        dropout: float = 0.0,
        spectral_normalization: bool = False,
        **kwargs: Any,
    ) -> None:
        require_sizes("units", units)
        require_share("dropout", dropout)
        super().__init__(**kwargs)
        self.units = units
        self.activation = activation
        self.dropout = dropout
        self.spectral_normalization = spectral_normalization

    def make_layers(self, input_shape: tuple[int, ...]) -> list[keras.layers.Layer]:
        options = {"dtype": self.dtype_policy}
        layers: list[keras.layers.Layer] = []
        if len(input_shape) > 1:
            layers.append(keras.layers.Flatten(**options))
        for width in self.units:
            if self.spectral_normalization:
                layers += [
                    spectral(keras.layers.Dense(width, **options)),
                    keras.layers.Activation(self.activation, **options),
                ]
            else:
                layers.append(keras.layers.Dense(width, self.activation, **options))
            if self.dropout:
                layers.append(keras.layers.Dropout(self.dropout, **options))
        return layers
