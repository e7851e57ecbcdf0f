"""Copies in memory, and files that cannot hold a model."""

import keras
import numpy as np
import pytest

import keras_vae
from keras_vae import priors


class Unregistered(keras.layers.Layer):
    """A user's network, with neither registration nor `get_config`."""

    def __init__(self, width):
        super().__init__()
        self.width = width
        self.flatten = keras.layers.Flatten()
        self.dense = keras.layers.Dense(width)

    def call(self, x):
        return self.dense(self.flatten(x))


def twice(x):
    return 2 * x


def unregistered_decoder():
    return keras.Sequential(
        [
            keras.layers.Dense(8, activation=twice),
            keras.layers.Lambda(lambda x: x + 1),
            keras.layers.Dropout(0.1),
        ]
    )


def sharing():
    """Functional networks with a layer in common."""
    shared = keras.layers.Dense(8)
    x, z = keras.Input((8, 8, 1)), keras.Input((3,))
    h = keras.layers.Dense(8)(keras.layers.Flatten()(x))
    encoder = keras.Model(x, keras.ops.tanh(shared(h)))
    decoder = keras.Model(z, shared(keras.layers.Dense(8)(z)))
    return {"encoder": encoder, "decoder": decoder}


def test_with_prior_copies_networks_that_are_not_registered(digits, make_vae):
    vae = make_vae(encoder=Unregistered(8), decoder=unregistered_decoder())
    copy = vae.with_prior(priors.NormalMixture(components=2))
    np.testing.assert_array_equal(copy.reconstruct(digits[:9]), vae.reconstruct(digits[:9]))
    copy.compile()
    copy.fit(digits[:32], verbose=0)
    assert np.any(copy.reconstruct(digits[:9]) != vae.reconstruct(digits[:9]))


def test_with_prior_keeps_shared_layers_shared(digits, make_vae):
    vae = make_vae(**sharing())
    copy = vae.with_prior(priors.StandardNormal())
    assert copy.encoder.layers[-1] is copy.decoder.layers[-1] is not vae.decoder.layers[-1]
    np.testing.assert_array_equal(copy.reconstruct(digits[:9]), vae.reconstruct(digits[:9]))


def test_files_that_would_untie_shared_layers_are_refused(digits, make_vae, tmp_path):
    vae = make_vae(**sharing())
    for copied in (
        lambda: vae.save(tmp_path / "v.keras"),
        lambda: keras.models.clone_model(vae),
    ):
        with pytest.raises(ValueError, match=r"share.*save_weights"):
            copied()
    vae.save_weights(tmp_path / "v.weights.h5")
    other = make_vae(**sharing())
    other.load_weights(tmp_path / "v.weights.h5")
    np.testing.assert_array_equal(other.reconstruct(digits[:9]), vae.reconstruct(digits[:9]))


@pytest.mark.parametrize("name", ["vae.h5", "vae.hdf5"])
def test_hdf5_files_are_refused(make_vae, tmp_path, name):
    for save in (keras_vae.VAE.save, keras.saving.save_model):
        with pytest.raises(ValueError, match=r"HDF5 .*\.keras"):
            save(make_vae(), tmp_path / name)


def test_unknown_files_are_refused_as_in_keras(make_vae, tmp_path):
    with pytest.raises(ValueError, match="extension"):
        make_vae().save(tmp_path / "vae.model")
