"""Ready-made bodies: stock Keras layers, without a head.

Floor 1.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import keras

from keras_vae import numerics
from keras_vae.trainability import KeepsTrainability

__all__ = [
    "Decoder",
    "Network",
    "Side",
    "spectral",
]

Shape = tuple[int, ...]


class Row:
    """Layers run one after the other."""

    def __init__(self, steps: Sequence[Any]) -> None:
        self.steps = steps

    def __call__(self, x: Any) -> Any:
        for step in self.steps:
            x = step(x)
        return x

    def layers(self) -> list[keras.layers.Layer]:
        """All layers, in the order in which they run."""
        inner = [s.layers() if isinstance(s, Side) else [s] for s in self.steps]
        return [layer for layers in inner for layer in layers]


class Side:
    """Rows run side by side, whose outputs are added; an empty one hands its input on.

    Args:
        *rows: Each a list of layers.
    """

    def __init__(self, *rows: Sequence[Any]) -> None:
        self.rows = [Row(row) for row in rows]

    def __call__(self, x: Any) -> Any:
        return functools.reduce(keras.ops.add, [row(x) for row in self.rows])

    def layers(self) -> list[keras.layers.Layer]:
        """All layers of all rows."""
        return [layer for row in self.rows for layer in row.layers()]


class Network(KeepsTrainability, keras.Model):
    """A body made of stock Keras layers, run one after the other.

    Any Keras model or layer may stand in its place; the model adds the head that maps
    features to parameters.

    Subclassing: implement `make_layers`. Where layers do not simply follow each other,
    group them with `Side` (skip connections), or override `call` with nothing but the
    layers and `keras.ops` in it.

    Args:
        **kwargs: `name`, `trainable` and `dtype` as in any Keras model.
    """

    #: Whether inputs are flattened, so that extra values may be appended to flat ones.
    flattens = False
    built: bool

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.body: list[keras.layers.Layer] = []

    def make_layers(self, input_shape: Shape) -> list[Any]:
        """Return the layers, or `Side`s of layers, for inputs `[batch, *input_shape]`."""
        raise NotImplementedError

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make the layers and their weights."""
        if self.built:
            return
        row = Row(self.make_layers(tuple(size or 0 for size in input_shape[1:])))
        self._row = row
        self.body = row.layers()
        self.call(keras.KerasTensor(tuple(input_shape), dtype=numerics.density_dtype()))
        self.settle_trainability()
        self.built = True

    def call(self, inputs: Any) -> Any:
        """Return the features, `[batch, *features_shape]`."""
        return self._row(inputs)


class Decoder(Network):
    """A body that must know the shape of the events to be made.

    Subclassing: implement `check_event_shape` too.
    """

    event_shape: Shape | None = None

    def check_event_shape(self, event_shape: Shape) -> None:
        """Raise a ValueError if such events cannot be made."""
        raise NotImplementedError

    def bind(self, event_shape: Shape) -> None:
        """Set the shape of the events to be made. The model calls it."""
        self.check_event_shape(tuple(event_shape))
        self.event_shape = tuple(event_shape)

    def bound_shape(self) -> Shape:
        """The shape set by `bind`.

        Raises:
            ValueError: If it was not called.
        """
        if self.event_shape is None:
            raise ValueError(
                f"{type(self).__name__} does not know its output grid yet. Call "
                f"`bind(event_shape)` first; keras_vae.VAE does."
            )
        return self.event_shape

    def get_build_config(self) -> dict[str, Any] | None:
        """Add the event's shape to what Keras saves of `build`."""
        config: dict[str, Any] | None = super().get_build_config()
        return config and {**config, "event_shape": self.event_shape}

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Restore the event's shape, then build."""
        self.bind(tuple(config["event_shape"]))
        super().build_from_config({"input_shape": config["input_shape"]})


def spectral(layer: keras.layers.Layer) -> keras.layers.Layer:
    """Wrap a layer so that each training step divides its kernel by its largest singular value.

    The estimate stays in the precision of the weights, else mixed precision would round them
    at each step.
    """
    return keras.layers.SpectralNormalization(layer, dtype=layer.dtype_policy.variable_dtype)
