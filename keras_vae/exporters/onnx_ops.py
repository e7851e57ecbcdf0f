"""Ops that tf2onnx lacks, or lowers to something else, as formulas in ONNX ops.

A new op is one formula and its entry in `_FORMULAS`. tf2onnx takes them for one conversion:

    with handlers() as custom:
        tf2onnx.convert.from_function(..., custom_op_handlers=custom)

Floor 6.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from keras_vae.exporters.onnx_conv import transposed_convolution
from keras_vae.exporters.onnx_resize import resize_cubic, resize_linear, resize_nearest
from keras_vae.exporters.onnx_tensor import Tensor
from keras_vae.exporters.ops import in_network

__all__ = ["handlers"]

# From here on the series below is exact to 1e-14.
_LARGE = 8.0
# Of log-gamma: sum of c_k / z**(2k - 1), k = 1, 2, ... (Abramowitz & Stegun 1964, 6.1.41).
_STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360)
Formula = Callable[..., Tensor | None]
Handler = Callable[[Any, Any, str, Sequence[Any]], None]


@contextlib.contextmanager
def handlers() -> Iterator[dict[str, tuple[Handler, list[Any]]]]:
    """Lend tf2onnx the formulas for one conversion.

    Its registry, which all conversions of a process share, is left as it was.

    Yields:
        What its `custom_op_handlers` takes.
    """
    from tf2onnx import constants
    from tf2onnx.handler import tf_op

    # tf2onnx registers custom handlers there for good; a later conversion that asks for this
    # domain would fail on them.
    domain, registry = constants.TENSORFLOW_OPSET.domain, tf_op.get_opsets()
    before = [dict(version) for version in registry[domain]] if domain in registry else None
    try:
        yield {op: (_handler(formula), []) for op, formula in _FORMULAS.items()}
    finally:
        registry.pop(domain, None)
        if before is not None:
            registry[domain] = before


def _handler(formula: Formula) -> Handler:
    def handle(graph: Any, node: Any, name: str, arguments: Sequence[Any]) -> None:
        inputs = [Tensor.of(graph, value) for value in node.input]
        result = formula(node, *inputs)
        if result is None:
            _as_shipped(graph, node)
            return
        outputs, shapes, dtypes = node.output, node.output_shapes, node.output_dtypes
        graph.remove_node(name)
        graph.make_node(
            "Identity", [result.name], name=name, outputs=outputs, shapes=shapes, dtypes=dtypes
        )

    return handle


def _as_shipped(graph: Any, node: Any) -> None:
    """Convert a node as tf2onnx does it by itself; left as it is if it cannot."""
    from tf2onnx.handler import tf_op

    for version in reversed(tf_op.get_opsets()[""][: graph.opset + 1]):
        if node.type in version:
            function, options = version[node.type]
            node.type = options.get("onnx_op", node.type)
            function(graph, node, **options)
            return


def _pure(formula: Callable[..., Tensor]) -> Formula:
    """A formula that needs no attributes of its node."""
    return lambda node, *inputs: formula(*inputs)


def _log1p(x: Tensor) -> Tensor:
    # u = 1 + x is rounded; log(u) * x / (u - 1) makes up for it (Kahan), and both stand for
    # the same rounded u. Where nothing was lost, as for infinity and -1, it is log(u).
    u = x + 1
    lost = u - 1
    return lost.equals(0).where(x, lost.equals(x).where(u.log(), u.log() * (x / lost)))


def _expm1(x: Tensor) -> Tensor:
    # tanh(x / 2) = (exp(x) - 1) / (exp(x) + 1): no difference of near numbers, no overflow.
    return (x * 0.5).tanh() * (x.exp() + 1)


def _sigmoid(node: Any, x: Tensor) -> Tensor | None:
    # ONNX Runtime's own is exact to 1e-8 absolutely: of sigmoid(-15), only the first digit is
    # right. Networks do not mind, and runtimes fuse it there; densities take its logarithm.
    if in_network(node.name):
        return None
    return ((0 - x).exp() + 1).reciprocal()


def _lgamma(x: Tensor) -> Tensor:
    wide = x.cast("float64")
    # gamma(x) * gamma(1 - x) = pi / sin(pi * x), for x < 0.
    negative = wide < 0
    positive = negative.where(1 - wide, wide)
    sine = ((wide - wide.floor()) * math.pi).sin()
    value = _lgamma_of_positive(positive)
    return negative.where(math.log(math.pi) - sine.log() - value, value).cast(x.dtype)


def _lgamma_of_positive(x: Tensor) -> Tensor:
    # gamma(x) = gamma(x + 8) / (x * (x + 1) * ... * (x + 7)), where the series is good.
    small = x < _LARGE
    pairs = _pairs(x)
    product = small.where(pairs[0] * pairs[1] * pairs[2] * pairs[3], 1)
    z = small.where(x + _LARGE, x)
    series = _polynomial((z * z).reciprocal(), _STIRLING) / z
    half_log = 0.5 * math.log(2 * math.pi)
    return (z - 0.5) * z.log() - z + (series + half_log) - product.log()


def _pairs(x: Tensor) -> list[Tensor]:
    """X * (x + 7), (x + 1) * (x + 6), (x + 2) * (x + 5) and (x + 3) * (x + 4)."""
    outermost = x * (x + 7)
    return [outermost, outermost + 6, outermost + 10, outermost + 12]


def _digamma(x: Tensor) -> Tensor:
    wide = x.cast("float64")
    # digamma(1 - x) - digamma(x) = pi / tan(pi * x), for x < 0.
    negative = wide < 0
    angle = (wide - wide.floor()) * math.pi
    value = _digamma_of_positive(negative.where(1 - wide, wide))
    return negative.where(value - math.pi * (angle.cos() / angle.sin()), value).cast(x.dtype)


def _digamma_of_positive(x: Tensor) -> Tensor:
    # The derivative of `_lgamma_of_positive`, term by term.
    small = x < _LARGE
    shift = (x * 2 + 7) * sum((pair.reciprocal() for pair in _pairs(x)), start=0.0)
    z = small.where(x + _LARGE, x)
    square = (z * z).reciprocal()
    slopes = [(1 - 2 * k) * c for k, c in enumerate(_STIRLING, start=1)]
    value = z.log() - 0.5 / z + _polynomial(square, slopes) * square
    return value - small.where(shift, 0)


def _polynomial(x: Tensor, coefficients: Sequence[float]) -> Tensor:
    """c_0 + c_1 * x + c_2 * x**2 + ..., by Horner's rule."""
    *lower, c, highest = coefficients
    value = x * highest + c
    for c in reversed(lower):
        value = value * x + c
    return value


