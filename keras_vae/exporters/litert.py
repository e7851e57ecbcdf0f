"""HOW a model becomes LiteRT files (TensorFlow Lite): for phones and other small devices.

Floor 6.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from keras_vae.exporters.checks import UnsupportedError, check_model, one_line
from keras_vae.exporters.manifest import Manifest
from keras_vae.exporters.pipeline import DEFAULT_TOLERANCE, Target, export
from keras_vae.exporters.quiet import contained
from keras_vae.exporters.saved_graph import saved_graph
from keras_vae.exporters.signature import Signature
from keras_vae.models import VAE

__all__ = ["export_litert"]

# Of the converter's messages: ops, and the nodes that are of them.
_MISSING = re.compile(r"'tf\.(\w+)' op is neither a custom op nor a flex op")
_NODE = re.compile(r'fused\["\w+:", "([^"@]+)@')


def export_litert(
    model: VAE,
    folder: str | os.PathLike[str],
    *,
    signatures: Sequence[str] | None = None,
    tolerance: float = DEFAULT_TOLERANCE,
    int8: bool = False,
    overwrite: bool = False,
) -> Manifest:
    """Write a model as LiteRT files, one for each signature.

    `folder/decode.tflite` has the signature `decode`, which maps `z [batch, latent_dim]` to
    `x [batch, *event_shape]` and parameters of p(x|z); `encode.tflite`, `reconstruct.tflite`,
    `generate.tflite` (noise -> x) and `score.tflite` lie beside it, and `manifest.json` says
    what each takes and what was measured. The batch may have any size. Recurrent layers are
    unrolled. Before the files appear, each is run by the LiteRT interpreter in a fresh
    process and compared with the model on batches of 1, 3 and 64 and on inputs of zeros,
    large and denormal numbers.

    Give each interpreter batches of one size, as the verification does: some that saw a
    small batch first were seen to be wrong on larger ones (ai-edge-litert 2.3, graphs of
    unrolled recurrent layers); those made with `OpResolverType.
    BUILTIN_WITHOUT_DEFAULT_DELEGATES` were right.

    Only LiteRT's own ops are used: interpreters with TensorFlow's beside them are no longer
    distributed for Python, so that such a file could not be verified.

    Args:
        model: Trained or not. One that computes in half precision is rebuilt in float32.
        folder: New or existing; an earlier export there is replaced once the new one agrees.
        signatures: What to export; each must succeed. Defaults to `None`: all that LiteRT
            can hold; the manifest says what was left out and why.
        tolerance: Largest error allowed, as a share of the output's largest absolute value.
            Defaults to `1e-5`.
        int8: Whether to round weights to 8 bits: files a quarter as large, errors around
            one percent, so give the `tolerance` that you accept. Defaults to `False`.
        overwrite: Whether to replace files in the way that no export wrote, or that were
            changed since. Defaults to `False`: they are an error.

    Returns:
        What was written and measured.

    Raises:
        ExportError: If LiteRT lacks an op, or the export fails or does not agree with the
            model; nothing is written then.
        ImportError: If the LiteRT interpreter is not installed.
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
    >>> manifest = exporters.export_litert(vae, folder, signatures=["decode"])
    >>> sorted(os.listdir(folder))
    ['decode.tflite', 'manifest.json']
    """
    check_model(model)
    if importlib.util.find_spec("ai_edge_litert") is None:
        raise ImportError(
            "Exports to LiteRT are run by its interpreter before they appear. Install it "
            'with: pip install "keras-vae[litert]"'
        )
    target = Target(
        name="litert",
        convert=functools.partial(_convert, int8=int8),
        write=_write,
        path=_path,
        served_as=lambda name: name,
        run=_run,
        options={"int8": bool(int8)},
    )
    return export(target, model, folder, tolerance, signatures, overwrite=overwrite)


def _path(name: str) -> str:
    return f"{name}.tflite"


def _write(converted: Mapping[str, Any], signatures: Sequence[Signature], stage: Path) -> None:
    for name, content in converted.items():
        (stage / _path(name)).write_bytes(content)


def _convert(signature: Signature, int8: bool) -> bytes:
    from tensorflow.lite.python.convert_phase import ConverterError

    name = signature.name
    with (
        saved_graph(signature, "A LiteRT file", name) as folder,
        contained("tensorflow"),
        _unheard(),
    ):
        converter = tf.lite.TFLiteConverter.from_saved_model(str(folder), signature_keys=[name])
        if int8:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        try:
            content: bytes = converter.convert()
        except ConverterError as error:
            raise _unsupported(signature, str(error)) from error
    return content


def _unsupported(signature: Signature, message: str) -> UnsupportedError:
    """Say in two sentences what the converter says in pages."""
    node = _NODE.search(message)
    scope = node[1].split("/", maxsplit=1)[0] if node else ""
    part = signature.parts.get(scope)
    where = f"the {scope} ({part})" if part else "the model"
    instead = "Use exporters.export_saved_model, which has all TensorFlow ops."
    ops = sorted(set(_MISSING.findall(message)))
    if ops:
        names = ", ".join(map(repr, ops))
        reason = f"LiteRT has no op for {names}, which {where} needs for `{signature.name}`."
    elif "TensorList" in message:
        reason = (
            f"LiteRT runs loops for a fixed batch size only, and {where} has one in "
            f"`{signature.name}`."
        )
        instead = (
            "`initial_state` and `step` of an autoregressive decoder have none; "
            "exporters.export_saved_model has loops."
        )
    else:
        reason = f"LiteRT's converter does not take `{signature.name}`: {one_line(message)}"
    return UnsupportedError(f"{reason} {instead} Nothing was written.")


@contextlib.contextmanager
def _unheard() -> Iterator[None]:
    """Drop what the converter's C++ says; its exceptions say it again."""
    try:
        stderr = os.dup(2)
    except OSError:  # The process has no standard error.
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(nowhere)


def _run(signatures: Sequence[Signature]) -> str:
    signature = signatures[0]
    arguments = ", ".join(
        f"{name}=np.zeros({[1, *info.shape]}, '{info.dtype}')"
        for name, info in signature.inputs.items()
    )
    return (
        f'python -c "import numpy as np; from ai_edge_litert.interpreter import Interpreter; '
        f"run = Interpreter('{_path(signature.name)}').get_signature_runner(); "
        f'print(run({arguments}))"'
    )
