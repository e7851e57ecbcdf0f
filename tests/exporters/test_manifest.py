import dataclasses
import json

import keras

import keras_vae
from keras_vae import exporters
from keras_vae.exporters import manifest, pipeline
from tests.exporters.support import make_model


def entry(target, **changes):
    fields = {
        "target": target,
        "created": "2026-01-01T00:00:00+00:00",
        "model": {},
        "versions": {},
        "options": {},
        "signatures": {},
        "left_out": {},
        "tolerance": 1e-5,
        "compared_with": "the model",
        "half_precision_difference": {},
        "files": {},
        "run": "true",
    }
    return exporters.Manifest(**{**fields, **changes})


def test_targets_share_a_folder(tmp_path):
    for new in (entry("onnx"), entry("saved_model"), entry("onnx", run="false")):
        (tmp_path / "manifest.json").write_text(manifest.merged(tmp_path, new))
    stored = json.loads((tmp_path / "manifest.json").read_text())
    assert stored["format"] == 1
    assert set(stored["targets"]) == {"onnx", "saved_model"}
    assert stored["targets"]["onnx"]["run"] == "false"
    assert stored["targets"]["saved_model"]["run"] == "true"


def test_json_holds_every_field():
    shape = exporters.TensorEntry((None, 3), "float32")
    signature = exporters.SignatureEntry("1", "s", "twice z", {"z": shape}, {}, {"1": 0.5})
    record = entry("onnx", signatures={"decode": signature})
    loaded = json.loads(record.to_json())
    assert set(loaded) == {field.name for field in dataclasses.fields(record)}
    assert loaded["signatures"]["decode"]["inputs"] == {
        "z": {"shape": [None, 3], "dtype": "float32", "meaning": ""}
    }


def test_files_of_a_folder(tmp_path):
    (tmp_path / "1" / "variables").mkdir(parents=True)
    (tmp_path / "1" / "variables" / "data").write_bytes(b"abc")
    (tmp_path / "other").write_bytes(b"")
    files = manifest.file_entries(tmp_path, "1")
    # From FIPS 180-2, appendix B.1.
    abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert files == {"1/variables/data": exporters.FileEntry(abc, 3)}


def test_hash_of_the_weights(tmp_path, digits):
    model = make_model()
    before = manifest.weights_sha256(model)
    model.compile("adam")
    model.evaluate(digits[:32], verbose=0)  # Moves counters only.
    assert manifest.weights_sha256(model) == before == manifest.weights_sha256(make_model())
    model.trainable_variables[0].assign_add(1e-6 + 0 * model.trainable_variables[0])
    assert manifest.weights_sha256(model) != before


def test_hash_of_the_weights_survives_saving(tmp_path):
    model = make_model()
    model.save(tmp_path / "vae.keras")
    loaded = keras.saving.load_model(tmp_path / "vae.keras")
    assert manifest.weights_sha256(loaded) == manifest.weights_sha256(model)


def test_the_schema_of_the_data_leaves_with_the_model():
    source = keras_vae.data.from_text(["anna", "bob", "otto"])
    model = keras_vae.VAE(
        keras_vae.networks.MLP([4]),
        keras_vae.networks.MLP([4]),
        keras_vae.posteriors.DiagonalNormal(2),
        likelihood=keras_vae.likelihoods.Categorical(6, end_token=0),
        event_shape=source.event_shape,
        preprocessor=source.preprocessor,
    )
    described = json.loads(json.dumps(pipeline._description(model)))
    assert described["data"]["kind"] == "text"
    assert described["data"]["vocabulary"] == ["", "a", "b", "n", "o", "t"]
