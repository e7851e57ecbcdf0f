"""A signature as a temporary SavedModel, made simpler for converters to other formats.

What they cannot take, or take for something else, is written in another way: loops of
recurrent layers, shapes that are computed although they are known, checks, and some ops.

Floor 6.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from keras_vae.core.atomic_io import temporary_folder
from keras_vae.exporters.checks import UnsupportedError
from keras_vae.exporters.ops import PYTHON_OPS, graph_nodes, missing_op
from keras_vae.exporters.recurrence import unrolled
from keras_vae.exporters.signature import Signature

__all__ = ["saved_graph"]

_FILE = "saved_model.pb"
# For g = 7.
_LANCZOS = (
    0.99999999999980993,
    676.5203681218851,
    -1259.1392167224028,
    771.32342877765313,
    -176.61502916214059,
    12.507343278686905,
    -0.13857109526572012,
    9.9843695780195716e-6,
    1.5056327351493116e-7,
)


@contextlib.contextmanager
def saved_graph(signature: Signature, target: str, key: str) -> Iterator[Path]:
    """Save a signature in a temporary folder, its recurrent layers unrolled.

    Args:
        signature: Any.
        target: Where the file goes, as prose for errors.
        key: Name of the signature in the file.

    Yields:
        The folder. It is removed at the end.

    Raises:
        UnsupportedError: If the signature calls back into Python, or uses a resource that no
            file holds.
    """
    with unrolled():
        # A copy: what was traced before has loops.
        concrete = dataclasses.replace(signature).concrete
    for node in graph_nodes(concrete):
        if node.op in PYTHON_OPS:
            raise missing_op(node.op, node.name, target, signature)
    module = tf.Module()
    module.used = list(concrete.variables)
    with temporary_folder() as folder:
        try:
            tf.saved_model.save(module, str(folder), signatures={key: concrete})
        except AssertionError as error:  # So TensorFlow reports resources it cannot track.
            raise UnsupportedError(
                f"The model uses a resource that {target} cannot hold, such as a lookup "
                f"table. Use tensors and variables in its place. Nothing was written."
            ) from error
        _simplify(folder / _FILE)
        yield folder


def _simplify(path: Path) -> None:
    from tensorflow.core.protobuf import saved_model_pb2

    proto = saved_model_pb2.SavedModel()
    proto.ParseFromString(path.read_bytes())
    library = proto.meta_graphs[0].graph_def.library
    for function in list(library.function):
        nodes = {node.name: node for node in function.node_def}
        for node in list(function.node_def):
            if node.op == "EnsureShape":
                node.op = "Identity"
                del node.attr["shape"]
            elif node.op == "Reshape":
                _fix_shape(function, node)
            elif node.op == "ArgMax":
                _forget_sign_of_zero(node, nodes)
            elif node.op in _REPLACED:
                _call_instead(library, function, node, *_REPLACED[node.op])
    path.write_bytes(proto.SerializeToString())


def _fix_shape(function: Any, node: Any) -> None:
    """Give a Reshape the shape that is known of its output, where it computes one.

    Converters do not see what Keras told TensorFlow, and lose the size of images.
    """
    shapes = node.attr["_output_shapes"].list.shape
    if not shapes or shapes[0].unknown_rank:
        return
    sizes = [size.size for size in shapes[0].dim]
    if sizes.count(-1) > 1:
        return
    constant = function.node_def.add(name=f"{node.name}/known_shape", op="Const")
    constant.attr["dtype"].type = tf.int32.as_datatype_enum
    constant.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(sizes, tf.int32, [len(sizes)]))
    node.input[1] = f"{constant.name}:output:0"
    node.attr["Tshape"].type = tf.int32.as_datatype_enum


def _forget_sign_of_zero(node: Any, nodes: Mapping[str, Any]) -> None:
    """Skip what Keras puts before an ArgMax: it orders -0 before 0, by bits of floats."""
    guard = nodes.get(_name(node.input[0]))
    if guard is None or guard.op != "SelectV2":
        return
    condition = nodes.get(_name(guard.input[0]))
    if condition is None or condition.op != "LogicalAnd":
        return
    if any(_reaches(nodes, _name(name), "Bitcast") for name in condition.input):
        node.input[0] = guard.input[2]


def _call_instead(
    library: Any, function: Any, node: Any, replacement: Callable[..., tf.Tensor], output: str
) -> None:
    """Replace an elementwise op, whose result has the given name, by a function."""
    dtype = node.attr["T"].type
    spec = tf.TensorSpec(None, tf.as_dtype(dtype))
    specs = [spec for source in node.input if not source.startswith("^")]
    concrete = tf.function(replacement, input_signature=specs).get_concrete_function()
    library.function.add().CopyFrom(concrete.function_def)
    node.op = "PartitionedCall"
    del node.attr["T"]
    node.attr["Tin"].list.type.extend([dtype] * len(specs))
    node.attr["Tout"].list.type.append(dtype)
    node.attr["f"].func.name = concrete.function_def.signature.name
    old, new = f"{node.name}:{output}:0", f"{node.name}:output:0"
    for other in function.node_def:
        other.input[:] = [new if source == old else source for source in other.input]
    for name, source in function.ret.items():
        if source == old:
            function.ret[name] = new


def _log_gamma(x: tf.Tensor) -> tf.Tensor:
    """Lanczos (1964), A Precision Approximation of the Gamma Function, with g = 7."""
    mirrored = x < 0.5
    z = tf.where(mirrored, -x, x - 1)
    series = _LANCZOS[0] + sum(c / (z + k) for k, c in enumerate(_LANCZOS[1:], start=1))
    t = z + 7.5
    log_t = math.log(7.5) + tf.math.log(1 + z / 7.5)
    # (z + 1/2) log t - t, without cancellation.
    log_gamma = (z + 0.5 - t / log_t) * log_t + 0.5 * math.log(2 * math.pi)
    log_gamma += tf.math.log(series)
    sine = tf.abs(tf.sin(math.pi * (x - tf.floor(x))))
    reflected = math.log(math.pi) - tf.math.log(sine) - log_gamma
    return tf.where(mirrored, reflected, log_gamma)


def _x_log_y(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """X log y, 0 where x is 0 or denormal, which TensorFlow takes for 0."""
    zero = tf.abs(x) < x.dtype.as_numpy_dtype(np.finfo(x.dtype.as_numpy_dtype).tiny)
    return tf.where(zero, tf.zeros_like(x), x * tf.math.log(y))


def _softplus(x: tf.Tensor) -> tf.Tensor:
    """`log(1 + exp(x))`, which LiteRT computes so: it ends where exp(x) does, at 88."""
    return tf.maximum(x, 0.0) + tf.math.log1p(tf.exp(-tf.abs(x)))


# Op -> what replaces it, and the name of its result.
_REPLACED: dict[str, tuple[Callable[..., tf.Tensor], str]] = {
    "Lgamma": (_log_gamma, "y"),
    "Softplus": (_softplus, "activations"),
    "Xlogy": (_x_log_y, "z"),
}


def _reaches(nodes: Mapping[str, Any], name: str, op: str, steps: int = 4) -> bool:
    node = nodes.get(name)
    if node is None or steps == 0:
        return False
    return node.op == op or any(
        _reaches(nodes, _name(source), op, steps - 1) for source in node.input
    )


def _name(source: str) -> str:
    """The node of an input such as `"add:z:0"`."""
    return source.split(":", maxsplit=1)[0]