def _unless_zero(x: Tensor, value: Tensor) -> Tensor:
    """The value, but 0 where x is 0, whatever the value is there."""
    return x.equals(0).where(0, value)


def _floor_mod(x: Tensor, y: Tensor) -> Tensor:
    return x.op("Mod", y) if x.is_integer else x - (x / y).floor() * y


def _floor_div(x: Tensor, y: Tensor) -> Tensor:
    # Integer division of ONNX rounds towards 0; this one has no remainder.
    return (x - x.op("Mod", y)) / y if x.is_integer else (x / y).floor()


def _select(node: Any, condition: Tensor, x: Tensor, y: Tensor) -> Tensor | None:
    # As shipped it is c * x + (1 - c) * y: NaN where the branch not taken is infinite.
    if node.type == "Select" and _rank(condition) != _rank(x):
        return None
    if x.dtype == "bool":  # Of which ONNX Runtime's Where has no version.
        return condition.op("And", x).op("Or", condition.op("Not").op("And", y))
    return condition.where(x, y)


def _bitcast(node: Any, x: Tensor) -> Tensor | None:
    """An integer of the sign alone, if no more is asked: Keras's argmax tells -0.0 from 0.0."""
    consumers = x.graph.find_output_consumers(node.output[0])
    if not consumers or not all(_masks_sign(consumer) for consumer in consumers):
        return None
    # 1 / -0.0 is -infinity.
    negative = x.equals(0).where(x.reciprocal(), x) < 0
    dtype = Tensor.of(x.graph, node.output[0]).dtype
    return negative.where(x.constant(np.iinfo(dtype).min, dtype), 0)


def _bitwise_and(node: Any, x: Tensor, y: Tensor) -> Tensor | None:
    return (x < 0).where(y, 0) if _masks_sign(node) else None


def _masks_sign(node: Any) -> bool:
    if node.type != "BitwiseAnd" or not node.inputs[1].is_const():
        return False
    mask = node.inputs[1].get_tensor_value(as_list=False)
    return bool(np.all(mask == np.iinfo(mask.dtype).min))


def _rank(x: Tensor) -> int | None:
    return None if x.shape is None else len(x.shape)


def _broadcast_args(x: Tensor, y: Tensor) -> Tensor:
    """The shape to which two shapes broadcast."""
    dtype, x, y = x.dtype, x.cast("int64"), y.cast("int64")
    ranks = [shape.op("Shape", dtype="int64") for shape in (x, y)]
    rank = ranks[0].op("Max", ranks[1])
    x, y = (_ones(rank - own).joined([shape], 0) for own, shape in zip(ranks, (x, y)))
    return x.equals(1).where(y, x).cast(dtype)


def _ones(count: Tensor) -> Tensor:
    from onnx import TensorProto, helper

    one = helper.make_tensor("value", TensorProto.INT64, [1], [1])
    return count.op("ConstantOfShape", value=one)


def _triangular_solve(node: Any, matrix: Tensor, rhs: Tensor) -> Tensor | None:
    rank, size = _rank(matrix), _size(matrix)
    if rank is None or size is None:
        return None
    lower = bool(node.get_attr_value("lower"))
    if node.get_attr_value("adjoint"):
        matrix = matrix.op("Transpose", perm=[*range(rank - 2), rank - 1, rank - 2])
        lower = not lower
    return _solved(matrix, rhs, 0, size, lower)


