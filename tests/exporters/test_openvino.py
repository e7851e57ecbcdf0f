import functools
import sys

import numpy as np
import pytest

from keras_vae.exporters.checks import ExportError
from keras_vae.exporters.openvino import export_openvino
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

openvino = pytest.importorskip("openvino", reason="needs openvino")

# A hundred roundings of float32: what the exporter itself allows by default.
TOLERANCE = 1e-5
export_decoder = functools.partial(export_openvino, signatures=["decode"])


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A model, its export's folder and the manifest."""
    folder = tmp_path_factory.mktemp("openvino")
    model = make_model(**convolutions())
    return model, folder, export_openvino(model, folder, signatures=["decode", "generate"])


def compiled(folder, name="decode"):
    options = {"INFERENCE_PRECISION_HINT": "f32"}
    return openvino.Core().compile_model(folder / name / "1" / "model.xml", "CPU", options)


@pytest.mark.parametrize("rows", [1, 3, 17, 64])
def test_decodes_as_the_model(exported, rows):
    model, folder, _ = exported
    z = latents(rows)
    got = compiled(folder)({"z": z})["x"]
    np.testing.assert_allclose(got, model.decode(z), atol=TOLERANCE)


def test_what_is_handed_through_has_its_name(exported):
    noise = latents(2)
    got = compiled(exported[1], "generate")({"noise_epsilon": noise})
    np.testing.assert_array_equal(got["z"], noise)


def test_manifest(exported):
    _, folder, manifest = exported
    names = {"decode", "generate"}
    assert set(manifest.signatures) == names
    files = {f"{name}/1/model.{end}" for name in names for end in ("xml", "bin")}
    assert set(manifest.files) == files
    assert {path for path, digest in contents(folder).items() if digest} == {
        "manifest.json",
        *files,
    }
    assert manifest.signatures["generate"].path == "generate"
    assert manifest.options == {"INFERENCE_PRECISION_HINT": "f32"}
    assert "openvino" in manifest.versions
    assert largest_error(manifest) <= TOLERANCE


def test_the_file_says_what_it_is(exported):
    model = openvino.Core().read_model(exported[1] / "decode" / "1" / "model.xml")
    assert model.get_rt_info(["keras_vae", "likelihood"]).value == "Bernoulli"
    assert [list(port.get_names()) for port in model.inputs] == [["z"]]
    assert str(model.inputs[0].get_partial_shape()) == "[?,3]"


def test_the_command_in_the_manifest_runs(exported):
    _, folder, manifest = exported
    assert "names[x]" in shown_by(manifest, folder)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_kinds(tmp_path, kind):
    names = ["decode", "encode", "reconstruct", "score"]
    manifest = export_openvino(make_kind(kind), tmp_path, signatures=names)
    assert largest_error(manifest) <= TOLERANCE


@pytest.mark.thorough
def test_autoregressive_decoders(tmp_path):
    manifest = export_openvino(make_autoregressive(), tmp_path)
    networks = {"decode", "encode", "reconstruct", "generate", "score"}
    assert set(manifest.signatures) == {*networks, "initial_state", "step"}
    assert set(manifest.left_out) == {"sample"}
    assert "needs 64-bit integers" in manifest.left_out["sample"]
    assert largest_error(manifest) <= TOLERANCE


def test_log_gamma_is_computed(tmp_path):
    manifest = export_decoder(make_model(likelihood=LogGamma()), tmp_path)
    assert largest_error(manifest) <= TOLERANCE


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


def test_64_bit_integers_are_refused(tmp_path, capfd):
    model = make_model()
    capfd.readouterr()
    with pytest.raises(ExportError, match="in 32 bits what `sample` needs"):
        export_openvino(model, tmp_path / "out", signatures=["sample"])
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_a_bad_export_leaves_a_good_one(exported):
    _, folder, _ = exported
    before = contents(folder)
    with pytest.raises(ExportError, match="differs from the model"):
        export_decoder(make_model(likelihood=Untrue()), folder)
    assert contents(folder) == before


@pytest.mark.thorough
def test_a_good_export_replaces_an_old_one(tmp_path):
    model = make_model()
    export_openvino(model, tmp_path, signatures=["decode", "encode"])
    export_decoder(model, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"decode", "manifest.json"}


def test_folders_of_others_stay(tmp_path):
    (tmp_path / "decode").mkdir()
    (tmp_path / "decode" / "notes.txt").write_text("mine")
    before = contents(tmp_path)
    with pytest.raises(ValueError, match="which no export wrote"):
        export_decoder(make_model(), tmp_path)
    assert contents(tmp_path) == before


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
    with pytest.raises(error, match=message):
        export_openvino(**{"model": make_model(), "folder": tmp_path / "out", **arguments})
    assert list(tmp_path.iterdir()) == []


def test_without_openvino(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)  # As if not installed.
    with pytest.raises(ImportError, match=r'pip install "keras-vae\[openvino\]"'):
        export_openvino(make_model(), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
