"""Kinds of columns: what the values are evidence for, and what a user says instead."""

import io
import json

import numpy as np
import pandas as pd
import pytest

from keras_vae import data
from keras_vae.data.column_schema import schema_kinds
from keras_vae.tables import Table

N = 300


def texts(values):
    return pd.Series([str(value) for value in values], dtype=object)


def columns(rng):
    """Columns by name, with the kind that a reader would call them."""
    days = pd.to_datetime(rng.integers(18_000, 20_000, N), unit="D")
    seconds = 1_600_000_000 + np.sort(rng.integers(0, 10**7, N))
    return {
        "year": (rng.integers(1990, 2024, N), "real"),
        "height": (rng.normal(170, 10, N).round().astype(int), "real"),
        "hour": (rng.integers(0, 24, N), "real"),
        "salary": (rng.normal(50_000, 9_000, N).astype(int), "real"),
        "price": (rng.integers(5, 100, N), "real"),
        "tens": (10 * rng.poisson(3, N), "real"),
        "age": (np.clip(rng.normal(38, 22, N), 0, 99).astype(int), "real"),
        "visits": (rng.poisson(5, N), "count"),
        "children": (rng.poisson(1, N), "count"),
        "calls": (rng.negative_binomial(1, 0.05, N), "count"),
        "holed": (np.where(np.arange(N) % 9, rng.poisson(2, N) * 1.0, np.nan), "count"),
        "alleles": (rng.binomial(2, 0.3, N), "ordinal"),
        "stars": (rng.integers(1, 6, N), "ordinal"),
        "residents": (rng.lognormal(10, 2, N).astype(int), "positive"),
        "flag": (rng.integers(0, 2, N), "binary"),
        "customer_id": (rng.permutation(10 * N)[:N], "identifier"),
        "number": (rng.permutation(N) + 7, "identifier"),
        "phone": (rng.choice(10**8, N, replace=False) + 3 * 10**8, "identifier"),
        "huge": (10**17 + rng.choice(10**6, N, replace=False), "identifier"),
        "Unnamed: 0": (np.arange(N), "index"),
        "t": (1_600_000_000 + 60 * np.arange(N), "index"),
        "seen": (seconds, "date"),
        "milliseconds": (seconds * 1000, "date"),
        "day": (days, "date"),
        "iso": (texts(days.strftime("%Y-%m-%d")), "date"),
        "german day": (texts(days.strftime("%d.%m.%Y %H:%M")), "date"),
        "compact day": (texts(days.strftime("%Y%m%d")), "date"),
        "zip": (texts(rng.choice(["02139", "00501", "90210"], N)), "category"),
        "code": (texts(f"C{number:05d}" for number in range(N)), "identifier"),
        "remark": (texts(f"they said {number}" for number in range(N)), "text"),
        "city": (texts(rng.choice(["Oslo", "Rome", "Wien"], N)), "category"),
        "one": (np.full(N, 3), "constant"),
        "none": (np.full(N, np.nan), "empty"),
    }


@pytest.mark.parametrize("as_text", [False, True])
@pytest.mark.parametrize("seed", [0, 1])
def test_kinds_follow_the_evidence(seed, as_text):
    made = columns(np.random.default_rng(seed))
    frame = pd.DataFrame({name: values for name, (values, _) in made.items()})
    if as_text:
        text = io.StringIO(frame.to_csv(index=False))
        frame = pd.read_csv(text, dtype=str, keep_default_na=False).astype(object)
    found = {column.name: column.kind for column in data.decide_columns(frame)}
    assert found == {name: kind for name, (_, kind) in made.items()}


def test_every_column_says_why_with_examples():
    frame = pd.DataFrame({"a": texts(["1,234", "56", "", "7"]), "b": texts("wxyz")})
    first, second = data.decide_columns(frame)
    assert (first.missing, first.examples) == (1, ("1,234", "56", "7"))
    assert "thousands" in first.why
    assert "4 different words" in second.why


def test_a_value_that_may_mean_missing_is_named(rng):
    values = rng.normal(50_000, 9_000, N)
    values[::7] = -999
    (column,) = data.decide_columns(pd.DataFrame({"income": values}))
    assert "-999 43 times: missing?" in column.why
    (column,) = data.decide_columns(
        pd.DataFrame({"income": texts(values.round(2))}), na_values=["-999.0"]
    )
    assert column.missing == 43