def _solved(matrix: Tensor, rhs: Tensor, start: int, stop: int, lower: bool) -> Tensor:
    """Solve by halves: the first one known, it is taken off the right-hand side of the other.

    Args:
        matrix: `[..., size, size]`.
        rhs: `[..., stop - start, columns]`.
        start: First row of the matrix to be used.
        stop: End of the rows to be used.
        lower: Whether the matrix is lower triangular, else upper.
    """

    def block(rows: tuple[int, int], columns: tuple[int, int]) -> Tensor:
        return matrix.slice(-2, *rows).slice(-1, *columns)

    if stop - start == 1:
        return rhs / block((start, stop), (start, stop))
    middle = (start + stop) // 2
    halves = [(start, middle), (middle, stop)]
    sides = [rhs.slice(-2, 0, middle - start), rhs.slice(-2, middle - start, stop - start)]
    first, second = (0, 1) if lower else (1, 0)
    known = _solved(matrix, sides[first], *halves[first], lower)
    rest = sides[second] - block(halves[second], halves[first]) @ known
    other = _solved(matrix, rest, *halves[second], lower)
    parts = [known, other] if lower else [other, known]
    return parts[0].joined(parts[1:], -2)


def _diagonal_part(node: Any, x: Tensor, k: Tensor, *padding: Tensor) -> Tensor | None:
    size, rank = _size(x), _rank(x)
    if size is None or rank is None or not _is_main(k):
        return None
    # 0 copies an axis.
    flat = x.op("Reshape", x.constant([0] * (rank - 2) + [size * size], "int64"))
    indices = x.constant(np.arange(size) * (size + 1), "int64")
    return flat.op("Gather", indices, axis=rank - 2)


def _set_diagonal(node: Any, x: Tensor, diagonal: Tensor, k: Tensor) -> Tensor | None:
    size = _size(x)
    if size is None or not _is_main(k):
        return None
    column = diagonal.op("Unsqueeze", x.constant([-1], "int64"))
    return x.constant(np.eye(size), "bool").where(column, x)


def _diagonal(
    node: Any, diagonal: Tensor, k: Tensor, rows: Tensor, columns: Tensor, *padding: Tensor
) -> Tensor | None:
    size = diagonal.shape[-1] if diagonal.shape else -1
    if size < 1 or not _is_main(k) or not all(_is(n, -1, size) for n in (rows, columns)):
        return None
    column = diagonal.op("Unsqueeze", diagonal.constant([-1], "int64"))
    return diagonal.constant(np.eye(size), "bool").where(column, 0)


def _band(node: Any, x: Tensor, below: Tensor, above: Tensor) -> Tensor | None:
    if not x.shape or min(x.shape[-2:]) < 1 or below.value is None or above.value is None:
        return None
    offsets = np.arange(x.shape[-1]) - np.arange(x.shape[-2])[:, None]
    limits = [n if n >= 0 else max(x.shape[-2:]) for n in (int(below.value), int(above.value))]
    inside = (-limits[0] <= offsets) & (offsets <= limits[1])
    return x.constant(inside, "bool").where(x, 0)


def _size(x: Tensor) -> int | None:
    """Rows of a square matrix; `None` if it is none or they are unknown."""
    if not x.shape or x.shape[-1] < 1 or x.shape[-2] != x.shape[-1]:
        return None
    return x.shape[-1]


def _is_main(k: Tensor) -> bool:
    return k.value is not None and not k.value.any()


def _is(x: Tensor, *values: int) -> bool:
    return x.value is not None and int(x.value) in values


_FORMULAS: dict[str, Formula] = {
    "Bitcast": _bitcast,
    "BitwiseAnd": _bitwise_and,
    "BroadcastArgs": _pure(_broadcast_args),
    "Conv2DBackpropInput": transposed_convolution,
    "Conv3DBackpropInputV2": transposed_convolution,
    "Digamma": _pure(_digamma),
    "Erfc": _pure(lambda x: 1 - x.op("Erf")),
    "Expm1": _pure(_expm1),
    "FloorDiv": _pure(_floor_div),
    "FloorMod": _pure(_floor_mod),
    "Lgamma": _pure(_lgamma),
    "Log1p": _pure(_log1p),
    "MatrixBandPart": _band,
    "MatrixDiagPartV3": _diagonal_part,
    "MatrixDiagV3": _diagonal,
    "MatrixSetDiagV3": _set_diagonal,
    "MatrixTriangularSolve": _triangular_solve,
    "MulNoNan": _pure(lambda x, y: _unless_zero(y, x * y)),
    "ResizeBicubic": resize_cubic,
    "ResizeBilinear": resize_linear,
    "ResizeNearestNeighbor": resize_nearest,
    "Select": _select,
    "SelectV2": _select,
    "Sigmoid": _sigmoid,
    "Xdivy": _pure(lambda x, y: _unless_zero(x, x / y)),
    "Xlog1py": _pure(lambda x, y: _unless_zero(x, x * _log1p(y))),
    "Xlogy": _pure(lambda x, y: _unless_zero(x, x * y.log())),
}
