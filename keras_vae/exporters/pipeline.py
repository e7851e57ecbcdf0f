"""The way of every export: check, write aside, verify, put in place.

Floor 6.
"""

from __future__ import annotations

import datetime
import importlib
import importlib.metadata
import platform
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import tensorflow as tf

from keras_vae.exporters import manifest as manifests
from keras_vae.exporters.checks import check_folder, check_model, check_tolerance
from keras_vae.exporters.manifest import Manifest, SignatureEntry, TensorEntry
from keras_vae.exporters.precision import Portable, portable
from keras_vae.exporters.signatures import Signature, TensorInfo
from keras_vae.exporters.staging import check_replaceable, publish, staging
from keras_vae.exporters.verify import Measured, verify
from keras_vae.models import VAE

__all__ = ["DEFAULT_TOLERANCE", "Target", "export"]

#: Of the output's scale; a hundred roundings of float32.
DEFAULT_TOLERANCE = 1e-5


class Target(NamedTuple):
    """HOW a model is exported.

    Attributes:
        name: A name that fresh_process.py knows.
        write: Writes signatures into a folder.
        paths: Signature -> the file or folder that holds it.
        served_as: Signature -> its name in there.
        marker: A file that each of these folders holds; `""` if they are files.
        run: Returns a command that uses the export.
        packages: Modules whose versions matter, besides TensorFlow, Keras and NumPy.
        options: For the manifest.
    """

    name: str
    write: Callable[[Sequence[Signature], Path], None]
    paths: Mapping[str, str]
    served_as: Mapping[str, str]
    marker: str
    run: Callable[[Sequence[Signature]], str]
    packages: tuple[str, ...] = ()
    options: Mapping[str, Any] = {}


def export(target: Target, model: Any, folder: Any, tolerance: float) -> Manifest:
    """Export a model to a target.

    Args:
        target: Where to.
        model: A `keras_vae.VAE`.
        folder: New or existing.
        tolerance: Largest error allowed, as a share of the output's largest absolute value.

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
    artefacts = sorted(set(target.paths.values()))
    for artefact in artefacts:
        check_replaceable(path / artefact, target.marker)
    manifests.merged(path)
    portable_model = portable(model)
    with staging(path) as stage:
        target.write(portable_model.signatures, stage)
        measured = verify(
            target.name, stage, portable_model.signatures, target.served_as, tolerance
        )
        manifest = _manifest(target, model, portable_model, measured, tolerance, stage)
        (stage / manifests.NAME).write_text(manifests.merged(path, manifest), "utf-8")
        publish(stage, path, [*artefacts, manifests.NAME])
    return manifest


def _manifest(
    target: Target,
    model: VAE,
    portable_model: Portable,
    measured: Measured,
    tolerance: float,
    stage: Path,
) -> Manifest:
    files = {}
    for artefact in sorted(set(target.paths.values())):
        files.update(manifests.file_entries(stage, artefact))
    return Manifest(
        target=target.name,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        model=_description(model),
        versions={**_versions(target.packages), **measured.versions},
        options=dict(target.options),
        signatures={
            signature.name: SignatureEntry(
                path=target.paths[signature.name],
                served_as=target.served_as[signature.name],
                inputs=_entries(signature.inputs),
                outputs=_entries(signature.outputs),
                max_error=measured.max_error[signature.name],
            )
            for signature in portable_model.signatures
        },
        tolerance=float(tolerance),
        compared_with=portable_model.compared_with,
        half_precision_difference=portable_model.half_precision_difference,
        files=files,
        run=target.run(portable_model.signatures),
    )


def _description(model: VAE) -> dict[str, Any]:
    parts = ("encoder", "decoder", "posterior", "prior", "likelihood", "objective")
    return {
        "class": type(model).__name__,
        "name": model.name,
        "event_shape": list(model.event_shape),
        "latent_dim": model.posterior.latent_dim,
        **{part: type(getattr(model, part)).__name__ for part in parts},
        "steps_trained": int(tf.convert_to_tensor(model.state.step)),
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
    return {name: TensorEntry((None, *t.shape), t.dtype) for name, t in tensors.items()}
