import functools
import importlib.util
import pathlib
import shutil
import subprocess
import sys
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_vae import likelihoods, networks, posteriors
from keras_vae.exporters.checks import ExportError
from keras_vae.exporters.keras_archive import export_keras_archive
from tests.exporters.kinds import (
    KINDS,
    convolutions,
    largest_error,
    make_autoregressive,
    make_kind,
)
from tests.exporters.support import LogGamma, contents, latents, make_model, shown_by

# A hundred roundings of float32: what the exporter itself allows by default.
TOLERANCE = 1e-5
CLIENT = pathlib.Path(__file__).parents[2] / "export" / "clients" / "pytorch" / "client.py"
BACKENDS = [
    "tensorflow",
    *(name for name in ("torch", "jax") if importlib.util.find_spec(name) is not None),
]
export_decoder = functools.partial(export_keras_archive, signatures=["decode"])


class LogGammaMean(posteriors.DiagonalNormal):
    """Encodes by an op that keras.ops lack."""

    def mean(self, params):
        return tf.math.lgamma(2.0 + super().mean(params) ** 2)


@keras.saving.register_keras_serializable("tests")
class Doubling(keras.layers.Layer):
    def call(self, inputs):
        return 2.0 * inputs


class Symbolic(likelihoods.Normal):
    """Computes something else in a file than here."""

    def mean(self, params):
        mean = super().mean(params)
        return 1.001 * mean if isinstance(params, keras.KerasTensor) else mean


def doubled(x):
    return 2.0 * x


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A model, its export's folder and the manifest."""
    folder = tmp_path_factory.mktemp("keras_archive")
    model = make_model(**convolutions(likelihood=likelihoods.Normal("predicted")))
    return model, folder, export_keras_archive(model, folder)


@pytest.mark.parametrize("rows", [1, 3, 64])
def test_computes_as_the_model(exported, rows):
    model, folder, _ = exported
    z = latents(rows)
    decoder = keras.saving.load_model(folder / "decoder.keras")
    x = model.decode(z)
    np.testing.assert_allclose(decoder(z), x, atol=TOLERANCE)
    encoder = keras.saving.load_model(folder / "encoder.keras")
    np.testing.assert_allclose(encoder(x), model.encode(x), atol=TOLERANCE)


def test_manifest(exported):
    _, folder, manifest = exported
    assert set(contents(folder)) == {"decoder.keras", "encoder.keras", "manifest.json"}
    assert set(manifest.files) == {"decoder.keras", "encoder.keras"}
    assert manifest.options == {"backends": BACKENDS}
    assert {"keras", *BACKENDS} <= set(manifest.versions)
    assert set(manifest.signatures["decode"].outputs) == {"x"}
    assert set(manifest.signatures["encode"].outputs) == {"z"}
    assert manifest.signatures["decode"].path == "decoder.keras"
    assert largest_error(manifest) <= TOLERANCE


def test_the_files_do_not_know_us(exported):
    for name in ("decoder", "encoder"):
        with zipfile.ZipFile(exported[1] / f"{name}.keras") as archive:
            assert b"keras_vae" not in archive.read("config.json")


@pytest.mark.thorough
def test_the_command_in_the_manifest_runs(exported):
    _, folder, manifest = exported
    assert "shape=(1, 8, 8, 1)" in shown_by(manifest, folder)


@pytest.mark.slow
def test_the_client_in_pytorch(exported):
    if "torch" not in BACKENDS:
        pytest.skip("needs PyTorch")
    done = subprocess.run(
        [sys.executable, CLIENT, exported[1] / "decoder.keras"],
        capture_output=True,
        text=True,
        check=True,
    )
    trained = sum(variable.shape.num_elements() for variable in exported[0].decoder.weights)
    count, shape, losses = done.stdout.splitlines()
    assert int(count.split()[0]) > trained
    assert shape.startswith("x: shape (3, 8, 8, 1)")
    before, after = losses.removeprefix("loss ").split(", after a step ")
    assert float(after) < float(before)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_kinds(tmp_path, kind):
    manifest = export_keras_archive(make_kind(kind), tmp_path)
    assert set(manifest.signatures) == {"decode", "encode"}
    assert largest_error(manifest) <= TOLERANCE


