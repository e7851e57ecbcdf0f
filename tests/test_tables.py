"""Frames to arrays and back: kinds, dtypes, categories, holes."""

import json

import keras
import numpy as np
import pandas as pd
import pytest

from keras_vae import likelihoods
from keras_vae.tables import KINDS, Table


@pytest.fixture
def frame(rng):
    n = 60
    frame = pd.DataFrame(
        {
            "real": rng.normal(size=n),
            "single": rng.normal(size=n).astype("float32"),
            "dispersed": rng.negative_binomial(1, 0.1, n),
            "even": rng.binomial(20, 0.9, n).astype("int16"),
            "signed": rng.integers(-5, 5, n),
            "flag": rng.random(n) < 0.5,
            "two numbers": rng.choice([3, 7], n),
            "text": rng.choice(["x", "y", "z"], n),
            "object": pd.Series(rng.choice(["p", "q", "r"], n), dtype=object),
            "yes": rng.choice(["yes", "no"], n),
            "category": pd.Categorical(rng.choice(["r", "g", "b"], n), ["r", "g", "b"]),
            "numbered": pd.Categorical(rng.integers(3, 6, n)),
            "ordered": pd.Categorical(
                rng.choice(["low", "mid", "high"], n), ["low", "mid", "high"], ordered=True
            ),
            "nullable": pd.array(rng.negative_binomial(1, 0.1, n), dtype="Int64"),
            "nullable flag": pd.array(rng.random(n) < 0.5, dtype="boolean"),
        }
    )
    holes = ["real", "text", "object", "yes", "category", "ordered", "nullable"]
    for name in (*holes, "nullable flag"):
        frame.loc[rng.random(n) < 0.2, name] = None
    return frame


EXPECTED = {
    "real": "real",
    "single": "real",
    "dispersed": "count",
    "even": "real",
    "signed": "real",
    "flag": "binary",
    "two numbers": "binary",
    "text": "category",
    "object": "category",
    "yes": "binary",
    "category": "category",
    "numbered": "category",
    "ordered": "ordinal",
    "nullable": "count",
    "nullable flag": "binary",
}


def test_kinds_follow_the_rule(frame):
    table = Table.from_frame(frame)
    assert dict(zip(table.names, table.kinds)) == EXPECTED
    categories = dict(zip(table.names, table.categories))
    assert categories["real"] is categories["dispersed"] is None
    assert categories["category"] == ["r", "g", "b"]
    assert categories["two numbers"] == [3, 7]
    assert categories["yes"] == ["no", "yes"]
    assert categories["flag"] == [False, True]
    assert table.event_shape == (15,)


def test_kinds_can_be_given(frame):
    table = Table.from_frame(frame[["even", "real"]], {"even": "ordinal"})
    assert table.kinds == ["ordinal", "real"]
    assert table.categories[0] == sorted(frame["even"].unique())


def test_columns_have_the_likelihoods_of_their_kinds(frame):
    table = Table.from_frame(frame)
    columns = table.columns()
    assert list(columns) == list(frame)
    assert isinstance(columns["dispersed"], likelihoods.NegativeBinomial)
    assert isinstance(columns["even"], likelihoods.Normal)
    assert isinstance(columns["flag"], likelihoods.Bernoulli)
    assert columns["real"].scale == "learned"
    assert columns["category"].classes == 3
    assert columns["ordered"].levels == 3
    p = likelihoods.Columns(columns)
    p.build(table.event_shape)
    x = table.to_array(frame)
    assert p.why_outside(x) is None
    single = Table(["a"], ["categorical"], ["object"], [["only"]])
    assert single.columns()["a"].classes == 2


def test_frames_come_back_as_they_were(frame):
    table = Table.from_frame(frame)
    x = table.to_array(frame)
    assert x.dtype == np.float64
    np.testing.assert_array_equal(np.isnan(x), frame.isna())
    pd.testing.assert_frame_equal(table.to_frame(x), frame)
    shuffled = frame.assign(extra=1)[["extra", *reversed(frame.columns)]]
    np.testing.assert_array_equal(table.to_array(shuffled), x)


