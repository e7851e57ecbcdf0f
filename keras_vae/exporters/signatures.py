"""WHAT is exported: functions of tensors with named inputs and outputs.

The other modules of this package say HOW. A new signature is one function here that returns
a `Signature`, and its entry in `_MAKERS`. Noise, where one needs it, is an input: the graphs
stay deterministic and run where there is no random generator.

Floor 6.
"""

from __future__ import annotations

import functools
import importlib.metadata
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_vae import numerics
from keras_vae.exporters.inputs import (
    Input,
    conditions_of,
    events_of,
    latents_of,
    noise_name,
    noise_of,
)
from keras_vae.exporters.probes import EDGES, Probes, at_edge
from keras_vae.exporters.recurrence import plain_recurrence
from keras_vae.exporters.seeded import given_or_own_seeds, noise_of_seeds
from keras_vae.exporters.signature import Signature, TensorInfo, naming
from keras_vae.models import VAE

__all__ = ["NAMES", "Signature", "TensorInfo", "check_signatures", "signatures_of"]

Tensors = dict[str, tf.Tensor]


def decode(model: VAE) -> Signature:
    """What stands for p(x|z), and its parameters."""

    def function(z: tf.Tensor, **others: tf.Tensor) -> Tensors:
        return _decoded(model, z, _condition(model, z, others))

    return _signature(
        model, "decode", {"z": latents_of(model), **conditions_of(model)}, function
    )


def encode(model: VAE) -> Signature:
    """The latent that stands for x, and the parameters of q(z|x)."""

    def function(x: tf.Tensor, **others: tf.Tensor) -> Tensors:
        z, params = _encoded(model, _event(model, x, others), _condition(model, x, others))
        with tf.name_scope("posterior"):
            return {"z": z, **_clean(model.posterior.parameters(params))}

    return _signature(model, "encode", events_of(model), function)


def reconstruct(model: VAE) -> Signature:
    """What stands for p(x|z) at the latent that stands for x."""

    def function(x: tf.Tensor, **others: tf.Tensor) -> Tensors:
        condition = _condition(model, x, others)
        z, _ = _encoded(model, _event(model, x, others), condition)
        # Not "x": ONNX has one name for one tensor.
        return {"reconstruction": _decoded(model, z, condition)["x"], "z": z}

    return _signature(model, "reconstruct", events_of(model), function)


def generate(model: VAE) -> Signature:
    """New data: noise to latents through the prior, and decoded."""
    specs = model.prior.noise_spec()

    def function(**tensors: tf.Tensor) -> Tensors:
        noise = {name: tensors[noise_name(name)] for name in specs}
        return _generated(model, noise, tensors)

    inputs = {**noise_of(model, specs), **conditions_of(model)}
    return _signature(model, "generate", inputs, function)


def sample(model: VAE) -> Signature:
    """New data from seeds: the same seed gives the same in each process and runtime."""
    specs = model.prior.noise_spec()
    info = TensorInfo((), "int64", "one for each example; -1: the process's own entropy")

    def function(seed: tf.Tensor, **others: tf.Tensor) -> Tensors:
        with tf.name_scope("noise"):
            noise = noise_of_seeds(given_or_own_seeds(seed), specs)
        return _generated(model, noise, others)

    def probe(rows: int) -> np.ndarray:
        return np.arange(rows, dtype="int64") + 2**40 * rows

    inputs = {"seed": Input(info, "seed", probe), **conditions_of(model)}
    return _signature(model, "sample", inputs, function)


def score(model: VAE) -> Signature:
    """The evidence lower bound of x at one draw, and its terms, in nats."""
    specs = model.posterior.noise_spec()

    def function(x: tf.Tensor, **others: tf.Tensor) -> Tensors:
        noise = {name: others[noise_name(name)][None] for name in specs}
        context = model.context(condition=_condition(model, x, others))
        x = _event(model, x, others)
        # One scope: the terms are made in one place, which names no parts.
        with tf.name_scope("bound"):
            terms = model.elbo_terms(x, x, {"posterior": noise}, context, ())
            log_likelihood = terms.log_likelihood[0]
            if terms.kl is None:
                return {"log_likelihood": log_likelihood}
            kl = tf.reduce_sum(terms.kl, axis=-1)
            return {"elbo": log_likelihood - kl, "log_likelihood": log_likelihood, "kl": kl}

    return _signature(model, "score", {**events_of(model), **noise_of(model, specs)}, function)


