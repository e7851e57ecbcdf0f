"""Transformers for sequences.

Floor 1. Vaswani et al. (2017), Attention Is All You Need; normalised before each sublayer as
in Xiong et al. (2020), On Layer Normalization in the Transformer Architecture.
"""

from __future__ import annotations

from typing import Any

import keras

from keras_vae.arguments import require_share, require_size
from keras_vae.component import register
from keras_vae.networks.base import Network
from keras_vae.networks.sequence import (
    RecomputingDecoder,
    SequenceEncoder,
    elementwise_with_positions,
)

__all__ = ["TransformerDecoder", "TransformerEncoder"]


class _Transformer(Network):
    """What encoder and decoder share: their blocks."""

    depth: int
    heads: int
    width: int
    dropout: float

    def make_blocks(self) -> list[keras.layers.Layer]:
        """Make the layers of all blocks and the last normalisation."""
        options = {"dtype": self.dtype_policy}
        self.blocks = [self._make_block(options) for _ in range(self.depth)]
        self.last = keras.layers.LayerNormalization(**options)
        return [*(layer for block in self.blocks for layer in block.values()), self.last]

    def _make_block(self, options: dict[str, Any]) -> dict[str, keras.layers.Layer]:
        return {
            "norm": keras.layers.LayerNormalization(**options),
            "attention": keras.layers.MultiHeadAttention(
                self.heads, self.width // self.heads, dropout=self.dropout, **options
            ),
            "norm_dense": keras.layers.LayerNormalization(**options),
            "widen": keras.layers.Dense(4 * self.width, **options),
            "narrow": keras.layers.Dense(self.width, **options),
            "drop": keras.layers.Dropout(self.dropout, **options),
        }

    def run_blocks(self, x: Any, **attention: Any) -> Any:
        """Run all blocks over `[batch, time, width]`."""
        for block in self.blocks:
            normal = block["norm"](x)
            x = x + block["drop"](block["attention"](normal, normal, **attention))
            # The approximation: ONNX knows no complementary error function.
            wide = keras.ops.gelu(block["widen"](block["norm_dense"](x)), approximate=True)
            x = x + block["drop"](block["narrow"](wide))
        return self.last(x)


@register("networks")
class TransformerEncoder(SequenceEncoder, _Transformer):
    """Self-attention over sequences `[time, channels]`, then the mean over time.

    Args:
        depth: Number of blocks. Defaults to `2`.
        heads: Attention heads of each. Defaults to `4`.
        width: Width of all blocks, a multiple of `heads`. Defaults to `64`.
        dropout: Share of units and attention weights dropped in training. Defaults to `0.0`.
        end_token: Channel that is 1 where a sequence ends; what follows its first 1 is not
            looked at. Defaults to `None`: all of the sequence counts.
        **kwargs: As in any Keras model.

    Raises:
        ValueError: If a number is out of range, the event is not a sequence or has no channel
            `end_token`.

    Example:
    >>> body = keras_vae.networks.TransformerEncoder(width=32)
    >>> body(tf.zeros([2, 20, 5])).shape
    TensorShape([2, 32])

    Reference: Vaswani et al. (2017), Attention Is All You Need; Xiong et al. (2020), On Layer
    Normalization in the Transformer Architecture.
    """

    def __init__(
        self,
        depth: int = 2,
        heads: int = 4,
        width: int = 64,
        dropout: float = 0.0,
        end_token: int | None = None,
        **kwargs: Any,
    ) -> None:
        _require_sizes(depth, heads, width, dropout)
        super().__init__(end_token=end_token, **kwargs)
        self.depth = depth
        self.heads = heads
        self.width = width
        self.dropout = dropout

    def make_layers(self, input_shape: tuple[int, ...]) -> list[Any]:
        self.check_input_shape(input_shape)
        self.embedding = elementwise_with_positions(
            input_shape[0], self.width, self.dtype_policy
        )
        self.pool = keras.layers.GlobalAveragePooling1D(dtype=self.dtype_policy)
        return [self.embedding, *self.make_blocks(), self.pool]

    def call(self, inputs: Any) -> Any:
        mask = self.mask(inputs)
        seen = None if mask is None else mask[:, None, :]
        x = self.run_blocks(self.embedding(inputs), attention_mask=seen)
        return self.pool(x, mask=mask)


@register("networks")
class TransformerDecoder(RecomputingDecoder, _Transformer):
    """Self-attention along time that looks back only.

    z is seen at each position, together with a learned vector of the position.

    Args:
        depth: Number of blocks. Defaults to `2`.
        heads: Attention heads of each. Defaults to `4`.
        width: Width of all blocks, a multiple of `heads`. Defaults to `64`.
        dropout: Share of units and attention weights dropped in training. Defaults to `0.0`.
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
    >>> body = keras_vae.networks.TransformerDecoder(width=32)
    >>> body.bind((20, 5))
    >>> body(tf.zeros([2, 8])).shape
    TensorShape([2, 20, 32])

    Reference: Vaswani et al. (2017), Attention Is All You Need; Xiong et al. (2020), On Layer
    Normalization in the Transformer Architecture.
    """

    def __init__(
        self,
        depth: int = 2,
        heads: int = 4,
        width: int = 64,
        dropout: float = 0.0,
        autoregressive: bool = False,
        vocabulary: int | None = None,
        word_dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        _require_sizes(depth, heads, width, dropout)
        super().__init__(autoregressive, vocabulary, word_dropout, **kwargs)
        self.depth = depth
        self.heads = heads
        self.width = width
        self.dropout = dropout

    def make_body(self, length: int) -> tuple[int, list[keras.layers.Layer]]:
        options = {"dtype": self.dtype_policy}
        self.repeat = keras.layers.RepeatVector(length, **options)
        self.from_z = elementwise_with_positions(length, self.width, self.dtype_policy)
        return self.width, [self.repeat, self.from_z, *self.make_blocks()]

    def run(self, z: Any, history: Any) -> Any:
        x = self.from_z(self.repeat(z))
        if history is not None:
            x = x + history
        return self.run_blocks(x, use_causal_mask=self.autoregressive)


def _require_sizes(depth: Any, heads: Any, width: Any, dropout: Any) -> None:
    for name, value in (("depth", depth), ("heads", heads), ("width", width)):
        require_size(name, value)
    require_share("dropout", dropout)
    if width % heads:
        raise ValueError(
            f"`width` must be a multiple of `heads`. Received: width={width}, heads={heads}."
        )