def test_country_na_and_answer_none_are_values():
    frame = pd.DataFrame(
        {
            "country": texts(["NA", "DE", "FR", "NA"] * 20),
            "answer": texts(["some", "None", "many", "None"] * 20),
            "grade": texts(["good", "NA", "bad", "fair"] * 20),
        }
    )
    assert [column.missing for column in data.decide_columns(frame)] == [0, 0, 20]


def test_some_words_among_numbers_are_bad_cells_but_codes_are_categories(rng):
    numbers = list(map(str, rng.normal(size=N).round(3)))
    numbers[24] = "ERR"
    frame = pd.DataFrame({"x": texts(numbers), "code": texts(["1", "2", "X"] * (N // 3))})
    x, code = data.decide_columns(frame)
    assert (x.kind, code.kind) == ("real", "category")
    with pytest.raises(ValueError, match=r"'x' must hold finite numbers.*'ERR' in row 24"):
        data.from_table(frame)
    with pytest.warns(UserWarning, match="row 24: x is 'ERR'"):
        source = data.from_table(frame, skip_bad=True)
    assert len(source.x_train) + len(source.x_test) == N - 1


def test_kinds_given_overrule(rng):
    frame = pd.DataFrame({"age": rng.poisson(5, N), "zip": rng.integers(100, 104, N)})
    wishes = {"age": "real", "zip": "category"}
    found = data.decide_columns(frame, kinds=wishes)
    assert {column.name: column.kind for column in found} == wishes
    source = data.from_table(frame, schema=wishes)
    assert source.schema.table.kinds == ["real", "category"]
    again = data.from_table(frame, schema=source.schema.table, kinds={"age": "count"})
    assert again.schema.table.kinds == ["count", "category"]
    with pytest.warns(UserWarning, match="Kept aside 1 columns.*zip"):
        source = data.from_table(frame, kinds={"zip": "text"})
    assert source.schema.table.names == ["age"]


def test_what_inspect_prints_is_a_schema():
    printed = {"rows": 3, "columns": [{"name": "a", "kind": "real", "why": "numbers"}]}
    assert schema_kinds(json.loads(json.dumps(printed))) == {"a": "real"}
    with pytest.raises(ValueError, match="`schema` must be kinds by names"):
        schema_kinds(["a", "b"])


@pytest.mark.parametrize(
    ("kinds", "message"),
    [
        ({"b": "real"}, r"names of columns. Received: \['b'\]. There are a"),
        ({"a": "integer"}, "`kinds` must be of .*'integer' for column 'a'"),
        ({"a": "real"}, "'a' cannot be of kind 'real': its values are no numbers"),
        ({"a": "date"}, "'a' cannot be of kind 'date': its values are no dates"),
    ],
)
def test_kinds_that_cannot_be_are_refused(kinds, message):
    frame = pd.DataFrame({"a": ["x", "y", "z"] * 5})
    with pytest.raises(ValueError, match=message):
        data.decide_columns(frame, kinds=kinds)


def test_bad_frames_are_refused():
    with pytest.raises(ValueError, match="'a' 2 times"):
        data.decide_columns(pd.DataFrame([[1, 2]], columns=["a", "a"]))
    frame = pd.DataFrame({"a": [1.0, 2.0], "b": [None, [1, 2]]})
    with pytest.raises(ValueError, match=r"'\[1, 2\]', a list, in row 1 of column 'b'"):
        data.from_table(frame)


def test_tables_saved_before_still_load():
    config = {
        "names": ["n", "city", "yes"],
        "kinds": ["negative_binomial", "categorical", "binary"],
        "dtypes": ["Int64", "string", "boolean"],
        "categories": [None, ["Oslo", "Rome"], [False, True]],
    }
    table = Table.from_config(config)
    frame = pd.DataFrame(
        {
            "n": texts([3, "", 1]),
            "city": texts(["Rome", "Oslo", ""]),
            "yes": texts([True, "", False]),
        }
    )
    x = table.to_array(frame)
    np.testing.assert_array_equal(x, [[3, 1, 1], [np.nan, 0, np.nan], [1, np.nan, 0]])
    assert table.to_frame(x)["n"].tolist()[::2] == [3, 1]