def initial_state(model: VAE) -> Signature:
    """The state of an autoregressive decoder before the first element."""

    def function(z: tf.Tensor, **others: tf.Tensor) -> Tensors:
        with tf.name_scope("decoder"):
            return _states(model.first_state(z, _condition(model, z, others)))

    inputs = {"z": latents_of(model), **conditions_of(model)}
    return _signature(model, "initial_state", inputs, function)


def step(model: VAE) -> Signature:
    """One element of a sequence from the one before, and the next state."""
    inputs = {"z": latents_of(model), **conditions_of(model)}
    length, channels = model.event_shape
    states = initial_state(model).outputs

    def state_at(name: str, rows: int) -> np.ndarray:
        signature = initial_state(model)
        return signature.evaluate(signature.probe(rows))[name]

    def tokens(rows: int) -> np.ndarray:
        events: np.ndarray = model.preprocessed(Probes(model).events(rows)).numpy()
        return events[:, length // 2]

    meaning = "the element before; anything at the first"
    if model.preprocessor is not None:
        meaning += "; preprocessed, as is x"
    info = TensorInfo((channels,), numerics.density_dtype(), meaning)
    inputs["token"] = Input(info, "token", tokens)
    for name, found in states.items():
        inputs[name] = Input(found, "state", functools.partial(state_at, name))

    def function(z: tf.Tensor, token: tf.Tensor, **others: tf.Tensor) -> Tensors:
        state = {name.removeprefix(_STATE): others[name] for name in states}
        condition = _condition(model, z, others)
        place = None
        with tf.name_scope("decoder"):
            params, after = model.next_params(token, state, z, condition)
            if model.likelihood.weights:  # it may have some for each place
                params, place = tf.repeat(params, length, axis=1), state["position"]
        with tf.name_scope("likelihood"):
            described = _clean(model.likelihood.parameters(params))
            values = {"x": model.likelihood.point(params), **described}
            here = {name: _at(value, place) for name, value in values.items()}
        return {**here, **{f"next_{name}": value for name, value in _states(after).items()}}

    return _signature(model, "step", inputs, function)


_MAKERS: dict[str, Callable[[VAE], Signature]] = {
    "decode": decode,
    "encode": encode,
    "reconstruct": reconstruct,
    "generate": generate,
    "sample": sample,
    "score": score,
    "initial_state": initial_state,
    "step": step,
}
#: All signatures there are; the last two are of autoregressive decoders.
NAMES = tuple(_MAKERS)
_OF_SEQUENCES = ("initial_state", "step")
_STATE = "state_"


def signatures_of(model: VAE, names: Sequence[str] | None = None) -> list[Signature]:
    """The signatures of a model.

    Args:
        model: A `keras_vae.VAE`.
        names: Of `NAMES`. Defaults to `None`: all that the model has.

    Raises:
        ValueError: If a name is unknown, or of something that the model does not have.
    """
    return [_MAKERS[name](model) for name in check_signatures(model, names)]


def check_signatures(model: VAE, names: Sequence[str] | None) -> list[str]:
    """Return the names of signatures that are meant.

    Raises:
        ValueError: If a name is unknown, or of something that the model does not have.
    """
    own = [name for name in NAMES if model.autoregressive or name not in _OF_SEQUENCES]
    if names is None:
        return own
    if isinstance(names, str) or not names or any(name not in own for name in names):
        raise ValueError(
            f"`signatures` must be a list of {', '.join(own)}. Received: signatures={names!r}."
        )
    return list(dict.fromkeys(names))


def _signature(
    model: VAE, name: str, inputs: Mapping[str, Input], function: Callable[..., Tensors]
) -> Signature:
    def probe(rows: int) -> dict[str, np.ndarray]:
        with naming(name), plain_recurrence(model):
            return {key: each.probe(rows) for key, each in inputs.items()}

    def plain(**tensors: tf.Tensor) -> Tensors:
        with plain_recurrence(model):
            return function(**tensors)

    def edge(case: str) -> Callable[[], dict[str, np.ndarray]]:
        def inputs_there() -> dict[str, np.ndarray]:
            typical = probe(3)
            return {
                key: at_edge(case, each.role, typical[key], model)
                for key, each in inputs.items()
            }

        return inputs_there

    parts = ("encoder", "decoder", "posterior", "prior", "likelihood", "preprocessor")
    return Signature(
        name=name,
        meaning=str(_MAKERS[name].__doc__),
        inputs={key: each.info for key, each in inputs.items()},
        function=plain,
        probe=probe,
        edges={case: edge(case) for case in EDGES},
        parts={part: type(getattr(model, part)).__name__ for part in parts},
        properties=_properties(model, name),
        meanings=_MEANINGS,
    )


_MEANINGS = {
    "x": "the value that stands for p(x|z)",
    "reconstruction": "the value that stands for p(x|z)",
    "z": "latents",
    "elbo": "evidence lower bound, in nats",
    "log_likelihood": "log p(x|z), in nats",
    "kl": "divergence of q(z|x) from the prior, in nats",
}


def _condition(model: VAE, like: tf.Tensor, tensors: Mapping[str, Any]) -> tf.Tensor | None:
    return model.conditions.prepared(tensors.get("condition"), like)


def _event(model: VAE, x: tf.Tensor, tensors: Mapping[str, tf.Tensor]) -> tf.Tensor:
    """The x that the parts see: preprocessed, NaN where it was not observed."""
    x = numerics.as_density(x)
    if "mask" in tensors:
        x = tf.where(tensors["mask"], x, tf.constant(np.nan, x.dtype))
    with tf.name_scope("preprocessor"):
        return model.preprocessed(x)


def _encoded(
    model: VAE, x: tf.Tensor, condition: tf.Tensor | None
) -> tuple[tf.Tensor, tf.Tensor]:
    with tf.name_scope("encoder"):
        params = model.posterior_params(x, condition=condition)
    with tf.name_scope("posterior"):
        return model.posterior.point(params), params


def _decoded(model: VAE, z: tf.Tensor, condition: tf.Tensor | None) -> Tensors:
    if model.autoregressive:
        with tf.name_scope("decoder"):
            return {"x": model.decoded_points(z, condition)}
    with tf.name_scope("decoder"):
        params = model.likelihood_params(z, condition=condition)
    with tf.name_scope("likelihood"):
        described = _clean(model.likelihood.parameters(params))
        point = model.likelihood.point(params)
    with tf.name_scope("preprocessor"):
        return {"x": model.restored(point), **described}


def _generated(
    model: VAE, noise: Mapping[str, tf.Tensor], tensors: Mapping[str, tf.Tensor]
) -> Tensors:
    condition = _condition(model, next(iter((*noise.values(), *tensors.values()))), tensors)
    with tf.name_scope("prior"):
        z = model.prior.sample(noise, model.context(condition=condition))
    return {"x": _decoded(model, z, condition)["x"], "z": z}


def _at(values: tf.Tensor, place: tf.Tensor | None) -> tf.Tensor:
    return values[:, 0] if place is None else tf.gather(values, place, axis=1, batch_dims=1)


def _states(state: Mapping[str, tf.Tensor]) -> Tensors:
    return {f"{_STATE}{name}": tf.identity(value) for name, value in state.items()}


def _clean(parameters: Tensors) -> Tensors:
    """Names that all formats can hold: letters, digits and underscores."""
    cleaned: Tensors = {}
    for name, value in parameters.items():
        key = re.sub(r"\W", "_", name, flags=re.ASCII)
        while key in cleaned:
            key += "_"
        cleaned[key] = value
    return cleaned


def _properties(model: VAE, name: str) -> dict[str, str]:
    return {
        "keras_vae_version": importlib.metadata.version("keras-vae"),
        "tensorflow_version": tf.__version__,
        "signature": name,
        "latent_dim": str(model.posterior.latent_dim),
        "event_shape": str(list(model.event_shape)),
        "likelihood": type(model.likelihood).__name__,
    }
