"""Resizing to the nearest pixel: the pixels are TensorFlow's, nothing deprecated is left."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_vae.exporters.onnx import to_proto
from keras_vae.exporters.onnx_resize import nearest_pixels
from tests.exporters.support import onnx_session
from tests.exporters.test_onnx_conv import signature_of

SIZES = [*range(1, 65)]


@pytest.mark.parametrize(
    ("align_corners", "half_pixel_centers"), [(False, True), (True, False), (False, False)]
)
def test_pixels_are_those_of_tensorflow(align_corners, half_pixel_centers):
    for size in SIZES:
        row = tf.reshape(tf.range(size, dtype=tf.float32), [1, size, 1, 1])
        for wanted in SIZES[size % 7 :: 7]:
            got = tf.raw_ops.ResizeNearestNeighbor(
                images=row,
                size=[wanted, 1],
                align_corners=align_corners,
                half_pixel_centers=half_pixel_centers,
            )
            found = nearest_pixels(size, wanted, align_corners, half_pixel_centers)
            np.testing.assert_array_equal(found, tf.reshape(got, [-1]))


@pytest.mark.parametrize("opset", [13, pytest.param(15, marks=pytest.mark.thorough), 18])
@pytest.mark.parametrize(
    ("interpolation", "shape", "size"),
    [
        ("bilinear", (6, 5, 2), (9, 7)),
        ("bilinear", (6, 5, 2), (3, 2)),
        ("bicubic", (6, 5, 2), (9, 7)),
        ("bicubic", (6, 5, 2), (4, 3)),
    ],
)
def test_resizing_to_sizes_that_scales_would_miss(opset, interpolation, shape, size):
    layer = keras.layers.Resizing(*size, interpolation=interpolation)
    signature = signature_of(keras.Sequential([keras.Input(shape), layer]), shape)
    run = onnx_session(to_proto(signature, opset).SerializeToString()).run
    for inputs, wanted in signature.cases.values():
        np.testing.assert_allclose(run(["x"], inputs)[0], wanted["x"], atol=1e-5)


@pytest.mark.parametrize("opset", [13, pytest.param(15, marks=pytest.mark.thorough), 18])
@pytest.mark.parametrize(("shape", "size"), [((8, 6, 2), (41, 37)), ((7, 5, 1), (3, 2))])
def test_resizing(capfd, opset, shape, size):
    layer = keras.layers.Resizing(*size, interpolation="nearest")
    network = keras.Sequential([keras.Input(shape), layer])
    signature = signature_of(network, shape)
    proto = to_proto(signature, opset)
    run = onnx_session(proto.SerializeToString()).run
    for inputs, wanted in signature.cases.values():
        np.testing.assert_array_equal(run(["x"], inputs)[0], wanted["x"])
    assert "deprecated" not in capfd.readouterr().err
