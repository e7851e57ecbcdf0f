"""Transposed convolutions in ONNX: as TensorFlow defines them, by the size of their output.

tf2onnx writes negative padding where the output goes beyond the last kernel, as for kernels
shorter than their stride; runtimes refuse it. ONNX has `output_padding` for that.

Floor 6.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from keras_vae.exporters.onnx_tensor import Tensor

__all__ = ["transposed_convolution"]


class _Axis(NamedTuple):
    """A transposed convolution along one axis; all but `before` as in the node.

    Attributes:
        size: Size of the input.
        output: Size of the output.
        kernel: Taps of the kernel.
        stride: Stride of the output, for each step of the input.
        dilation: Between taps.
        before: Elements cut off the start; `None`: as padding "SAME" has it.
    """

    size: int
    output: int
    kernel: int
    stride: int
    dilation: int
    before: int | None

    @property
    def whole(self) -> int:
        """Size of the output before anything is cut off."""
        return (self.size - 1) * self.stride + (self.kernel - 1) * self.dilation + 1

    @property
    def start(self) -> int:
        """What is cut off the start."""
        if self.before is not None:
            return self.before
        return max(self.whole - self.output, 0) // 2

    @property
    def end(self) -> int:
        """What is cut off the end; negative: zeros that are added there."""
        return self.whole - self.start - self.output


def transposed_convolution(
    node: Any, sizes: Tensor, kernel: Tensor, x: Tensor, *bias: Tensor
) -> Tensor | None:
    """Convert TensorFlow's `Conv2DBackpropInput` or `Conv3DBackpropInputV2`.

    Args:
        node: The node.
        sizes: Shape of its output, of which the node's own output knows as much.
        kernel: `[*spatial, outputs, inputs]`.
        x: `[batch, *spatial, inputs]`, or with the channels first.
        *bias: `[outputs]`, where tf2onnx has found one behind the node.

    Returns:
        The result; `None` if sizes are not known before it runs.
    """
    size, taps, output = x.shape, kernel.shape, _output_shape(node, sizes)
    if size is None or taps is None or output is None:
        return None
    rank = len(size)
    channels_first = _text(node, "data_format").startswith("NC")
    spatial = range(2, rank) if channels_first else range(1, rank - 1)
    strides, dilations = (_numbers(node, name, rank) for name in ("strides", "dilations"))
    before = _cut_off_start(node, rank)
    axes = [
        _Axis(size[i], output[i], taps[k], strides[i], dilations[i], before[i])
        for k, i in enumerate(spatial)
    ]
    if any(min(axis.size, axis.output, axis.kernel) < 1 for axis in axes):
        return None
    weights = kernel.op("Transpose", perm=[rank - 1, rank - 2, *range(rank - 2)])
    if not channels_first:
        x = x.op("Transpose", perm=[0, rank - 1, *spatial])
    result = x.op(
        "ConvTranspose",
        weights,
        *bias,
        kernel_shape=[axis.kernel for axis in axes],
        strides=[axis.stride for axis in axes],
        dilations=[axis.dilation for axis in axes],
        pads=[axis.start for axis in axes] + [max(axis.end, 0) for axis in axes],
        output_padding=[max(-axis.end, 0) for axis in axes],
    )
    return result if channels_first else result.op("Transpose", perm=[0, *range(2, rank), 1])


def _output_shape(node: Any, sizes: Tensor) -> list[int] | None:
    """Shape of the output as far as it is known; -1 where it is not."""
    if sizes.value is not None:
        return [int(size) for size in sizes.value]
    shape: list[int] | None = node.output_shapes[0]
    return shape


def _text(node: Any, name: str) -> str:
    return str(node.get_attr_value(name, b"").decode())


def _numbers(node: Any, name: str, rank: int) -> list[int]:
    return list(node.get_attr_value(name, [1] * rank))


def _cut_off_start(node: Any, rank: int) -> list[int | None]:
    """What padding other than "SAME" cuts off the start of each axis."""
    padding = _text(node, "padding")
    if padding == "EXPLICIT":
        return list(node.get_attr_value("explicit_paddings")[::2])
    return [0 if padding == "VALID" else None] * rank
