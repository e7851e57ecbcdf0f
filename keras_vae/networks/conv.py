"""Convolutional networks for images.

Floor 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras

from keras_vae.component import register
from keras_vae.networks.base import Network, require_counts

__all__ = ["ConvDecoder", "ConvEncoder"]


class _ConvNetwork(Network):
    """What encoder and decoder share: their arguments and the layers of one block."""

    def __init__(
        self,
        filters: Sequence[int],
        kernel_size: int = 3,
        strides: int = 2,
        activation: Any = "relu",
        batch_normalization: bool = False,
        **kwargs: Any,
    ) -> None:
        require_counts("filters", filters)
        for name, value in (("kernel_size", kernel_size), ("strides", strides)):
            if not isinstance(value, int) or value < 1:
                raise ValueError(
                    f"`{name}` must be a positive integer. Received: {name}={value}."
                )
        super().__init__(**kwargs)
        self.filters = filters
        self.kernel_size = kernel_size
        self.strides = strides
        self.activation = activation
        self.batch_normalization = batch_normalization

    def _block(self, convolution: type, width: int) -> list[keras.layers.Layer]:
        options = {"dtype": self.dtype_policy}
        block = [
            convolution(
                width,
                self.kernel_size,
                strides=self.strides,
                padding="same",
                use_bias=not self.batch_normalization,
                **options,
            )
        ]
        if self.batch_normalization:
            block.append(keras.layers.BatchNormalization(**options))
        block.append(keras.layers.Activation(self.activation, **options))
        return block


@register("networks")
class ConvEncoder(_ConvNetwork):
    """Strided convolutions over images `[height, width, channels]`.

    Args:
        filters: Filters of each layer.
        kernel_size: Side of the kernels. Defaults to `3`.
        strides: Factor by which each layer shrinks the grid. Defaults to `2`.
        activation: Of every layer. Defaults to `"relu"`.
        batch_normalization: Whether to normalise before each activation. Defaults to
            `False`.
        **kwargs: As in any Keras model.

    Raises:
        ValueError: If `filters` is not a list of positive integers, or the event is not an
            image.

    Example:
    >>> body = keras_vae.networks.ConvEncoder([32, 64])
    >>> body(tf.zeros([2, 28, 28, 1])).shape
    TensorShape([2, 7, 7, 64])
    """

    def make_layers(self, input_shape: tuple[int, ...]) -> list[keras.layers.Layer]:
        _require_image("ConvEncoder", input_shape)
        blocks = [self._block(keras.layers.Conv2D, width) for width in self.filters]
        return [layer for block in blocks for layer in block]


@register("networks")
class ConvDecoder(_ConvNetwork):
    """A dense layer onto a small grid, then transposed convolutions up to the image's.

    The model tells it the image's shape through `bind`; grids that are no multiple of the
    strides are reached by cropping.

    Args:
        filters: Filters of each layer.
        kernel_size: Side of the kernels. Defaults to `3`.
        strides: Factor by which each layer enlarges the grid. Defaults to `2`.
        activation: Of every layer. Defaults to `"relu"`.
        batch_normalization: Whether to normalise before each activation. Defaults to
            `False`.
        **kwargs: As in any Keras model.

    Raises:
        ValueError: If `filters` is not a list of positive integers, the event is not an
            image, or the network is built before `bind`.

    Example:
    >>> body = keras_vae.networks.ConvDecoder([64, 32])
    >>> body.bind((28, 28, 1))
    >>> body(tf.zeros([2, 16])).shape
    TensorShape([2, 28, 28, 32])
    """

    event_shape: tuple[int, ...] | None = None

    def bind(self, event_shape: tuple[int, ...]) -> None:
        """Set the shape of the images to be made.

        Args:
            event_shape: `(height, width, channels)`.
        """
        _require_image("ConvDecoder", event_shape)
        self.event_shape = tuple(event_shape)

    def make_layers(self, input_shape: tuple[int, ...]) -> list[keras.layers.Layer]:
        if self.event_shape is None:
            raise ValueError(
                "ConvDecoder does not know its output grid yet. Call "
                "`bind((height, width, channels))` first; keras_vae.VAE does."
            )
        height, width, _ = self.event_shape
        factor = self.strides ** len(self.filters)
        grid = (math.ceil(height / factor), math.ceil(width / factor), self.filters[0])
        options = {"dtype": self.dtype_policy}
        layers: list[keras.layers.Layer] = [
            keras.layers.Dense(math.prod(grid), activation=self.activation, **options),
            keras.layers.Reshape(grid, **options),
        ]
        for filters in self.filters:
            layers += self._block(keras.layers.Conv2DTranspose, filters)
        surplus = (grid[0] * factor - height, grid[1] * factor - width)
        if any(surplus):
            crop = tuple((n // 2, n - n // 2) for n in surplus)
            layers.append(keras.layers.Cropping2D(crop, **options))
        return layers

    def get_build_config(self) -> dict[str, Any] | None:
        """Add the grid to what Keras saves of `build`."""
        config: dict[str, Any] | None = super().get_build_config()
        return config and {**config, "event_shape": self.event_shape}

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Restore the grid, then build."""
        self.bind(tuple(config["event_shape"]))
        super().build_from_config({"input_shape": config["input_shape"]})


def _require_image(network: str, shape: tuple[int, ...]) -> None:
    if len(shape) != 3:
        raise ValueError(
            f"{network} works on images of shape (height, width, channels). "
            f"Received: {tuple(shape)}."
        )
