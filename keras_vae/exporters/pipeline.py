"""The way of every export: check, write aside, verify, put in place.

Floor 6.
"""

from __future__ import annotations

import contextlib
import datetime
import importlib
import importlib.metadata
import logging
import platform
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from keras_vae.core.atomic_io import tidy
from keras_vae.exporters import manifest as manifests
from keras_vae.exporters.checks import (
    FOREIGN_ERRORS,
    ExportError,
    ModelError,
    UnsupportedError,
    check_folder,
    check_model,
    check_tolerance,
    one_line,
    reason_of,
)
from keras_vae.exporters.manifest import Manifest, SignatureEntry, TensorEntry
from keras_vae.exporters.onnx_variants import Variants, write_variants
from keras_vae.exporters.precision import Portable, portable
from keras_vae.exporters.signature import Signature, TensorInfo
from keras_vae.exporters.signatures import check_signatures
from keras_vae.exporters.staging import check_replaceable, known, publish, staging
from keras_vae.exporters.verify import Measured, verify
from keras_vae.models import VAE
from keras_vae.models.describing import described

__all__ = ["DEFAULT_TOLERANCE", "Target", "export"]

_LOG = logging.getLogger(__name__)

#: Of the output's scale; a hundred roundings of float32.
DEFAULT_TOLERANCE = 1e-5


class Target(NamedTuple):
    """HOW a model is exported.

    Attributes:
        name: A name that fresh_process.py knows.
        convert: Converts one signature into what `write` takes.
        write: Writes what was converted, by signature, into a folder.
        path: Signature -> the file or folder that holds it.
        served_as: Signature -> its name in there.
        run: Returns a command that uses the export.
        packages: Modules whose versions matter, besides TensorFlow, Keras and NumPy.
        options: For the manifest.
        extras: Further files and folders that `write` makes.
        variants: Kinds of smaller files wanted beside each.
        verify: Compares what lies in a folder with signatures. Defaults to `None`: as
            `verify.verify` does.
    """

    name: str
    convert: Callable[[Signature], Any]
    write: Callable[[Mapping[str, Any], Sequence[Signature], Path], None]
    path: Callable[[str], str]
    served_as: Callable[[str], str]
    run: Callable[[Sequence[Signature]], str]
    packages: tuple[str, ...] = ()
    options: Mapping[str, Any] = {}
    extras: tuple[str, ...] = ()
    variants: tuple[str, ...] = ()
    verify: Callable[[Path, Sequence[Signature], float], Measured] | None = None


def export(
    target: Target,
    model: Any,
    folder: Any,
    tolerance: float,
    signatures: Sequence[str] | None = None,
    source: Portable | None = None,
    left_out: Mapping[str, str] | None = None,
    overwrite: bool = False,
) -> Manifest:
    """Export a model to a target.

    Args:
        target: Where to.
        model: A `keras_vae.VAE`.
        folder: New or existing.
        tolerance: Largest error allowed, as a share of the output's largest absolute value.
        signatures: What to export; each must succeed. Defaults to `None`: all that the target
            can run, `decode` among them. The manifest says what was left out, and why.
        source: What leaves, if not the model's signatures as they are. Defaults to `None`.
        left_out: What the caller found that the target cannot run -> why, for the manifest.
            Defaults to `None`: nothing.
        overwrite: Whether to replace what is in the way and no export wrote. Defaults to
            `False`: it is an error.

    Returns:
        What was written and measured.

    Raises:
        ExportError: If the export fails or does not agree with the model.
        TypeError: If an argument is of the wrong type.
        ValueError: If an argument has a wrong value.
    """
    check_model(model)
    check_tolerance(tolerance)
    path = check_folder(folder)
    check_signatures(model, signatures)
    tidy(path)
    known(path, overwrite=overwrite)
    with _naming(target), staging(path) as stage:
        portable_model = portable(model, signatures) if source is None else source
        converted, unsupported = _converted(target, portable_model, signatures is not None)
        chosen = [s for s in portable_model.signatures if s.name in converted]
        if signatures is None:
            _check_decodes(target, chosen, unsupported)
        if not overwrite:
            files = manifests.known_files(known(path, overwrite=False))
            check_replaceable(path, _artefacts(target, chosen), files)
        _written(target, converted, chosen, stage)
        _LOG.info("Verifying in a fresh process: %s", ", ".join(s.name for s in chosen))
        measured = _measured(target, stage, chosen, tolerance)
        chosen, failed = _without_failures(target, chosen, measured, signatures is not None)
        if signatures is None:
            _check_decodes(target, chosen, failed)
        for name in failed:
            path_of_failed = stage / target.path(name)
            if path_of_failed.is_dir():
                shutil.rmtree(path_of_failed)
            else:
                path_of_failed.unlink()
        variants, too_rough = write_variants(target.variants, chosen, target.path, stage)
        manifest = _manifest(
            target,
            model,
            portable_model,
            chosen,
            variants,
            {**(left_out or {}), **unsupported, **failed, **too_rough},
            measured,
            tolerance,
            stage,
        )
        names = [*_artefacts(target, chosen), *_paths(variants)]
        publish(stage, path, manifest, names, overwrite=overwrite)
    return manifest


