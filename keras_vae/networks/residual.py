"""Residual networks: blocks whose output is added to their input.

Floor 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras

from keras_vae.arguments import require_share, require_size, require_sizes
from keras_vae.component import register
from keras_vae.networks.base import (
    Decoder,
    Network,
    Side,
)
from keras_vae.networks.conv import cropping, require_image, small_grid

__all__ = ["ResidualDecoder", "ResidualEncoder", "ResidualMLP"]


@register("networks")
class ResidualMLP(Network):
    """A dense layer, then residual blocks of one width; inputs are flattened.

    A block is layer normalisation, a dense layer with the activation, and one without.

    Args:
        units: Width of all layers. Defaults to `256`.
        blocks: Number of blocks. Defaults to `2`.
        activation: Inside each block. Defaults to `"relu"`.
        dropout: Share of units dropped inside each block in training. Defaults to `0.0`.
        **kwargs: As in any Keras model.

    Raises:
        ValueError: If `units` or `blocks` is not a positive integer, or `dropout` is outside
            [0, 1).

    Example:
    >>> body = keras_vae.networks.ResidualMLP(32, blocks=3)
    >>> body(tf.zeros([2, 8, 8, 1])).shape
    TensorShape([2, 32])

    Reference: He, Zhang, Ren and Sun (2016), Identity Mappings in Deep Residual Networks,
    figure 4e.
    """

    flattens = True

    def __init__(
        self,
        units: int = 256,
        blocks: int = 2,
        activation: Any = "relu",
        dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        require_size("units", units)
        require_size("blocks", blocks)
        require_share("dropout", dropout)
        super().__init__(**kwargs)
        self.units = units
        self.blocks = blocks
        self.activation = activation
        self.dropout = dropout

    def make_layers(self, input_shape: tuple[int, ...]) -> list[Any]:
        options = {"dtype": self.dtype_policy}
        layers: list[Any] = []
        if len(input_shape) > 1:
            layers.append(keras.layers.Flatten(**options))
        layers.append(keras.layers.Dense(self.units, **options))
        for _ in range(self.blocks):
            block = [
                keras.layers.LayerNormalization(**options),
                keras.layers.Dense(self.units, self.activation, **options),
                keras.layers.Dense(self.units, **options),
            ]
            if self.dropout:
                block.insert(2, keras.layers.Dropout(self.dropout, **options))
            layers.append(Side([], block))
        layers.append(keras.layers.LayerNormalization(**options))
        return layers


class _ResidualNetwork(Network):
    """What encoder and decoder share: their arguments and their blocks."""

    def __init__(
        self,
        filters: Sequence[int],
        blocks: int = 1,
        strides: int = 2,
        activation: Any = "relu",
        groups: int | None = None,
        **kwargs: Any,
    ) -> None:
        require_sizes("filters", filters)
        require_size("blocks", blocks)
        require_size("strides", strides)
        if groups is not None:
            require_size("groups", groups)
            if any(width % groups for width in filters):
                raise ValueError(
                    f"`groups` must divide the filters of every stage. "
                    f"Received: groups={groups}, filters={filters!r}."
                )
        super().__init__(**kwargs)
        self.filters = filters
        self.blocks = blocks
        self.strides = strides
        self.activation = activation
        self.groups = groups

    def _conv(self, filters: int, side: int, strides: int = 1) -> keras.layers.Layer:
        return keras.layers.Conv2D(
            filters, side, strides=strides, padding="same", dtype=self.dtype_policy
        )

    def _activate(self) -> list[keras.layers.Layer]:
        options = {"dtype": self.dtype_policy}
        activation = keras.layers.Activation(self.activation, **options)
        if self.groups is None:
            return [activation]
        return [keras.layers.GroupNormalization(self.groups, **options), activation]

    def _block(self, filters: int) -> Side:
        path = [self._conv(filters, 3) for _ in range(2)]
        return Side([], [*self._activate(), path[0], *self._activate(), path[1]])


@register("networks")
class ResidualEncoder(_ResidualNetwork):
    """Stages of residual blocks over images `[height, width, channels]`.

    The first block of each stage shrinks the grid.

    Args:
        filters: Filters of each stage.
        blocks: Blocks per stage. Defaults to `1`.
        strides: Factor by which each stage shrinks the grid. Defaults to `2`.
        activation: Before each convolution. Defaults to `"relu"`.
        groups: Groups of the group normalisation before each activation. Defaults to
            `None`: no normalisation.
        **kwargs: As in any Keras model.

    Raises:
        ValueError: If a size is not a positive integer, `groups` does not divide the filters,
            or the event is not an image.

    Example:
    >>> body = keras_vae.networks.ResidualEncoder([16, 32], blocks=2, groups=8)
    >>> body(tf.zeros([2, 28, 28, 1])).shape
    TensorShape([2, 7, 7, 32])

    Reference: He, Zhang, Ren and Sun (2016), Identity Mappings in Deep Residual Networks,
    figure 4e.
    """

    def make_layers(self, input_shape: tuple[int, ...]) -> list[Any]:
        require_image("ResidualEncoder", input_shape)
        layers: list[Any] = [self._conv(self.filters[0], 3)]
        for filters in self.filters:
            path = [self._conv(filters, 3, self.strides), self._conv(filters, 3)]
            layers.append(
                Side(
                    [self._conv(filters, 1, self.strides)],
                    [*self._activate(), path[0], *self._activate(), path[1]],
                )
            )
            layers += [self._block(filters) for _ in range(self.blocks - 1)]
        return layers + self._activate()


@register("networks")
class ResidualDecoder(_ResidualNetwork, Decoder):
    """A dense layer onto a small grid, then stages of residual blocks up to the image's.

    The last block of each stage enlarges the grid by repeating its points. The model tells
    the network the image's shape through `bind`; grids that are no multiple of the strides
    are reached by cropping.

    Args:
        filters: Filters of each stage.
        blocks: Blocks per stage. Defaults to `1`.
        strides: Factor by which each stage enlarges the grid. Defaults to `2`.
        activation: Before each convolution. Defaults to `"relu"`.
        groups: Groups of the group normalisation before each activation. Defaults to
            `None`: no normalisation.
        **kwargs: As in any Keras model.

    Raises:
        ValueError: If a size is not a positive integer, `groups` does not divide the filters,
            the event is not an image, or the network is built before `bind`.

    Example:
    >>> body = keras_vae.networks.ResidualDecoder([32, 16])
    >>> body.bind((28, 28, 1))
    >>> body(tf.zeros([2, 8])).shape
    TensorShape([2, 28, 28, 16])

    Reference: He, Zhang, Ren and Sun (2016), Identity Mappings in Deep Residual Networks,
    figure 4e.
    """

    def check_event_shape(self, event_shape: tuple[int, ...]) -> None:
        require_image("ResidualDecoder", event_shape)

    def make_layers(self, input_shape: tuple[int, ...]) -> list[Any]:
        event_shape, factor = self.bound_shape(), self.strides ** len(self.filters)
        grid = small_grid(event_shape, factor, self.filters[0])
        options = {"dtype": self.dtype_policy}
        layers: list[Any] = [
            keras.layers.Dense(math.prod(grid), **options),
            keras.layers.Reshape(grid, **options),
        ]
        width = self.filters[0]
        for filters in self.filters:
            layers += [self._block(width) for _ in range(self.blocks - 1)]
            path = [self._conv(filters, 3), self._conv(filters, 3)]
            layers.append(
                Side(
                    [self._upsampling(), self._conv(filters, 1)],
                    [
                        *self._activate(),
                        self._upsampling(),
                        path[0],
                        *self._activate(),
                        path[1],
                    ],
                )
            )
            width = filters
        return (
            layers + self._activate() + cropping(grid, factor, event_shape, self.dtype_policy)
        )

    def _upsampling(self) -> keras.layers.Layer:
        return keras.layers.UpSampling2D(self.strides, dtype=self.dtype_policy)
