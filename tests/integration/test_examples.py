"""The examples do what their docstrings say, and the guide adds what it adds."""

import os
import pathlib
import re
import runpy
import shutil
import subprocess
import sys

import keras
import pytest

import keras_vae

pytestmark = pytest.mark.slow

ROOT = pathlib.Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
# The commands that examples print begin with `python`: the one that runs the tests.
PATH = os.pathsep.join([str(pathlib.Path(sys.executable).parent), os.environ["PATH"]])


def run(command, folder, **variables):
    environment = {**os.environ, "PATH": PATH, "PYTHONPATH": str(ROOT), **variables}
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def run_example(name, folder, *words, **variables):
    command = [sys.executable, str(ROOT / "examples" / name), *words]
    return run(command, folder, KERAS_VAE_SMOKE="1", **variables)


@pytest.fixture
def run_here(tmp_path, monkeypatch, capsys):
    """Run an example in this process, which has imported TensorFlow, and return its lines."""

    def run_here(name, *words, **variables):
        monkeypatch.chdir(tmp_path)
        for variable, value in {"KERAS_VAE_SMOKE": "1", **variables}.items():
            monkeypatch.setenv(variable, value)
        monkeypatch.setattr(sys, "argv", [name, *words])
        runpy.run_path(str(ROOT / "examples" / name), run_name="__main__")
        return capsys.readouterr().out

    return run_here


def printed_number(text, name, unit):
    found = re.search(rf"^{re.escape(name)} +(-?\d+(?:\.\d+)?) {unit}", text, re.MULTILINE)
    assert found, f"no line '{name} ... {unit}' in:\n{text}"
    return float(found[1])


def check_digits(printed, folder):
    for name in ("train elbo", "test elbo", "test log p(x)"):
        assert printed_number(printed, name, "nats") < 0
    assert printed_number(printed, "active units", "of") >= 0
    total = printed_number(printed, "total", "s")
    assert 0 < printed_number(printed, "training", "s") < total
    written = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    expected = {
        "overview.png",
        "model.keras",
        "export/decode.onnx",
        "export/1/saved_model.pb",
        "export/manifest.json",
    }
    assert expected <= written
    assert not [name for name in written if "part" in name]


def test_digits(tmp_path):
    printed = run_example("digits.py", tmp_path)
    output = tmp_path / "output" / "digits"
    check_digits(printed, output)
    # The last lines are commands that work where the example was run.
    commands = re.findall(r"^\(cd .*\)$", printed, re.MULTILINE)
    assert len(commands) == 2
    for command in commands:
        assert re.search(r"0\.\d", run(["sh", "-c", command], tmp_path))
    assert isinstance(keras.saving.load_model(output / "model.keras"), keras_vae.VAE)


@pytest.mark.thorough
def test_digits_of_mnist(tmp_path, data_folder):
    printed = run_example("digits.py", tmp_path, "mnist")
    check_digits(printed, tmp_path / "output" / "mnist")
    # A second run replaces what the first one wrote.
    before = (tmp_path / "output" / "mnist" / "model.keras").stat().st_mtime_ns
    run_example("digits.py", tmp_path, "mnist")
    assert (tmp_path / "output" / "mnist" / "model.keras").stat().st_mtime_ns > before


