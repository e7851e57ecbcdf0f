"""HOW a model becomes ONNX files: for ONNX Runtime and the many that read them.

Floor 6.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from keras_vae.exporters.checks import (
    FOREIGN_ERRORS,
    UnsupportedError,
    check_model,
    check_opset,
    one_line,
)
from keras_vae.exporters.manifest import Manifest, weights_sha256
from keras_vae.exporters.onnx_ops import handlers
from keras_vae.exporters.onnx_variants import check_variants
from keras_vae.exporters.ops import missing_op
from keras_vae.exporters.pipeline import DEFAULT_TOLERANCE, Target, export
from keras_vae.exporters.quiet import contained
from keras_vae.exporters.signature import Signature
from keras_vae.models import VAE

__all__ = ["OPSET", "export_onnx", "to_proto"]

#: Version of the operators that files are written in.
OPSET = 18
# What tf2onnx 1.17 converts to.
_OPSETS = range(13, 19)


def export_onnx(
    model: VAE,
    folder: str | os.PathLike[str],
    *,
    signatures: Sequence[str] | None = None,
    tolerance: float = DEFAULT_TOLERANCE,
    opset: int = OPSET,
    variants: Sequence[str] = (),
    overwrite: bool = False,
) -> Manifest:
    """Write a model as ONNX files, one for each signature.

    `folder/decode.onnx` maps `z [batch, latent_dim]` to `x [batch, *event_shape]`, what
    stands for p(x|z), and its parameters; `encode.onnx`, `reconstruct.onnx`, `generate.onnx`
    (noise -> x) and `score.onnx` lie beside it, and `manifest.json` says what each takes and
    what was measured. Before they appear, each file is opened by ONNX Runtime in a fresh
    process and compared with the model on batches of 1, 3 and 64 and on inputs of zeros,
    large and denormal numbers.

    Args:
        model: Trained or not. One that computes in half precision is rebuilt in float32.
        folder: New or existing; an earlier export there is replaced once the new one agrees.
        signatures: What to export; each must succeed. Defaults to `None`: all that ONNX can
            hold; the manifest says what was left out and why.
        tolerance: Largest error allowed, as a share of the output's largest absolute value.
            Defaults to `1e-5`.
        opset: Version of the ONNX operators, 13 to 18; `sample` needs 18. Defaults to `18`.
        variants: Smaller files to write too, where they are smaller: `"fp16"`, networks in
            half precision, and `"int8"`, weights of matrix products in 8 bits. They differ
            more; error, size and speed are in the manifest. Defaults to `()`: none.
        overwrite: Whether to replace files in the way that no export wrote, or that were
            changed since. Defaults to `False`: they are an error.

    Returns:
        What was written and measured.

    Raises:
        ExportError: If ONNX lacks an op, or the export fails or does not agree with the
            model; nothing is written then.
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
    >>> import os, tempfile
    >>> from keras_vae import exporters
    >>> folder = tempfile.mkdtemp()
    >>> manifest = exporters.export_onnx(vae, folder, signatures=["decode"])
    >>> sorted(os.listdir(folder))
    ['decode.onnx', 'manifest.json']
    """
    check_opset(opset, _OPSETS)
    check_model(model)
    further = {"weights_sha256": weights_sha256(model)}
    target = Target(
        name="onnx",
        convert=functools.partial(to_proto, opset=opset, further=further),
        write=_write,
        path=_path,
        served_as=lambda name: name,
        run=_run,
        packages=("onnx", "tf2onnx"),
        options={"opset": opset},
        variants=check_variants(variants),
    )
    return export(target, model, folder, tolerance, signatures, overwrite=overwrite)


def _path(name: str) -> str:
    return f"{name}.onnx"


def _write(converted: Mapping[str, Any], signatures: Sequence[Signature], stage: Path) -> None:
    for name, proto in converted.items():
        (stage / _path(name)).write_bytes(proto.SerializeToString())


def to_proto(signature: Signature, opset: int, further: Mapping[str, str] | None = None) -> Any:
    """Convert a signature to an `onnx.ModelProto` that ONNX's checker accepts.

    Args:
        signature: What to convert.
        opset: Version of the ONNX operators.
        further: What the file should say of itself besides the signature's properties.
            Defaults to `None`.

    Raises:
        UnsupportedError: If ONNX lacks an op, or the conversion fails.
    """
    import onnx

    function = signature.traced
    with contained("tf2onnx") as errors:
        from tf2onnx import convert

        try:
            with handlers() as custom:
                proto, _ = convert.from_function(
                    function,
                    input_signature=function.input_signature,
                    opset=opset,
                    custom_op_handlers=custom,
                )
        except FOREIGN_ERRORS as error:
            raise _failed(signature, [*errors, str(error)]) from error
    # tf2onnx reports success for ops that it does not know, and leaves them as they are.
    for node in _nodes(proto.graph):
        known = onnx.defs.has(node.op_type, opset, node.domain)
        if not known or onnx.defs.get_schema(node.op_type, opset, node.domain).deprecated:
            raise missing_op(node.op_type, node.name, f"ONNX opset {opset}", signature)
        if node.op_type.startswith("Random"):
            # With it each session draws the same.
            kept = [a for a in node.attribute if a.name != "seed"]
            del node.attribute[:]
            node.attribute.extend(kept)
    _keep_captured(proto, signature)
    order = list(signature.outputs)
    outputs = sorted(proto.graph.output, key=lambda value: order.index(value.name))
    del proto.graph.output[:]
    proto.graph.output.extend(outputs)
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    proto.graph.name = signature.name
    onnx.helper.set_model_props(proto, {**signature.properties, **(further or {})})
    try:
        onnx.checker.check_model(proto, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise _failed(signature, [*errors, str(error)]) from error
    return proto


def _keep_captured(proto: Any, signature: Signature) -> None:
    """Make constants of the tensors that a layer holds, which tf2onnx makes inputs of."""
    from onnx import numpy_helper

    values = {inner.name: outer for outer, inner in signature.concrete.graph.captures}
    for value in list(proto.graph.input):
        if value.name not in signature.inputs and value.name in values:
            array = values[value.name].numpy()
            proto.graph.initializer.append(numpy_helper.from_array(array, value.name))
            proto.graph.input.remove(value)


def _failed(signature: Signature, reasons: Sequence[str]) -> UnsupportedError:
    return UnsupportedError(
        f"tf2onnx could not convert `{signature.name}`: {one_line(reasons[0])} "
        f"exporters.export_saved_model may work. Nothing was written."
    )


def _nodes(graph: Any) -> Iterator[Any]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from _nodes(inner)


def _run(signatures: Sequence[Signature]) -> str:
    signature = signatures[0]
    feeds = ", ".join(
        f"'{name}': np.zeros({[1, *info.shape]}, '{info.dtype}')"
        for name, info in signature.inputs.items()
    )
    return (
        f'python -c "import numpy as np, onnxruntime as ort; '
        f"session = ort.InferenceSession('{_path(signature.name)}'); "
        f'print(session.run(None, {{{feeds}}}))"'
    )
