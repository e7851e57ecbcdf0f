"""Keras's own `export` of a VAE."""

import keras
import numpy as np
import onnxruntime
import pytest
import tensorflow as tf

from keras_vae import preprocessors


def from_saved_model(folder, inputs):
    loaded = tf.saved_model.load(folder)
    return loaded.serve(tf.nest.map_structure(tf.constant, inputs)).numpy()


def conditional(make_vae, x):
    labels = np.eye(3, dtype="float32")[np.arange(len(x)) % 3]
    return make_vae(condition_shape=(3,)), {"x": x, "condition": labels}


def of_bytes(make_vae, x):
    preprocessor = preprocessors.Rescaling(1 / 255, raw_dtype="uint8")
    return make_vae(preprocessor=preprocessor), (255 * x).astype("uint8")


CASES = {
    "plain": lambda make_vae, x: (make_vae(), x),
    "conditional": conditional,
    "bytes": of_bytes,
}


@pytest.mark.parametrize("name", CASES)
def test_keras_exports_a_saved_model(digits, make_vae, tmp_path, name):
    vae, x = CASES[name](make_vae, digits[:9])
    vae.export(tmp_path / "fresh", verbose=False)
    expected = vae.predict(x, verbose=0)
    np.testing.assert_allclose(from_saved_model(tmp_path / "fresh", x), expected, rtol=1e-5)


def test_keras_exports_trained_and_loaded_models(digits, make_vae, tmp_path):
    vae = make_vae()
    vae.compile()
    vae.fit(digits[:64], verbose=0)
    vae.elbo(digits[:9])
    vae.save(tmp_path / "vae.keras")
    for number, model in enumerate([vae, keras.saving.load_model(tmp_path / "vae.keras")]):
        model.export(tmp_path / str(number), verbose=False)
        found = from_saved_model(tmp_path / str(number), digits[:9])
        np.testing.assert_allclose(found, vae.reconstruct(digits[:9]), rtol=1e-5)


@pytest.mark.thorough
@pytest.mark.filterwarnings("ignore:In the future `np.object`:FutureWarning")
def test_keras_exports_onnx_and_litert(digits, make_vae, tmp_path):
    vae, inputs = conditional(make_vae, digits[:9])
    path = tmp_path / "vae.onnx"
    vae.export(path, format="onnx", verbose=False)
    session = onnxruntime.InferenceSession(path)
    names = [each.name for each in session.get_inputs()]
    found = session.run(None, dict(zip(names, tf.nest.flatten(inputs))))[0]
    np.testing.assert_allclose(found, vae.predict(inputs, verbose=0), rtol=1e-4)
    vae.export(tmp_path / "vae.tflite", format="litert", verbose=False)
    assert (tmp_path / "vae.tflite").stat().st_size > 0
