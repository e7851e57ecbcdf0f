import functools
import hashlib
import json
import logging
import os
import subprocess
import sys

import keras
import numpy as np
import onnx
import onnxruntime
import pytest
import tensorflow as tf
import tf2onnx

from keras_vae import exporters, likelihoods, networks, posteriors
from keras_vae.exporters.manifest import weights_sha256
from tests.exporters.support import (
    Bessel,
    BesselInLoop,
    Fixed,
    Infinite,
    PythonCode,
    Table,
    Untrue,
    contents,
    latents,
    make_model,
    onnx_decode,
    shown_by,
)

export_decoder = functools.partial(exporters.export_onnx, signatures=["decode"])

# A hundred roundings of float32: what the exporter itself allows by default.
TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A model, its export's folder and the manifest."""
    folder = tmp_path_factory.mktemp("onnx")
    model = make_model()
    return model, folder, export_decoder(model, folder)


@pytest.mark.parametrize("rows", [1, 3, 17])
def test_decodes_as_the_model(exported, rows):
    model, folder, _ = exported
    z = latents(rows)
    got = onnx_decode(folder / "decode.onnx", z)
    np.testing.assert_allclose(got, model.decode(z), atol=TOLERANCE)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param(
            lambda: {"decoder": networks.ConvDecoder([8, 4], batch_normalization=True)},
            id="conv",
        ),
        pytest.param(
            lambda: {
                "decoder": networks.ConvDecoder([4, 4]),
                "encoder": networks.MLP([8]),
                "event_shape": (7, 9, 3),
                "likelihood": likelihoods.Normal("predicted"),
            },
            id="cropped",
        ),
        pytest.param(lambda: {"likelihood": likelihoods.Normal(0.1)}, id="normal"),
        pytest.param(lambda: {"likelihood": likelihoods.Normal("learned")}, id="learned"),
        pytest.param(
            lambda: {"decoder": networks.MLP([8, 8], activation="softplus", dropout=0.3)},
            id="dropout",
        ),
        pytest.param(
            lambda: {
                "decoder": keras.Sequential(
                    [
                        keras.Input((3,)),
                        keras.layers.Dense(12),
                        keras.layers.LayerNormalization(),
                        keras.layers.Reshape((3, 4)),
                        keras.layers.GRU(8),
                    ]
                )
            },
            id="recurrent",
        ),
        pytest.param(lambda: {"event_shape": (5,), "encoder": networks.MLP([8])}, id="vector"),
    ],
)
def test_decoders(tmp_path, changes):
    model = make_model(**changes())
    manifest = export_decoder(model, tmp_path)
    z = latents(7)
    wanted = model.decode(z)
    got = onnx_decode(tmp_path / "decode.onnx", z)
    assert np.max(np.abs(got - wanted)) <= TOLERANCE * np.max(np.abs(wanted))
    assert manifest.signatures["decode"].outputs["x"].shape == (None, *model.event_shape)


@pytest.mark.parametrize("opset", [13, 18])
def test_opsets(tmp_path, opset):
    manifest = export_decoder(make_model(), tmp_path, opset=opset)
    versions = {o.domain: o.version for o in onnx.load(tmp_path / "decode.onnx").opset_import}
    assert versions[""] == opset == manifest.options["opset"]


def test_the_file_says_what_it_is(exported):
    proto = onnx.load(exported[1] / "decode.onnx")
    model = exported[0]
    for value, names, shape in [
        (proto.graph.input, ["z"], ["batch", 3]),
        (proto.graph.output, ["x", "logits"], ["batch", 8, 8, 1]),
    ]:
        assert [v.name for v in value] == names
        sizes = value[0].type.tensor_type.shape.dim
        assert [size.dim_param or size.dim_value for size in sizes] == shape
    properties = {p.key: p.value for p in proto.metadata_props}
    assert properties == {
        "keras_vae_version": "0.1.0",
        "signature": "decode",
        "latent_dim": "3",
        "event_shape": "[8, 8, 1]",
        "likelihood": "Bernoulli",
        "tensorflow_version": tf.__version__,
        "weights_sha256": weights_sha256(model),
    }
    assert proto.graph.name == "decode"


