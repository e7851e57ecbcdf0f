"""Files that appear whole or not at all; processes are really killed."""

import errno
import json
import logging
import os
import resource
import signal
import subprocess

import numpy as np
import pytest

from keras_vae.core import atomic_io, journal
from tests.core.child import command


def names(folder):
    return sorted(os.listdir(folder))


def test_a_file_appears_when_it_is_written(tmp_path):
    target = tmp_path / "new" / "x.txt"
    with atomic_io.writing(target) as draft:
        draft.write_text("whole")
        assert draft.name == "x.txt"
        assert not target.exists()
    assert target.read_text() == "whole"
    assert names(target.parent) == ["x.txt"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path, error):
    (tmp_path / "x.txt").write_text("old")

    def fail(target):
        with atomic_io.writing(target) as draft:
            draft.write_text("ne")
            raise error

    for target in (tmp_path / "x.txt", tmp_path / "a" / "b" / "y"):
        with pytest.raises(error):
            fail(target)
    assert names(tmp_path) == ["x.txt"]
    assert (tmp_path / "x.txt").read_text() == "old"


def test_permissions_are_kept_and_new_ones_follow_the_umask(tmp_path):
    (tmp_path / "plain").write_text("")
    atomic_io.write_text(tmp_path / "new", "")
    assert (tmp_path / "new").stat().st_mode == (tmp_path / "plain").stat().st_mode
    (tmp_path / "new").chmod(0o640)
    atomic_io.write_text(tmp_path / "new", "again")
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o640


def test_a_symbolic_link_stays_and_its_file_is_replaced(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "x").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "there" / "x")
    atomic_io.write_text(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "there" / "x").read_text() == "new"
    assert names(tmp_path / "there") == ["x"]


@pytest.mark.parametrize("kind", ["folder", "pipe"])
def test_what_is_no_file_is_not_replaced(tmp_path, kind):
    (os.mkdir if kind == "folder" else os.mkfifo)(tmp_path / "x")
    with pytest.raises(ValueError, match="`path` must be a file"):
        atomic_io.write_text(tmp_path / "x", "")
    assert names(tmp_path) == ["x"]


def test_a_folder_appears_when_it_is_written_and_replaces_empty_ones_only(tmp_path):
    target = tmp_path / "photos"
    for _ in range(2):
        with atomic_io.writing(target, folder=True) as draft:
            (draft / "a.png").write_text("a")
            assert not target.exists() or names(target) == []
        assert names(target) == ["a.png"]
        with (
            pytest.raises(ValueError, match="new or empty folder"),
            atomic_io.writing(target, folder=True),
        ):
            pass
        assert names(target) == ["a.png"]
        (target / "a.png").unlink()


def test_a_folder_of_ours_is_replaced_in_one_step(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "old").write_text("")
    with atomic_io.writing(tmp_path / "model", folder=True, ours=lambda _: True) as draft:
        (draft / "new").write_text("")
    assert names(tmp_path) == ["model"]
    assert names(tmp_path / "model") == ["new"]


def test_long_names_are_written(tmp_path):
    target = tmp_path / ("ä" * 120)
    atomic_io.write_text(target, "x")
    assert names(tmp_path) == [target.name]


# A child that dies at a given call; `resume` and `tidy` then run here.
CHILD = """
import os, pathlib, signal, sys
from keras_vae.core import atomic_io, journal
folder, calls = pathlib.Path(sys.argv[1]), int(sys.argv[2])

def fatal(function):
    def wrapped(*args, **kwargs):
        global calls
        calls -= 1
        if calls < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **kwargs)
    return wrapped

if sys.argv[3] == "rename":
    journal.exchange = lambda a, b: False
pathlib.Path.rename = fatal(pathlib.Path.rename)
pathlib.Path.replace = fatal(pathlib.Path.replace)
journal.exchange = fatal(journal.exchange)
with atomic_io.staging(folder) as stage:
    (stage / "1").mkdir()
    (stage / "1" / "graph").write_text("new")
    (stage / "a.onnx").write_text("new")
    (stage / "manifest.json").write_text("new")
    atomic_io.publish(stage, folder, ["1", "a.onnx", "b.onnx", "manifest.json"])
print("done")
"""


def fill(folder, text):
    (folder / "1").mkdir(parents=True)
    (folder / "1" / "graph").write_text(text)
    for name in ("a.onnx", "b.onnx", "manifest.json"):
        (folder / name).write_text(text)
    (folder / "mine.txt").write_text("mine")


