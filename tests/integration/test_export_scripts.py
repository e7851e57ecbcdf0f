"""The scripts in `export/` on a tiny model, as a user would run them."""

import json
import pathlib
import runpy
import subprocess
import sys

import pytest

from tests.exporters.support import make_model

EXPORT = pathlib.Path(__file__).parents[2] / "export"
SCRIPTS = sorted(EXPORT.glob("to_*.py"))


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "vae.keras"
    make_model().save(path)
    return path


def run(script, monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", [str(script), *map(str, arguments)])
    runpy.run_path(str(script), run_name="__main__")


def check(printed, folder, target):
    stored = json.loads((folder / "manifest.json").read_text())
    assert json.loads(printed) == stored["targets"][target]


def test_to_onnx(saved, tmp_path, monkeypatch, capsys):
    run(EXPORT / "to_onnx.py", monkeypatch, saved, tmp_path / "out", "--opset", "15")
    check(capsys.readouterr().out, tmp_path / "out", "onnx")
    assert (tmp_path / "out" / "decode.onnx").is_file()


@pytest.mark.thorough
def test_to_saved_model(saved, tmp_path, monkeypatch, capsys):
    run(EXPORT / "to_saved_model.py", monkeypatch, saved, tmp_path / "out")
    check(capsys.readouterr().out, tmp_path / "out", "saved_model")
    assert (tmp_path / "out" / "1" / "saved_model.pb").is_file()


@pytest.mark.thorough
def test_from_a_shell(saved, tmp_path):
    # A script's own folder leads sys.path: none may hide a library.
    command = [sys.executable, EXPORT / "to_onnx.py", saved, tmp_path / "out"]
    done = subprocess.run(map(str, command), capture_output=True, text=True, check=True)
    check(done.stdout, tmp_path / "out", "onnx")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_short_and_documented(script):
    text = script.read_text()
    assert len(text.splitlines()) <= 60
    assert f"python export/{script.name}" in text.split('"""')[1]
    assert script.name in (EXPORT / "README.md").read_text()