def test_manifest(exported):
    _, folder, manifest = exported
    stored = json.loads((folder / "manifest.json").read_text())["targets"]["onnx"]
    assert stored == json.loads(manifest.to_json())
    signature = stored["signatures"]["decode"]
    z = {"shape": [None, 3], "dtype": "float32", "meaning": "latents"}
    assert signature["inputs"] == {"z": z}
    assert list(signature["outputs"]) == ["x", "logits"]
    assert signature["outputs"]["x"]["shape"] == [None, 8, 8, 1]
    assert set(signature["max_error"]) == {"1", "3", "64", "zeros", "large", "denormal"}
    assert max(signature["max_error"].values()) <= stored["tolerance"] == 1e-5
    data = (folder / "decode.onnx").read_bytes()
    assert stored["files"] == {
        "decode.onnx": {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    }
    assert {"keras_vae", "tensorflow", "keras", "onnx", "tf2onnx", "onnxruntime"} <= set(
        stored["versions"]
    )
    assert stored["model"]["likelihood"] == "Bernoulli"
    assert stored["created"].endswith("+00:00")
    assert str(folder) not in (folder / "manifest.json").read_text()


def test_the_command_in_the_manifest_runs(exported):
    model, folder, manifest = exported
    first = model.decode(np.zeros([1, 3], "float32"))[0, 0, 0, 0]
    assert shown_by(manifest, folder).startswith(f"[array([[[[{first:.4f}"[:-1])


def test_leaves_the_process_as_it_was(tmp_path, capfd, monkeypatch):
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "2")
    handlers = list(logging.getLogger().handlers)
    model = make_model()
    capfd.readouterr()  # What TensorFlow says when it starts.
    export_decoder(model, tmp_path)
    assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == "2"
    assert logging.getLogger().handlers == handlers
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("likelihood", "message"),
    [
        (Bessel, r"ONNX opset 18 has no op for 'BesselI0e', which the likelihood \(Bessel\)"),
        (BesselInLoop, "'BesselI0e', which the likelihood"),
        (Bessel, "exporters.export_saved_model, which has all TensorFlow ops"),
        (PythonCode, "'EagerPyFunc'.*Use TensorFlow ops in place of Python code"),
        (Table, "'LookupTableFindV2'.* in place of lookup tables"),
        (Untrue, r"differs from the model by 0\.001 of the output's scale"),
        (Fixed, r"shape and dtype \(\(1, 8, 8, 1\), 'float32'\). Received: \(\(3, 8, 8, 1\)"),
        (Infinite, "is not finite where the model's is"),
    ],
)
def test_a_bad_export_leaves_nothing(tmp_path, capfd, likelihood, message):
    model = make_model(likelihood=likelihood())
    capfd.readouterr()  # What TensorFlow says when it starts.
    with pytest.raises(exporters.ExportError, match=message):
        export_decoder(model, tmp_path / "new" / "folder")
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        (KeyError("shape"), r"tf2onnx could not convert `decode`: 'shape'"),
        (tf.errors.InternalError(None, None, "broken"), "could not convert `decode`: broken"),
    ],
)
def test_a_converter_that_fails(tmp_path, monkeypatch, failure, message):
    def convert(*args, **kwargs):
        raise failure

    monkeypatch.setattr("tf2onnx.convert.from_function", convert)
    with pytest.raises(exporters.ExportError, match=message):
        export_decoder(make_model(), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_an_invalid_file_is_found(tmp_path, monkeypatch):
    from_function = tf2onnx.convert.from_function

    def convert(*args, **kwargs):
        logging.getLogger("tf2onnx.tfonnx").error("Failed to convert node 'a'")
        proto, storage = from_function(*args, **kwargs)
        proto.graph.node[-1].input[0] = "nowhere"
        return proto, storage

    monkeypatch.setattr("tf2onnx.convert.from_function", convert)
    with pytest.raises(exporters.ExportError, match="`decode`: Failed to convert node 'a'"):
        export_decoder(make_model(), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("approximate", [True, False])
def test_gelu(tmp_path, approximate):
    decoder = networks.MLP([8], activation=lambda x: keras.ops.gelu(x, approximate=approximate))
    manifest = export_decoder(make_model(decoder=decoder), tmp_path)
    assert max(manifest.signatures["decode"].max_error.values()) < TOLERANCE


@pytest.mark.parametrize(
    ("changes", "options"),
    [
        ({"likelihood": Untrue()}, {}),
        ({"likelihood": Bessel()}, {}),
        ({}, {"tolerance": 0}),
        ({}, {"tolerance": 1e-12}),
    ],
)
def test_a_bad_export_leaves_a_good_one(exported, changes, options):
    _, folder, _ = exported
    before = contents(folder)
    with pytest.raises(exporters.ExportError, match="Nothing was written"):
        export_decoder(make_model(**changes), folder, **options)
    assert contents(folder) == before


def test_a_good_export_replaces_an_old_one(tmp_path):
    export_decoder(make_model(), tmp_path)
    model = make_model(decoder=networks.MLP([4]))
    export_decoder(model, tmp_path)
    z = latents(2)
    got = onnx_decode(tmp_path / "decode.onnx", z)
    np.testing.assert_allclose(got, model.decode(z), atol=TOLERANCE)
    assert set(contents(tmp_path)) == {"decode.onnx", "manifest.json"}


def test_weights_that_are_not_finite(tmp_path):
    model = make_model()
    model.trainable_variables[-1].assign(model.trainable_variables[-1] * np.nan)
    with pytest.raises(exporters.ExportError, match="are its weights"):
        export_decoder(model, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def double_policy(float64):
    # Keras remembers the policy of the first layer ever made, whatever floatx becomes.
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_dtype_policy(before)


@pytest.mark.usefixtures("double_policy")
def test_double_precision(tmp_path):
    manifest = export_decoder(make_model(), tmp_path, tolerance=1e-14)
    assert manifest.signatures["decode"].inputs["z"].dtype == "float64"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A model with all that ONNX can hold of it."""
    folder = tmp_path_factory.mktemp("whole")
    model = make_model()
    return model, folder, exporters.export_onnx(model, folder)


def session(path):
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def test_a_file_for_each_signature(whole):
    model, folder, manifest = whole
    x = (latents(5) @ np.ones([3, 64], "float32") > 0).reshape(5, 8, 8, 1).astype("float32")
    z = session(folder / "encode.onnx").run(["z"], {"x": x})[0]
    np.testing.assert_allclose(z, model.encode(x), rtol=1e-5, atol=1e-5)
    noise = latents(5, seed=1)
    elbo, likelihood, kl = session(folder / "score.onnx").run(
        None, {"x": x, "noise_epsilon": noise}
    )
    np.testing.assert_allclose(elbo, likelihood - kl, rtol=1e-5)
    assert set(manifest.signatures) >= {"decode", "encode", "reconstruct", "generate", "score"}
    for name, entry in manifest.signatures.items():
        assert max(entry.max_error[rows] for rows in ("1", "3", "64")) <= TOLERANCE, name


class NoEncoder(posteriors.DiagonalNormal):
    """Uses an op that no file can hold, in what encodes."""

    def mean(self, params):
        mean = super().mean(params)
        return tf.ensure_shape(tf.py_function(lambda x: x, [mean], mean.dtype), mean.shape)


def test_what_cannot_be_held_is_left_out_and_said(tmp_path):
    manifest = exporters.export_onnx(make_model(posterior=NoEncoder(3)), tmp_path)
    assert set(manifest.left_out) >= {"encode", "reconstruct", "score"}
    assert "EagerPyFunc" in manifest.left_out["encode"]
    assert "posterior (NoEncoder)" in manifest.left_out["encode"]
    assert {"decode", "generate"} <= set(manifest.signatures)
    assert not (tmp_path / "encode.onnx").exists()


def test_what_was_asked_for_must_be_held(tmp_path):
    model = make_model(posterior=NoEncoder(3))
    with pytest.raises(exporters.ExportError, match=r"EagerPyFunc.*`encode`"):
        exporters.export_onnx(model, tmp_path / "out", signatures=["decode", "encode"])
    assert list(tmp_path.iterdir()) == []


def test_files_of_an_earlier_export_go(tmp_path):
    model = make_model()
    exporters.export_onnx(model, tmp_path, signatures=["decode", "encode"])
    assert (tmp_path / "encode.onnx").exists()
    exporters.export_onnx(model, tmp_path, signatures=["decode"])
    assert {path.name for path in tmp_path.iterdir()} == {"decode.onnx", "manifest.json"}


_SAMPLING = """
import sys
import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
z = session.run(["z"], {"seed": np.array([-1, -1, 5])})[0]
print(*z.ravel().tolist())
"""


def test_processes_do_not_replay_each_others_noise(whole):
    command = [sys.executable, "-c", _SAMPLING, str(whole[1] / "sample.onnx")]
    draws = []
    for _ in range(2):
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        draws.append(np.array(done.stdout.split(), float).reshape(3, 3))
    # Without a seed all four differ; with one, both processes draw the same.
    assert len({row[0] for each in draws for row in each[:2]}) == 4
    np.testing.assert_array_equal(draws[0][2], draws[1][2])


def test_variants(tmp_path):
    model = make_model(decoder=networks.MLP([64, 64]))
    manifest = export_decoder(model, tmp_path, variants=["fp16", "int8"])
    names = {"decode.onnx", "decode.fp16.onnx", "decode.int8.onnx"}
    assert {path.name for path in tmp_path.iterdir()} == {*names, "manifest.json"}
    assert set(manifest.files) == names
    z = latents(5)
    wanted = model.decode(z)
    for kind, entry in manifest.signatures["decode"].variants.items():
        error = np.abs(onnx_decode(tmp_path / f"decode.{kind}.onnx", z) - wanted).max()
        assert 0 < error < 0.05
        assert 0 < entry.max_error["3"] < 0.05
        assert entry.size_ratio < 0.8
    export_decoder(model, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"decode.onnx", "manifest.json"}


def test_unknown_variants(tmp_path):
    with pytest.raises(ValueError, match=r"`variants` must be of \['fp16', 'int8'\]"):
        export_decoder(make_model(), tmp_path / "out", variants=["fp8"])
    assert list(tmp_path.iterdir()) == []


class Shift(keras.layers.Layer):
    """Holds a tensor that is neither a weight nor in its config."""

    def build(self, shape):
        self.offset = tf.constant([1.0, 2.0, 3.0])

    def call(self, z):
        return z + self.offset


def test_tensors_that_layers_hold(tmp_path):
    layers = [keras.Input((3,)), Shift(), keras.layers.Normalization(mean=1.0, variance=2.0)]
    model = make_model(decoder=keras.Sequential([*layers, keras.layers.Dense(8)]))
    export_decoder(model, tmp_path)
    names = [value.name for value in onnx.load(tmp_path / "decode.onnx").graph.input]
    assert names == ["z"]
