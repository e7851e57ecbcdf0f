"""Which layers and weights of a model are trained.

Keras saves `trainable` of layers that stand in a config. Those that a network makes in `build`
stand in none.

Floor 0.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import keras

from keras_vae.component import FromSignature

__all__ = [
    "KeepsTrainability",
    "freeze_new_layers",
    "named_layers",
    "restore_trainability",
    "trainability_of",
]

Trainability = dict[str, Any]


def named_layers(root: keras.layers.Layer) -> Iterator[tuple[str, keras.layers.Layer]]:
    """Layers of a model and itself by their paths, outer ones first, each once.

    A path has the names of attributes and, inside lists, of classes with a number, so that it
    is the same in each process: `"encoder/dense_1"`.
    """
    seen = {id(root)}
    waiting: list[tuple[str, keras.layers.Layer]] = [("", root)]
    while waiting:
        path, layer = waiting.pop()
        yield path, layer
        attributes = {
            id(v): n for n, v in vars(layer).items() if isinstance(v, keras.layers.Layer)
        }
        counts: Counter[str] = Counter()
        inner = []
        for child in layer._layers:
            kind = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(child).__name__).lower()
            name = attributes.get(id(child), f"{kind}_{counts[kind]}")
            counts[kind] += 1
            if id(child) not in seen:
                seen.add(id(child))
                inner.append((f"{path}/{name}" if path else name, child))
        waiting += reversed(inner)


def freeze_new_layers(root: keras.layers.Layer) -> None:
    """Freeze what is inside of frozen layers, if all of it still is to be trained.

    `trainable=False` in a constructor comes before there are inner layers, which Keras then
    trains. Where some are frozen and some are not, someone chose.
    """
    for _, layer in named_layers(root):
        inner = layer._flatten_layers(include_self=False)
        if not layer.trainable and all(la.trainable for la in inner):
            # One by one: Keras does nothing where a layer's own value stays the same.
            for each in inner:
                each.trainable = False


def trainability_of(root: keras.layers.Layer) -> Trainability:
    """What differs from a model that is trained as a whole; empty if nothing.

    Returns:
        `"frozen"`, paths of layers that are not trained, and `"weights"`, by path the numbers
        of weights that differ from their layer; each only if there are any.
    """
    frozen, weights = [], {}
    for path, layer in named_layers(root):
        if not layer.trainable:
            frozen.append(path)
        usual = _usual(layer)
        differing = [i for i, (v, usually) in enumerate(usual) if v.trainable != usually]
        if differing:
            weights[path] = differing
    found = {"frozen": frozen, "weights": weights}
    return {name: value for name, value in found.items() if value}


def restore_trainability(root: keras.layers.Layer, trainability: Trainability) -> None:
    """Train and freeze what `trainability_of` found so.

    Args:
        root: Model of the same architecture, built.
        trainability: From `trainability_of`.
    """
    frozen, weights = set(trainability.get("frozen", ())), trainability.get("weights", {})
    layers = list(named_layers(root))
    for path, layer in layers:
        if layer.trainable != (path not in frozen):
            layer.trainable = path not in frozen
    for path, layer in layers:
        differing = set(weights.get(path, ()))
        for index, (variable, usually) in enumerate(_usual(layer)):
            variable.trainable = usually != (index in differing)


def _usual(layer: keras.layers.Layer) -> list[tuple[Any, bool]]:
    """A layer's own weights, and whether they are trained unless someone chose otherwise."""
    trained = [(v, layer.trainable) for v in layer._trainable_variables]
    return trained + [(v, False) for v in layer._non_trainable_variables]


class KeepsTrainability(FromSignature):
    """Mixin of models whose config says which inner layers are trained.

    Call `settle_trainability` at the end of `build`. A config without the entry is that of a
    model that is trained as Keras has it.
    """

    built: bool
    _wanted: Trainability | None = None
    _frozen_when_built = False

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, and which layers are trained."""
        config = super().get_config()
        found = trainability_of(self) if self.built else self._wanted
        if found or (self.built and self._frozen_when_built):
            config["trainability"] = found
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """Rebuild the object from `get_config`."""
        arguments = {key: value for key, value in config.items() if key != "trainability"}
        model = super().from_config(arguments)
        if "trainability" in config:
            if model.built:
                restore_trainability(model, config["trainability"])
            else:
                model._wanted = config["trainability"]
        return model

    def settle_trainability(self) -> None:
        """Freeze what is frozen by the constructor or the config."""
        root: Any = self
        freeze_new_layers(root)
        self._frozen_when_built = bool(trainability_of(root))
        if self._wanted is not None:
            restore_trainability(root, self._wanted)
