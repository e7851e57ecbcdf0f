"""Convolutions along time, for sequences.

Floor 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from keras_vae.arguments import require_size, require_sizes
from keras_vae.component import register
from keras_vae.networks.sequence import (
    RecomputingDecoder,
    SequenceEncoder,
    elementwise_with_positions,
)

__all__ = ["CausalConvDecoder", "ConvEncoder1D"]


@register("networks")
class ConvEncoder1D(SequenceEncoder):
    """Dilated convolutions over sequences `[time, channels]`, then their mean over time.

    The dilation doubles from layer to layer, from 1.

    Args:
        filters: Filters of each layer.
        kernel_size: Length of the kernels. Defaults to `3`.
        activation: Of every layer. Defaults to `"relu"`.
        end_token: Channel that is 1 where a sequence ends; what follows its first 1 is not
            looked at. Defaults to `None`: all of the sequence counts.
        **kwargs: As in any Keras model.

    Raises:
        ValueError: If a size is not a positive integer, the event is not a sequence or has no
            channel `end_token`.

    Example:
    >>> body = keras_vae.networks.ConvEncoder1D([16, 32])
    >>> body(tf.zeros([2, 20, 5])).shape
    TensorShape([2, 32])

    Reference: Yu and Koltun (2016), Multi-Scale Context Aggregation by Dilated Convolutions.
    """

    def __init__(
        self,
        filters: Sequence[int],
        kernel_size: int = 3,
        activation: Any = "relu",
        end_token: int | None = None,
        **kwargs: Any,
    ) -> None:
        require_sizes("filters", filters)
        require_size("kernel_size", kernel_size)
        super().__init__(end_token=end_token, **kwargs)
        self.filters = filters
        self.kernel_size = kernel_size
        self.activation = activation

    def make_layers(self, input_shape: tuple[int, ...]) -> list[Any]:
        self.check_input_shape(input_shape)
        options = {"dtype": self.dtype_policy}
        self.pool = keras.layers.GlobalAveragePooling1D(**options)
        self.convolutions = [
            keras.layers.Conv1D(
                filters,
                self.kernel_size,
                padding="same",
                dilation_rate=2**index,
                activation=self.activation,
                **options,
            )
            for index, filters in enumerate(self.filters)
        ]
        return [*self.convolutions, self.pool]

    def call(self, inputs: Any) -> Any:
        mask = self.mask(inputs)
        for layer in self.convolutions:
            if mask is not None:
                inputs = inputs * keras.ops.cast(mask[..., None], inputs.dtype)
            inputs = layer(inputs)
        return self.pool(inputs, mask=mask)


@register("networks")
class CausalConvDecoder(RecomputingDecoder):
    """Gated convolutions along time that look back only, each added to its input.

    z is seen at each position, together with a learned vector of the position. Features look
    back `(kernel_size - 1) * sum(dilations)` positions.

    Args:
        filters: Width of all layers. Defaults to `64`.
        dilations: Dilation of each layer. Defaults to `(1, 2, 4, 8)`.
        kernel_size: Length of the kernels. Defaults to `3`.
        autoregressive: Whether features depend on the elements before. Defaults to `False`.
        vocabulary: Number of tokens, if elements are tokens `[time, 1]` with ids from 0.
            Defaults to `None`: elements are real vectors.
        word_dropout: Share of elements that are hidden from an autoregressive decoder in
            training, so that it needs z. Defaults to `0.0`.
        **kwargs: As in any Keras model.

    Raises:
        ValueError: If a number is out of range, `vocabulary` or `word_dropout` is given to a
            decoder that is not autoregressive, or the event is not a sequence.

    Example:
    >>> body = keras_vae.networks.CausalConvDecoder(32)
    >>> body.bind((20, 5))
    >>> body(tf.zeros([2, 8])).shape
    TensorShape([2, 20, 32])

    Reference: van den Oord et al. (2016), WaveNet, section 2; Yang et al. (2017), Improved
    Variational Autoencoders for Text Modeling using Dilated Convolutions.
    """

    def __init__(
        self,
        filters: int = 64,
        dilations: Sequence[int] = (1, 2, 4, 8),
        kernel_size: int = 3,
        autoregressive: bool = False,
        vocabulary: int | None = None,
        word_dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        require_size("filters", filters)
        require_sizes("dilations", dilations)
        require_size("kernel_size", kernel_size)
        super().__init__(autoregressive, vocabulary, word_dropout, **kwargs)
        self.filters = filters
        self.dilations = dilations
        self.kernel_size = kernel_size

    def make_body(self, length: int) -> tuple[int, list[keras.layers.Layer]]:
        options = {"dtype": self.dtype_policy}
        self.repeat = keras.layers.RepeatVector(length, **options)
        self.from_z = elementwise_with_positions(length, self.filters, self.dtype_policy)
        self.causal = [
            keras.layers.Conv1D(
                2 * self.filters,
                self.kernel_size,
                padding="causal",
                dilation_rate=dilation,
                **options,
            )
            for dilation in self.dilations
        ]
        self.mix = [keras.layers.Dense(self.filters, **options) for _ in self.dilations]
        return self.filters, [self.repeat, self.from_z, *self.causal, *self.mix]

    def run(self, z: Any, history: Any) -> Any:
        x = self.from_z(self.repeat(z))
        if history is not None:
            x = x + history
        for causal, mix in zip(self.causal, self.mix):
            value, gate = keras.ops.split(causal(x), 2, axis=-1)
            x = x + mix(keras.ops.tanh(value) * keras.ops.sigmoid(gate))
        return x
