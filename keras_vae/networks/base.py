"""Ready-made bodies: stock Keras layers in a row, without a head.

Floor 1.
"""

from __future__ import annotations

from typing import Any

import keras

from keras_vae.component import FromSignature

__all__ = ["Network"]


class Network(FromSignature, keras.Model):
    """A body made of stock Keras layers, run one after the other.

    Any Keras model or layer may stand in its place; the model adds the head that maps
    features to parameters.

    Subclassing: implement `make_layers`.

    Args:
        **kwargs: `name`, `trainable` and `dtype` as in any Keras model.
    """

    built: bool

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.body: list[keras.layers.Layer] = []

    def make_layers(self, input_shape: tuple[int, ...]) -> list[keras.layers.Layer]:
        """Return the layers for inputs `[batch, *input_shape]`."""
        raise NotImplementedError

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make the layers and their weights."""
        if self.built:
            return
        self.body = self.make_layers(tuple(size or 0 for size in input_shape[1:]))
        shape = tuple(input_shape)
        for layer in self.body:
            layer.build(shape)
            shape = layer.compute_output_shape(shape)
        self.built = True

    def call(self, inputs: Any) -> Any:
        """Return the features, `[batch, *features_shape]`."""
        for layer in self.body:
            inputs = layer(inputs)
        return inputs


def require_counts(name: str, values: Any) -> None:
    """Raise a ValueError unless `values` is a non-empty sequence of positive integers."""
    good = isinstance(values, (list, tuple)) and len(values) > 0
    if not good or not all(isinstance(v, int) and v > 0 for v in values):
        raise ValueError(
            f"`{name}` must be a list of positive integers, one per layer. "
            f"Received: {name}={values!r}."
        )