def _converted(
    target: Target, portable_model: Portable, all_must: bool
) -> tuple[dict[str, Any], dict[str, str]]:
    """What could be converted, and why the rest could not, each by signature."""
    converted: dict[str, Any] = {}
    left_out = {}
    first = None
    for signature in portable_model.signatures:
        _LOG.info("Converting to %s: %s", target.name, signature.name)
        try:
            converted[signature.name] = _one_converted(target, signature)
        except UnsupportedError as error:
            if all_must:
                raise
            first = first or error
            left_out[signature.name] = reason_of(error)
    if first is not None and not converted:
        raise first
    return converted, left_out


def _one_converted(target: Target, signature: Signature) -> Any:
    _ = signature.concrete  # Where the model itself fails, there is nothing to convert,
    try:
        converted = target.convert(signature)
    except ExportError:
        raise
    except FOREIGN_ERRORS as error:
        raise UnsupportedError(
            f"`{signature.name}` could not be converted to {target.name}: {one_line(error)} "
            f"Nothing was written."
        ) from error
    _ = signature.cases  # nor to compare with.
    return converted


def _written(
    target: Target, converted: Mapping[str, Any], signatures: Sequence[Signature], stage: Path
) -> None:
    try:
        target.write(converted, signatures, stage)
    except ExportError:
        raise
    except FOREIGN_ERRORS as error:
        raise ExportError(
            f"The {target.name} export of {_named(signatures)} could not be saved: "
            f"{one_line(error)} Nothing was written."
        ) from error


@contextlib.contextmanager
def _naming(target: Target) -> Iterator[None]:
    """Say where the export should have gone, in errors of the model itself."""
    try:
        yield
    except ModelError as error:
        raise UnsupportedError(f"The export to {target.name} failed. {error}") from error


def _named(signatures: Sequence[Signature]) -> str:
    return ", ".join(f"`{signature.name}`" for signature in signatures)


def _check_decodes(
    target: Target, signatures: Sequence[Signature], left_out: Mapping[str, str]
) -> None:
    """Raise an error unless the export decodes, at once or step by step."""
    names = [signature.name for signature in signatures]
    if "decode" not in left_out or {"initial_state", "step"} <= {*names}:
        return
    raise UnsupportedError(
        f"The {target.name} export has no `decode`: {left_out['decode']} To export the rest "
        f"without it, ask for it: signatures={names}. Nothing was written."
    )


def _measured(
    target: Target, stage: Path, signatures: Sequence[Signature], tolerance: float
) -> Measured:
    if target.verify is not None:
        return target.verify(stage, signatures, tolerance)
    served_as = {s.name: target.served_as(s.name) for s in signatures}
    return verify(target.name, stage, signatures, served_as, tolerance)


def _without_failures(
    target: Target, signatures: list[Signature], measured: Measured, all_must: bool
) -> tuple[list[Signature], dict[str, str]]:
    """What the runtime runs, and why it does not run the rest."""
    runs = [s for s in signatures if s.name not in measured.failed]
    paths = {target.path(s.name) for s in runs}
    for name, reason in measured.failed.items():
        if all_must or not runs or target.path(name) in paths:
            raise ExportError(
                f"The {target.name} export of `{name}` does not run in a fresh process: "
                f"{reason} Nothing was written."
            )
    return runs, {name: f"It does not run: {r}" for name, r in measured.failed.items()}


def _paths(variants: Variants) -> list[str]:
    return [entry.path for kinds in variants.values() for entry in kinds.values()]


def _artefacts(target: Target, signatures: Sequence[Signature]) -> list[str]:
    return sorted({target.path(s.name) for s in signatures} | set(target.extras))


def _manifest(
    target: Target,
    model: VAE,
    portable_model: Portable,
    signatures: Sequence[Signature],
    variants: Variants,
    left_out: Mapping[str, str],
    measured: Measured,
    tolerance: float,
    stage: Path,
) -> Manifest:
    files = {}
    for artefact in (*_artefacts(target, signatures), *_paths(variants)):
        files.update(manifests.file_entries(stage, artefact))
    return Manifest(
        target=target.name,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        model=_description(model),
        versions={**_versions(target.packages), **measured.versions},
        options=dict(target.options),
        signatures={
            signature.name: SignatureEntry(
                path=target.path(signature.name),
                served_as=target.served_as(signature.name),
                meaning=signature.meaning,
                inputs=_entries(signature.inputs),
                outputs=_entries(signature.outputs),
                max_error=measured.max_error[signature.name],
                variants=variants.get(signature.name, {}),
            )
            for signature in signatures
        },
        left_out=dict(left_out),
        tolerance=float(tolerance),
        compared_with=portable_model.compared_with,
        half_precision_difference=portable_model.half_precision_difference,
        files=files,
        run=target.run(signatures),
    )


def _description(model: VAE) -> dict[str, Any]:
    return {
        **described(model),
        **_data(model),
        "name": model.name,
        "weights_sha256": manifests.weights_sha256(model),
    }


def _versions(packages: Sequence[str]) -> dict[str, str]:
    modules = ("tensorflow", "keras", "numpy", *packages)
    return {
        "keras_vae": importlib.metadata.version("keras-vae"),
        "python": platform.python_version(),
        **{name: importlib.import_module(name).__version__ for name in modules},
    }


def _entries(tensors: Mapping[str, TensorInfo]) -> dict[str, TensorEntry]:
    return {
        name: TensorEntry((None, *t.shape), t.dtype, t.meaning) for name, t in tensors.items()
    }


def _data(model: VAE) -> dict[str, Any]:
    """What raw data are beyond their numbers, such as a vocabulary, if that is known."""
    schema = getattr(model.preprocessor, "schema", None)
    return {} if schema is None else {"data": {"kind": schema.kind, **schema.get_config()}}
