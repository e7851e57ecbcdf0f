"""Files are checked when they are loaded, as arguments of a constructor are."""

import io
import json
import zipfile

import h5py
import keras
import numpy as np
import pytest

import keras_vae


@pytest.fixture(scope="module")
def saved(make_vae, tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "model.keras"
    vae = make_vae(preprocessor=keras_vae.preprocessors.Rescaling(0.5))
    vae.compile("adam")
    vae.save(path)
    return path


def changed(path, target, *, config=None, weights=None):
    """Copy a file, its config or weights changed by a function."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if config and name == "config.json":
                parsed = json.loads(data)
                config(parsed["config"])
                data = json.dumps(parsed).encode()
            if weights and name.endswith(".h5"):
                held = io.BytesIO(data)
                with h5py.File(held, "r+") as file:
                    weights(file)
                data = held.getvalue()
            new.writestr(name, data)
    return target


def put(*keys, value):
    def change(config):
        for key in keys[:-1]:
            config = config[key]
        config[keys[-1]] = value

    return change


DENSE = {
    "module": "keras.layers",
    "class_name": "Dense",
    "config": {"units": 3},
    "registered_name": None,
}
CONFIGS = {
    "encoder_head": ([1], "`encoder_head` must be True or False"),
    "seed": (1.5, "`seed` must be an integer"),
    "event_shape": ([8, 8, -1], "`event_shape` must be a tuple of positive integers"),
    "event_shape ": ([8, 8, 10**9], "`event_shape` must have at most"),
    "encoder.config.units": ([10**9], "`units` must be at most"),
    "encoder.config.units ": ([1e9], "`units` must be a list of positive integers"),
    "posterior.config.latent_dim": (-1, "`latent_dim` must be an integer >= 1"),
    "posterior": (DENSE, "`posterior` must be a keras_vae Posterior"),
    "encoder": ([1, 2], "`encoder` must be a Keras model or layer"),
    "preprocessor.config.schema": (DENSE, "`schema` must be one of those"),
    "preprocessor.config.scale": ("a", "`scale` must be a number"),
    "unknown": (3, "unknown"),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_configs_are_checked_as_arguments_are(saved, tmp_path, name):
    value, message = CONFIGS[name]
    change = put(*name.strip().split("."), value=value)
    path = changed(saved, tmp_path / "changed.keras", config=change)
    with pytest.raises((ValueError, TypeError), match=message):
        keras.saving.load_model(path)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused_by_name(saved, tmp_path, make_vae, value):
    def spoil(file):
        file["encoder/body/dense/vars/0"][0, 0] = value

    path = changed(saved, tmp_path / "changed.keras", weights=spoil)
    message = r"NaN or infinity in variable 'encoder/body/dense/vars/0'"
    with pytest.raises(ValueError, match=message):
        keras.saving.load_model(path)
    vae = make_vae()
    vae.encoder.trainable_weights[0].assign(np.full([64, 16], value))
    vae.save_weights(tmp_path / "x.weights.h5")
    with pytest.raises(ValueError, match="NaN or infinity in variable"):
        make_vae().load_weights(tmp_path / "x.weights.h5")
