"""Tables from files: kinds, holes, what is left out, what comes back."""

import numpy as np
import pandas as pd
import pytest

from keras_vae import data


@pytest.fixture
def frame(rng):
    n = 80
    frame = pd.DataFrame(
        {
            "name": [f"person {i}" for i in range(n)],
            "age": rng.normal(40, 9, n),
            "city": rng.choice(["Oslo", "Rome", "Wien"], n),
            "children": rng.poisson(1.5, n),
            "same": 3,
            "class": rng.choice(["yes", "no"], n),
        }
    )
    frame.loc[::9, "children"] = None
    return frame


def load(source, **options):
    with pytest.warns(UserWarning, match=r"name: 80 different words.*same: one value"):
        return data.from_table(source, label="class", **options)


def test_parquet_comes_back_with_its_types(frame, tmp_path):
    frame["city"] = frame["city"].astype("category")
    frame["children"] = frame["children"].astype("Int64")
    frame["owner"] = np.arange(80) % 3 == 0
    frame.to_parquet(tmp_path / "x.parquet", index=False)
    source = load(tmp_path / "x.parquet")
    assert source.schema.table.kinds == ["real", "category", "count", "binary"]
    written = source.schema.write(source.x_test, tmp_path / "y.parquet")
    back = pd.read_parquet(written)
    assert list(back) == list(frame)
    learnt = back[["age", "city", "children", "owner"]]
    assert [str(t) for t in learnt.dtypes] == ["float64", "category", "Int64", "bool"]
    assert (back["same"] == 3).all()
    assert back[["name", "class"]].isna().all(axis=None)
    np.testing.assert_array_equal(source.schema.read(written).x, source.x_test)
    (tmp_path / "x.parquet").write_bytes(b"not a table")
    with pytest.raises(ValueError, match=r"x\.parquet"):
        data.from_table(tmp_path / "x.parquet")


def test_columns_are_told_and_the_useless_left_out(frame, tmp_path):
    frame.to_csv(tmp_path / "x.csv", index=False)
    source = load(tmp_path / "x.csv")
    table = source.schema.table
    assert table.names == ["age", "city", "children"]
    assert table.kinds == ["real", "category", "count"]
    assert source.label_names == ("no", "yes")
    assert set(source.skipped) == {"name", "same"}


def test_rows_come_back_with_their_class(frame):
    source = load(frame)
    x = np.concatenate([source.x_train, source.x_test])
    labels = np.concatenate([source.labels_train, source.labels_test])
    back = source.schema.table.to_frame(x)
    back["class"] = np.array(source.label_names)[labels]
    columns = ["age", "city", "children", "class"]
    expected = frame[columns].sort_values("age", ignore_index=True)
    found = back[columns].sort_values("age", ignore_index=True)
    pd.testing.assert_frame_equal(found, expected, check_dtype=False)


@pytest.mark.filterwarnings("ignore:Kept aside")
def test_ragged_rows_are_an_error_or_are_reported(frame, tmp_path):
    path = tmp_path / "x.csv"
    frame.to_csv(path, index=False)
    text = path.read_text().splitlines()
    path.write_text("\n".join([*text[:5], "too,short", *text[5:], "a,b,c,d,e,f,g"]))
    with pytest.raises(ValueError, match=r"row 4 with 2 fields instead of 6, 2 such in all"):
        data.from_table(path)
    with pytest.warns(UserWarning, match="Left out 2 rows: row 4: 2 fields"):
        source = data.from_table(path, label="class", skip_bad=True)
    assert len(source.x_train) + len(source.x_test) == len(frame)
    assert source.schema.table.names == ["age", "city", "children"]


def test_unknown_categories_are_an_error_or_are_reported(frame):
    schema = load(frame).schema
    frame.loc[7, "city"] = "Paris"
    with pytest.raises(ValueError, match="'Paris'"):
        schema.read(frame)
    read = schema.read(frame, skip_bad=True)
    assert len(read.x) == len(frame) - 1
    assert read.skipped == {"row 7": "city is 'Paris'"}
    assert "7" not in read.names


def test_files_are_written_as_they_were(frame, tmp_path):
    frame.to_csv(tmp_path / "x.csv", index=False)
    source = load(tmp_path / "x.csv")
    schema = source.schema
    written = schema.write(source.x_test, tmp_path / "y.csv")
    np.testing.assert_allclose(schema.read(written).x, source.x_test, rtol=1e-12)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ignore": ["wage"]}, "There are"),
        ({"label": "wage"}, "There are"),
        ({"kinds": {"age": "odd"}}, "`kinds`"),
    ],
)
@pytest.mark.filterwarnings("ignore:Kept aside")
def test_errors(frame, options, message):
    with pytest.raises(ValueError, match=message):
        data.from_table(frame, **options)


def test_a_table_must_have_rows():
    with pytest.raises(ValueError, match="rows"):
        data.from_table(pd.DataFrame())
    with pytest.raises(ValueError, match="existing file"):
        data.from_table("nowhere.csv")
