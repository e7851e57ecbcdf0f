"""Full disks, for `faults.py`: each command writes to a tmpfs with hardly any room."""

import contextlib
import dataclasses
import hashlib
import os
import shutil
import subprocess
import tempfile

from fault_runs import TABLE, errors, loaded, make_model, table
from forks import asked, ended, forked, leftovers

from keras_vae.cli import app

FREE = 4 * 1024  # bytes left


@contextlib.contextmanager
def full_disk(place, files):
    """A small disk with files on it and hardly any room."""
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", place], check=True)
    try:
        for source, name in files:
            copy = shutil.copytree if source.is_dir() else shutil.copy
            copy(source, place / name)
        found = os.statvfs(place)
        room = found.f_bavail * found.f_frsize - FREE
        (place / "ballast").write_bytes(bytes(max(room, 0)))
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


@dataclasses.dataclass
class Command:
    """A command whose output goes to a full disk."""

    words: list
    files: list = dataclasses.field(default_factory=list)


def shell(words):
    app([str(word) for word in words])


def study_full_disks(study, home):
    table(home)
    table(home, 2000, "more.csv")
    model, onnx, report = home / "vae.keras", home / "onnx", home / "report"
    train_words = ["train", home / "table.csv", *TABLE, "--epochs", 3, "--out"]
    log = home / "log"
    for words in (
        [*train_words, model],
        ["export", model, "--to", "onnx", "--signatures", "decode", "--out", onnx],
        ["evaluate", home / "table.csv", "--model", model, "--samples", 10, "--out", report],
    ):
        if ended(forked(shell, words, log=log)):
            raise RuntimeError(log.read_text())
    scratch = home / "tmp"
    scratch.mkdir()
    disk = home / "disk"
    using = ["--model", model, "--out"]
    commands = {
        "train": Command([*train_words, disk / "new.keras"]),
        "train_resume": Command(
            [*train_words, disk / "vae.keras", "--resume"], [(model, "vae.keras")]
        ),
        "export": Command([*commands_export(model), disk / "onnx"], [(onnx, "onnx")]),
        "report": Command(
            ["evaluate", home / "table.csv", "--samples", 10, *using, disk / "report"],
            [(report, "report")],
        ),
        "generate": Command(
            ["generate", "--count", 5000, *using, disk / "a.csv"],
            [(home / "table.csv", "a.csv")],
        ),
        "score": Command(
            ["score", home / "more.csv", "--samples", 2, *using, disk / "s.csv"],
            [(home / "table.csv", "s.csv")],
        ),
    }
    for name, command in commands.items():
        with full_disk(disk, command.files):
            before = contents(disk)
            process = forked(with_tmpdir, scratch, command.words, log=log)
            code = ended(process)
            row = {
                "exit_code": code,
                "lines": [line.replace(str(home), "") for line in errors(log)],
                "unchanged": contents(disk) == before,
                "leftovers": leftovers(disk),
            }
            if name.startswith("train"):
                saved = list(scratch.glob("*.keras"))
                row["saved_elsewhere"] = [bool(asked(loaded, path)) for path in saved]
                for path in saved:
                    path.unlink()
        disk.rmdir()
        study.add(f"full_disk_{name}", row)
    with full_disk(disk, [(model, "vae.keras")]):
        before = contents(disk)
        error = asked(save_error, disk / "vae.keras")
        study.add(
            "full_disk_save",
            {
                "error": error.replace(str(home), ""),
                "unchanged": contents(disk) == before,
                "leftovers": leftovers(disk),
            },
        )
    disk.rmdir()


def commands_export(model):
    return ["export", model, "--to", "onnx", "--signatures", "decode", "--out"]


def save_error(path):
    try:
        make_model().save(path)
    except OSError as error:
        return str(error)
    return ""


def with_tmpdir(folder, words):
    tempfile.tempdir = str(folder)
    shell(words)
