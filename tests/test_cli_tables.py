"""Tables in the shell: columns shown and overruled, files given back whole."""

import json

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from keras_vae.cli import app


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def succeed(*words):
    result = run(*words)
    assert result.exit_code == 0, result.output
    return result


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with a table of people and a model of it."""
    home = tmp_path_factory.mktemp("home")
    rng = np.random.default_rng(0)
    n = 120
    age = rng.integers(18, 80, n)
    frame = pd.DataFrame(
        {
            "customer_id": [f"C{row:05d}" for row in range(n)],
            "age": age,
            "income": (900.0 * age + rng.normal(0, 3_000, n)).round(2),
            "city": rng.choice(["Łódź", "Oslo", "Zürich"], n),
            "joined": pd.to_datetime(rng.integers(18_000, 19_000, n), unit="D"),
            "class": np.where(age > 40, "old", "young"),
            "const": "x",
        }
    )
    frame.loc[::7, "income"] = None
    frame.loc[3::11, "city"] = None
    frame.to_csv(home / "people.csv", index=False)
    result = succeed(
        *("train", home / "people.csv", "--kind", "table", "--label", "class"),
        *("--out", home / "people.keras", "--epochs", 2),
    )
    return home, result.output


def test_train_shows_every_column_before_it_begins(home):
    _, output = home
    shown = output[: output.index("Building the model")]
    for words in ("customer_id  identifier", "age          real", "joined       date"):
        assert words in shown
    assert "const        constant" in shown
    assert "Kept aside" not in output


def test_inspect_prints_a_schema_that_train_takes(home, tmp_path):
    home, _ = home
    result = succeed("inspect", home / "people.csv", "--json")
    facts = json.loads(result.stdout)
    assert facts["rows"] == 120
    kinds = {column["name"]: column["kind"] for column in facts["columns"]}
    assert kinds["income"] == "real"
    assert next(c for c in facts["columns"] if c["name"] == "income")["missing"] == 18
    (tmp_path / "columns.json").write_text(result.stdout.replace('"category"', '"ignored"'))
    again = succeed("inspect", home / "people.csv", "--columns", tmp_path / "columns.json")
    assert "city         ignored" in again.output
    (tmp_path / "columns.json").write_text('{"wage": "real"}')
    for command in (("inspect",), ("train", "--kind", "table", "--out", tmp_path / "m.keras")):
        failed = run(
            command[0],
            home / "people.csv",
            *command[1:],
            "--columns",
            tmp_path / "columns.json",
        )
        assert failed.exit_code == 1
        assert "--columns must have names of columns. Received: ['wage']" in failed.output
        assert len(failed.output.strip().splitlines()) <= 2


def test_inspect_says_what_cannot_be_used(home, tmp_path):
    home, _ = home
    text = (home / "people.csv").read_text(encoding="utf-8").splitlines()
    text[6] += ",one,more"
    text[30] = text[30].replace(",real", "").replace(text[30].split(",")[1], "ERR", 1)
    (tmp_path / "bad.csv").write_text("\n".join(text), encoding="utf-8")
    facts = json.loads(succeed("inspect", tmp_path / "bad.csv", "--json").stdout)
    assert facts["cannot_be_used"] == {"... fields instead of ...": 1, "age is ...": 1}
    assert run("inspect", home).exit_code == 1


def test_impute_fills_missing_cells_and_nothing_else(home, tmp_path):
    home, _ = home
    out = tmp_path / "whole.csv"
    succeed("impute", home / "people.csv", "--model", home / "people.keras", "--out", out)
    before = (home / "people.csv").read_text(encoding="utf-8").splitlines()
    after = out.read_text(encoding="utf-8").splitlines()
    assert len(before) == len(after)
    for old, new in zip(before, after):
        cells = list(zip(old.split(","), new.split(",")))
        assert all(a == b for a, b in cells if a), (old, new)
        assert all(b for _, b in cells)
        assert len(new.split(",")[2].partition(".")[2]) <= 2


def test_the_input_is_not_overwritten_unless_asked(home, tmp_path):
    home, _ = home
    path = tmp_path / "people.csv"
    path.write_bytes((home / "people.csv").read_bytes())
    words = (path, "--model", home / "people.keras", "--out", path)
    for command in ("impute", "reconstruct", "score", "embed"):
        failed = run(command, *words)
        assert failed.exit_code == 1
        assert "--out must not be DATA" in failed.output
    assert path.read_bytes() == (home / "people.csv").read_bytes()
    succeed("impute", *words, "--overwrite")
    assert not pd.read_csv(path).isna().any(axis=None)


def test_scores_carry_row_id_and_label(home, tmp_path):
    home, _ = home
    text = (home / "people.csv").read_text(encoding="utf-8").splitlines()
    text[4] = (
        text[4].replace("Łódź", "Paris").replace("Oslo", "Paris").replace("Zürich", "Paris")
    )
    text[5] = text[5].replace(text[5].split(",")[1], "unknown", 1)
    (tmp_path / "new.csv").write_text("\n".join(text), encoding="utf-8")
    out = tmp_path / "scores.csv"
    words = ("score", tmp_path / "new.csv", "--model", home / "people.keras", "--out", out)
    assert "'unknown' in row 4" in run(*words).output
    succeed(*words, "--samples", 2, "--skip-bad")
    scores, people = pd.read_csv(out), pd.read_csv(home / "people.csv")
    assert list(scores) == ["row", "example", "customer_id", "label", "score"]
    assert 4 not in scores["row"].tolist()
    joined = people.iloc[scores["row"]]
    assert scores["customer_id"].tolist() == joined["customer_id"].tolist()
    assert scores["label"].tolist() == joined["class"].tolist()


def test_generate_writes_the_columns_of_the_file(home, tmp_path):
    home, _ = home
    out = tmp_path / "new.csv"
    succeed("generate", "--model", home / "people.keras", "--out", out, "--count", 9)
    new, old = pd.read_csv(out), pd.read_csv(home / "people.csv")
    assert list(new) == list(old)
    assert len(new) == 9
    assert new["customer_id"].isna().all()
    assert new["class"].isna().all()
    assert (new["const"] == "x").all()
    assert new["age"].dtype == "int64"
    assert new["joined"].str.fullmatch(r"\d{4}-\d\d-\d\d").all()
