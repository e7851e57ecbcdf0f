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

from keras_vae.exporters.checks import ExportError
from keras_vae.exporters.signatures import Signature, TensorInfo

__all__ = ["BATCHES", "Measured", "relative_error", "verify"]

#: Batch sizes on which an export is compared: one, which graphs often fix by mistake, and more.
BATCHES = (1, 3)

_SCRIPT = Path(__file__).with_name("fresh_process.py")
# Seconds. A hung runtime must not hang the export for ever.
_TIMEOUT = 1800
# Characters of a runtime's message that are shown.
_LONGEST = 300


class Measured(NamedTuple):
    """What was found.

    Attributes:
        max_error: Signature -> batch size -> largest error, of the output's scale.
        versions: Of the runtime that opened the export.
    """

    max_error: dict[str, dict[str, float]]
    versions: dict[str, str]


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
    probes = {(s.name, rows): s.probe(rows) for s in signatures for rows in BATCHES}
    stored = {
        f"{served_as[name]}/{rows}/{key}": value
        for (name, rows), inputs in probes.items()
        for key, value in inputs.items()
    }
    outputs, versions = _run_afresh(target, stage, stored)
    errors: dict[str, dict[str, float]] = {}
    for signature in signatures:
        for rows in BATCHES:
            case = f"{served_as[signature.name]}/{rows}/"
            got = {k.removeprefix(case): v for k, v in outputs.items() if k.startswith(case)}
            error = _compare(signature, probes[signature.name, rows], got, rows, tolerance)
            errors.setdefault(signature.name, {})[str(rows)] = error
    return Measured(errors, versions)


def _run_afresh(
    target: str, stage: Path, probes: Mapping[str, np.ndarray]
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
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
    return outputs, json.loads(done.stdout.splitlines()[-1])


def _last_exception(stderr: str) -> str:
    """The last exception of a traceback on one line, cut where it gets long."""
    starts = list(re.finditer(r"^[\w.]+: ", stderr, re.MULTILINE))
    message = stderr[starts[-1].end() :] if starts else stderr
    return " ".join(message.split())[:_LONGEST]


def _compare(
    signature: Signature,
    inputs: Mapping[str, np.ndarray],
    got: Mapping[str, np.ndarray],
    rows: int,
    tolerance: float,
) -> float:
    wanted = signature.evaluate(inputs)
    if set(got) != set(signature.outputs):
        raise ExportError(
            f"The export of `{signature.name}` must have the outputs "
            f"{sorted(signature.outputs)}. Received: {sorted(got)}. Nothing was written."
        )
    error = 0.0
    for name, info in signature.outputs.items():
        _check_array(signature.name, name, info, wanted[name], got[name], rows)
        error = max(error, relative_error(got[name], wanted[name]))
    if error > tolerance:
        raise ExportError(
            f"The export of `{signature.name}` differs from the model by {error:.2g} of the "
            f"output's scale at batch size {rows}, above tolerance={tolerance:g}. "
            f"Nothing was written."
        )
    return error


def _check_array(
    signature: str,
    name: str,
    info: TensorInfo,
    wanted: np.ndarray,
    got: np.ndarray,
    rows: int,
) -> None:
    if not np.all(np.isfinite(wanted)):
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
    if not np.all(np.isfinite(got)):
        raise ExportError(
            f"The export's output `{name}` of `{signature}` is not finite, the model's is. "
            f"Nothing was written."
        )


def relative_error(got: np.ndarray, wanted: np.ndarray) -> float:
    """Largest absolute difference, as a share of the largest absolute value of `wanted`."""
    wanted = np.asarray(wanted, "float64")
    scale = np.max(np.abs(wanted)) or 1.0
    return float(np.max(np.abs(np.asarray(got, "float64") - wanted)) / scale)
