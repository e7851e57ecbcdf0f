"""Smaller ONNX files: networks in half precision, and weights of matrix products in 8 bits.

They are rougher than what an export allows by default; how much is measured and recorded.

Floor 6.
"""

from __future__ import annotations

import dataclasses
import logging
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_vae.exporters.checks import (
    FOREIGN_ERRORS,
    ExportError,
    UnsupportedError,
    one_line,
    reason_of,
)
from keras_vae.exporters.probes import BATCHES
from keras_vae.exporters.signature import Signature
from keras_vae.exporters.verify import relative_error

__all__ = [
    "LARGEST_ERROR",
    "VARIANTS",
    "VariantEntry",
    "Variants",
    "check_variants",
    "measure_variant",
    "variant_path",
    "write_variant",
    "write_variants",
]

_LOG = logging.getLogger(__name__)

#: A variant with a larger error, of the output's scale, is refused.
LARGEST_ERROR = 0.05

# Rows, runs that are not counted, and runs of which the median is taken.
_TIMED_ROWS, _WARM_UP, _RUNS = 64, 3, 15
# Convolutions in 8 bits were seen to take longer than in float32.
_QUANTISED = ("MatMul", "Gemm")
# Matrices of fewer weights stay as they are: the scales would take as much room.
_FEW_WEIGHTS = 2048


@dataclasses.dataclass(frozen=True)
class VariantEntry:
    """A smaller file for a signature, and what was measured of it.

    Attributes:
        path: From the manifest's folder.
        max_error: Batch size -> largest difference from Keras, as a share of the output's
            largest absolute value.
        size_ratio: Its bytes, as a share of those of the file in float32.
        speed_up: How many times as fast as that file it ran on this machine, on batches of 64.
    """

    path: str
    max_error: dict[str, float]
    size_ratio: float
    speed_up: float


def check_variants(variants: Any) -> tuple[str, ...]:
    """Return the variants asked for, each once.

    Raises:
        ValueError: If one is not known.
    """
    names = (variants,) if isinstance(variants, str) else tuple(variants)
    for name in names:
        if name not in VARIANTS:
            raise ValueError(f"`variants` must be of {list(VARIANTS)}. Received: {name!r}.")
    return tuple(dict.fromkeys(names))


#: Signature -> kind -> what was written.
Variants = dict[str, dict[str, VariantEntry]]


def write_variants(
    kinds: Sequence[str],
    signatures: Sequence[Signature],
    path: Callable[[str], str],
    stage: Path,
) -> tuple[Variants, dict[str, str]]:
    """Write smaller files beside those of an export, where they are smaller and near enough.

    Args:
        kinds: Names from `VARIANTS`.
        signatures: Signatures that were exported.
        path: Signature -> its file in the stage.
        stage: Holds the export.

    Returns:
        What was written, and why there is none of the rest.

    Raises:
        ExportError: If no signature has a variant of a kind.
    """
    found: Variants = {}
    why_not: dict[str, str] = {}
    for kind in kinds:
        for signature in signatures:
            _LOG.info("Writing a smaller file: %s, %s", signature.name, kind)
            source = stage / path(signature.name)
            small = stage / variant_path(source.name, kind)
            try:
                write_variant(kind, source, small)
                entry = measure_variant(source, small, signature)
            except ExportError as error:
                why_not[f"{signature.name}.{kind}"] = reason_of(error)
            except FOREIGN_ERRORS as error:
                why_not[f"{signature.name}.{kind}"] = one_line(error)
            else:
                found.setdefault(signature.name, {})[kind] = entry
        if not any(kind in entries for entries in found.values()):
            raise ExportError(
                f"No signature could be written as {kind!r}: {next(iter(why_not.values()))} "
                f"Nothing was written."
            )
    return found, why_not


def variant_path(path: str, kind: str) -> str:
    """Where a variant lies: `decode.fp16.onnx` beside `decode.onnx`."""
    return f"{path.removesuffix('.onnx')}.{kind}.onnx"


def write_variant(kind: str, source: Path, target: Path) -> None:
    """Write a smaller variant of an ONNX file.

    Args:
        kind: One of `VARIANTS`.
        source: The file in float32.
        target: The file to be written.

    Raises:
        UnsupportedError: If there can be none.
    """
    import onnx

    onnx.save(VARIANTS[kind](onnx.load(source), target), target)
    if target.stat().st_size >= source.stat().st_size:
        target.unlink()
        raise _no_smaller(target, kind)