@pytest.mark.slow
def test_masks_and_conditions_are_inputs(tmp_path):
    model = make_model(missing="nan", condition_shape=(4,), condition_dropout=0.1)
    export_keras_archive(model, tmp_path, signatures=["encode"])
    encoder = keras.saving.load_model(tmp_path / "encoder.keras")
    assert [layer.name for layer in encoder.inputs] == ["x", "mask", "condition"]
    x = np.random.default_rng(0).uniform(size=[3, 8, 8, 1]).astype("float32")
    mask = x < 0.7
    condition = np.eye(4, dtype="float32")[:3]
    wanted = model.encode(np.where(mask, x, np.nan), condition=condition)
    np.testing.assert_allclose(encoder([x, mask, condition]), wanted, atol=TOLERANCE)


@pytest.mark.thorough
def test_half_precision_is_rebuilt(tmp_path):
    model = make_model(decoder=networks.MLP([16], dtype="mixed_bfloat16"))
    manifest = export_decoder(model, tmp_path)
    assert 1e-4 < manifest.half_precision_difference["decode"] < 0.1
    assert keras.saving.load_model(tmp_path / "decoder.keras").output.dtype == "float32"
    assert largest_error(manifest) <= TOLERANCE


@pytest.mark.parametrize(
    ("make", "message"),
    [
        pytest.param(
            lambda: make_model(likelihood=LogGamma()),
            r"the likelihood \(LogGamma\) computes with tf\.math\.lgamma\. Write it with keras",
            id="tensorflow",
        ),
        pytest.param(
            lambda: make_model(likelihood=Symbolic()),
            "differs from the model by",
            id="untrue",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            lambda: make_model(decoder=keras.Sequential([keras.layers.Dense(4), Doubling()])),
            r"the decoder \(Sequential\) contains 'Doubling'",
            id="layer",
        ),
        pytest.param(
            lambda: make_model(decoder=networks.MLP([4], activation=doubled)),
            r"the decoder \(MLP\) contains 'doubled'",
            id="function",
        ),
        pytest.param(
            lambda: make_model(decoder=networks.MLP([4], activation=lambda x: 2.0 * x)),
            r"the decoder \(MLP\) contains Python code, in a lambda",
            id="lambda",
        ),
        pytest.param(
            lambda: make_model(
                decoder=keras.Sequential([keras.layers.Lambda(doubled, output_shape=(3,))])
            ),
            "contains Python code, in a lambda",
            id="lambda layer",
        ),
        pytest.param(make_autoregressive, "an autoregressive decoder writes x", id="loop"),
    ],
)
def test_a_bad_export_leaves_nothing(tmp_path, make, message):
    with pytest.raises(ExportError, match=message):
        export_decoder(make(), tmp_path / "new" / "folder")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_what_cannot_be_is_left_out(tmp_path):
    manifest = export_keras_archive(make_model(posterior=LogGammaMean(3)), tmp_path)
    assert set(contents(tmp_path)) == {"decoder.keras", "manifest.json"}
    assert "tf.math.lgamma" in manifest.left_out["encode"]


@pytest.mark.slow
def test_an_encoder_alone_must_be_asked_for(tmp_path):
    model = make_model(likelihood=LogGamma())
    with pytest.raises(ExportError, match=r"tf.math.lgamma.*: signatures=\['encode'\]"):
        export_keras_archive(model, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_bad_export_leaves_a_good_one(exported):
    _, folder, _ = exported
    before = contents(folder)
    with pytest.raises(ExportError, match="computes with"):
        export_decoder(make_model(likelihood=LogGamma()), folder)
    assert contents(folder) == before


@pytest.mark.thorough
def test_a_good_export_replaces_an_old_one(exported, tmp_path):
    folder = tmp_path / "out"
    shutil.copytree(exported[1], folder)
    (folder / "notes.txt").write_text("mine")
    export_decoder(make_model(), folder)
    assert set(contents(folder)) == {"decoder.keras", "manifest.json", "notes.txt"}


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"model": "vae.keras"}, TypeError, "Load the file first"),
        ({"tolerance": -1.0}, ValueError, "finite and >= 0"),
        ({"signatures": ["score"]}, ValueError, "must be a list of decode, encode"),
        ({"signatures": "decode"}, ValueError, "must be a list of decode, encode"),
        ({"folder": ""}, ValueError, "must not be empty"),
    ],
)
def test_wrong_arguments(tmp_path, arguments, error, message):
    with pytest.raises(error, match=message):
        export_keras_archive(**{"model": make_model(), "folder": tmp_path / "out", **arguments})
    assert list(tmp_path.iterdir()) == []
