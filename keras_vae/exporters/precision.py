"""Models that compute in half precision, rebuilt in float32.

Files in bfloat16 are refused by most runtimes, and those in float16 give other numbers on
each; float32 runs everywhere.

Floor 6.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from keras_vae.exporters.checks import ExportError, ModelError, unregistered_class
from keras_vae.exporters.ops import graph_nodes
from keras_vae.exporters.signatures import Signature, signatures_of
from keras_vae.exporters.verify import relative_error
from keras_vae.models import VAE

__all__ = ["Portable", "in_float32", "portable"]

_HALF_TYPES = {"float16": tf.float16.as_datatype_enum, "bfloat16": tf.bfloat16.as_datatype_enum}
_HALF_NAMES = {*_HALF_TYPES, *(f"mixed_{name}" for name in _HALF_TYPES)}


class Portable(NamedTuple):
    """What leaves the house.

    Attributes:
        signatures: Of the model, or of its rebuild in float32.
        compared_with: What the exported file is compared with, as prose.
        half_precision_difference: Largest difference between the rebuild and the model, of
            the output's scale, by signature; empty if there was no need of a rebuild.
    """

    signatures: list[Signature]
    compared_with: str
    half_precision_difference: dict[str, float]


def portable(model: VAE, names: Sequence[str] | None = None) -> Portable:
    """Return signatures of a model, from a rebuild in float32 if they need half precision.

    Args:
        model: Left as it is.
        names: Of the signatures. Defaults to `None`: all.
    """
    signatures = signatures_of(model, names)
    half = {name for s in signatures for name in _half_types(s)}
    if not half:
        return Portable(signatures, "the model", {})
    rebuilt = signatures_of(in_float32(model), names)
    return Portable(
        rebuilt,
        f"the model rebuilt in float32; it computes partly in {' and '.join(sorted(half))}",
        dict(_differences(signatures, rebuilt)),
    )


def in_float32(model: VAE) -> VAE:
    """Rebuild a model with all half-precision dtype policies replaced by float32.

    Args:
        model: Left as it is.

    Returns:
        A new model with the same weights.

    Raises:
        ExportError: If a layer cannot be rebuilt from its config.

    Example:
    >>> from keras_vae.exporters.precision import in_float32
    >>> vae = keras_vae.VAE(
    ...     keras_vae.networks.MLP([8], dtype="mixed_bfloat16"),
    ...     keras_vae.networks.MLP([8], dtype="mixed_bfloat16"),
    ...     keras_vae.posteriors.DiagonalNormal(2),
    ...     likelihood=keras_vae.likelihoods.Normal(),
    ...     event_shape=(4,),
    ... )
    >>> in_float32(vae).decoder.compute_dtype
    'float32'
    """
    config = _without_half(model.get_config())
    try:
        with _float32_policy():
            rebuilt: VAE = type(model).from_config(config)
    except (TypeError, ValueError) as error:
        name = unregistered_class(error)
        reason = (
            f"register its class {name!r} with keras.saving.register_keras_serializable"
            if name
            else str(error).split(". ")[0].strip()
        )
        raise ExportError(
            f"The model computes in half precision and could not be rebuilt in float32: "
            f"{reason}. Nothing was written."
        ) from error
    rebuilt.set_weights(model.get_weights())
    return rebuilt


def _half_types(signature: Signature) -> set[str]:
    # Read off the graph: policies do not tell what a layer's own code casts to.
    enums = set()
    try:
        concrete = signature.concrete
    except ModelError:  # Said where it is exported, which may be left out.
        return set()
    for node in graph_nodes(concrete):
        enums |= {attribute.type for attribute in node.attr.values()}
    return {name for name, enum in _HALF_TYPES.items() if enum in enums}


def _without_half(value: Any) -> Any:
    """Copy a config; each dtype or policy in half precision becomes float32."""
    if isinstance(value, dict):
        if value.get("class_name") == "DTypePolicy":
            value = {**value, "config": {"name": _as_float32(value["config"]["name"])}}
        return {
            key: _as_float32(item) if key == "dtype" else _without_half(item)
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return type(value)(_without_half(item) for item in value)
    return value


def _as_float32(dtype: Any) -> Any:
    if isinstance(dtype, dict):
        return _without_half(dtype)
    return "float32" if dtype in _HALF_NAMES else dtype


@contextlib.contextmanager
def _float32_policy() -> Iterator[None]:
    # Heads, and layers that layers make, take the global policy, not one from the config.
    before = keras.config.dtype_policy()
    if before.name not in _HALF_NAMES:
        yield
        return
    keras.config.set_dtype_policy("float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _differences(
    signatures: Sequence[Signature], rebuilt: Sequence[Signature]
) -> Iterator[tuple[str, float]]:
    for old, new in zip(signatures, rebuilt):
        try:
            inputs = new.probe(3)
            before, after = old.evaluate(inputs), new.evaluate(inputs)
        except ModelError:
            continue
        yield old.name, max(relative_error(before[name], after[name]) for name in after)
