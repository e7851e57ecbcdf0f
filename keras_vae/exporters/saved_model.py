"""HOW a model becomes a SavedModel: for TensorFlow, TensorFlow Serving and their clients.

Floor 6.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from keras_vae.exporters import serving
from keras_vae.exporters.checks import ExportError, check_folder
from keras_vae.exporters.manifest import Manifest
from keras_vae.exporters.ops import PYTHON_OPS, graph_nodes, missing_op
from keras_vae.exporters.pipeline import DEFAULT_TOLERANCE, Target, export
from keras_vae.exporters.seeded import ENTROPY_OP, entropy_on_demand
from keras_vae.exporters.signature import Signature
from keras_vae.models import VAE

__all__ = ["export_saved_model"]

# TensorFlow Serving wants a numbered version, and asks for this name if given none.
_FOLDER = "1"
_SERVING_DEFAULT = "serving_default"
# In such paths TensorFlow does not find what it wrote.
_PATTERN = re.compile(r"\[.*\]|\\")


def export_saved_model(
    model: VAE,
    folder: str | os.PathLike[str],
    *,
    signatures: Sequence[str] | None = None,
    tolerance: float = DEFAULT_TOLERANCE,
    overwrite: bool = False,
) -> Manifest:
    """Write a model as a SavedModel that needs neither keras_vae nor Keras.

    `folder/1` serves all signatures under their names: `decode`, which is also
    `serving_default`, `encode`, `reconstruct`, `generate` (noise -> x), `sample` (seeds ->
    x) and `score`; `folder/manifest.json` says what each takes and what was measured. Before
    they appear, the file is loaded in a fresh process and compared with the model on batches
    of 1, 3 and 64 and on inputs of zeros, large and denormal numbers.

    Args:
        model: Trained or not. One that computes in half precision is rebuilt in float32.
        folder: New or existing; an earlier export there is replaced once the new one agrees.
        signatures: What to export. Defaults to `None`: all that the model has.
        tolerance: Largest error allowed, as a share of the output's largest absolute value.
            Defaults to `1e-5`.
        overwrite: Whether to replace files in the way that no export wrote, or that were
            changed since. Defaults to `False`: they are an error.

    Returns:
        What was written and measured.

    Raises:
        ExportError: If the export fails or does not agree with the model; nothing is
            written then.
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
    >>> manifest = exporters.export_saved_model(vae, folder, signatures=["decode"])
    >>> manifest.signatures["decode"].outputs["x"].shape
    (None, 4)
    """
    path = check_folder(folder)
    if _PATTERN.search(str(path)):
        raise ValueError(
            f"`folder` must have no '[...]' and no backslash in its path: TensorFlow takes "
            f"them for a pattern and finds no weights there. Received: folder={str(path)!r}. "
            f"Choose another folder."
        )
    model_name = serving.serving_name(path)
    target = Target(
        name="saved_model",
        convert=_convert,
        write=functools.partial(_write, model_name=model_name),
        path=lambda name: _FOLDER,
        served_as=lambda name: name,
        run=_run,
        options={"serve": serving.serving_command(model_name)},
        extras=serving.FILES,
    )
    return export(target, model, folder, tolerance, signatures, overwrite=overwrite)


def _convert(signature: Signature) -> Any:
    concrete = signature.concrete
    if any(node.op == ENTROPY_OP for node in graph_nodes(concrete)):
        with entropy_on_demand():
            concrete = dataclasses.replace(signature).concrete
    for node in graph_nodes(concrete):
        if node.op in PYTHON_OPS:
            raise missing_op(node.op, node.name, "A SavedModel", signature)
    return concrete


def _write(
    converted: Mapping[str, Any],
    signatures: Sequence[Signature],
    stage: Path,
    *,
    model_name: str,
) -> None:
    default = _default(signatures)
    functions = {**converted, _SERVING_DEFAULT: converted[default]}
    variables = {id(v): v for concrete in converted.values() for v in concrete.variables}
    # Only what the functions use: a decoder does not carry the encoder's weights.
    module = tf.Module()
    module.used = list(variables.values())
    try:
        tf.saved_model.save(module, str(stage / _FOLDER), signatures=functions)
    except AssertionError as error:  # So TensorFlow reports resources that it cannot track.
        raise ExportError(
            "The model uses a resource that a SavedModel cannot hold, such as a lookup table. "
            "Use tensors and variables in its place. Nothing was written."
        ) from error
    _keep_branches(stage / _FOLDER / "saved_model.pb")
    served = {signature.name: signature for signature in signatures}
    served[_SERVING_DEFAULT] = served[default]
    serving.write_serving_files(stage, _FOLDER, served, model_name)


def _keep_branches(path: Path) -> None:
    """Keep TensorFlow from making ready, in branches that are not taken, what has no seed.

    It refuses such ops where determinism is on, whether they run or not.
    """
    proto = saved_model_pb2.SavedModel()
    proto.ParseFromString(path.read_bytes())
    functions = proto.meta_graphs[0].graph_def.library.function
    drawing = {
        function.signature.name
        for function in functions
        if any(node.op == ENTROPY_OP for node in function.node_def)
    }
    for node in (node for function in functions for node in function.node_def):
        if node.op == "If" and node.attr["then_branch"].func.name in drawing:
            node.attr["_lower_using_switch_merge"].b = False
    path.write_bytes(proto.SerializeToString())


def _default(signatures: Sequence[Signature]) -> str:
    """What is served if no signature is named: `decode` where there is one."""
    names = [signature.name for signature in signatures]
    return "decode" if "decode" in names else names[0]


def _run(signatures: Sequence[Signature]) -> str:
    signature = signatures[0]
    arguments = ", ".join(
        f"{name}=tf.zeros({[1, *info.shape]}, '{info.dtype}')"
        for name, info in signature.inputs.items()
    )
    return (
        f"python -c \"import tensorflow as tf; model = tf.saved_model.load('{_FOLDER}'); "
        f"print(model.signatures['{signature.name}']({arguments}))\""
    )