def _no_smaller(target: Path, kind: str) -> UnsupportedError:
    return UnsupportedError(
        f"{target.name!r} would be no smaller: its networks have no large matrices of weights. "
        f"Leave {kind!r} out of `variants`. Nothing was written."
    )


def _fp16(model: Any, target: Path) -> Any:
    import onnx

    from keras_vae.exporters.onnx_half import in_half

    half = in_half(model)
    try:
        onnx.checker.check_model(half, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise UnsupportedError(
            f"{target.name!r} cannot compute in half precision: {one_line(error)} Leave "
            f"'fp16' out of `variants`. Nothing was written."
        ) from error
    return half


def _int8(model: Any, target: Path) -> Any:
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    properties = {prop.key: prop.value for prop in model.metadata_props}
    # Constants are folded already: it need not warn that this would help.
    prepared = {**properties, "onnx.quant.pre_process": "onnxruntime.quant"}
    onnx.helper.set_model_props(model, prepared)
    large = _large_products(model)
    if not large:
        raise _no_smaller(target, "int8")
    # Unsigned: sums of products with signed ones overflow on processors without VNNI.
    quantize_dynamic(
        model, target, nodes_to_quantize=large, per_channel=True, weight_type=QuantType.QUInt8
    )
    quantised = onnx.load(target)
    onnx.helper.set_model_props(quantised, properties)
    return quantised


def _large_products(model: Any) -> list[str]:
    sizes = {tensor.name: math.prod(tensor.dims) for tensor in model.graph.initializer}
    return [
        node.name
        for node in model.graph.node
        if node.op_type in _QUANTISED and sizes.get(node.input[1], 0) >= _FEW_WEIGHTS
    ]


#: Name -> what makes the variant of a model.
VARIANTS: dict[str, Callable[[Any, Path], Any]] = {"fp16": _fp16, "int8": _int8}


def measure_variant(source: Path, target: Path, signature: Signature) -> VariantEntry:
    """Compare a variant with Keras, and with the file in float32.

    Args:
        source: The file in float32.
        target: The variant.
        signature: What both should compute.

    Returns:
        What was measured.

    Raises:
        ExportError: If the variant is not finite where Keras is, or its error is above
            `LARGEST_ERROR`.
    """
    exact, rough = _session(source), _session(target)
    names = list(signature.outputs)
    errors = {}
    for rows in BATCHES:
        inputs, wanted = signature.cases[str(rows)]
        got = dict(zip(names, rough.run(names, _taken(rough, inputs))))
        errors[str(rows)] = max(_error(got[name], wanted[name]) for name in names)
    error = max(errors.values())
    if error > LARGEST_ERROR:
        off = f"is off by {error:.2g} of the output's scale, above {LARGEST_ERROR:g}"
        what = "is not finite" if math.isinf(error) else off
        raise ExportError(
            f"What is computed by {target.name!r} {what}: the model needs more digits there. "
            f"Leave this kind out of `variants`. Nothing was written."
        )
    slow, fast = _seconds([exact, rough], signature.probe(_TIMED_ROWS))
    ratio = target.stat().st_size / source.stat().st_size
    return VariantEntry(target.name, errors, round(ratio, 3), round(slow / fast, 2))


def _error(got: np.ndarray, wanted: np.ndarray) -> float:
    if not np.all(np.isfinite(got) | ~np.isfinite(wanted)):
        return math.inf
    return relative_error(got, wanted)


def _session(path: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # Errors: it warns of ops that it computes in float32.
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def _taken(session: Any, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {value.name: inputs[value.name] for value in session.get_inputs()}


def _seconds(sessions: Sequence[Any], inputs: dict[str, np.ndarray]) -> list[float]:
    """Median time of a run of each; they take turns, so that all see the same load."""
    times: list[list[float]] = [[] for _ in sessions]
    for _ in range(_WARM_UP + _RUNS):
        for session, taken in zip(sessions, times):
            feeds = _taken(session, inputs)
            start = time.perf_counter()
            session.run(None, feeds)
            taken.append(time.perf_counter() - start)
    return [statistics.median(taken[_WARM_UP:]) for taken in times]
