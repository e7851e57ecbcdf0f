"""Every benchmark runs to its end on tiny data."""

import os
import pathlib
import runpy
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2] / "benchmarks"
#: Modules that benchmarks share; they are no scripts.
SHARED = {
    "facts.py",
    "fault_runs.py",
    "forks.py",
    "full_disks.py",
    "published/ladder.py",
    "smoke.py",
}
#: Scripts that start processes of their own from what they have imported.
IN_A_PROCESS = {"faults.py", "properties.py"}
SCRIPTS = sorted(
    path.relative_to(ROOT).as_posix()
    for folder in (ROOT, ROOT / "published")
    for path in folder.glob("*.py")
)
#: Arguments of the scripts that need some.
ARGUMENTS = {
    "costs.py": [["scaling"]],
    "images.py": [["frey"]],
    "parts_on_data.py": [["counts"]],
    "series.py": [["ecg"], ["nab"]],
    "spread.py": [["mnist"]],
    "text.py": [["names"]],
}
RUNS = [
    pytest.param(script, words, id=" ".join([script, *words]))
    for script in SCRIPTS
    if script not in SHARED
    for words in ARGUMENTS.get(script, [[]])
]


@pytest.fixture
def run_smoke(tmp_path, monkeypatch, data_folder):
    """Run a benchmark with `--smoke` in this process, which has imported TensorFlow."""

    def run_smoke(script, *words):
        path = ROOT / script
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", [str(path), *words, "--smoke"])
        monkeypatch.setattr(sys, "path", [str(path.parent), str(ROOT), *sys.path])
        # The processes that a benchmark starts import the package from here, too.
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(p for p in sys.path if p))
        # As the module `smoke` sets it, which only the first script of a process imports.
        monkeypatch.setenv("KERAS_VAE_SMOKE", "1")
        if script in IN_A_PROCESS:
            command = [sys.executable, *sys.argv]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout + done.stderr
        else:
            runpy.run_path(str(path), run_name="__main__")

    return run_smoke


@pytest.mark.slow
@pytest.mark.many_models
@pytest.mark.filterwarnings("default")  # of models that were trained for two steps
@pytest.mark.parametrize(("script", "words"), RUNS)
def test_smoke_run_ends_and_changes_no_result(run_smoke, script, words):
    results = ROOT / "results"
    before = {path: path.stat().st_mtime_ns for path in results.iterdir()}
    run_smoke(script, *words)
    assert {path: path.stat().st_mtime_ns for path in results.iterdir()} == before
