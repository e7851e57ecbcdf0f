"""Recurrent networks for sequences.

Floor 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from keras_vae.arguments import require_sizes
from keras_vae.component import register
from keras_vae.networks.sequence import SequenceDecoder, SequenceEncoder, State

__all__ = ["RecurrentDecoder", "RecurrentEncoder"]

_LAYERS = {"gru": keras.layers.GRU, "lstm": keras.layers.LSTM}
# Names of what each kind of cell hands from one element to the next.
_STATES = {"gru": ("hidden",), "lstm": ("hidden", "memory")}


@register("networks")
class RecurrentEncoder(SequenceEncoder):
    """Recurrent layers over sequences `[time, channels]`; the last state is the feature.

    Args:
        units: Width of each layer.
        cell: `"gru"` or `"lstm"`. Defaults to `"gru"`.
        bidirectional: Whether each layer reads both ways; features are twice as wide.
            Defaults to `True`.
        end_token: Channel that is 1 where a sequence ends; what follows its first 1 is not
            looked at. Defaults to `None`: all of the sequence counts.
        **kwargs: As in any Keras model.

    Raises:
        ValueError: If `units` is not a list of positive integers, `cell` is unknown, the
            event is not a sequence or has no channel `end_token`.

    Example:
    >>> body = keras_vae.networks.RecurrentEncoder([32])
    >>> body(tf.zeros([2, 20, 5])).shape
    TensorShape([2, 64])

    Reference: Bowman et al. (2016), Generating Sentences from a Continuous Space, section 3.
    """

    def __init__(
        self,
        units: Sequence[int],
        cell: str = "gru",
        bidirectional: bool = True,
        end_token: int | None = None,
        **kwargs: Any,
    ) -> None:
        require_sizes("units", units)
        _require_cell(cell)
        super().__init__(end_token=end_token, **kwargs)
        self.units = units
        self.cell = cell
        self.bidirectional = bidirectional

    def make_layers(self, input_shape: tuple[int, ...]) -> list[Any]:
        self.check_input_shape(input_shape)
        options = {"dtype": self.dtype_policy}
        layers = [
            _LAYERS[self.cell](width, return_sequences=index < len(self.units) - 1, **options)
            for index, width in enumerate(self.units)
        ]
        if self.bidirectional:
            layers = [keras.layers.Bidirectional(layer, **options) for layer in layers]
        return layers

    def call(self, inputs: Any) -> Any:
        mask = self.mask(inputs)
        for layer in self.body:
            inputs = layer(inputs, mask=mask)
        return inputs


@register("networks")
class RecurrentDecoder(SequenceDecoder):
    """Recurrent layers that start from z and see it at each position.

    Args:
        units: Width of each layer.
        cell: `"gru"` or `"lstm"`. Defaults to `"gru"`.
        autoregressive: Whether features depend on the elements before. Defaults to `False`.
        vocabulary: Number of tokens, if elements are tokens `[time, 1]` with ids from 0.
            Defaults to `None`: elements are real vectors.
        word_dropout: Share of elements that are hidden from an autoregressive decoder in
            training, so that it needs z. Defaults to `0.0`.
        **kwargs: As in any Keras model.

    Raises:
        ValueError: If `units` is not a list of positive integers, `cell` is unknown, a number
            is out of range, `vocabulary` or `word_dropout` is given to a decoder that is not
            autoregressive, or the event is not a sequence.

    Example:
    >>> body = keras_vae.networks.RecurrentDecoder([32])
    >>> body.bind((20, 5))
    >>> body(tf.zeros([2, 8])).shape
    TensorShape([2, 20, 32])

    Reference: Bowman et al. (2016), Generating Sentences from a Continuous Space, section 3.
    """

    def __init__(
        self,
        units: Sequence[int],
        cell: str = "gru",
        autoregressive: bool = False,
        vocabulary: int | None = None,
        word_dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        require_sizes("units", units)
        _require_cell(cell)
        super().__init__(autoregressive, vocabulary, word_dropout, **kwargs)
        self.units = units
        self.cell = cell

    def make_body(self, length: int) -> tuple[int, list[keras.layers.Layer]]:
        options = {"dtype": self.dtype_policy}
        states = _STATES[self.cell]
        self.from_z = keras.layers.Dense(self.units[0], **options)
        self.repeat = keras.layers.RepeatVector(length, **options)
        self.starts = [
            keras.layers.Dense(width, "tanh", **options) for width in self.units for _ in states
        ]
        self.recurrent = [
            _LAYERS[self.cell](width, return_sequences=True, **options) for width in self.units
        ]
        return self.units[0], [self.from_z, self.repeat, *self.starts, *self.recurrent]

    def run(self, z: Any, history: Any) -> Any:
        x = self.repeat(self.from_z(z))
        if history is not None:
            x = x + history
        starts = [start(z) for start in self.starts]
        for states, layer in zip(self._by_layer(starts), self.recurrent):
            x = layer(x, initial_state=states)
        return x

    def initial_state(self, z: Any) -> State:
        position = keras.ops.cast(keras.ops.zeros_like(z[:, 0]), "int32")
        starts = [start(z) for start in self.starts]
        return {"position": position, **dict(zip(self._state_names(), starts))}

    def step(self, token: Any, state: State, z: Any) -> tuple[Any, State]:
        x = self.from_z(z)
        follows = keras.ops.cast(state["position"] > 0, x.dtype)[:, None]
        x = x + follows * self.embed(token)
        reached: list[Any] = []
        states = [state[name] for name in self._state_names()]
        for before, layer in zip(self._by_layer(states), self.recurrent):
            x, after = layer.cell(x, before, training=False)
            reached += after
        position = state["position"] + 1
        return x, {"position": position, **dict(zip(self._state_names(), reached))}

    def _state_names(self) -> list[str]:
        states = _STATES[self.cell]
        return [f"{name}_{index}" for index in range(len(self.units)) for name in states]

    def _by_layer(self, states: list[Any]) -> list[list[Any]]:
        count = len(_STATES[self.cell])
        return [states[start : start + count] for start in range(0, len(states), count)]


def _require_cell(cell: Any) -> None:
    if cell not in _LAYERS:
        raise ValueError(f"`cell` must be one of {sorted(_LAYERS)}. Received: cell={cell!r}.")
