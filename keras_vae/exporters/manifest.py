"""The record that lies beside an export: what it is, what was measured, and of which bytes.

One `manifest.json` per folder holds one entry per target, so that a folder may hold several.

Floor 6.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from keras_vae.core.atomic_io import tidy
from keras_vae.core.locks import locked
from keras_vae.core.paths import local_path
from keras_vae.exporters.json_fields import typed
from keras_vae.exporters.onnx_variants import VariantEntry
from keras_vae.models import VAE

__all__ = [
    "FileEntry",
    "Manifest",
    "SignatureEntry",
    "TensorEntry",
    "artefacts",
    "file_entries",
    "file_entry",
    "known_files",
    "merged",
    "parsed",
    "read_manifest",
    "weights_sha256",
]

NAME = "manifest.json"
#: Seconds that one export waits for another to put its files in place.
PATIENCE = 60.0
_FORMAT = 1
_EMPTY: dict[str, Any] = {"format": _FORMAT, "targets": {}}
_CHUNK = 1 << 20


@dataclasses.dataclass(frozen=True)
class TensorEntry:
    """A named input or output.

    Attributes:
        shape: `None`, which is `null` in JSON, stands for the batch.
        dtype: Such as `"float32"`.
        meaning: In a few words.
    """

    shape: tuple[int | None, ...]
    dtype: str
    meaning: str = ""


@dataclasses.dataclass(frozen=True)
class SignatureEntry:
    """An exported function.

    Attributes:
        path: The file or folder that holds it, from the manifest's folder.
        served_as: Its name in there.
        meaning: What it computes.
        inputs: By name.
        outputs: By name.
        max_error: Batch size, or edge such as `"zeros"` -> largest error measured, as a
            share of the output's largest absolute value.
        variants: Kind -> a smaller file beside this one.
    """

    path: str
    served_as: str
    meaning: str
    inputs: dict[str, TensorEntry]
    outputs: dict[str, TensorEntry]
    max_error: dict[str, float]
    variants: dict[str, VariantEntry] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class FileEntry:
    """A file of the export."""

    sha256: str
    bytes: int


@dataclasses.dataclass(frozen=True)
class Manifest:
    """What one target's export is and what was measured.

    Attributes:
        target: Such as `"saved_model"` or `"onnx"`.
        created: Time in UTC, ISO 8601.
        model: Its class, parts, shapes, steps of training, and `weights_sha256`: over dtype,
            shape and bytes of each weight in order, counters of the training left out.
        versions: Of the packages that wrote the export and of the runtime that opened it.
        options: Of the target, such as `opset`.
        signatures: By name.
        left_out: Signatures that the target cannot run -> why.
        tolerance: Errors above it would have been refused; at edges, a hundred times that.
        compared_with: What the export was compared with.
        half_precision_difference: If the model computes in half precision: largest difference
            between it and what was exported, by signature. Not an error of the export.
        files: Path from the manifest's folder -> bytes and sha256.
        run: A command that uses the export, to be run in the manifest's folder.
    """

    target: str
    created: str
    model: dict[str, Any]
    versions: dict[str, str]
    options: dict[str, Any]
    signatures: dict[str, SignatureEntry]
    left_out: dict[str, str]
    tolerance: float
    compared_with: str
    half_precision_difference: dict[str, float]
    files: dict[str, FileEntry]
    run: str

    def to_json(self) -> str:
        """Return the manifest as JSON, indented."""
        return json.dumps(dataclasses.asdict(self), indent=2)


def read_manifest(folder: str | os.PathLike[str]) -> dict[str, Manifest]:
    """Read the manifest of a folder of exports.

    If an export was killed while it moved its files into place, the rest is moved first, so
    that the manifest and the files agree.

    Args:
        folder: As given to an exporter.

    Returns:
        Name of each target -> what was written and measured; empty if there is no manifest.

    Raises:
        ValueError: If the manifest is not as exporters write it.

    Example:
    >>> import tempfile
    >>> from keras_vae import exporters
    >>> exporters.read_manifest(tempfile.mkdtemp())
    {}
    """
    place = local_path(folder, "folder")
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(locked(place / NAME, "export", seconds=PATIENCE))
        except TimeoutError:
            raise
        except OSError:  # No folder, or one that is only to be read.
            return parsed(place)
        tidy(place)
        return parsed(place)


def parsed(folder: Path) -> dict[str, Manifest]:
    """Read a folder's manifest as it is; see `read_manifest`."""
    return {
        target: typed(Manifest, entry, f"targets.{target}")
        for target, entry in _content(folder)["targets"].items()
    }


def known_files(manifests: Mapping[str, Manifest]) -> dict[str, FileEntry]:
    """All files that exporters wrote, by their path from the manifest's folder."""
    return {path: entry for found in manifests.values() for path, entry in found.files.items()}


def merged(folder: Path, manifest: Manifest, *, overwrite: bool = False) -> str:
    """Return the text of a folder's `manifest.json`, with one target's entry replaced.

    Args:
        folder: That of the export; the entries of other targets there are kept.
        manifest: The new entry.
        overwrite: Whether to replace what exporters did not write. Defaults to `False`.

    Raises:
        ValueError: If there is a `manifest.json` that exporters did not write.
    """
    content = dict(_EMPTY)
    with contextlib.suppress(*([ValueError] if overwrite else [])):
        parsed(folder)
        content = _content(folder)
    targets = {**content["targets"], manifest.target: dataclasses.asdict(manifest)}
    return json.dumps({**content, "targets": targets}, indent=2) + "\n"


def artefacts(manifest: Manifest | None) -> set[str]:
    """Files and folders of an export, by its manifest."""
    files = manifest.files if manifest is not None else {}
    return {path.split("/", maxsplit=1)[0] for path in files}


def _content(folder: Path) -> dict[str, Any]:
    path = folder / NAME
    if not os.path.lexists(path):
        return dict(_EMPTY)
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, RecursionError, ValueError) as error:
        raise _not_ours(folder, "it is no JSON") from error
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise _not_ours(folder, f"its `format` is not {_FORMAT}")
    if not isinstance(content.get("targets"), dict):
        raise _not_ours(folder, "its `targets` are no object")
    try:
        for target, entry in content["targets"].items():
            typed(Manifest, entry, f"targets.{target}")
    except ValueError as error:
        raise _not_ours(folder, str(error)) from error
    return content


def _not_ours(folder: Path, why: str) -> ValueError:
    return ValueError(
        f"`folder` holds a {NAME!r} that is not as exporters write it: {why}. Received: "
        f"folder={str(folder)!r}. Choose another folder, or replace it by overwrite=True."
    )


def file_entries(root: Path, artefact: str) -> dict[str, FileEntry]:
    """Hash a file, or all files of a folder, by their paths from `root`."""
    start = root / artefact
    files = [start] if start.is_file() else sorted(p for p in start.rglob("*") if p.is_file())
    return {p.relative_to(root).as_posix(): file_entry(p) for p in files}


def file_entry(path: Path) -> FileEntry:
    """Hash a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_CHUNK):
            digest.update(block)
    return FileEntry(digest.hexdigest(), path.stat().st_size)


def weights_sha256(model: VAE) -> str:
    """Hash a model's weights, counters of the training left out."""
    counters = {id(variable) for variable in model.state.weights}
    digest = hashlib.sha256()
    for variable in model.weights:
        if id(variable) not in counters:
            array = np.ascontiguousarray(variable.numpy())
            digest.update(f"{array.dtype} {array.shape}".encode())
            digest.update(array.tobytes())
    return digest.hexdigest()
