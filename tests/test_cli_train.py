"""From files to a model and back to files, by the shell's commands."""

import json

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from sklearn.datasets import load_digits, load_wine
from typer.testing import CliRunner

import keras_vae
from keras_vae.cli import app


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def succeed(*arguments):
    done = run(*arguments, "--json")
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with images of digits, a table with holes, and a model of each."""
    home = tmp_path_factory.mktemp("home")
    digits = load_digits()
    for index, (image, label) in enumerate(zip(digits.images[:120], digits.target)):
        path = home / "digits" / str(label) / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = (255 * (image > 7)).astype("uint8")[..., None]
        path.write_bytes(tf.io.encode_png(pixels).numpy())
    frame = load_wine(as_frame=True).frame.iloc[:, [0, 4, 12, 13]]
    frame.columns = ["alcohol", "magnesium", "proline", "class"]
    frame = frame.astype({"magnesium": int, "proline": int})
    frame.loc[::5, "alcohol"] = None
    frame.to_csv(home / "wine.csv", index=False)
    facts = {
        "digits": succeed(
            *("train", home / "digits", "--kind", "images", "--out", home / "digits.keras"),
            *("--epochs", 2, "--latent-dim", 3),
        ),
        "wine": succeed(
            *("train", home / "wine.csv", "--kind", "table", "--label", "class"),
            *("--out", home / "wine.keras", "--epochs", 2),
        ),
    }
    return home, facts


def test_train_says_what_came_of_it(home):
    home, facts = home
    assert facts["digits"]["epochs"] == 2
    assert facts["digits"]["ended"] == "epochs are over"
    vae = keras.saving.load_model(home / "digits.keras")
    assert vae.posterior.latent_dim == 3
    assert isinstance(vae.likelihood, keras_vae.likelihoods.Bernoulli)
    source = keras_vae.data.from_images(home / "digits")
    # The same images are held out, with the same noise.
    found = vae.evaluate(source.x_test, batch_size=13, return_dict=True, verbose=0)
    assert facts["digits"]["held_out"]["elbo"] == pytest.approx(found["elbo"], abs=1e-3)
    wine = keras.saving.load_model(home / "wine.keras")
    assert wine.missing == "nan"
    assert wine.preprocessor.schema.table.names == ["alcohol", "magnesium", "proline"]


def test_training_goes_on(home, tmp_path):
    home, _ = home
    target = tmp_path / "model.keras"
    target.write_bytes((home / "digits.keras").read_bytes())
    before = keras.saving.load_model(target)
    succeed(
        *("train", home / "digits", "--kind", "images", "--out", target),
        *("--epochs", 3, "--resume"),
    )
    after = keras.saving.load_model(target)
    assert int(after.state.step) == int(before.state.step) * 5 // 2
    assert int(after.optimizer.iterations) == int(after.state.step)


def test_training_that_makes_it_worse_leaves_the_model_as_it_was(home, tmp_path):
    home, _ = home
    target = tmp_path / "model.keras"
    vae = keras.saving.load_model(home / "digits.keras")
    vae.optimizer.learning_rate.assign(3.0)
    vae.save(target)
    before = target.read_bytes()
    facts = succeed(
        *("train", home / "digits", "--kind", "images", "--out", target),
        *("--epochs", 2, "--resume"),
    )
    assert facts["ended"] == "epochs are over; no epoch was better than the model as it was"
    assert target.read_bytes() == before


def test_time_is_kept(home, tmp_path):
    home, _ = home
    facts = succeed(
        *("train", home / "wine.csv", "--kind", "table", "--label", "class"),
        *("--out", tmp_path / "model.keras", "--minutes", 0.02),
    )
    assert facts["ended"] == "time is up"
    assert (tmp_path / "model.keras").is_file()


def test_an_interrupted_training_keeps_its_weights(home, tmp_path, monkeypatch):
    home, _ = home

    def interrupt(self, epoch, logs=None):
        if epoch == 1:
            self.model.set_weights([0 * w for w in self.model.get_weights()])
            raise KeyboardInterrupt

    monkeypatch.setattr(
        keras_vae.callbacks.TimeLimit,
        "on_epoch_end",
        interrupt,
    )
    facts = succeed(
        *("train", home / "wine.csv", "--kind", "table", "--label", "class"),
        *("--out", tmp_path / "model.keras"),
    )
    assert facts["ended"] == "interrupted"
    # As the best epoch left it, which the first is here.
    vae = keras.saving.load_model(tmp_path / "model.keras")
    assert int(vae.state.step) > 0
    assert np.abs(vae.encoder.get_weights()[0]).max() > 0


def test_train_reports(home, tmp_path):
    home, _ = home
    facts = succeed(
        *("train", home / "wine.csv", "--kind", "table", "--label", "class"),
        *("--out", tmp_path / "m.keras", "--epochs", 1, "--report", tmp_path / "report"),
    )
    page = (tmp_path / "report" / "report.html").read_text()
    assert facts["report"].endswith("report.html")
    assert "<img" in page


def test_generate_images(home, tmp_path):
    home, _ = home
    succeed(
        "generate", "--model", home / "digits.keras", "--out", tmp_path / "new", "--count", 5
    )
    vae = keras.saving.load_model(home / "digits.keras")
    written = vae.preprocessor.schema.read(tmp_path / "new").x
    np.testing.assert_array_equal(written, np.rint(vae.generate(5, seed=0)))


def test_generate_rows_with_the_table_s_columns(home, tmp_path):
    home, _ = home
    succeed(
        *("generate", "--model", home / "wine.keras", "--out", tmp_path / "new.csv"),
        *("--count", 50),
    )
    frame, real = pd.read_csv(tmp_path / "new.csv"), pd.read_csv(home / "wine.csv")
    assert list(frame.columns) == ["alcohol", "magnesium", "proline", "class"]
    assert frame["class"].isna().all()  # which no model learns
    assert frame["magnesium"].dtype == real["magnesium"].dtype
    assert len(frame) == len(frame.drop_duplicates()) == 50  # draws, not means of p(x|z)


def test_reconstruct_embed_and_score(home, tmp_path):
    home, _ = home
    data, model = home / "digits", home / "digits.keras"
    succeed("reconstruct", data, "--model", model, "--out", tmp_path / "x.npy")
    facts = succeed("embed", data, "--model", model, "--out", tmp_path / "z.csv")
    assert facts["latents"] == 3
    options = ("--reference", data, "--rate", 0.1)
    succeed("score", data, "--model", model, "--out", tmp_path / "s.json", *options)
    vae = keras.saving.load_model(model)
    read = vae.preprocessor.schema.read(data)
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), vae.reconstruct(read.x))
    codes = pd.read_csv(tmp_path / "z.csv")
    np.testing.assert_allclose(codes[["z0", "z1", "z2"]], vae.encode(read.x), rtol=1e-6)
    assert list(codes["example"]) == read.names
    np.testing.assert_array_equal(codes["label"].astype(str), read.labels)
    scores = json.loads((tmp_path / "s.json").read_text())
    expected = keras_vae.tasks.anomaly_score(vae, read.x, seed=0)
    np.testing.assert_allclose(scores["score"], expected, rtol=1e-6)
    limit = keras_vae.tasks.threshold(expected, rate=0.1).value
    assert scores["anomaly"] == [bool(value > limit) for value in expected]


def test_impute_keeps_what_is_known(home, tmp_path):
    home, _ = home
    facts = succeed(
        *("impute", home / "wine.csv", "--model", home / "wine.keras"),
        *("--out", tmp_path / "whole.csv", "--samples", 20),
    )
    before, after = pd.read_csv(home / "wine.csv"), pd.read_csv(tmp_path / "whole.csv")
    assert facts["filled_in"] == before["alcohol"].isna().sum() > 0
    assert not after.isna().any(axis=None)
    known = before["alcohol"].notna()
    pd.testing.assert_frame_equal(
        after[known], before.loc[known, list(after.columns)], check_exact=True
    )


def test_model_of_a_whole_table_fills_in_another_with_holes(tmp_path):
    wine = load_wine(as_frame=True).frame
    holes = wine.index % 5 == 0
    wine[~holes].to_csv(tmp_path / "seen.csv", index=False)
    wine.assign(alcohol=wine["alcohol"].mask(holes)).to_csv(tmp_path / "holed.csv", index=False)
    model = tmp_path / "wine.keras"
    succeed(
        *("train", tmp_path / "seen.csv", "--kind", "table", "--label", "target"),
        *("--out", model, "--epochs", 60),
    )
    assert keras.saving.load_model(model).missing is None
    facts = succeed(
        *("impute", tmp_path / "holed.csv", "--model", model, "--out", tmp_path / "whole.csv")
    )
    assert facts["filled_in"] == holes.sum() > 0
    after, true = pd.read_csv(tmp_path / "whole.csv"), wine["alcohol"]
    error = np.sqrt(np.mean((after["alcohol"] - true)[holes] ** 2))
    assert error < 0.95 * true[~holes].std()  # other columns say something of it


def test_interpolate_begins_and_ends_where_it_should(home, tmp_path):
    home, _ = home
    succeed(
        *("interpolate", home / "digits", "--model", home / "digits.keras"),
        *("--out", tmp_path / "way.npy", "--start", 4, "--end", 9, "--steps", 5),
    )
    vae = keras.saving.load_model(home / "digits.keras")
    read = vae.preprocessor.schema.read(home / "digits")
    way = np.load(tmp_path / "way.npy")
    np.testing.assert_allclose(way[[0, -1]], vae.reconstruct(read.x[[4, 9]]), atol=1e-3)


def test_evaluate_reads_files_and_their_classes(home):
    home, _ = home
    found = succeed(
        *("evaluate", home / "digits", "--model", home / "digits.keras"),
        *("--samples", 5, "--max-examples", 100),
    )
    assert {"likelihood", "labels"} <= set(found["measures"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "nowhere", "--kind", "images", "--out", "m.keras"), "existing file"),
        (
            ("train", "wine.csv", "--kind", "images", "--out", "m.keras"),
            "DATA must be a folder",
        ),
        (("train", "digits", "--kind", "images", "--out", "m.h5"), "--out must end in .keras"),
        (("train", "digits", "--kind", "images", "--out", "wine.keras"), "not overwritten"),
        (
            ("train", "digits", "--kind", "images", "--out", "m.keras", "--window", "3"),
            "--window is no option",
        ),
        (
            ("train", "digits", "--kind", "images", "--out", "m.keras", "--size", "8"),
            "--size must be",
        ),
        (
            ("train", "digits", "--kind", "images", "--out", "wine.keras", "--resume"),
            "--resume needs the data",
        ),
        (
            ("train", "digits", "--kind", "images", "--out", "m.keras", "--resume"),
            "existing file",
        ),
        (
            ("train", "ages.csv", "--kind", "counts", "--out", "m.keras"),
            "leave such rows out: --skip-bad.",
        ),
        (
            ("train", "ages.csv", "--kind", "series", "--out", "m.keras", "--held-out", "2"),
            "--held-out must be a share of 0 or more and below 1. Received: 2",
        ),
        (("embed", "digits", "--model", "digits.keras", "--out", "z.txt"), "--out must end in"),
        (("generate", "--model", "wine.keras", "--out", "x.png"), "--out must end in"),
        (("score", "wine.csv", "--model", "digits.keras", "--out", "s.csv"), "DATA must be"),
        (
            ("score", "digits", "--model", "digits.keras", "--out", "s.csv", "--rate", "0.1"),
            "--rate needs --reference",
        ),
        (
            (
                *("interpolate", "digits", "--model", "digits.keras", "--out", "x.npy"),
                *("--end", "999"),
            ),
            "--end must be the number",
        ),
    ],
)
def test_errors_in_one_line(home, tmp_path, monkeypatch, arguments, message):
    home, _ = home
    for name in ("digits", "wine.csv", "digits.keras", "wine.keras"):
        (tmp_path / name).symlink_to(home / name)
    (tmp_path / "ages.csv").write_text("age\n" + "0.5\n7.0\n" * 50)
    monkeypatch.chdir(tmp_path)
    before = set(tmp_path.iterdir())
    done = run(*arguments)
    assert done.exit_code == 1
    assert message in done.stderr.splitlines()[-1]
    assert set(tmp_path.iterdir()) == before
