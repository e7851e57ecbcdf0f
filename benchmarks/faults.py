"""Kills, full disks and two at once, counted: `python benchmarks/faults.py`.

Processes are ended by SIGKILL at moments drawn uniformly from the time that the same run takes
when it is left alone (the seed is in the results); imports are over by then:

- `fit` with `BackupAndRestore`, started again (`resumed`: from a backup): all variables, the
  optimizer's too, are compared bit for bit with those of a training that nothing interrupted;
- `vae.save` over an older file: it loads and is the old or the new one, bit for bit;
- `keras-vae train`, then `--resume` for the epochs that are left (or `train` again, if there
  was no file yet), with nothing held out, saved after each epoch: variables as above;
- `exporters.export_onnx` over an older export: the manifest is the old or the new one, and all
  files are as it says; `files_agreed` counts that before the journal was followed.

`leftovers` are hidden folders and locks that are there after the next run. A full disk is a
tmpfs with 4 KiB left (root alone can mount one): what was there, the exit code and the lines
that a user sees. Results go to `results/faults.json`, written after each row; `--smoke` kills
one `vae.save`, or what `--only` names.
"""

import argparse
import json
import os
import pathlib
import shutil
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import smoke
from facts import machine, versions
from fault_runs import TABLE, data, errors, loaded, make_model, state, table
from forks import asked, duration, ended, forked, killed, leftovers, started
from full_disks import study_full_disks

import keras_vae
from keras_vae.cli import app, fitting
from keras_vae.core.locks import locked
from keras_vae.exporters import staging

SEED, KILLS = 0, 20
EPOCHS = 100


class Study:
    """Rows of a result, written as they are found."""

    def __init__(self, path, kills, rng):
        self.kills, self.rng, self.path = kills, rng, path
        self.report = {
            "command": "python benchmarks/faults.py",
            "seed": SEED,
            "kills": kills,
            "versions": versions("h5py"),
            "machine": machine(),
        }

    def add(self, name, row):
        # Parts may run at once.
        with locked(self.path, "study", seconds=60):
            found = json.loads(self.path.read_text()) if self.path.exists() else {}
            rows = found.get("rows", {}) if found.get("kills") == self.report["kills"] else {}
            report = {**self.report, "rows": {**rows, name: row}}
            self.path.write_text(json.dumps(report, indent=2) + "\n")
        print(name, json.dumps(row), flush=True)

    def count(self, name, seconds, trial):
        """Kill as many runs as wanted; `trial(moment)` returns `None` if one had ended."""
        found, moments, over = [], [], 0
        while len(found) < self.kills:
            moment = float(self.rng.uniform(0, seconds))
            result = trial(moment)
            if result is None:
                over += 1
                continue
            found.append(result)
            moments.append(round(moment, 4))
        sums = {key: sum(int(result[key]) for result in found) for key in found[0]}
        self.add(
            name,
            {
                "killed": len(found),
                **sums,
                "seconds_of_a_run": round(seconds, 3),
                "moments": moments,
                "had_ended_before": over,
            },
        )


# fit


def fit(folder, ready):
    vae = make_model()
    backup = keras.callbacks.BackupAndRestore(str(folder / "backup"))
    ready()
    vae.fit(data(), epochs=EPOCHS, batch_size=8, verbose=0, callbacks=[backup])
    (folder / "state").write_text(state(vae))


def study_fit(study, home):
    straight = home / "straight"
    straight.mkdir()
    seconds = duration(fit, straight)
    wanted = (straight / "state").read_text()

    def trial(moment):
        folder = pathlib.Path(tempfile.mkdtemp(dir=home))
        if not killed(moment, fit, folder):
            return None
        resumed = (folder / "backup" / "training_metadata.json").exists()
        duration(fit, folder)
        equal = (folder / "state").read_text() == wanted
        return {"bit_equal": equal, "resumed": resumed, "leftovers": leftovers(folder)}

    study.count("fit", seconds, trial)


# save


def save(path, seed, ready):
    vae = make_model(512, seed)
    ready()
    vae.save(path)


def study_save(study, home):
    path = home / "vae.keras"
    seconds = max(duration(save, path, 1), duration(save, path, 1))
    old = asked(loaded, path)
    content = path.read_bytes()
    duration(save, path, 2)
    new = asked(loaded, path)

    def trial(moment):
        path.write_bytes(content)
        if not killed(moment, save, path, 2):
            return None
        try:
            found = asked(loaded, path)
        except RuntimeError:
            found = None
        left = leftovers(home)
        duration(save, path, 2)
        return {
            "whole": found in (old, new),
            "new": found == new,
            "left_by_the_kill": left,
            "leftovers": leftovers(home),
        }

    study.count("save", seconds, trial)


# keras-vae train


