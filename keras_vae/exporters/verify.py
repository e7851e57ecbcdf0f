"""Loads an export back in a fresh process and compares it with the model.

Floor 6.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from keras_vae.exporters.checks import ExportError, one_line
from keras_vae.exporters.signature import Case, Signature, TensorInfo

__all__ = ["EDGE_FACTOR", "Measured", "relative_error", "verify"]

#: How much larger than `tolerance` errors may be at the edges, where inputs are as no data are:
#: rounding is amplified there, by exponentials above all.
EDGE_FACTOR = 100

_SCRIPT = Path(__file__).with_name("fresh_process.py")
# Seconds. A hung runtime must not hang the export for ever.
_TIMEOUT = 1800

Arrays = Mapping[str, np.ndarray]


class Measured(NamedTuple):
    """What was found.

    Attributes:
        max_error: Signature -> batch size or edge -> largest error, of the output's scale.
        versions: Of the runtime that opened the export.
        failed: Signature -> why the runtime cannot run it.
    """

    max_error: dict[str, dict[str, float]]
    versions: dict[str, str]
    failed: dict[str, str]


def verify(
    target: str,
    stage: Path,
    signatures: Sequence[Signature],
    served_as: Mapping[str, str],
    tolerance: float,
) -> Measured:
    """Run an export in a fresh process and compare it with the model.

    Args:
        target: A name that fresh_process.py knows.
        stage: Folder that holds the export.
        signatures: What it should compute.
        served_as: Name of each signature within the export.
        tolerance: Largest error allowed, of the output's scale.

    Returns:
        The errors measured.

    Raises:
        ExportError: If it does not load or run, has other outputs, or is not near enough.
    """
    stored = {
        f"{served_as[signature.name]}/{case}/{key}": value
        for signature in signatures
        for case, (inputs, _) in signature.cases.items()
        for key, value in inputs.items()
    }
    outputs, versions, failed = _run_afresh(target, stage, stored)
    errors: dict[str, dict[str, float]] = {}
    why_not = {}
    for signature in signatures:
        served = served_as[signature.name]
        if served in failed:
            why_not[signature.name] = one_line(failed[served])
            continue
        got = {case: _below(f"{served}/{case}/", outputs) for case in signature.cases}
        errors[signature.name] = _errors(signature, signature.cases, got, tolerance)
    return Measured(errors, versions, why_not)


def _below(prefix: str, arrays: Arrays) -> dict[str, np.ndarray]:
    return {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}


def _run_afresh(
    target: str, stage: Path, probes: Arrays
) -> tuple[dict[str, np.ndarray], dict[str, str], dict[str, str]]:
    stored, results = stage / "probes.npz", stage / "results.npz"
    np.savez(stored, **probes)  # type: ignore[arg-type]  # The stub: any name may be an option.
    # -P: this folder has an onnx.py, which must not stand in for the library.
    command = [sys.executable, "-P", _SCRIPT, target, stage, stored, results]
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    try:
        done = subprocess.run(  # noqa: S603
            [str(word) for word in command],
            env={**os.environ, **quiet},
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ExportError(
            f"The {target} export did not run within {_TIMEOUT} s in a fresh process. "
            f"Nothing was written."
        ) from error
    if done.returncode != 0:
        crashed = f"it ended with code {done.returncode}."
        said = _last_exception(done.stderr) if done.returncode > 0 else crashed
        raise ExportError(
            f"The {target} export does not run in a fresh process: {said} Nothing was written."
        )
    with np.load(results, allow_pickle=False) as loaded:
        outputs = {key: loaded[key] for key in loaded.files}
    # The last line: a runtime may have said something before it.
    said = json.loads(done.stdout.splitlines()[-1])
    return outputs, said["versions"], said["failed"]


def _last_exception(stderr: str) -> str:
    """The last exception of a traceback on one line, cut where it gets long."""
    starts = list(re.finditer(r"^[\w.]+: ", stderr, re.MULTILINE))
    message = stderr[starts[-1].end() :] if starts else stderr
    return one_line(message)


def _errors(
    signature: Signature,
    cases: Mapping[str, Case],
    got: Mapping[str, Arrays],
    tolerance: float,
) -> dict[str, float]:
    """Compare all cases of one signature: case -> largest error, of the output's scale."""
    errors = {}
    scales = dict.fromkeys(signature.outputs, 0.0)
    for case, (inputs, wanted) in cases.items():
        edge = case in signature.edges
        if set(got[case]) != set(signature.outputs):
            raise ExportError(
                f"The export of `{signature.name}` must have the outputs "
                f"{sorted(signature.outputs)}. Received: {sorted(got[case])}. "
                f"Nothing was written."
            )
        rows = len(next(iter(inputs.values())))
        error = 0.0
        for name, info in signature.outputs.items():
            want, have = wanted[name], got[case][name]
            _check_array(signature.name, name, info, want, have, rows, edge)
            finite = np.isfinite(want)
            want, have = (np.where(finite, values, 0) for values in (want, have))
            if not edge:
                scales[name] = max(scales[name], float(np.max(np.abs(want))))
            error = max(error, relative_error(have, want, scales[name] if edge else 0.0))
        allowed = tolerance * EDGE_FACTOR if edge else tolerance
        if error > allowed:
            where = f"on the edge case {case!r}" if edge else f"at batch size {case}"
            raise ExportError(
                f"The export of `{signature.name}` differs from the model by {error:.2g} of "
                f"the output's scale {where}, above tolerance={allowed:g}. "
                f"Nothing was written."
            )
        errors[case] = error
    return errors


def _check_array(
    signature: str,
    name: str,
    info: TensorInfo,
    wanted: np.ndarray,
    got: np.ndarray,
    rows: int,
    edge: bool,
) -> None:
    if not edge and not np.all(np.isfinite(wanted)):
        raise ExportError(
            f"The model's own output `{name}` of `{signature}` is not finite: are its "
            f"weights? Nothing was written."
        )
    expected = ((rows, *info.shape), info.dtype)
    received = (got.shape, str(got.dtype))
    if received != expected:
        raise ExportError(
            f"The export's output `{name}` of `{signature}` must have shape and dtype "
            f"{expected}. Received: {received}. Nothing was written."
        )
    if not np.array_equal(np.isfinite(wanted), np.isfinite(got)):
        raise ExportError(
            f"The export's output `{name}` of `{signature}` is not finite where the model's "
            f"is, or the other way round. Nothing was written."
        )


def relative_error(got: np.ndarray, wanted: np.ndarray, scale: float = 0.0) -> float:
    """Largest absolute difference, as a share of the output's scale.

    Args:
        got: Of the export.
        wanted: Of the model; the scale is its largest absolute value.
        scale: At least this. Defaults to `0.0`.
    """
    wanted = np.asarray(wanted, "float64")
    scale = max(scale, float(np.max(np.abs(wanted)))) or 1.0
    return float(np.max(np.abs(np.asarray(got, "float64") - wanted)) / scale)
