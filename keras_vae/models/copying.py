"""Copies of a model in the same process, without a file.

Floor 4.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import keras

from keras_vae.component import FromSignature
from keras_vae.models.sharing import shared_layers
from keras_vae.trainability import restore_trainability, trainability_of

__all__ = ["copy_model"]


def copy_model(model: Any, **changes: Any) -> Any:
    """Copy a model with its weights, but for some constructor arguments.

    Layers need not be registered: their classes are at hand. What encoder and decoder share
    stays shared.

    Args:
        model: A `VAE`.
        **changes: Other constructor arguments. Layers are copied, too, with their weights if
            they have any.

    Raises:
        ValueError: If a network cannot be copied, or has other weights after the change.
    """
    copies = _Copies([model, *_layers_in(changes)])
    arguments = {name: getattr(model, name) for name in model.argument_names()} | changes
    copy = copies.remade(model, arguments)
    own = {name: getattr(model, name) for name in ("_to_posterior", "_to_likelihood", "state")}
    for name, part in (arguments | own).items():
        if isinstance(part, keras.layers.Layer) and part.built:
            _give_weights(name, part, getattr(copy, name))
    before, after = (shared_layers(m.encoder, m.decoder) for m in (model, copy))
    if len(before) != len(after) and not {"encoder", "decoder"} & set(changes):
        raise ValueError(
            f"Layers that encoder and decoder share inside of their own classes cannot be "
            f"copied. Received: {sorted(layer.name for layer in before)}. Make the new model "
            f"by the code that made this one, and `set_weights`."
        )
    return copy


class _Copies:
    """Copies of layers and what is in them, each made once.

    Args:
        layers: Those that may be copied, with all that is in them.
    """

    def __init__(self, layers: list[keras.layers.Layer]) -> None:
        self._made: dict[int, Any] = {}
        self._classes: dict[str, Any] = {}
        for layer in (inner for la in layers for inner in la._flatten_layers()):
            for value in (layer, *vars(layer).values()):
                known = value if hasattr(value, "__name__") else type(value)
                if not str(known.__module__).startswith(("keras.", "builtins")):
                    self._classes[known.__name__] = known

    def of(self, value: Any) -> Any:
        """A copy of a constructor argument; itself where two models may share it."""
        if isinstance(value, Mapping):
            return {key: self.of(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.of(item) for item in value]
        if not isinstance(value, (keras.layers.Layer, FromSignature)):
            return value
        if id(value) not in self._made:
            self._made[id(value)] = self._copied(value)
        return self._made[id(value)]

    def remade(self, value: Any, arguments: Mapping[str, Any]) -> Any:
        """Another object of the same class, with copies of some arguments."""
        options = {}
        if isinstance(value, keras.layers.Layer):
            options = {"name": value.name, "trainable": value.trainable}
            options["dtype"] = value.dtype_policy
        return type(value)(**{n: self.of(v) for n, v in arguments.items()}, **options)

    def _copied(self, value: Any) -> Any:
        if isinstance(value, FromSignature):
            own = {name: getattr(value, name) for name in value.argument_names()}
            return self.remade(value, own)
        if isinstance(value, keras.Sequential) or hasattr(value, "operations"):
            return keras.models.clone_model(value, clone_function=self.of)
        if not value.variables:
            return value
        with keras.saving.custom_object_scope(self._classes):
            return _from_own_config(value)


def _from_own_config(layer: keras.layers.Layer) -> keras.layers.Layer:
    try:
        config = layer.get_config()
        taken = inspect.signature(type(layer).__init__).parameters.values()
        if all(parameter.kind is not parameter.VAR_KEYWORD for parameter in taken):
            # Keras adds `name`, `trainable` and `dtype`, which few constructors of users take.
            config = {p.name: config[p.name] for p in taken if p.name in config}
        return type(layer).from_config(config)
    except (TypeError, NotImplementedError, ValueError) as error:
        raise ValueError(
            f"A layer of class {type(layer).__name__} cannot be copied. Implement its "
            f"`get_config`. Keras said: {error}"
        ) from error


def _layers_in(changes: Mapping[str, Any]) -> list[keras.layers.Layer]:
    return [v for v in changes.values() if isinstance(v, keras.layers.Layer)]


def _give_weights(name: str, old: keras.layers.Layer, new: keras.layers.Layer) -> None:
    shapes = [[tuple(w.shape) for w in layer.weights] for layer in (old, new)]
    if shapes[0] != shapes[1]:
        raise ValueError(
            f"The copy's `{name}` has other weights than the model's: the change needs a model "
            f"of its own. Make a new one, and train it."
        )
    new.set_weights(old.get_weights())
    restore_trainability(new, trainability_of(old))