def test_codes_are_the_places_of_categories(frame):
    table = Table.from_frame(frame)
    x = table.to_array(frame)
    for name in ("category", "ordered", "numbered"):
        codes = frame[name].cat.codes.to_numpy().astype("float64")
        codes[codes < 0] = np.nan
        np.testing.assert_array_equal(x[:, list(frame).index(name)], codes)
    np.testing.assert_array_equal(x[:, 5], frame["flag"].astype(float))


def test_what_models_give_becomes_values(frame):
    table = Table.from_frame(frame[["even", "flag", "ordered", "real"]])
    result = table.to_frame(np.array([[3.6, 0.7, 1.2, 0.25], [-0.2, 0.1, 9.0, -1.0]]))
    assert result["even"].tolist() == [4, 0]
    assert result["flag"].tolist() == [True, False]
    assert result["ordered"].tolist() == ["mid", "high"]
    assert result["real"].tolist() == [0.25, -1.0]
    pd.testing.assert_series_equal(result.dtypes, frame[list(result)].dtypes)


def test_holes_in_dtypes_without_them_become_nullable(frame):
    table = Table.from_frame(frame)
    result = table.to_frame(np.full((2, 15), np.nan))
    assert result.isna().all(axis=None)
    for name, dtype in result.dtypes.items():
        before = str(frame[name].dtype)
        after = {"int64": "Int64", "int16": "Int64", "bool": "boolean"}.get(before, before)
        assert str(dtype) == after, name
    assert np.isnan(table.to_array(result)).all()


def test_it_is_saved_as_json(frame):
    table = Table.from_frame(frame)
    text = json.dumps(table.get_config())
    assert Table.from_config(json.loads(text)).get_config() == table.get_config()
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(table))
    pd.testing.assert_frame_equal(again.to_frame(again.to_array(frame)), frame)


def test_every_kind_has_a_likelihood():
    for kind, make in KINDS.items():
        assert isinstance(make(3), likelihoods.Likelihood), kind


BAD = {
    "unknown category": (
        lambda t, f: t.to_array(f.assign(text="new")),
        ValueError,
        r"'text' must hold categories of the table. Received: 'new' in row 0. Known are \['x'",
    ),
    "missing column": (
        lambda t, f: t.to_array(f.drop(columns="even")),
        ValueError,
        r"a frame without \['even'\]",
    ),
    "shape": (lambda t, f: t.to_frame(np.zeros((2, 3))), ValueError, r"shape \(rows, 15\)"),
    "complex numbers": (
        lambda t, f: Table.from_frame(f.assign(d=1j * f["real"])),
        TypeError,
        "'d' must hold numbers, strings, dates or categories.*complex128.*leave it out",
    ),
    "infinity": (
        lambda t, f: t.to_array(f.assign(real=np.inf)),
        ValueError,
        "'real' must hold finite numbers.*Received: inf in row 0",
    ),
    "intervals": (
        lambda t, f: Table.from_frame(f.assign(d=pd.cut(f["real"], 3))),
        TypeError,
        "'d' must have categories that are strings",
    ),
    "empty column": (
        lambda t, f: Table.from_frame(f.assign(d=np.nan)),
        ValueError,
        "'d' has no values",
    ),
    "names": (
        lambda t, f: Table.from_frame(pd.DataFrame({0: [1.0, 2.0, 3.0]})),
        ValueError,
        "names that are strings",
    ),
    "unknown kind": (
        lambda t, f: Table.from_frame(f, {"even": "integer"}),
        ValueError,
        "`kinds` must be of .* Received: 'integer' for column 'even'",
    ),
    "unknown name": (
        lambda t, f: Table.from_frame(f, {"odd": "real"}),
        ValueError,
        r"names of columns. Received: \['odd'\]",
    ),
    "lengths": (
        lambda t, f: Table(["a"], ["real"], ["float64"], []),
        ValueError,
        r"equally long. Received: lengths \[1, 1, 1, 0\]",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_refused(frame, name):
    use, error, message = BAD[name]
    with pytest.raises(error, match=message):
        use(Table.from_frame(frame), frame)
