import functools
import sys

import numpy as np
import pytest

from keras_vae import likelihoods, networks
from keras_vae.exporters.checks import ExportError
from keras_vae.exporters.litert import export_litert
from tests.exporters.kinds import (
    KINDS,
    convolutions,
    largest_error,
    make_autoregressive,
    make_kind,
)
from tests.exporters.support import (
    LogGamma,
    PythonCode,
    Table,
    Untrue,
    contents,
    latents,
    make_model,
    shown_by,
)

interpreters = pytest.importorskip("ai_edge_litert.interpreter", reason="needs ai-edge-litert")

# A hundred roundings of float32: what the exporter itself allows by default.
TOLERANCE = 1e-5
export_decoder = functools.partial(export_litert, signatures=["decode"])


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A model, its export's folder and the manifest."""
    folder = tmp_path_factory.mktemp("litert")
    model = make_model(**convolutions())
    return model, folder, export_litert(model, folder)


@pytest.mark.parametrize("rows", [1, 3, 17, 64])
def test_decodes_as_the_model(exported, rows):
    model, folder, _ = exported
    run = interpreters.Interpreter(str(folder / "decode.tflite")).get_signature_runner("decode")
    z = latents(rows)
    np.testing.assert_allclose(run(z=z)["x"], model.decode(z), atol=TOLERANCE)


def test_manifest(exported):
    _, folder, manifest = exported
    names = {"decode", "encode", "reconstruct", "generate", "score"}
    assert set(manifest.signatures) == names
    assert set(contents(folder)) == {"manifest.json", *(f"{name}.tflite" for name in names)}
    assert set(manifest.files) == {f"{name}.tflite" for name in names}
    assert manifest.options == {"int8": False}
    assert "ai_edge_litert" in manifest.versions
    assert largest_error(manifest) <= TOLERANCE
    assert set(manifest.left_out) == {"sample"}
    assert "LiteRT has no op for 'BitwiseXor', 'FloorDiv'" in manifest.left_out["sample"]
    assert "which the model needs for `sample`." in manifest.left_out["sample"]


def test_the_command_in_the_manifest_runs(exported):
    _, folder, manifest = exported
    assert "'x': array([[[[0." in shown_by(manifest, folder)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_kinds(tmp_path, kind):
    names = ["decode", "encode", "reconstruct", "score"]
    manifest = export_litert(make_kind(kind), tmp_path, signatures=names)
    assert largest_error(manifest) <= TOLERANCE


def test_sequences_are_unrolled(tmp_path):
    manifest = export_decoder(make_kind("gru-categorical"), tmp_path)
    assert largest_error(manifest) <= TOLERANCE


@pytest.mark.slow
def test_autoregressive_decoders_go_step_by_step(tmp_path):
    model = make_autoregressive()
    manifest = export_litert(model, tmp_path)
    assert set(manifest.signatures) == {"encode", "score", "initial_state", "step"}
    assert largest_error(manifest) <= TOLERANCE
    assert (
        "fixed batch size only, and the decoder (RecurrentDecoder)"
        in (manifest.left_out["decode"])
    )


def test_int8(tmp_path):
    model = make_model(decoder=networks.MLP([128, 128]))
    full = export_decoder(model, tmp_path / "full")
    with pytest.raises(ExportError, match=r"differs from the model by 0\.0"):
        export_decoder(model, tmp_path / "int8", int8=True)
    assert not (tmp_path / "int8").exists()
    small = export_decoder(model, tmp_path / "int8", int8=True, tolerance=0.1)
    assert small.options == {"int8": True}
    assert 1e-4 < largest_error(small) < 0.1
    sizes = [manifest.files["decode.tflite"].bytes for manifest in (small, full)]
    assert sizes[0] < 0.35 * sizes[1]


@pytest.mark.parametrize(
    ("likelihood", "message"),
    [
        (PythonCode, "'EagerPyFunc', which the likelihood .* in place of Python code"),
        (Table, "cannot hold, such as a lookup table"),
        (Untrue, r"differs from the model by 0\.001 of the output's scale"),
    ],
)
def test_a_bad_export_leaves_nothing(tmp_path, capfd, likelihood, message):
    model = make_model(likelihood=likelihood())
    capfd.readouterr()  # What TensorFlow says when it starts.
    with pytest.raises(ExportError, match=message):
        export_decoder(model, tmp_path / "new" / "folder")
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_ops_that_it_lacks_are_named(tmp_path, capfd):
    model = make_model()
    capfd.readouterr()
    with pytest.raises(ExportError, match="no op for 'BitwiseXor', 'FloorDiv'"):
        export_litert(model, tmp_path / "out", signatures=["sample"])
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_softplus_of_large_numbers(tmp_path):
    # LiteRT's own ends at 88; levels that are sharp have some of thousands.
    model = make_model(likelihood=likelihoods.DiscretizedLogistic(2), event_shape=(3, 3, 1))
    bias = model._to_likelihood.get_layer("parameters").bias
    bias.assign(bias - np.tile([0.0, 0.0, 0.0, 0.0, 30.0, 30.0], bias.shape[0] // 6))
    manifest = export_litert(model, tmp_path, signatures=["decode", "score"])
    assert largest_error(manifest) <= TOLERANCE


def test_log_gamma_is_computed(tmp_path):
    manifest = export_decoder(make_model(likelihood=LogGamma()), tmp_path)
    assert largest_error(manifest) <= TOLERANCE


def test_a_bad_export_leaves_a_good_one(exported):
    _, folder, _ = exported
    before = contents(folder)
    with pytest.raises(ExportError, match="differs from the model"):
        export_decoder(make_model(likelihood=Untrue()), folder)
    assert contents(folder) == before


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"model": "vae.keras"}, TypeError, "Load the file first"),
        ({"tolerance": -1.0}, ValueError, "finite and >= 0"),
        ({"signatures": ["draw"]}, ValueError, "must be a list of decode"),
        ({"folder": ""}, ValueError, "must not be empty"),
    ],
)
def test_wrong_arguments(tmp_path, arguments, error, message):
    model = make_model(likelihood=likelihoods.Bernoulli())
    with pytest.raises(error, match=message):
        export_litert(**{"model": model, "folder": tmp_path / "out", **arguments})
    assert list(tmp_path.iterdir()) == []


def test_without_the_interpreter(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)  # As if not installed.
    with pytest.raises(ImportError, match=r'pip install "keras-vae\[litert\]"'):
        export_litert(make_model(), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
