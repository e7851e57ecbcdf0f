"""The shell on series: results by row of the file."""

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from keras_vae import cli


def run(*arguments):
    return CliRunner().invoke(cli.app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A file of series with missing values, and a model of it."""
    home = tmp_path_factory.mktemp("home")
    steps = np.arange(203)
    frame = pd.DataFrame(
        {
            "when": pd.date_range("2024-01-01", periods=203, freq="h").strftime(
                "%Y-%m-%d %H:%M"
            ),
            "volts": np.round(np.sin(steps / 4), 2),
            "state": np.where(steps % 3, "on", "off"),
            "amps": np.round(np.cos(steps / 4), 3),
        }
    )
    frame.loc[[7, 8, 202], "volts"] = np.nan
    frame.to_csv(home / "x.csv", index=False, sep=";", decimal=",")
    options = ("--kind", "series", "--window", 10, "--epochs", 2)
    done = run("train", home / "x.csv", "--out", home / "x.keras", *options)
    assert done.exit_code == 0, done.stderr
    return home


def test_score_has_a_row_for_each_of_the_file(home):
    out = home / "scores.csv"
    reference = ("--reference", home / "x.csv", "--rate", 0.05)
    done = run("score", home / "x.csv", "--model", home / "x.keras", "--out", out, *reference)
    assert done.exit_code == 0, done.stderr
    scores, given = pd.read_csv(out), pd.read_csv(home / "x.csv", sep=";")
    assert scores.columns.tolist() == ["row", "example", "when", "score", "anomaly"]
    assert scores["row"].tolist() == list(range(203))
    assert scores["when"].tolist() == given["when"].tolist()
    assert np.isfinite(scores["score"]).all()


def test_embed_has_a_row_for_each_window(home):
    out = home / "codes.csv"
    done = run("embed", home / "x.csv", "--model", home / "x.keras", "--out", out)
    assert done.exit_code == 0, done.stderr
    codes = pd.read_csv(out)
    assert codes.columns[:3].tolist() == ["row", "example", "when"]
    assert codes["row"].tolist() == [*range(0, 191, 5), 193]


def test_impute_fills_the_missing_cells_alone(home):
    out = home / "whole.csv"
    options = ("--model", home / "x.keras", "--samples", 5)
    done = run("impute", home / "x.csv", "--out", out, *options)
    assert done.exit_code == 0, done.stderr
    before = (home / "x.csv").read_text().splitlines()
    after = out.read_text().splitlines()
    changed = [row - 1 for row, pair in enumerate(zip(before, after)) if pair[0] != pair[1]]
    assert changed == [7, 8, 202]
    filled = pd.read_csv(out, sep=";", dtype=str)["volts"]
    assert filled[changed].str.fullmatch(r"-?\d+,\d{1,2}").all()


def test_reconstruct_gives_rows_with_their_times(home):
    out = home / "again.csv"
    done = run("reconstruct", home / "x.csv", "--model", home / "x.keras", "--out", out)
    assert done.exit_code == 0, done.stderr
    before = pd.read_csv(home / "x.csv", sep=";", decimal=",")
    after = pd.read_csv(out, sep=";", decimal=",")
    assert after[["when", "state"]].equals(before[["when", "state"]])
    assert after.columns.tolist() == before.columns.tolist()
    assert not after["volts"].isna().any()
