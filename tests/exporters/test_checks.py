import pathlib

import keras
import pytest

import keras_vae
from keras_vae import exporters
from tests.exporters.support import PythonCode, make_model


@pytest.fixture(scope="module")
def model():
    return make_model()


@pytest.fixture(params=["onnx", "saved_model"])
def function(request):
    return getattr(exporters, f"export_{request.param}")


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (3, "`model` must be a keras_vae.VAE. Received: a int"),
        (keras_vae.VAE, "Call the class to make one"),
        ("vae.keras", r"Load the file first: keras\.saving\.load_model"),
        (pathlib.Path("vae.keras"), "Load the file first"),
    ],
)
def test_not_a_model(function, tmp_path, bad, message):
    with pytest.raises(TypeError, match=message):
        function(bad, tmp_path)


def test_another_keras_model(function, tmp_path):
    other = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    with pytest.raises(TypeError, match="Received: a Sequential"):
        function(other, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        (3, TypeError, "`folder` must be a path. Received: folder=3 of type int"),
        ("", ValueError, "`folder` must not be empty"),
        (b"out", TypeError, "`folder` must be a path"),
    ],
)
def test_bad_folder(function, model, bad, error, message):
    with pytest.raises(error, match=message):
        function(model, bad)


def test_folder_is_a_file(function, model, tmp_path):
    (tmp_path / "out").write_text("precious")
    with pytest.raises(ValueError, match=r"`folder` must be a folder.*which is a file"):
        function(model, tmp_path / "out")
    assert (tmp_path / "out").read_text() == "precious"


def test_folder_below_a_file(function, model, tmp_path):
    (tmp_path / "file").write_text("precious")
    with pytest.raises(ValueError, match="`folder` must be writable"):
        function(model, tmp_path / "file" / "out")


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        ("small", TypeError, "`tolerance` must be a number. Received: tolerance='small'"),
        (True, TypeError, "`tolerance` must be a number"),
        (None, TypeError, "`tolerance` must be a number"),
        (-1e-5, ValueError, "`tolerance` must be finite and >= 0. Received: tolerance=-1e-05"),
        (float("nan"), ValueError, "`tolerance` must be finite"),
        (float("inf"), ValueError, "`tolerance` must be finite"),
    ],
)
def test_bad_tolerance(function, model, tmp_path, bad, error, message):
    with pytest.raises(error, match=message):
        function(model, tmp_path / "out", tolerance=bad)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("bad", [12, 19, "17", 17.0, True, None])
def test_bad_opset(model, tmp_path, bad):
    with pytest.raises(ValueError, match=r"`opset` must be an integer from 13 to 18"):
        exporters.export_onnx(model, tmp_path / "out", opset=bad)
    assert list(tmp_path.iterdir()) == []


def test_foreign_folders_are_left_alone(model, tmp_path):
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "thesis.txt").write_text("precious")
    with pytest.raises(ValueError, match=r"holds '1/thesis\.txt', which no export wrote"):
        exporters.export_saved_model(model, tmp_path)
    assert (tmp_path / "1" / "thesis.txt").read_text() == "precious"


@pytest.mark.parametrize("text", ["{}", "no json", '{"format": 1, "targets": 3}', "[1]"])
def test_foreign_manifests_are_left_alone(function, model, tmp_path, text):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(ValueError, match=r"'manifest\.json' that is not as exporters write it"):
        function(model, tmp_path)
    assert (tmp_path / "manifest.json").read_text() == text
    assert len(list(tmp_path.iterdir())) == 1


def test_the_folder_is_checked_before_the_work(function, tmp_path):
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(ValueError, match="as exporters write it"):  # Not: lacks an op.
        function(make_model(likelihood=PythonCode()), tmp_path)
