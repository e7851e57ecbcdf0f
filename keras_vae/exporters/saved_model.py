"""HOW a model becomes a SavedModel: for TensorFlow, TensorFlow Serving and their clients.

Floor 6.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import tensorflow as tf

from keras_vae.exporters.checks import ExportError
from keras_vae.exporters.manifest import Manifest
from keras_vae.exporters.ops import PYTHON_OPS, graph_nodes, missing_op
from keras_vae.exporters.pipeline import DEFAULT_TOLERANCE, Target, export
from keras_vae.exporters.signatures import Signature
from keras_vae.models import VAE

__all__ = ["export_saved_model"]

# TensorFlow Serving wants a numbered version, and asks for this name if given none.
_FOLDER = "1"
_SERVED_AS = {"decode": "serving_default"}


def export_saved_model(
    model: VAE, folder: str | os.PathLike[str], *, tolerance: float = DEFAULT_TOLERANCE
) -> Manifest:
    """Write the decoder as a SavedModel that needs neither keras_vae nor Keras.

    `folder/1` serves z `[batch, latent_dim]` -> x, the mean of p(x|z), under the signature
    `serving_default`; `folder/manifest.json` says what was measured. Before they appear, the
    file is loaded in a fresh process and compared with the model on batches of 1 and 3.

    Args:
        model: Trained or not. One that computes in half precision is rebuilt in float32.
        folder: New or existing; an earlier export there is replaced once the new one agrees.
        tolerance: Largest error allowed, as a share of the output's largest absolute value.
            Defaults to `1e-5`.

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
    >>> manifest = exporters.export_saved_model(vae, folder)
    >>> manifest.signatures["decode"].outputs["x"].shape
    (None, 4)
    """
    target = Target(
        name="saved_model",
        write=_write,
        paths=dict.fromkeys(_SERVED_AS, _FOLDER),
        served_as=_SERVED_AS,
        marker="saved_model.pb",
        run=_run,
    )
    return export(target, model, folder, tolerance)


def _write(signatures: Sequence[Signature], stage: Path) -> None:
    functions = {}
    variables = {}
    for signature in signatures:
        concrete = signature.traced.get_concrete_function()
        for node in graph_nodes(concrete):
            if node.op in PYTHON_OPS:
                raise missing_op(node.op, node.name, "A SavedModel", signature)
        functions[_SERVED_AS[signature.name]] = concrete
        variables.update({id(variable): variable for variable in concrete.variables})
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


def _run(signatures: Sequence[Signature]) -> str:
    signature = signatures[0]
    arguments = ", ".join(
        f"{name}=tf.zeros({[1, *info.shape]}, '{info.dtype}')"
        for name, info in signature.inputs.items()
    )
    return (
        f"python -c \"import tensorflow as tf; model = tf.saved_model.load('{_FOLDER}'); "
        f"print(model.signatures['{_SERVED_AS[signature.name]}']({arguments}))\""
    )
