"""What networks for sequences `[time, channels]` share.

Floor 1.
"""

from __future__ import annotations

from typing import Any

import keras

from keras_vae import numerics
from keras_vae.arguments import require_integer, require_share, require_size
from keras_vae.networks.base import Decoder, Network

__all__ = [
    "RecomputingDecoder",
    "SequenceDecoder",
    "SequenceEncoder",
    "elementwise_with_positions",
    "require_sequence",
]

Shape = tuple[int, ...]
State = dict[str, Any]


class SequenceEncoder(Network):
    """A body that makes one vector of a sequence.

    Categories come one-hot, as `likelihoods.Categorical` hands them to the encoder, so that
    the first kernel is their embedding.

    Subclassing: use `mask` in `call`.

    Args:
        end_token: Channel that is 1 where a sequence ends; what follows its first 1 is not
            looked at. Defaults to `None`: all of the sequence counts.
        **kwargs: As in any Keras model.
    """

    def __init__(self, end_token: int | None = None, **kwargs: Any) -> None:
        if end_token is not None:
            require_integer("end_token", end_token, 0)
        super().__init__(**kwargs)
        self.end_token = end_token

    def check_input_shape(self, input_shape: Shape) -> None:
        """Raise a ValueError unless inputs are sequences that have the end token's channel."""
        require_sequence(type(self).__name__, input_shape)
        if self.end_token is not None and self.end_token >= input_shape[-1]:
            raise ValueError(
                f"`end_token` must be the index of one of {input_shape[-1]} channels. "
                f"Received: end_token={self.end_token}. Tokens must be one-hot."
            )

    def mask(self, x: Any) -> Any:
        """Whether each element belongs to the sequence, `[batch, time]`; `None`: all do."""
        if self.end_token is None:
            return None
        ends = x[..., self.end_token]
        return keras.ops.less(keras.ops.cumsum(ends, axis=1) - ends, 0.5)