@pytest.mark.thorough
def test_digits_takes_one_word():
    command = [sys.executable, str(ROOT / "examples" / "digits.py"), "cifar"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "usage: python examples/digits.py [mnist]" in done.stderr


def test_vectors(run_here):
    printed = run_here("vectors.py")
    elbo = printed_number(printed, "test elbo", "nats")
    assert elbo < printed_number(printed, "true log p(x)", "nats")
    assert 0 <= printed_number(printed, "active units", "of 8") <= 8
    rows = re.findall(r"^([A-Za-z, ]+?) +(-?\d\.\d{5}) +(\d\.\d{3})$", printed, re.MULTILINE)
    names = [name for name, _, _ in rows]
    assert names == ["VAE", "autoencoder", "autoencoder, fitted", "truth"]
    printed_number(printed, "total", "s")


@pytest.mark.parametrize(
    ("name", "printed", "written"),
    [
        ("tables", ["test elbo", "filled in", "malignant", "synthetic"], ["synthetic.csv"]),
        ("counts", ["log p", "latents", "latent"], []),
        ("series", ["test elbo", "anomaly score", "largest value"], ["scores.png"]),
        (
            "images",
            ["test elbo", "like", "damaged", "flagged", "found", "edited", "of few", "of more"],
            ["found.png", "edited.png", "traversals.png", "way.png"],
        ),
        ("names", ["elbo", "log p", "frequency", "drawn at temperature"], ["drawn.txt"]),
    ],
)
def test_examples_of_own_data(tmp_path, run_here, name, printed, written):
    lines = run_here(f"{name}.py").splitlines()
    for beginning in printed:
        assert any(re.match(rf"{beginning}\b.*\d", line) for line in lines), beginning
    for file in (*written, "model.keras"):
        assert (tmp_path / "output" / name / file).is_file()


@pytest.mark.many_models
def test_estimators(tmp_path, run_here):
    printed = run_here("estimators.py")
    for name, unit in (
        ("codes", "accuracy"),
        ("components", "accuracy"),
        ("outliers", "ROC-AUC"),
        ("by a forest", "ROC-AUC"),
    ):
        assert 0 < printed_number(printed, name, unit) <= 1
    written = tmp_path / "output" / "estimators" / "detector.keras"
    assert isinstance(keras.saving.load_model(written), keras_vae.VAE)


def test_synthesised_sounds(tmp_path, run_here):
    check_sounds(run_here("sounds.py", KERAS_VAE_DATA=""), tmp_path / "output" / "sounds")


@pytest.mark.thorough
def test_spoken_sounds(tmp_path, run_here, data_folder):
    printed = run_here("sounds.py", KERAS_VAE_DATA=str(data_folder))
    check_sounds(printed, tmp_path / "output" / "sounds")


def check_sounds(printed, output):
    printed_number(printed, "test elbo", "nats")
    floor = printed_number(printed, "phases alone", "dB")
    assert 0 < floor < 3
    assert floor < printed_number(printed, "reconstructions", "dB")
    for name, count in (("clips", 60), ("reconstructions", 6), ("new", 8)):
        assert len(list((output / name).glob("*.wav"))) == count
    assert {"way.wav", "model.keras", "spectrograms.png"} <= {p.name for p in output.iterdir()}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_examples_say_how_to_run_them(path):
    documentation = path.read_text().split('"""')[1]
    assert f"python examples/{path.name}" in documentation


@pytest.mark.thorough
def test_the_guide_to_adding_a_part_works_as_written(tmp_path):
    # Every block of docs/adding_a_part.md that names a file is put there in a copy of the
    # project: whole files are written, single lines added where the guide says.
    for folder in ("keras_vae", "tests"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    guide = (ROOT / "docs" / "adding_a_part.md").read_text()
    blocks = re.findall(
        r"`([\w/]+\.py)`[^`]*?:\n\n```(python|diff)\n(.*?)```", guide, re.DOTALL
    )
    assert [kind for _, kind, _ in blocks] == ["python", *["diff"] * 4, "python"]
    for name, kind, text in blocks:
        path = tmp_path / name
        if kind == "python":
            assert not path.exists(), f"{name} is no new file any more"
            path.write_text(text)
        else:
            path.write_text(patched(path.read_text(), text))
    tests = ["conformance", "priors/test_logistic.py", "integration/test_public_api.py"]
    command = [sys.executable, "-m", "pytest", "-v", "-n0", "-m", "", "-p", "no:cacheprovider"]
    models = "model_trains and -Logistic-"  # those that hold it, by their names
    others = "Discretized or Logistic-learned or Logistic-predicted"
    parts = f"(Logistic] or {models}) and not ({others})"
    chosen = ["-k", f"{parts} or test_logistic or every_concrete or (public and priors)"]
    where = [f"tests/{name}" for name in tests]
    printed = run([*command, *where, *chosen], tmp_path, PYTHONPATH=str(tmp_path))
    for tested in (
        "test_parts.py::test_every_concrete_class_has_a_case[priors] PASSED",
        "test_parts.py::test_prior_draws_follow_its_density[Logistic] PASSED",
        "test_parts.py::test_kl_is_the_mean_log_ratio[DiagonalNormal-Logistic] PASSED",
        "test_models.py::test_model_trains_evaluates_and_survives_saving[",
        "test_public_api.py::test_public_names[keras_vae.priors] PASSED",
        "test_logistic.py::test_density_is_that_of_scipy PASSED",
    ):
        assert tested in printed, f"no {tested} in:\n{printed}"


def patched(text, diff):
    """Apply a diff of context lines and added lines."""
    lines = [line for line in diff.splitlines() if line]
    before = "\n".join(line[1:] for line in lines if line[0] in " -")
    after = "\n".join(line[1:] for line in lines if line[0] in " +")
    assert text.count(before) == 1, f"no such lines any more:\n{before}"
    return text.replace(before, after)