def state(folder):
    files = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file()}
    return {name: path.read_text() for name, path in files.items()}


@pytest.mark.parametrize("way", ["exchange", "rename"])
def test_files_are_all_old_or_all_new_wherever_the_process_is_killed(tmp_path, way, caplog):
    old = {"1/graph", "a.onnx", "b.onnx", "manifest.json"}
    seen = set()
    for calls in range(30):
        folder = tmp_path / f"out{calls}"
        fill(folder, "old")
        done = subprocess.run(
            command(CHILD, folder, calls, way), capture_output=True, text=True, check=False
        )
        assert done.returncode in (0, -signal.SIGKILL), done.stderr
        atomic_io.tidy(folder)
        found = state(folder)
        assert found.pop("mine.txt") == "mine"
        assert len(set(found.values())) == 1, (calls, found)
        which = next(iter(found.values()))
        assert set(found) == (old if which == "old" else old - {"b.onnx"})
        seen.add(which)
        if done.returncode == 0:
            break
    assert calls > 8
    assert seen == {"old", "new"}


def test_what_killed_processes_left_is_removed_and_reported(tmp_path, caplog):
    script = (
        "import os, pathlib, signal, sys\n"
        "from keras_vae.core import atomic_io\n"
        "with atomic_io.writing(pathlib.Path(sys.argv[1])) as draft:\n"
        "    draft.write_text('half')\n"
        "    os.kill(os.getpid(), int(sys.argv[2]))\n"
    )
    (tmp_path / "x.txt").write_text("old")
    for number in (signal.SIGKILL, signal.SIGTERM):
        killed = command(script, tmp_path / "x.txt", int(number))
        assert subprocess.run(killed, check=False).returncode == -number
        assert len(names(tmp_path)) == 2
        assert (tmp_path / "x.txt").read_text() == "old"
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            atomic_io.write_text(tmp_path / "y.txt", "new")
        assert "which a killed process left" in caplog.text
        (tmp_path / "y.txt").unlink()
        assert names(tmp_path) == ["x.txt"]


def test_what_others_are_writing_is_left_alone(tmp_path, caplog):
    mine = tmp_path / ".x.writing-1-0123abcd"
    mine.mkdir()
    (mine / "notes.txt").write_text("not of this package")
    with atomic_io.writing(tmp_path / "x") as draft:
        draft.write_text("first")
        atomic_io.write_text(tmp_path / "x", "second")
        assert draft.exists()
    assert (tmp_path / "x").read_text() == "first"
    assert names(mine) == ["notes.txt"]
    assert not caplog.text


def test_publishing_is_undone_if_it_fails(tmp_path, monkeypatch):
    fill(tmp_path, "old")
    before = state(tmp_path)
    move = journal._move

    def failing(aside, folder, name, digest):
        if name == "manifest.json":
            raise OSError("no")
        move(aside, folder, name, digest)

    monkeypatch.setattr(journal, "_move", failing)
    with atomic_io.staging(tmp_path) as stage:
        (stage / "1").mkdir()
        (stage / "a.onnx").write_text("new")
        (stage / "c.onnx").write_text("new")
        publishing = ["1", "a.onnx", "b.onnx", "c.onnx", "manifest.json"]
        with pytest.raises(OSError, match="no"):
            atomic_io.publish(stage, tmp_path, publishing)
    assert state(tmp_path) == before


def test_a_journal_does_not_reach_out_of_its_folder(tmp_path):
    folder = tmp_path / "out"
    left = folder / ".out.writing-1-0123abcd"
    left.mkdir(parents=True)
    (left / ".lock").write_text("")
    (left / "old").mkdir()
    (left / "journal.json").write_text(json.dumps({"../victim": None}))
    (tmp_path / "victim").write_text("mine")
    with pytest.raises(ValueError, match="must list names of files"):
        atomic_io.tidy(folder)
    assert (tmp_path / "victim").read_text() == "mine"


def test_a_full_disk_is_one_clear_error(tmp_path):
    (tmp_path / "x.npy").write_text("old")
    process = os.fork()
    if process == 0:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
        try:
            with (
                atomic_io.writing(tmp_path / "x.npy") as draft,
                draft.open("wb") as file,
            ):
                np.save(file, np.zeros(100_000))
        except OSError as error:
            clear = error.errno == errno.EFBIG and "is unchanged" in str(error)
            os._exit(0 if clear and atomic_io.is_full(error) else 1)
        os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0
    assert names(tmp_path) == ["x.npy"]
    assert (tmp_path / "x.npy").read_text() == "old"
