"""Files of the shell's commands: whole or not at all, and never two writers at once."""

import os
import signal
import subprocess

import keras
import numpy as np
import pytest
from typer.testing import CliRunner

import keras_vae
from keras_vae import cli
from tests.core.child import command
from tests.exporters.support import contents
from tests.full_disk import small_disk

HOLD = (
    "import pathlib, sys\n"
    "from keras_vae.core.locks import locked\n"
    "with locked(pathlib.Path(sys.argv[1]), 'training'):\n"
    "    print('locked', flush=True)\n"
    "    sys.stdin.read()\n"
)


def run(*arguments):
    return CliRunner().invoke(cli.app, [str(argument) for argument in arguments])


def train(data, target, *further):
    return run("train", data, "--kind", "table", "--out", target, "--epochs", 3, *further)


def errors(done):
    return [line for line in done.stderr.splitlines() if line.startswith("error:")]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A table and a model of it."""
    home = tmp_path_factory.mktemp("home")
    for name, rows in (("x.csv", 120), ("more.csv", 2_500)):
        values = np.random.default_rng(0).normal(size=[rows, 3])
        np.savetxt(home / name, values, delimiter=",", header="a,b,c", comments="")
    done = train(home / "x.csv", home / "x.keras")
    assert done.exit_code == 0, done.stderr
    assert sorted(os.listdir(home)) == ["more.csv", "x.csv", "x.keras"]
    return home


def at_epoch(monkeypatch, number, action):
    """Do something at the end of an epoch of a training."""

    def on_epoch_end(self, epoch, logs=None):
        if epoch == number:
            action()

    monkeypatch.setattr(
        keras_vae.callbacks.TimeLimit, "on_epoch_end", on_epoch_end, raising=False
    )


def test_a_training_goes_on_when_the_disk_is_full_and_saves_later(home, tmp_path, monkeypatch):
    with small_disk() as disk:
        at_epoch(monkeypatch, 1, disk)
        done = train(home / "x.csv", tmp_path / "x.keras")
    assert done.exit_code == 0, done.stderr
    assert done.stderr.count("note: not saved yet, and tried again later") == 1
    assert int(keras.saving.load_model(tmp_path / "x.keras").state.step)
    assert os.listdir(tmp_path) == ["x.keras"]


def test_a_training_that_cannot_be_saved_anywhere_is_one_error(home, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    before = contents(home)
    with small_disk():
        done = train(home / "x.csv", home / "x.keras", "--resume")
    assert done.exit_code == 1
    assert len(errors(done)) == 1
    assert contents(home) == before


def test_a_training_is_saved_when_it_is_told_to_end(home, tmp_path, monkeypatch):
    handler = signal.signal(signal.SIGTERM, cli._terminate)
    at_epoch(monkeypatch, 1, lambda: os.kill(os.getpid(), signal.SIGTERM))
    try:
        done = train(home / "x.csv", tmp_path / "x.keras")
    finally:
        signal.signal(signal.SIGTERM, handler)
    assert done.exit_code == 128 + signal.SIGTERM
    assert os.listdir(tmp_path) == ["x.keras"]
    # The better of two epochs of three.
    steps = int(keras.saving.load_model(tmp_path / "x.keras").state.step)
    assert steps in (9, 18)


def test_a_second_training_of_the_same_file_is_refused(home, tmp_path):
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    target = tmp_path / "x.keras"
    with subprocess.Popen(command(HOLD, target), **pipes, text=True) as other:
        assert other.stdout.readline() == "locked\n"
        done = train(home / "x.csv", target)
        other.communicate()
    assert done.exit_code == 1
    assert "Another training is writing" in done.stderr
    assert not target.exists()


FULL = {
    "generate": ("generate", "--count", 2_500),
    "score": ("score", "{home}/more.csv", "--samples", 2),
    "embed": ("embed", "{home}/more.csv"),
    "evaluate": ("evaluate", "{home}/x.csv", "--samples", 2),
}


@pytest.mark.parametrize("name", list(FULL))
def test_a_full_disk_is_one_line_and_leaves_what_was_there(home, tmp_path, name):
    target = tmp_path / ("report" if name == "evaluate" else "out.csv")
    if name != "evaluate":
        target.write_text("old")
    words = [str(word).format(home=home) for word in FULL[name]]
    with small_disk(25_000):  # Room for what AutoGraph writes.
        done = run(*words, "--model", home / "x.keras", "--out", target)
    assert done.exit_code == 1
    assert len(errors(done)) == 1
    assert "What was there is unchanged" in errors(done)[0]
    assert name == "evaluate" or target.read_text() == "old"
    assert len(os.listdir(tmp_path)) == (name != "evaluate")


def test_paths_of_commands_are_expanded_or_refused(home, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    words = ("embed", (home / "x.csv").as_uri(), "--model", (home / "x.keras").as_uri())
    assert run(*words, "--out", "~/out.csv").exit_code == 0
    assert os.listdir() == ["out.csv"]
    for bad in (
        ("embed", "s3://b/x.csv", *words[2:], "--out", "a.csv"),
        ("embed", *words[1:3], "gs://b/x.keras", "--out", "a.csv"),
        (*words, "--out", "hdfs://b/a.csv"),
        ("train", home / "x.csv", "--kind", "table", "--out", "gs://b/x.keras"),
    ):
        done = run(*bad)
        assert done.exit_code == 1
        assert "must be a path of this machine" in errors(done)[0]
    assert os.listdir() == ["out.csv"]


def test_export_replaces_files_of_others_only_when_asked(home, tmp_path):
    (tmp_path / "decode.onnx").write_text("mine")
    words = ("export", home / "x.keras", "--to", "onnx", "--signatures", "decode")
    done = run(*words, "--out", tmp_path)
    assert done.exit_code == 1
    assert "'decode.onnx'" in errors(done)[0]
    assert "--overwrite" in errors(done)[0]
    assert (tmp_path / "decode.onnx").read_text() == "mine"
    assert run(*words, "--out", tmp_path, "--overwrite").exit_code == 0
    assert set(keras_vae.exporters.read_manifest(tmp_path)) == {"onnx"}
