"""Heads: the layers between a network's features and a part's parameters.

Floor 4.
"""

from __future__ import annotations

import math
from typing import Any

import keras

from keras_vae.networks import Network

__all__ = ["attach_head", "features_of", "require_layer", "run_network", "wants_integers"]

Shape = tuple[int, ...]


def require_layer(role: str, network: Any) -> None:
    """Raise a TypeError unless a network is a Keras model or layer."""
    if not isinstance(network, keras.layers.Layer):
        raise TypeError(
            f"`{role}` must be a Keras model or layer. Received: {role}={network!r} "
            f"of type {type(network).__name__}."
        )


def wants_integers(network: Any) -> bool:
    """Whether a network takes whole numbers, such as tokens, rather than real ones.

    One with an integer `keras.Input`, one that starts with an `Embedding`, and one whose
    attribute `takes_integers` is true.
    """
    if hasattr(network, "takes_integers"):
        return bool(network.takes_integers)
    first = network
    while isinstance(first, keras.Sequential) or hasattr(first, "operations"):
        inner = [la for la in first.layers if not isinstance(la, keras.layers.InputLayer)]
        if not inner:
            break
        first = inner[0]
    inputs = getattr(network, "inputs", None) if network.built else None
    integers = [str(each.dtype).startswith(("int", "uint")) for each in inputs or ()]
    return isinstance(first, keras.layers.Embedding) or (any(integers) and all(integers))


def run_network(network: Any, x: Any, *, inlined: bool = False, **options: Any) -> Any:
    """Call a network on one tensor and return one, where its own are in a list of one too.

    Args:
        network: A Keras model or layer.
        x: Its input.
        inlined: Whether a graph is to have the layers of one of `keras_vae.networks` rather
            than the network. Defaults to `False`.
        **options: Further arguments of its call.
    """
    if isinstance(getattr(network, "_inputs_struct", None), (list, tuple)):
        x = [x]
    elif isinstance(getattr(network, "_inputs_struct", None), dict):
        x = dict.fromkeys(network._inputs_struct, x)
    call = network.call if inlined and isinstance(network, Network) else network
    features = call(x, **options)
    if isinstance(features, dict) and len(features) == 1:
        return next(iter(features.values()))
    if isinstance(features, (list, tuple)) and len(features) == 1:
        return features[0]
    return features


def features_of(
    role: str, network: Any, probe: keras.KerasTensor, options: dict[str, Any]
) -> Shape:
    """Build a network if it is not built, and return the shape of its features.

    Args:
        role: `"encoder"` or `"decoder"`, for messages.
        network: A Keras model or layer.
        probe: Its input, symbolic.
        options: Further symbolic arguments of its call.

    Raises:
        TypeError: If it returns several tensors.
        ValueError: If it cannot take such inputs, or its output's shape is unknown.
    """
    try:
        features = run_network(network, probe, **options)
    except Exception as error:
        raise ValueError(
            f"`{role}` cannot take inputs of shape {tuple(probe.shape)}: {error}"
        ) from error
    if isinstance(features, (list, tuple, dict)):
        raise TypeError(
            f"`{role}` must return one tensor. Received: a {type(features).__name__} of "
            f"{len(features)}. The model adds the heads for means and scales itself, so let "
            f"the {role} return its last features only."
        )
    shape = tuple(features.shape)
    if len(shape) < 2 or any(size is None for size in shape[1:]):
        raise ValueError(
            f"`{role}` must return features whose shape, but for the batch axis, is known. "
            f"Received: {shape}."
        )
    return shape[1:]


def attach_head(
    role: str,
    network: Any,
    features_shape: Shape,
    params_shape: Shape,
    *,
    wanted: bool,
    dtype: Any = None,
) -> keras.Sequential:
    """Return the built head of a network.

    The encoder's features are flattened first. The decoder's are mapped point by point where
    their leading axes are those of the parameters, and by one dense layer where they are
    vectors.

    Args:
        role: `"encoder"` or `"decoder"`.
        network: The network, looked at for a misplaced output activation.
        features_shape: Shape of one example's features.
        params_shape: Shape of one example's parameters.
        wanted: `False` if the network emits the parameters itself.
        dtype: Dtype policy of the head. Defaults to `None`: the global one.

    Raises:
        ValueError: If features and parameters do not fit together.
    """
    if not wanted:
        if features_shape != params_shape:
            raise ValueError(
                f"`{role}` with {role}_head=False must return parameters of shape "
                f"{(None, *params_shape)}. Received: {(None, *features_shape)}."
            )
        layers = [keras.layers.Identity(name="parameters", dtype=dtype)]
    else:
        _refuse_output_activation(role, network)
        layers = _head_layers(role, features_shape, params_shape, {"dtype": dtype})
    return keras.Sequential(
        [keras.Input(features_shape, name="features"), *layers], name=f"{role}_head"
    )


def _head_layers(
    role: str, features_shape: Shape, params_shape: Shape, options: dict[str, Any]
) -> list[Any]:
    layers: list[Any] = []
    if role == "encoder" and len(features_shape) > 1:
        layers.append(keras.layers.Flatten(name="flatten", **options))
        features_shape = (math.prod(features_shape),)
    if len(features_shape) > 1 and features_shape[:-1] == params_shape[:-1]:
        layers.append(keras.layers.Dense(params_shape[-1], name="parameters", **options))
    elif len(features_shape) == 1:
        size = math.prod(params_shape)
        layers.append(keras.layers.Dense(size, name="parameters", **options))
        if len(params_shape) > 1:
            layers.append(keras.layers.Reshape(params_shape, name="reshape", **options))
    else:
        raise ValueError(
            f"`{role}` returns features of shape {(None, *features_shape)}, which do not fit "
            f"the event: expected vectors, or a shape that begins with "
            f"{(None, *params_shape[:-1])}. Change the last layers of the {role}, or flatten "
            f"its output."
        )
    return layers


def _refuse_output_activation(role: str, network: Any) -> None:
    last = network
    while getattr(last, "layers", None):
        last = last.layers[-1]
    activation = getattr(last, "activation", None)
    squashing = {keras.activations.sigmoid: "sigmoid", keras.activations.softmax: "softmax"}
    name = squashing.get(activation) if callable(activation) else None
    if isinstance(last, keras.layers.Softmax):
        name = "softmax"
    if name is not None:
        raise ValueError(
            f"`{role}` ends with a {name}, but the model adds a head behind it that emits "
            f"unbounded parameters (logits, means). Remove the {name}, or pass "
            f"{role}_head=False if the network emits the parameters itself, as logits."
        )
