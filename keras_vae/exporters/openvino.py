"""HOW a model becomes OpenVINO files: for Intel's processors, and servers on them.

Floor 6.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from keras_vae.exporters.checks import UnsupportedError, check_model, one_line
from keras_vae.exporters.manifest import Manifest
from keras_vae.exporters.ops import graph_nodes
from keras_vae.exporters.pipeline import DEFAULT_TOLERANCE, Target, export
from keras_vae.exporters.saved_graph import saved_graph
from keras_vae.exporters.signature import Signature
from keras_vae.models import VAE

__all__ = ["export_openvino"]

# Model servers want numbered versions, and find this name by themselves.
_FILE = "1/model.xml"
# OpenVINO's own choice is bfloat16 on processors that have it: errors of a percent.
_PRECISION = {"INFERENCE_PRECISION_HINT": "f32"}
# OpenVINO computes 64-bit integers in 32 bits, without a word.
_BIT_OPS = ("BitwiseAnd", "BitwiseOr", "BitwiseXor", "LeftShift", "RightShift")


def export_openvino(
    model: VAE,
    folder: str | os.PathLike[str],
    *,
    signatures: Sequence[str] | None = None,
    tolerance: float = DEFAULT_TOLERANCE,
    overwrite: bool = False,
) -> Manifest:
    """Write a model as OpenVINO files, a folder for each signature.

    `folder/decode/1/model.xml`, with its weights in `model.bin`, maps `z [batch,
    latent_dim]` to `x [batch, *event_shape]` and parameters of p(x|z); `encode`,
    `reconstruct`, `generate` (noise -> x) and `score` lie beside it, in the layout of model
    servers, and `manifest.json` says what each takes and what was measured. Before they
    appear, each is run by OpenVINO on the CPU in a fresh process and compared with the model
    on batches of 1, 3 and 64 and on inputs of zeros, large and denormal numbers.

    This is measured in float32. Ask for it when compiling, as the manifest's command does:
    otherwise OpenVINO computes in bfloat16 where the processor can, a thousand times less
    exactly.

    Args:
        model: Trained or not. One that computes in half precision is rebuilt in float32.
        folder: New or existing; an earlier export there is replaced once the new one agrees.
        signatures: What to export; each must succeed. Defaults to `None`: all that OpenVINO
            can run; the manifest says what was left out and why.
        tolerance: Largest error allowed, as a share of the output's largest absolute value.
            Defaults to `1e-5`.
        overwrite: Whether to replace files in the way that no export wrote, or that were
            changed since. Defaults to `False`: they are an error.

    Returns:
        What was written and measured.

    Raises:
        ExportError: If OpenVINO lacks an op, or the export fails or does not agree with the
            model; nothing is written then.
        ImportError: If OpenVINO is not installed.
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
    >>> manifest = exporters.export_openvino(vae, folder, signatures=["decode"])
    >>> sorted(os.listdir(folder))
    ['decode', 'manifest.json']
    """
    check_model(model)
    try:
        import openvino  # noqa: F401
    except ImportError as error:
        raise ImportError(
            'Exports to OpenVINO need it. Install it with: pip install "keras-vae[openvino]"'
        ) from error
    target = Target(
        name="openvino",
        convert=_convert,
        write=_write,
        path=lambda name: name,
        served_as=lambda name: name,
        run=_run,
        packages=("openvino",),
        options=_PRECISION,
    )
    return export(target, model, folder, tolerance, signatures, overwrite=overwrite)


def _convert(signature: Signature) -> tuple[bytes, bytes]:
    """The two files, which hold the graph and its weights."""
    import openvino

    with saved_graph(signature, "OpenVINO", "serving_default") as folder:
        for node in graph_nodes(signature.concrete):
            if node.op in _BIT_OPS and node.attr["T"].type == tf.int64.as_datatype_enum:
                raise UnsupportedError(
                    f"OpenVINO computes in 32 bits what `{signature.name}` needs 64-bit "
                    f"integers for (node {node.name!r}). exporters.export_saved_model has "
                    f"them. Nothing was written."
                )
        try:
            core = openvino.Core()
            converted = core.read_model(str(folder))
            core.compile_model(converted, "CPU", _PRECISION)
        except _failures() as error:
            raise UnsupportedError(
                f"OpenVINO cannot run `{signature.name}`: {one_line(error)} "
                f"exporters.export_saved_model may work. Nothing was written."
            ) from error
        for name, value in signature.properties.items():
            converted.set_rt_info(value, ["keras_vae", name])
        path = folder / "model.xml"
        openvino.save_model(converted, path, compress_to_fp16=False)
        return path.read_bytes(), path.with_suffix(".bin").read_bytes()


def _failures() -> tuple[type[Exception], ...]:
    """What OpenVINO raises on graphs that it cannot take."""
    from openvino import frontend

    return (
        frontend.GeneralFailure,
        frontend.NotImplementedFailure,
        frontend.OpConversionFailure,
        frontend.OpValidationFailure,
        RuntimeError,
        TypeError,
        ValueError,
    )


def _write(converted: Mapping[str, Any], signatures: Sequence[Signature], stage: Path) -> None:
    for name, (xml, weights) in converted.items():
        path = stage / name / _FILE
        path.parent.mkdir(parents=True)
        path.write_bytes(xml)
        path.with_suffix(".bin").write_bytes(weights)


def _run(signatures: Sequence[Signature]) -> str:
    signature = signatures[0]
    feeds = ", ".join(
        f"'{name}': np.zeros({[1, *info.shape]}, '{info.dtype}')"
        for name, info in signature.inputs.items()
    )
    return (
        f'python -c "import numpy as np, openvino as ov; '
        f"model = ov.Core().compile_model('{signature.name}/{_FILE}', 'CPU', {_PRECISION}); "
        f'print(model({{{feeds}}}))"'
    )
