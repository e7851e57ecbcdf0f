"""`keras-vae export`: write what runs elsewhere.

Floor 7.
"""

from __future__ import annotations

import contextlib
import enum
import inspect
import shlex
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keras_vae.cli.shell import (
    ImportOption,
    JsonOption,
    ModelArgument,
    TracebackOption,
    array,
    load,
    logged,
    one_line_errors,
    progress,
    show,
)

if TYPE_CHECKING:
    from keras_vae.exporters import Manifest
    from keras_vae.models import VAE

__all__ = ["Target", "export"]


class Target(enum.StrEnum):
    """What `export` can export to."""

    saved_model = "saved_model"
    onnx = "onnx"
    litert = "litert"
    openvino = "openvino"
    keras_archive = "keras_archive"
    web = "web"


def export(
    model: ModelArgument,
    to: Annotated[Target, typer.Option(help="Format of the export.")],
    out: Annotated[str, typer.Option(metavar="FOLDER", help="Folder, new or existing.")],
    signatures: Annotated[
        str | None,
        typer.Option(help="What to export, such as decode,encode. Default: all that can be."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show what would be exported.")
    ] = False,
    tolerance: Annotated[
        float | None,
        typer.Option(help="Largest error allowed, as a share of the output's scale."),
    ] = None,
    opset: Annotated[int | None, typer.Option(help="onnx: version of the operators.")] = None,
    variants: Annotated[
        str | None, typer.Option(help="onnx: smaller files too: fp16,int8.")
    ] = None,
    int8: Annotated[
        bool | None, typer.Option("--int8", help="litert: weights in 8 bits too.")
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="web: .npy of examples, or .npz of x and condition.")
    ] = None,
    labels: Annotated[
        str | None, typer.Option(help="web: a name for each label, such as cat,dog.")
    ] = None,
    title: Annotated[str | None, typer.Option(help="web: of the page.")] = None,
    vocabulary: Annotated[
        str | None, typer.Option(help="web: characters, if events are text.")
    ] = None,
    sample_rate: Annotated[
        int | None, typer.Option(help="web: per second, if events are sound.")
    ] = None,
    runtime: Annotated[
        str | None, typer.Option(help="web: folder of the npm package onnxruntime-web.")
    ] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Show what converters print.")
    ] = False,
    overwrite: Annotated[
        bool | None,
        typer.Option("--overwrite", help="Replace files in the way that no export wrote."),
    ] = None,
    modules: ImportOption = None,
    as_json: JsonOption = False,
    traceback: TracebackOption = False,
) -> None:
    """Export a saved model, verified in a fresh process."""
    with one_line_errors(traceback):
        with progress(f"Loading {model}"):
            vae = load(model, modules or [])
        from keras_vae import exporters
        from keras_vae.exporters.quiet import said

        names = signatures.split(",") if signatures else None
        function = getattr(exporters, f"export_{to}")
        options = {
            "signatures": names,
            "tolerance": tolerance,
            "overwrite": overwrite,
            "opset": opset,
            "variants": variants.split(",") if variants else None,
            "int8": int8,
            "data": None if data is None else array(data, "--data"),
            "labels": labels.split(",") if labels else None,
            "title": title,
            "vocabulary": vocabulary,
            "sample_rate": sample_rate,
            "runtime": runtime,
        }
        given = {name: value for name, value in options.items() if value is not None}
        unknown = [name for name in given if name not in inspect.signature(function).parameters]
        if unknown:
            flag = f"--{unknown[0].replace('_', '-')}"
            raise ValueError(f"{flag} is no option of --to {to}. Leave it out.")
        if dry_run:
            show(_described(vae, names), as_json)
            return
        with contextlib.ExitStack() as stack:
            say = stack.enter_context(progress(f"Exporting to {to}"))
            stack.enter_context(logged("keras_vae.exporters", say))
            if verbose:
                stack.enter_context(said())
            manifest = function(vae, out, **given)
        if as_json:
            typer.echo(manifest.to_json())
        else:
            show(_summary(manifest, out), as_json=False)
            # Not in the table, which breaks long lines.
            typer.echo(f"\nTry it:\n\ncd {shlex.quote(out)} && {manifest.run}")


def _described(model: VAE, names: list[str] | None) -> dict[str, Any]:
    from keras_vae.exporters.signatures import signatures_of

    def tensors(found: Any) -> str:
        return ", ".join(
            f"{name} {['batch', *info.shape]} {info.dtype}".replace("'", "")
            for name, info in found.items()
        )

    return {
        signature.name: {
            "meaning": signature.meaning,
            "inputs": tensors(signature.inputs),
            "outputs": tensors(signature.outputs),
        }
        for signature in signatures_of(model, names)
    }


def _summary(manifest: Manifest, folder: str) -> dict[str, Any]:
    errors = [e for s in manifest.signatures.values() for e in s.max_error.values()]
    return {
        "target": manifest.target,
        "folder": folder,
        "files": {name: f"{entry.bytes:,} bytes" for name, entry in manifest.files.items()},
        "signatures": ", ".join(manifest.signatures),
        **({"left_out": manifest.left_out} if manifest.left_out else {}),
        "compared_with": manifest.compared_with,
        "max_error": f"{max(errors):.2g} of the output's scale",
        "tolerance": f"{manifest.tolerance:g}",
    }
