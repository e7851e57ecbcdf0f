"""What a new network gets for free."""

import keras
import numpy as np
import pytest

import keras_vae
from keras_vae.component import register
from keras_vae.networks import Network


@register("tests")
class Linear(Network):
    """Only what a subclass must write."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def make_layers(self, input_shape):
        return [
            keras.layers.Dense(self.units, use_bias=False),
            keras.layers.Rescaling(2.0, 1.0),
        ]


def test_layers_run_one_after_the_other(rng):
    body = Linear(3)
    x = rng.normal(size=(4, 2)).astype("float32")
    assert not body.built
    features = body(x)
    assert body.built
    expected = 2 * (x @ body.body[0].kernel.numpy()) + 1
    np.testing.assert_allclose(features, expected, rtol=1e-5, atol=1e-6)


def test_it_saves_and_loads(tmp_path, rng):
    body = Linear(3)
    x = rng.normal(size=(4, 2)).astype("float32")
    features = body(x)
    body.save(tmp_path / "body.keras")
    loaded = keras.saving.load_model(tmp_path / "body.keras")
    np.testing.assert_array_equal(loaded(x), features)
    assert loaded.units == 3


def test_it_fits_into_a_keras_model(rng):
    model = keras.Sequential([keras.Input((8, 8, 1)), keras_vae.networks.MLP([4]), Linear(2)])
    assert model(rng.normal(size=(3, 8, 8, 1))).shape == (3, 2)


def test_the_base_leaves_the_layers_to_subclasses():
    with pytest.raises(NotImplementedError):
        Network().build((None, 3))
