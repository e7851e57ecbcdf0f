"""The scripts in `export/` on a tiny model, as a user would run them."""

import inspect
import json
import pathlib
import re
import runpy
import subprocess
import sys

import pytest

from keras_vae import exporters
from keras_vae.cli.export import Target, export
from keras_vae.cli.export_script import options_of
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
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(script), run_name="__main__")
    return ended.value.code


def check(printed, folder, target):
    stored = json.loads((folder / "manifest.json").read_text())
    assert json.loads(printed) == stored["targets"][target]


def test_to_onnx(saved, tmp_path, monkeypatch, capsys):
    words = [saved, tmp_path / "out", "--opset", "15", "--signatures", "decode", "encode"]
    assert run(EXPORT / "to_onnx.py", monkeypatch, *words) == 0
    check(capsys.readouterr().out, tmp_path / "out", "onnx")
    found = {path.name for path in (tmp_path / "out").glob("*.onnx")}
    assert found == {"decode.onnx", "encode.onnx"}


@pytest.mark.parametrize("target", Target)
def test_function_shell_and_script_have_the_same_options(monkeypatch, capsys, target):
    function = getattr(exporters, f"export_{target}")
    model, folder, *taken = inspect.signature(function).parameters
    assert (model, folder) == ("model", "folder")
    assert set(options_of(target)) == set(taken)
    script = EXPORT / f"to_{target}.py"
    assert run(script, monkeypatch, "--help") == 0
    shown = {
        name.replace("-", "_") for name in re.findall(r"--(\w[\w-]*)", capsys.readouterr().out)
    }
    assert shown - {"help", "import", "dry_run", "verbose", "traceback"} == set(taken)
    # No defaults but the function's own.
    assert not re.search(r"default|argparse", script.read_text())


@pytest.mark.parametrize("target", Target)
def test_defaults_are_those_of_the_function(target):
    shell = inspect.signature(export).parameters
    assert {name: shell[name].default for name in options_of(target)} == dict.fromkeys(
        options_of(target)
    )


def test_scripts_refuse_in_one_line(saved, tmp_path, monkeypatch, capsys):
    words = [saved, tmp_path / "out", "--opset", "99"]
    assert run(EXPORT / "to_onnx.py", monkeypatch, *words) == 1
    said = capsys.readouterr().err.strip().splitlines()
    assert "`opset` must be an integer from 13 to 18" in said[-1]


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