class SequenceDecoder(Decoder):
    """A body z -> features `[time, width]`, which may look at the sequence so far.

    Called with z alone it is a plain decoder. With `autoregressive=True` it is called with
    `target`, the sequence shifted right by one, and the features at position t depend on z
    and on the elements before t. What the shift puts at the first position is not looked at:
    nothing is there, which no element, token 0 included, is mistaken for. Generation goes
    element by element: `initial_state(z)`, then `step(token, state, z)`.

    Subclassing: implement `make_body`, `run` and, for states that are cheaper than running
    everything again, `initial_state` and `step`.

    Args:
        autoregressive: Whether features depend on the elements before. Defaults to `False`.
        vocabulary: Number of tokens, if elements are tokens `[time, 1]` with ids from 0.
            Defaults to `None`: elements are real vectors.
        word_dropout: Share of elements that are hidden from an autoregressive decoder in
            training, so that it needs z. Defaults to `0.0`.
        **kwargs: As in any Keras model.

    Reference: Bowman et al. (2016), Generating Sentences from a Continuous Space, section 3.1.
    """

    def __init__(
        self,
        autoregressive: bool = False,
        vocabulary: int | None = None,
        word_dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        if vocabulary is not None:
            require_size("vocabulary", vocabulary)
        require_share("word_dropout", word_dropout)
        if not autoregressive and (vocabulary is not None or word_dropout):
            raise ValueError(
                f"`vocabulary` and `word_dropout` must be left out where the decoder does not "
                f"look at the sequence. Received: vocabulary={vocabulary}, "
                f"word_dropout={word_dropout}. Pass autoregressive=True."
            )
        # Layers cast for themselves: half precision has no room for large token ids.
        super().__init__(autocast=False, **kwargs)
        self.autoregressive = autoregressive
        self.vocabulary = vocabulary
        self.word_dropout = word_dropout

    def make_body(self, length: int) -> tuple[int, list[keras.layers.Layer]]:
        """Return the width of the elements' embedding, and all layers behind it."""
        raise NotImplementedError

    def run(self, z: Any, history: Any) -> Any:
        """Features `[batch, time, width]`.

        Args:
            z: `[batch, latent_dim]`.
            history: Embedding of the element before each position, zero at the first,
                `[batch, time, width]`; `None` if none is known.
        """
        raise NotImplementedError

    def check_event_shape(self, event_shape: Shape) -> None:
        require_sequence(type(self).__name__, event_shape)
        if self.vocabulary is not None and event_shape[-1] != 1:
            raise ValueError(
                f"With `vocabulary` events must be tokens of shape (time, 1). "
                f"Received: {event_shape}."
            )

    def make_layers(self, input_shape: Shape) -> list[Any]:
        if len(input_shape) != 1:
            raise ValueError(
                f"{type(self).__name__} works on latent vectors. Received: {input_shape}."
            )
        width, layers = self.make_body(self.bound_shape()[0])
        if not self.autoregressive:
            return layers
        options = {"dtype": self.dtype_policy}
        if self.vocabulary is None:
            self.embedding = keras.layers.Dense(width, **options)
        else:
            self.embedding = keras.layers.Embedding(self.vocabulary, width, **options)
        self.pad = keras.layers.ZeroPadding1D((1, 0), **options)
        layers = [self.embedding, self.pad, *layers]
        if self.word_dropout:
            self.hide = keras.layers.Dropout(self.word_dropout, **options)
            layers.append(self.hide)
        return layers

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        if not self.built:
            super().build(input_shape)
            if self.autoregressive:
                shape = (None, *self.bound_shape())
                z = keras.KerasTensor(tuple(input_shape), dtype=numerics.density_dtype())
                self.call(z, keras.KerasTensor(shape, dtype=numerics.density_dtype()))

    def call(self, z: Any, target: Any = None) -> Any:
        """Return the features, `[batch, time, width]`.

        Args:
            z: `[batch, latent_dim]`.
            target: Autoregressive decoders: the sequence shifted right by one, `[batch,
                time, channels]`. Defaults to `None`: as if all elements were hidden.
        """
        if target is None:
            return self.run(z, None)
        if not self.autoregressive:
            raise ValueError(
                f"{type(self).__name__} takes no `target` unless it is made with "
                f"autoregressive=True."
            )
        history = self.embed(target[:, 1:])
        if self.word_dropout:
            # Dropout also scales what it keeps; its sign does not.
            history = history * keras.ops.sign(self.hide(keras.ops.ones_like(history[..., :1])))
        return self.run(z, self.pad(history))

    def embed(self, elements: Any) -> Any:
        """Embed elements `[..., channels]` as vectors."""
        return self.embedding(elements if self.vocabulary is None else elements[..., 0])

    def initial_state(self, z: Any) -> State:
        """State before the first element.

        Args:
            z: `[batch, latent_dim]`.

        Returns:
            Tensors by name, each with a leading batch axis.
        """
        raise NotImplementedError

    def step(self, token: Any, state: State, z: Any) -> tuple[Any, State]:
        """Features of the next position.

        Args:
            token: The element before it, `[batch, channels]`; anything at the first.
            state: From `initial_state` or the last step.
            z: `[batch, latent_dim]`.

        Returns:
            Features `[batch, width]`, equal to those of a call with the whole sequence, and
            the new state.
        """
        raise NotImplementedError


class RecomputingDecoder(SequenceDecoder):
    """A decoder whose state is the sequence so far.

    Each step runs the network over the whole length, so that generating costs as much as
    `time` calls. In return the shapes are fixed, and the state is the same for all networks.
    """

    def initial_state(self, z: Any) -> State:
        zeros = keras.ops.zeros_like(z[:, :1])
        return {
            "position": keras.ops.cast(zeros[:, 0], "int32"),
            "elements": keras.ops.tile(zeros[:, :, None], (1, *self.bound_shape())),
        }

    def step(self, token: Any, state: State, z: Any) -> tuple[Any, State]:
        positions = keras.ops.arange(self.bound_shape()[0], dtype="int32")
        here = keras.ops.equal(positions, state["position"][:, None])[..., None]
        token = keras.ops.cast(token, state["elements"].dtype)
        elements = keras.ops.where(here, token[:, None, :], state["elements"])
        features = self(z, target=elements, training=False)
        features = keras.ops.sum(features * keras.ops.cast(here, features.dtype), axis=1)
        return features, {"position": state["position"] + 1, "elements": elements}


def elementwise_with_positions(length: int, width: int, dtype: Any) -> keras.layers.Layer:
    """A dense layer for each element, with one bias per position: a learned position vector."""
    return keras.layers.EinsumDense("btc,cd->btd", (length, width), bias_axes="td", dtype=dtype)


def require_sequence(network: str, shape: Shape) -> None:
    """Raise a ValueError unless `shape` is that of a sequence."""
    if len(shape) != 2:
        raise ValueError(
            f"{network} works on sequences of shape (time, channels). Received: {shape}."
        )
