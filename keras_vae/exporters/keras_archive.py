"""HOW a model becomes plain Keras files: for PyTorch, JAX and TensorFlow through Keras.

Floor 6.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
import os
import re
import traceback
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_vae.exporters.checks import (
    UnsupportedError,
    check_model,
    check_tolerance,
)
from keras_vae.exporters.manifest import Manifest
from keras_vae.exporters.pipeline import DEFAULT_TOLERANCE, Target, export
from keras_vae.exporters.precision import Portable, in_float32, portable
from keras_vae.exporters.recurrence import plain_recurrence
from keras_vae.exporters.signature import Signature
from keras_vae.exporters.verify import Measured, verify
from keras_vae.models import VAE

__all__ = ["export_keras_archive"]

_NAME = "keras_archive"
# Signature -> its file and the output that it has.
_NETWORKS = {"decode": ("decoder", "x"), "encode": ("encoder", "z")}
_OTHER_BACKENDS = ("torch", "jax")
_PARTS = ("encoder", "posterior", "decoder", "likelihood")
# Of a line of Python, such as `return tf.math.lgamma(x)`.
_TENSORFLOW_OP = re.compile(r"\btf\.[a-z_0-9.]+")


def export_keras_archive(
    model: VAE,
    folder: str | os.PathLike[str],
    *,
    signatures: Sequence[str] | None = None,
    tolerance: float = DEFAULT_TOLERANCE,
    overwrite: bool = False,
) -> Manifest:
    """Write encoder and decoder as Keras files that need no keras_vae, on any backend.

    `folder/decoder.keras` maps `z [batch, latent_dim]` to the value that stands for p(x|z),
    `folder/encoder.keras` maps `x [batch, *event_shape]` to the latent that stands for x,
    both with their heads. `keras.saving.load_model` opens them in its safe mode on
    TensorFlow, JAX or PyTorch, where they are an `nn.Module`. Models of several inputs,
    which `manifest.json` names, take them as a list. Before the files appear, they are loaded
    in fresh processes, without keras_vae: on TensorFlow, and on PyTorch and JAX where these
    are installed. There they are compared with the model on batches of 1, 3 and 64 and on
    inputs of zeros, large and denormal numbers. The manifest's option `backends` says on
    which, and its errors are the largest over these.

    Args:
        model: Trained or not. One that computes in half precision is rebuilt in float32.
        folder: New or existing; an earlier export there is replaced once the new one agrees.
        signatures: `"decode"`, `"encode"` or both; each must succeed. Defaults to `None`: what
            a plain Keras model can compute; the manifest says what was left out and why.
        tolerance: Largest error allowed, as a share of the output's largest absolute value.
            Defaults to `1e-5`.
        overwrite: Whether to replace files in the way that no export wrote, or that were
            changed since. Defaults to `False`: they are an error.

    Returns:
        What was written and measured.

    Raises:
        ExportError: If a part computes with TensorFlow's ops or has layers of its own, or
            the export fails or does not agree with the model; nothing is written then.
        TypeError: If an argument is of the wrong type.
        ValueError: If an argument has a wrong value, or the folder cannot be written to.

    Example:
    >>> vae = keras_vae.VAE(
    ...     keras_vae.networks.MLP([8]),
    ...     keras_vae.networks.MLP([8]),
    ...     keras_vae.posteriors.DiagonalNormal(latent_dim=2),
    ...     likelihood=keras_vae.likelihoods.Bernoulli(),
    ...     event_shape=(4,),
    ... )
    >>> import tempfile
    >>> from keras_vae import exporters
    >>> folder = tempfile.mkdtemp()
    >>> manifest = exporters.export_keras_archive(vae, folder)
    >>> sorted(os.listdir(folder))
    ['decoder.keras', 'encoder.keras', 'manifest.json']
    """
    check_model(model)
    check_tolerance(tolerance)
    others = [name for name in _OTHER_BACKENDS if importlib.util.find_spec(name) is not None]
    backends = ["tensorflow", *others]
    source = _portable(model, _names(signatures))
    target = Target(
        name=_NAME,
        convert=functools.partial(_convert, model=_float32(model, source)),
        write=_write,
        path=_path,
        served_as=lambda name: _NETWORKS[name][0],
        run=_run,
        options={"backends": backends},
        verify=functools.partial(_verify, backends),
    )
    return export(target, model, folder, tolerance, signatures, source, overwrite=overwrite)


def _names(signatures: Any) -> list[str]:
    if signatures is None:
        return list(_NETWORKS)
    if isinstance(signatures, str) or not signatures or not set(signatures) <= set(_NETWORKS):
        raise ValueError(
            f"`signatures` must be a list of {', '.join(_NETWORKS)}: a Keras archive holds "
            f"networks. Received: signatures={signatures!r}. exporters.export_saved_model "
            f"has all signatures."
        )
    return list(dict.fromkeys(signatures))


def _portable(model: VAE, names: Sequence[str]) -> Portable:
    """The signatures, each with the one output that the network has."""

    def narrowed(signature: Signature) -> Signature:
        output = _NETWORKS[signature.name][1]

        def function(**tensors: tf.Tensor) -> dict[str, tf.Tensor]:
            return {output: signature.function(**tensors)[output]}

        return dataclasses.replace(signature, function=function)

    found = portable(model, names)
    return found._replace(signatures=[narrowed(signature) for signature in found.signatures])


def _float32(model: VAE, source: Portable) -> VAE:
    return in_float32(model) if source.half_precision_difference else model


def _path(name: str) -> str:
    return f"{_NETWORKS[name][0]}.keras"


def _write(converted: Mapping[str, Any], signatures: Sequence[Signature], stage: Path) -> None:
    for name, network in converted.items():
        network.save(stage / _path(name))


def _verify(
    backends: Sequence[str], stage: Path, signatures: Sequence[Signature], tolerance: float
) -> Measured:
    """Compare on each backend; the errors are the largest of all."""
    served_as = {s.name: _NETWORKS[s.name][0] for s in signatures}
    measured = Measured({}, {}, {})
    for backend in backends:
        found = verify(f"{_NAME}_{backend}", stage, signatures, served_as, tolerance)
        for name, reason in found.failed.items():
            raise UnsupportedError(
                f"`{_path(name)}` does not run on Keras with {backend}: {reason} "
                f"Nothing was written."
            )
        measured.versions.update(found.versions)
        for name, errors in found.max_error.items():
            before = measured.max_error.get(name, {})
            measured.max_error[name] = {
                case: max(error, before.get(case, 0.0)) for case, error in errors.items()
            }
    return measured


def _convert(signature: Signature, model: VAE) -> keras.Model:
    role = _NETWORKS[signature.name][0]
    if role == "decoder" and model.autoregressive:
        raise UnsupportedError(
            "A Keras archive holds networks, and an autoregressive decoder writes x in a loop. "
            "exporters.export_saved_model has it. Nothing was written."
        )
    try:
        with plain_recurrence(model):
            network = model.encoder_model() if role == "encoder" else model.decoder_model()
    except (AttributeError, NotImplementedError, TypeError, ValueError) as error:
        raise _not_keras(model, error) from error
    network = _with_inputs_of(signature, network, model)
    for name in _foreign(network):
        raise UnsupportedError(
            f"A Keras archive holds what Keras itself brings, and the {role} "
            f"({signature.parts[role]}) contains {name}. Build it from stock Keras layers and "
            f"functions, or use exporters.export_saved_model. Nothing was written."
        )
    return network


def _with_inputs_of(signature: Signature, network: keras.Model, model: VAE) -> keras.Model:
    """The network behind what the model does to a mask and a condition."""
    if "mask" not in signature.inputs and not model.conditions.optional:
        return network
    inputs = {
        name: keras.Input(info.shape, dtype=info.dtype, name=name)
        for name, info in signature.inputs.items()
    }
    given = dict(inputs)
    mask = given.pop("mask", None)
    if mask is not None:
        given["x"] = keras.ops.where(mask, given["x"], np.nan)
    if model.conditions.optional:
        condition = given["condition"]
        known = keras.ops.ones_like(condition[..., :1])
        given["condition"] = keras.ops.concatenate([condition, known], axis=-1)
    values = list(given.values())
    output = network(values if len(values) > 1 else values[0])
    return keras.Model(list(inputs.values()), output, name=network.name)


def _not_keras(model: VAE, error: Exception) -> UnsupportedError:
    """Say which part computes with what, from the traceback of a symbolic call."""
    part, op = None, None
    for frame, line in traceback.walk_tb(error.__traceback__):
        parts = [p for p in _PARTS if getattr(model, p) is frame.f_locals.get("self")]
        part = parts[0] if parts else part
        text = traceback.FrameSummary(frame.f_code.co_filename, line, "").line or ""
        op = next(iter(_TENSORFLOW_OP.findall(text)), op) if part else None
    where = f"the {part} ({type(getattr(model, part)).__name__})" if part else "the model"
    what = op or f"more than keras.ops ({' '.join(str(error).split())[:200]})"
    return UnsupportedError(
        f"A Keras archive holds keras.ops, which all backends have, and {where} computes with "
        f"{what}. Write it with keras.ops, or use exporters.export_saved_model. Nothing was "
        f"written."
    )


def _foreign(network: keras.Model) -> Iterator[str]:
    """Classes and functions of others, and code, in the file of a network."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras's, of the code that is looked for here.
        stack: list[Any] = [keras.saving.serialize_keras_object(network)]
    while stack:
        value = stack.pop()
        if isinstance(value, dict):
            kind, module = value.get("class_name"), str(value.get("module", "keras"))
            # Keras stores a lambda's code under `value`.
            code = set(value) == {"value"} and isinstance(value["value"], (list, tuple))
            if code or kind == "Lambda":
                yield "Python code, in a lambda"
            elif kind is not None and module.split(".", maxsplit=1)[0] != "keras":
                yield repr(value["config"] if module == "builtins" else kind)
            stack += value.values()
        elif isinstance(value, (list, tuple)):
            stack += value


def _run(signatures: Sequence[Signature]) -> str:
    signature = signatures[0]
    arrays = [
        f"np.zeros({[1, *info.shape]}, '{info.dtype}')" for info in signature.inputs.values()
    ]
    given = arrays[0] if len(arrays) == 1 else f"[{', '.join(arrays)}]"
    return (
        f'python -c "import keras, numpy as np; '
        f"model = keras.saving.load_model('{_path(signature.name)}'); print(model({given}))\""
    )
