"""Convolutional bodies: grids, blocks and errors."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_vae.networks import ConvDecoder, ConvEncoder


@pytest.mark.parametrize(
    ("height", "width", "strides", "expected"),
    [(28, 28, 2, (7, 7)), (9, 7, 2, (3, 2)), (9, 7, 3, (1, 1)), (5, 4, 1, (5, 4))],
)
def test_encoder_shrinks_the_grid(height, width, strides, expected):
    body = ConvEncoder([3, 4], strides=strides)
    assert body(tf.zeros([2, height, width, 1])).shape == (2, *expected, 4)


@pytest.mark.parametrize("strides", [1, 2, 3])
@pytest.mark.parametrize(("height", "width"), [(28, 28), (9, 7), (5, 1), (16, 31)])
def test_decoder_reaches_any_grid(height, width, strides):
    body = ConvDecoder([4, 3], strides=strides)
    body.bind((height, width, 5))
    assert body(tf.zeros([2, 6])).shape == (2, height, width, 3)


def test_decoder_crops_as_evenly_as_it_can():
    body = ConvDecoder([2], strides=4)
    body.bind((9, 10, 1))
    body.build((None, 3))
    assert isinstance(body.body[-1], keras.layers.Cropping2D)
    assert body.body[-1].cropping == ((1, 2), (1, 1))


def test_every_pixel_of_a_decoded_image_depends_on_the_latents(rng):
    body = ConvDecoder([4, 3], activation="tanh")
    body.bind((9, 7, 1))
    z = rng.normal(size=(2, 1, 6)).astype("float32") * 3
    first, second = body(z[0]), body(z[1])
    assert np.all(np.any(np.asarray(first) != np.asarray(second), axis=-1))


@pytest.mark.parametrize("network", [ConvEncoder, ConvDecoder])
def test_normalised_blocks_have_no_bias_of_their_own(network):
    body = network([3, 4], batch_normalization=True)
    if network is ConvDecoder:
        body.bind((8, 8, 1))
    body.build((None, 8, 8, 1) if network is ConvEncoder else (None, 6))
    kinds = [type(layer).__name__ for layer in body.body]
    convolution = "Conv2D" if network is ConvEncoder else "Conv2DTranspose"
    assert kinds[-6:] == [convolution, "BatchNormalization", "Activation"] * 2
    convolutions = [layer for layer in body.body if type(layer).__name__ == convolution]
    assert not any(layer.use_bias for layer in convolutions)


def test_blocks_have_a_bias_otherwise():
    body = ConvEncoder([3], kernel_size=5)
    body.build((None, 8, 8, 2))
    assert [type(layer).__name__ for layer in body.body] == ["Conv2D", "Activation"]
    assert body.count_params() == 5 * 5 * 2 * 3 + 3


def test_normalisation_differs_between_training_and_use(rng):
    body = ConvEncoder([3], batch_normalization=True)
    x = 10 + rng.normal(size=(4, 8, 8, 1)).astype("float32")
    assert np.any(np.asarray(body(x, training=True)) != np.asarray(body(x, training=False)))


def test_layers_follow_the_dtype_of_the_body():
    body = ConvDecoder([3], dtype="mixed_bfloat16", strides=3, batch_normalization=True)
    body.bind((8, 8, 1))
    assert body(tf.zeros([2, 3])).dtype == tf.bfloat16
    assert {layer.dtype_policy.name for layer in body.body} == {"mixed_bfloat16"}


def test_decoder_does_not_know_its_grid_by_itself():
    with pytest.raises(ValueError, match=r"does not know its output grid yet\. Call `bind"):
        ConvDecoder([3]).build((None, 4))


@pytest.mark.parametrize("shape", [(8,), (8, 8), (2, 8, 8, 1)], ids=str)
def test_only_images_are_taken(shape):
    message = r"works on images of shape \(height, width, channels\)\. Received: "
    with pytest.raises(ValueError, match="ConvEncoder " + message):
        ConvEncoder([3]).build((None, *shape))
    with pytest.raises(ValueError, match="ConvDecoder " + message):
        ConvDecoder([3]).bind(shape)


every_network = pytest.mark.parametrize("network", [ConvEncoder, ConvDecoder])


@every_network
@pytest.mark.parametrize("filters", [[], 32, [3, 0], [3.0], "3", None], ids=str)
def test_bad_filters_are_refused(network, filters):
    message = (
        r"`filters` must be a list of positive integers, one per layer\. Received: filters="
    )
    with pytest.raises(ValueError, match=message):
        network(filters)


@every_network
@pytest.mark.parametrize("name", ["kernel_size", "strides"])
@pytest.mark.parametrize("value", [0, -1, 1.5], ids=str)
def test_bad_sizes_are_refused(network, name, value):
    message = rf"`{name}` must be an integer >= 1\. Received: {name}={value}\."
    with pytest.raises(ValueError, match=message):
        network([3], **{name: value})