def train(folder, epochs, resume, ready):
    fitting._SAVED_EVERY = 0.0
    ready()
    words = ["train", folder.parent / "table.csv", *TABLE, "--out", folder / "vae.keras"]
    words += ["--epochs", epochs, *(["--resume"] if resume else [])]
    app([str(word) for word in words], standalone_mode=False)


def steps_of(path):
    return int(keras.saving.load_model(path).state.step)


def study_train(study, home):
    table(home)
    epochs = 12
    straight = home / "straight"
    straight.mkdir()
    seconds = duration(train, straight, epochs, False)
    wanted = asked(loaded, straight / "vae.keras")
    of_epoch = asked(steps_of, straight / "vae.keras") // epochs

    def trial(moment):
        folder = pathlib.Path(tempfile.mkdtemp(dir=home))
        path = folder / "vae.keras"
        if not killed(moment, train, folder, epochs, False):
            return None
        resumed = path.exists()
        left = epochs - (asked(steps_of, path) // of_epoch if resumed else 0)
        if left:
            duration(train, folder, left, resumed)
        equal = asked(loaded, path) == wanted
        return {"bit_equal": equal, "resumed": resumed, "leftovers": leftovers(folder)}

    study.count("train_and_resume", seconds, trial)


# exports


def export(folder, seed, ready):
    vae = make_model(seed=seed)
    ready()
    keras_vae.exporters.export_onnx(vae, folder)


def export_to(target, folder, ready):
    vae = make_model()
    ready()
    getattr(keras_vae.exporters, f"export_{target}")(vae, folder, signatures=["decode"])


def agree(folder):
    """Weights by the manifest as it is, if all files are as it says."""
    found = json.loads((folder / "manifest.json").read_text())["targets"]["onnx"]
    entries = {n: keras_vae.exporters.FileEntry(**e) for n, e in found["files"].items()}
    for name in entries:
        if not (folder / name).exists() or staging.foreign(folder, name, entries):
            return None
    return found["model"]["weights_sha256"]


def resolved(folder):
    keras_vae.exporters.read_manifest(folder)
    return agree(folder)


def study_export(study, home):
    folder = home / "out"
    seconds = duration(export, folder, 1)
    old = agree(folder)
    kept = home / "kept"
    shutil.copytree(folder, kept)
    duration(export, folder, 2)
    new = agree(folder)

    def trial(moment):
        shutil.rmtree(folder)
        shutil.copytree(kept, folder)
        if not killed(moment, export, folder, 2):
            return None
        left, raw = leftovers(folder), agree(folder)
        found = asked(resolved, folder)
        return {
            "whole": found in (old, new),
            "new": found == new,
            "files_agreed": raw is not None,
            "left_by_the_kill": left,
            "leftovers": leftovers(folder),
        }

    study.count("export_onnx", seconds, trial)


# Two at once


def study_two(study, home):
    table(home)
    folder = home / "both"
    folder.mkdir()
    logs = [home / "one.log", home / "two.log"]

    def shown():
        # As the command does: one line, and a code.
        words = ["train", home / "table.csv", *TABLE, "--epochs", 3]
        app([*map(str, words), "--out", str(folder / "vae.keras")])

    codes = sorted(ended(p) for p in [forked(shown, log=log) for log in logs])
    lines = [line for log in logs for line in errors(log)]
    study.add(
        "two_trainings_with_one_out",
        {
            "exit_codes": codes,
            "lines": [line.replace(str(home), "") for line in lines],
            "loads": bool(asked(loaded, folder / "vae.keras")),
            "leftovers": leftovers(folder),
        },
    )
    out = home / "out"
    # Both have their models when they begin.
    running = [started(export_to, name, out)[0] for name in ("onnx", "keras_archive")]
    codes = [ended(process) for process in running]
    found = json.loads((out / "manifest.json").read_text())["targets"]
    study.add(
        "two_exports_into_one_folder",
        {"exit_codes": codes, "entries": sorted(found), "leftovers": leftovers(out)},
    )


STUDIES = {
    "fit": study_fit,
    "save": study_save,
    "train": study_train,
    "export": study_export,
    "two": study_two,
    "full_disks": study_full_disks,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    smoke.add_argument(parser)
    parser.add_argument(
        "--only", nargs="+", choices=list(STUDIES), default=smoke.pick(list(STUDIES), ["save"])
    )
    parser.add_argument("--out", default=str(smoke.RESULTS / "faults.json"))
    given = parser.parse_args()
    kills = 1 if given.smoke else KILLS
    for name in given.only:
        rng = np.random.default_rng([SEED, list(STUDIES).index(name)])
        study = Study(pathlib.Path(given.out), kills, rng)
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            STUDIES[name](study, pathlib.Path(folder))


if __name__ == "__main__":
    main()
