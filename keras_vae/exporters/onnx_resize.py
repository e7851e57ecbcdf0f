"""Resizing of images in ONNX.

To the nearest pixel: TensorFlow's rule is a mode of ONNX's Resize that is deprecated since
opset 13, and the others round differently at some sizes. The pixels are known, and gathered.

Linear: tf2onnx writes scales, which in float32 lead to other sizes, such as 6 in place of 7
from 5; here the sizes are written. Cubic: TensorFlow has its kernel in a table and differs from
ONNX's by 0.002; its weights are written, as a matrix for each axis.

Floor 6.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from keras_vae.exporters.onnx_tensor import Tensor

__all__ = ["nearest_pixels", "resize_cubic", "resize_linear", "resize_nearest"]


def resize_nearest(node: Any, x: Tensor, size: Tensor) -> Tensor | None:
    """Convert TensorFlow's `ResizeNearestNeighbor`.

    Args:
        node: The node.
        x: `[batch, height, width, channels]`.
        size: Height and width of the result.

    Returns:
        The result; `None` if sizes are not known before it runs.
    """
    axes = _axes(x, size)
    if axes is None:
        return None
    for axis, (have, wanted) in enumerate(axes, start=1):
        indices = nearest_pixels(have, wanted, *_modes(node))
        x = x.op("Gather", x.constant(indices, "int64"), axis=axis)
    return x


def resize_linear(node: Any, x: Tensor, size: Tensor) -> Tensor | None:
    """Convert TensorFlow's `ResizeBilinear`; the arguments are those of `resize_nearest`."""
    if _axes(x, size) is None:
        return None
    align_corners, half_pixel_centers = _modes(node)
    coordinates = "half_pixel" if half_pixel_centers else "asymmetric"
    if align_corners:
        coordinates = "align_corners"
    first = x.op("Transpose", perm=[0, 3, 1, 2])
    outer = first.op("Shape", dtype="int64").slice(0, 0, 2)
    sizes = outer.joined([outer.constant(size.value, "int64")], 0)
    none = x.constant([], "float32")
    resized = first.op(
        "Resize", none, none, sizes, mode="linear", coordinate_transformation_mode=coordinates
    )
    return resized.op("Transpose", perm=[0, 2, 3, 1])


def resize_cubic(node: Any, x: Tensor, size: Tensor) -> Tensor | None:
    """Convert TensorFlow's `ResizeBicubic`; the arguments are those of `resize_nearest`."""
    axes = _axes(x, size)
    if axes is None:
        return None
    rows, columns = (x.constant(_cubic_weights(*axis, *_modes(node)), x.dtype) for axis in axes)
    first = rows @ x.op("Transpose", perm=[0, 3, 1, 2])
    return (first @ columns.op("Transpose", perm=[1, 0])).op("Transpose", perm=[0, 2, 3, 1])


def _cubic_weights(
    size: int, wanted: int, align_corners: bool, half_pixel_centers: bool
) -> np.ndarray:
    """`[wanted, size]`: what each pixel of a resized axis takes of each of the axis."""
    # tf2onnx converts inside a graph, where nothing runs eagerly.
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        resized = tf.raw_ops.ResizeBicubic(
            images=tf.eye(size)[None, :, :, None],
            size=[wanted, size],
            align_corners=align_corners,
            half_pixel_centers=half_pixel_centers,
        )
        weights: np.ndarray = session.run(resized)[0, :, :, 0]
    return weights


def _axes(x: Tensor, size: Tensor) -> list[tuple[int, int]] | None:
    """Sizes of height and width before and after; `None` if they are not known."""
    if not x.shape or min(x.shape[1:3]) < 1 or size.value is None:
        return None
    return [(have, int(wanted)) for have, wanted in zip(x.shape[1:3], size.value)]


def _modes(node: Any) -> tuple[bool, bool]:
    align_corners, half_pixel_centers = map(
        node.get_attr_value, ("align_corners", "half_pixel_centers")
    )
    return bool(align_corners), bool(half_pixel_centers)


def nearest_pixels(
    size: int, wanted: int, align_corners: bool, half_pixel_centers: bool
) -> np.ndarray:
    """The pixel that each one of a resized axis shows, as TensorFlow rounds in float32.

    Args:
        size: Pixels there are.
        wanted: Pixels there shall be.
        align_corners: Whether the first and last pixels stay the first and last.
        half_pixel_centers: Whether pixels are where their middle is.
    """
    places = np.arange(wanted, dtype="float32")
    if align_corners and wanted > 1:
        exact = places * (np.float32(size - 1) / np.float32(wanted - 1))
    else:
        offset = np.float32(0.5 if half_pixel_centers else 0.0)
        exact = (places + offset) * (np.float32(size) / np.float32(wanted))
    # Halves are rounded up.
    rounded = np.floor(exact + np.float32(0.5)) if align_corners else np.floor(exact)
    indices: np.ndarray = np.minimum(rounded.astype("int64"), size - 1)
    return indices
