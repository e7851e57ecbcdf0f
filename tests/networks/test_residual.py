"""Residual bodies: the formula of a block, grids and errors."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_vae.networks import ResidualDecoder, ResidualEncoder, ResidualMLP


def normalised(x):
    # 1e-3 is Keras's epsilon.
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-3)


def randomise(body, rng):
    for variable in body.trainable_variables:
        variable.assign_add(0.3 * rng.normal(size=variable.shape))


def test_dense_blocks_are_added_to_their_input(rng):
    body = ResidualMLP(4, blocks=2, activation="tanh")
    x = rng.normal(size=(3, 2, 2, 1)).astype("float32")
    body(x)
    randomise(body, rng)
    _, first, *inner, last = body.body
    h = x.reshape(3, 4) @ first.kernel.numpy() + first.bias.numpy()
    for norm, one, two in (inner[:3], inner[3:]):
        n = normalised(h) * norm.gamma.numpy() + norm.beta.numpy()
        n = np.tanh(n @ one.kernel.numpy() + one.bias.numpy())
        h = h + n @ two.kernel.numpy() + two.bias.numpy()
    expected = normalised(h) * last.gamma.numpy() + last.beta.numpy()
    # Float32 through five layers.
    np.testing.assert_allclose(body(x), expected, rtol=1e-4, atol=1e-5)


def test_dropout_acts_in_training_only():
    body = ResidualMLP(50, dropout=0.5)
    x = np.ones((1, 3), "float32")
    np.testing.assert_array_equal(body(x), body(x, training=False))
    assert np.any(np.asarray(body(x)) != np.asarray(body(x, training=True)))


@pytest.mark.parametrize("groups", [None, 2])
def test_blocks_that_add_nothing_leave_the_shortcuts(groups, rng):
    body = ResidualEncoder([4, 6], blocks=2, activation="elu", groups=groups)
    x = rng.normal(size=(3, 8, 8, 2)).astype("float32")
    body(x)
    randomise(body, rng)
    stages = [layer for layer in body.body if isinstance(layer, keras.layers.Conv2D)]
    stem, stages = stages[0], [stages[1:6], stages[6:]]
    h = stem(x)
    for shortcut, _, last, _, last_again in stages:
        for layer in (last, last_again):
            layer.kernel.assign(tf.zeros_like(layer.kernel))
            layer.bias.assign(tf.zeros_like(layer.bias))
        assert shortcut.kernel_size == (1, 1)
        h = shortcut(h)
    if groups:
        norm = body.body[-2]
        h = norm(h)
    np.testing.assert_allclose(body(x), tf.nn.elu(h), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("height", "width", "strides", "expected"),
    [(28, 28, 2, (7, 7)), (9, 7, 2, (3, 2)), (9, 7, 3, (1, 1)), (5, 4, 1, (5, 4))],
)
def test_encoder_shrinks_the_grid(height, width, strides, expected):
    body = ResidualEncoder([3, 4], strides=strides)
    assert body(tf.zeros([2, height, width, 1])).shape == (2, *expected, 4)


@pytest.mark.parametrize("strides", [1, 2, 3])
@pytest.mark.parametrize(("height", "width"), [(28, 28), (9, 7), (5, 1), (16, 31)])
def test_decoder_reaches_any_grid(height, width, strides):
    body = ResidualDecoder([4, 3], strides=strides)
    body.bind((height, width, 5))
    assert body(tf.zeros([2, 6])).shape == (2, height, width, 3)


def test_every_pixel_of_a_decoded_image_depends_on_the_latents(rng):
    body = ResidualDecoder([4, 3], activation="tanh", blocks=2)
    body.bind((9, 7, 1))
    z = rng.normal(size=(2, 1, 6)).astype("float32") * 3
    first, second = body(z[0]), body(z[1])
    assert np.all(np.any(np.asarray(first) != np.asarray(second), axis=-1))


@pytest.mark.parametrize("network", [ResidualEncoder, ResidualDecoder])
@pytest.mark.parametrize("blocks", [1, 3])
def test_number_of_blocks_and_normalisations(network, blocks):
    body = network([4, 6], blocks=blocks, groups=2)
    if network is ResidualDecoder:
        body.bind((8, 8, 1))
    body.build((None, 8, 8, 1) if network is ResidualEncoder else (None, 3))
    kinds = [type(layer).__name__ for layer in body.body]
    # Two per block and stage, and the last one; a convolution each and one per shortcut.
    assert kinds.count("GroupNormalization") == 2 * 2 * blocks + 1
    convolutions = 2 * 2 * blocks + 2 + (network is ResidualEncoder)
    assert kinds.count("Conv2D") == convolutions


@pytest.mark.parametrize("network", [ResidualEncoder, ResidualDecoder, ResidualMLP])
def test_layers_follow_the_dtype_of_the_body(network):
    body = network(4 if network is ResidualMLP else [4], dtype="mixed_bfloat16")
    if network is ResidualDecoder:
        body.bind((8, 8, 1))
    x = tf.zeros([2, 3] if network is ResidualDecoder else [2, 8, 8, 1])
    assert body(x).dtype == tf.bfloat16
    assert {layer.dtype_policy.name for layer in body.body} == {"mixed_bfloat16"}


@pytest.mark.parametrize("shape", [(8,), (8, 8), (2, 8, 8, 1)], ids=str)
def test_only_images_are_taken(shape):
    message = r"works on images of shape \(height, width, channels\)\. Received: "
    with pytest.raises(ValueError, match="ResidualEncoder " + message):
        ResidualEncoder([3]).build((None, *shape))
    with pytest.raises(ValueError, match="ResidualDecoder " + message):
        ResidualDecoder([3]).bind(shape)


def test_decoder_does_not_know_its_grid_by_itself():
    with pytest.raises(ValueError, match=r"does not know its output grid yet\. Call `bind"):
        ResidualDecoder([3]).build((None, 4))


@pytest.mark.parametrize("network", [ResidualEncoder, ResidualDecoder])
def test_bad_arguments_of_convolutional_blocks_are_refused(network):
    with pytest.raises(ValueError, match="`filters` must be a list of positive integers"):
        network(32)
    for name in ("blocks", "strides", "groups"):
        message = rf"`{name}` must be an integer >= 1\. Received: {name}=0"
        with pytest.raises(ValueError, match=message):
            network([4], **{name: 0})
    with pytest.raises(ValueError, match=r"`groups` must divide the filters of every stage\."):
        network([4, 6], groups=4)


def test_bad_arguments_of_dense_blocks_are_refused():
    for name in ("units", "blocks"):
        message = rf"`{name}` must be an integer >= 1\. Received: {name}=0"
        with pytest.raises(ValueError, match=message):
            ResidualMLP(**{name: 0})
    with pytest.raises(ValueError, match=r"`dropout` must be in \[0, 1\)\."):
        ResidualMLP(3, dropout=1.0)
