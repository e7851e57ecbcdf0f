import json
import subprocess
import sys
import zipfile

import keras
import numpy as np
import pytest
from typer.testing import CliRunner

import keras_vae
from keras_vae import likelihoods
from keras_vae.cli import app
from tests.exporters.support import latents, onnx_decode


class Unregistered(likelihoods.Bernoulli):
    pass


def make_model(likelihood):
    return keras_vae.VAE(
        keras_vae.networks.MLP([16]),
        keras_vae.networks.MLP([8]),
        keras_vae.posteriors.DiagonalNormal(latent_dim=3),
        likelihood=likelihood,
        event_shape=(8, 8, 1),
        seed=1,
    )


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A folder with a trained model, and with files that hold none."""
    folder = tmp_path_factory.mktemp("models")
    model = make_model(likelihoods.Bernoulli())
    model.compile("adam")
    model.fit(np.zeros([64, 8, 8, 1]), batch_size=16, verbose=0)
    model.save(folder / "vae.keras")
    make_model(Unregistered()).save(folder / "custom.keras")
    other = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    other.save(folder / "other.keras")
    other.save_weights(folder / "only.weights.h5")
    (folder / "text.keras").write_text("not a model")
    (folder / "cut.keras").write_bytes((folder / "vae.keras").read_bytes()[:4000])
    with zipfile.ZipFile(folder / "zip.keras", "w") as archive:
        archive.writestr("photo.jpg", "")
    return folder


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_info(files):
    done = run("info", files / "vae.keras")
    assert done.exit_code == 0
    lines = {tuple(line.split()[-2:]) for line in done.stdout.splitlines()}
    # Dense layers: 64 * 16 + 16, 3 * 8 + 8, and two heads of 16 * 6 + 6 and 8 * 64 + 64.
    for expected in [
        ("encoder", "1,040"),
        ("decoder", "32"),
        ("heads", "678"),
        ("total", "1,750"),
        ("trained", "4"),
        ("likelihood", "Bernoulli"),
        ("keras_vae", keras_vae.__version__),
    ]:
        assert expected in lines
    assert "[8, 8, 1]" in done.stdout
    assert "Loading" in done.stderr


def test_info_as_json(files):
    facts = json.loads(run("info", files / "vae.keras", "--json").stdout)
    assert facts["event_shape"] == [8, 8, 1]
    assert facts["latent_dim"] == 3
    assert facts["steps_trained"] == 4
    assert facts["parts"]["posterior"] == "DiagonalNormal"
    model = keras.saving.load_model(files / "vae.keras")
    weights = sum(int(np.prod(v.shape)) for v in model.trainable_variables)
    assert facts["parameters"]["total"] == weights


def test_export(files, tmp_path):
    done = run("export", files / "vae.keras", "--to", "onnx", "--out", tmp_path / "my decoder")
    assert done.exit_code == 0
    assert "decode.onnx" in done.stdout
    assert "of the output's scale" in done.stdout
    assert f"cd '{tmp_path / 'my decoder'}' && python -c" in done.stdout
    assert "Exporting to onnx" in done.stderr
    z = latents(5)
    model = keras.saving.load_model(files / "vae.keras")
    got = onnx_decode(tmp_path / "my decoder" / "decode.onnx", z)
    np.testing.assert_allclose(got, model.decode(z), atol=1e-6)


def test_export_as_json(files, tmp_path):
    done = run("export", files / "vae.keras", "--to", "onnx", "--out", tmp_path, "--json")
    stored = json.loads((tmp_path / "manifest.json").read_text())
    assert json.loads(done.stdout) == stored["targets"]["onnx"]


@pytest.mark.thorough
@pytest.mark.slow
def test_export_to_a_saved_model(files, tmp_path):
    done = run("export", files / "vae.keras", "--to", "saved_model", "--out", tmp_path)
    assert done.exit_code == 0
    assert (tmp_path / "1" / "saved_model.pb").is_file()
    assert "1/saved_model.pb" in done.stdout


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("absent.keras", "MODEL must be an existing file"),
        ("text.keras", "MODEL must be a .keras file"),
        ("zip.keras", "MODEL must be a .keras file"),
        ("cut.keras", "is none or is damaged"),
        ("only.weights.h5", "MODEL must be a .keras file"),
        ("", "MODEL must be a .keras file"),
        (
            "other.keras",
            "must hold a keras_vae.VAE. Received: {path}, which holds a Sequential",
        ),
        ("custom.keras", "needs the class 'Unregistered'"),
    ],
)
@pytest.mark.parametrize("command", ["info", "export"])
def test_not_a_model(files, tmp_path, command, name, message):
    path = files / name
    options = [] if command == "info" else ["--to", "onnx", "--out", tmp_path / "out"]
    done = run(command, path, *options)
    assert done.exit_code == 1
    assert done.stdout == ""
    error = done.stderr.splitlines()[-1]
    assert error.startswith("error: ")
    assert message.format(path=path) in error
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_errors_of_the_exporters(files, tmp_path):
    (tmp_path / "out").write_text("precious")
    for options, message in [
        (["--out", tmp_path / "out"], "error: `folder` must be a folder"),
        (["--out", tmp_path / "new", "--tolerance", "-1"], "error: `tolerance` must be finite"),
        (["--out", tmp_path / "new", "--tolerance", "0"], "above tolerance=0"),
    ]:
        done = run("export", files / "vae.keras", "--to", "onnx", *options)
        assert done.exit_code == 1
        assert message in done.stderr.splitlines()[-1]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_traceback(files):
    done = run("info", files / "absent.keras", "--traceback")
    assert done.exit_code == 1
    assert isinstance(done.exception, ValueError)


def test_import_of_own_classes(files, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "my_parts.py").write_text(
        "import keras\n"
        "from keras_vae import likelihoods\n"
        "@keras.saving.register_keras_serializable('my_parts')\n"
        "class Mine(likelihoods.Bernoulli):\n"
        "    pass\n"
    )
    import my_parts

    make_model(my_parts.Mine()).save(tmp_path / "mine.keras")
    done = run("info", tmp_path / "mine.keras", "--import", "my_parts")
    assert done.exit_code == 0
    assert "Mine" in done.stdout
    done = run("info", tmp_path / "mine.keras", "--import", "absent_parts")
    assert done.exit_code == 1
    assert "error: --import must name a module. Received: absent_parts" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["export", "a.keras", "--to", "tflite", "--out", "b"], "'saved_model', 'onnx'"),
        (["export", "a.keras", "--to", "onnx"], "Missing option '--out'"),
        (["info"], "Missing argument"),
        (["paint"], "No such command 'paint'"),
    ],
)
def test_wrong_command_lines(arguments, message):
    done = run(*arguments)
    assert done.exit_code == 2
    assert message in done.stderr


def test_help():
    done = run("--help")
    assert done.exit_code == 0
    assert {"info", "export"} <= set(done.stdout.split())


@pytest.mark.slow
def test_entry_point(files):
    code = "import sys; from keras_vae.cli import main; sys.argv[0] = 'keras-vae'; main()"
    command = [sys.executable, "-c", code, "info", str(files / "vae.keras"), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["model"] == "VAE"


def test_dry_run(files, tmp_path):
    arguments = ("--to", "onnx", "--out", tmp_path / "out", "--dry-run")
    done = run("export", files / "vae.keras", *arguments, "--signatures", "decode,score")
    assert done.exit_code == 0
    shown = " ".join(done.stdout.split())
    assert "decode meaning What stands for p(x|z), and its parameters." in shown
    assert "inputs z [batch, 3] float32" in shown
    assert "elbo [batch] float32" in shown
    assert "encode" not in shown
    assert list(tmp_path.iterdir()) == []


def test_chosen_signatures(files, tmp_path):
    out = tmp_path / "out"
    arguments = ("--to", "onnx", "--out", out, "--signatures", "decode,encode")
    done = run("export", files / "vae.keras", *arguments)
    assert done.exit_code == 0
    assert {p.name for p in out.iterdir()} == {"decode.onnx", "encode.onnx", "manifest.json"}
    assert "Verifying in a fresh process: decode, encode" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--to", "web", "--signatures", "decode"), "--signatures is no option of --to web."),
        (("--to", "onnx", "--sample-rate", "3"), "--sample-rate is no option of --to onnx."),
        (("--to", "onnx", "--signatures", "fly"), "must be a list of decode, encode"),
        (("--to", "web", "--data", "no.npy"), "--data must be a .npy or .npz file."),
    ],
)
def test_options_of_other_targets(files, tmp_path, arguments, message):
    done = run("export", files / "vae.keras", "--out", tmp_path / "out", *arguments)
    assert done.exit_code == 1
    assert message in done.stderr
    assert list(tmp_path.iterdir()) == []


# Evaluate.


@pytest.fixture(scope="module")
def data(files):
    x = np.random.default_rng(0).integers(0, 2, size=(30, 8, 8, 1))
    np.save(files / "x.npy", x)
    np.save(files / "labels.npy", np.arange(30) % 2)
    np.savez(files / "all.npz", x=x, labels=np.arange(30) % 2)
    np.savez(files / "keras.npz", x_test=x)
    (files / "history.csv").write_text("epoch,elbo,val_elbo\n0,-9.0,-8.0\n1,-5.0,-6.0\n")
    (files / "history.json").write_text('{"elbo": [-9.0, -5.0]}')
    return files


def test_evaluate_prints_what_the_report_says(data, tmp_path):
    done = run(
        *("evaluate", data / "all.npz", "--model", data / "vae.keras"),
        *("--samples", 5, "--json"),
    )
    assert done.exit_code == 0
    found = json.loads(done.stdout)
    model = keras.saving.load_model(data / "vae.keras")
    x, labels = np.load(data / "x.npy"), np.load(data / "labels.npy")
    same = keras_vae.evaluation.report(
        model, x, labels, samples=5, pictures=False, progress=False
    )
    assert found == json.loads(same.to_json())


def test_evaluate_writes_a_page(data, tmp_path):
    done = run(
        *("evaluate", data / "x.npy", "--model", data / "vae.keras"),
        *("--labels", data / "labels.npy"),
        *("--samples", 5, "--history", data / "history.csv", "--out", tmp_path / "out"),
    )
    assert done.exit_code == 0
    assert "linear probe" in done.stdout
    assert f"written: {tmp_path / 'out' / 'report.html'}" in done.stderr
    found = json.loads((tmp_path / "out" / "report.json").read_text())
    assert found["history"] == {"elbo": [-9.0, -5.0], "val_elbo": [-8.0, -6.0]}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.npy"], "DATA must be a .npy or .npz file"),
        (["keras.npz"], "DATA must hold x and may hold labels"),
        (["labels.npy"], "must have shape"),
        (["x.npy", "--labels", "text.keras"], "--labels must be a .npy or .npz file"),
        (["x.npy", "--history", "text.keras"], "--history must be a .csv file"),
        (["x.npy", "--samples", "0"], "samples"),
    ],
)
def test_evaluate_says_what_is_wrong(data, arguments, message):
    shown = [data / a if "." in a else a for a in arguments]
    done = run("evaluate", *shown, "--model", data / "vae.keras")
    assert done.exit_code == 1
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()[-1]) > 20
