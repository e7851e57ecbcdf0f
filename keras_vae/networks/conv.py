"""Convolutional networks for images.

Floor 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras

from keras_vae.arguments import require_size, require_sizes
from keras_vae.component import register
from keras_vae.networks.base import (
    Decoder,
    Network,
    spectral,
)

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
        spectral_normalization: bool = False,
        **kwargs: Any,
    ) -> None:
        require_sizes("filters", filters)
        require_size("kernel_size", kernel_size)
        require_size("strides", strides)
        super().__init__(**kwargs)
        self.filters = filters
        self.kernel_size = kernel_size
        self.strides = strides
        self.activation = activation
        self.batch_normalization = batch_normalization
        self.spectral_normalization = spectral_normalization

    def _block(self, convolution: type, width: int) -> list[keras.layers.Layer]:
        options = {"dtype": self.dtype_policy}
        layer = convolution(
            width,
            self.kernel_size,
            strides=self.strides,
            padding="same",
            use_bias=not self.batch_normalization,
            **options,
        )
        block = [spectral(layer) if self.spectral_normalization else layer]
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
        spectral_normalization: Whether to keep the largest singular value of each kernel
            near 1. Defaults to `False`.
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
        require_image("ConvEncoder", input_shape)
        blocks = [self._block(keras.layers.Conv2D, width) for width in self.filters]
        return [layer for block in blocks for layer in block]


@register("networks")
class ConvDecoder(_ConvNetwork, Decoder):
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
        spectral_normalization: Whether to keep the largest singular value of each kernel
            near 1. Defaults to `False`.
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

    def check_event_shape(self, event_shape: tuple[int, ...]) -> None:
        require_image("ConvDecoder", event_shape)

    def make_layers(self, input_shape: tuple[int, ...]) -> list[keras.layers.Layer]:
        event_shape, factor = self.bound_shape(), self.strides ** len(self.filters)
        grid = small_grid(event_shape, factor, self.filters[0])
        options = {"dtype": self.dtype_policy}
        dense = keras.layers.Dense(math.prod(grid), **options)
        layers: list[keras.layers.Layer] = [
            spectral(dense) if self.spectral_normalization else dense,
            keras.layers.Activation(self.activation, **options),
            keras.layers.Reshape(grid, **options),
        ]
        for filters in self.filters:
            layers += self._block(keras.layers.Conv2DTranspose, filters)
        return layers + cropping(grid, factor, event_shape, self.dtype_policy)


def small_grid(event_shape: tuple[int, ...], factor: int, filters: int) -> tuple[int, int, int]:
    """Shape of the smallest grid that covers the image once it is enlarged by `factor`."""
    height, width, _ = event_shape
    return (math.ceil(height / factor), math.ceil(width / factor), filters)


def cropping(
    grid: tuple[int, int, int], factor: int, event_shape: tuple[int, ...], dtype: Any
) -> list[keras.layers.Layer]:
    """The layer that cuts what the enlarged grid has too much; none if nothing."""
    surplus = [factor * have - wanted for have, wanted in zip(grid[:2], event_shape)]
    if not any(surplus):
        return []
    crop = tuple((n // 2, n - n // 2) for n in surplus)
    return [keras.layers.Cropping2D(crop, dtype=dtype)]


def require_image(network: str, shape: tuple[int, ...]) -> None:
    """Raise a ValueError unless `shape` is that of an image."""
    if len(shape) != 3:
        raise ValueError(
            f"{network} works on images of shape (height, width, channels). "
            f"Received: {tuple(shape)}."
        )
