"""Layers that two networks have in common.

Floor 4.
"""

from __future__ import annotations

import keras

__all__ = ["shared_layers"]


def shared_layers(
    first: keras.layers.Layer, second: keras.layers.Layer
) -> list[keras.layers.Layer]:
    """Layers with weights that are part of both networks."""
    known = {id(layer) for layer in first._flatten_layers()}
    return [la for la in second._flatten_layers() if id(la) in known and la.weights]
