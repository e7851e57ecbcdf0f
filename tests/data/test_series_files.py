"""Series in table files: times and names of series kept aside, files given back whole."""

import warnings

import numpy as np
import pandas as pd
import pytest

from keras_vae import data


def table(count=60, start="2024-01-01", step="1min", **columns):
    when = pd.date_range(start, periods=count, freq=step).strftime("%Y-%m-%d %H:%M:%S")
    steps = np.arange(count)
    values = {"temp": np.round(np.sin(steps / 5), 2), "load": np.round(np.cos(steps / 5), 3)}
    return pd.DataFrame({"timestamp": when, **values, **columns})


def saved(frame, path, **options):
    frame.to_csv(path, index=False, **options)
    return path


def schema(*names, window=8, stride=3):
    return data.SeriesSchema(list(names or ("temp", "load")), window=window, stride=stride)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("when", pd.date_range("2024-01-01", periods=60).strftime("%d.%m.%Y")),
        ("when", pd.date_range("2024-01-01", periods=60, freq="h").strftime("%m/%d/%Y %H:%M")),
        (
            "when",
            pd.date_range("2024-01-01", periods=60, tz="UTC").strftime("%Y-%m-%dT%H:%M:%SZ"),
        ),
        ("date", pd.date_range("2024-01-01", periods=60).strftime("%Y%m%d")),
        ("timestamp", 1_600_000_000 + 60 * np.arange(60)),
        ("epoch_ms", 1_600_000_000_000 + 60_000 * np.arange(60)),
        ("time", np.arange(60) / 10),
        ("Unnamed: 0", np.arange(60)),
        ("index", np.arange(100, 160)),
    ],
)
def test_times_and_indices_are_kept_aside(name, values, tmp_path):
    frame = table().drop(columns="timestamp")
    frame.insert(0, name, values)
    path = saved(frame, tmp_path / "x.csv")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        source = data.from_series(path, window=5)
    assert source.schema.names == ["temp", "load"]
    read = source.schema.read(path)
    assert read.ids[name].tolist() == [str(values[row]) for row in read.rows]


def test_unnamed_index_of_pandas_is_kept_aside(tmp_path):
    table().drop(columns="timestamp").to_csv(tmp_path / "x.csv")
    source = data.from_series(tmp_path / "x.csv", window=5)
    assert source.schema.names == ["temp", "load"]


def test_rising_numbers_without_a_name_of_time_are_data(tmp_path):
    frame = table(total=np.arange(60) * 2.5, volume=np.arange(60))
    source = data.from_series(saved(frame, tmp_path / "x.csv"), window=5)
    assert source.schema.names == ["temp", "load", "total", "volume"]


def test_date_and_time_in_two_columns_are_added(tmp_path):
    frame = table(step="6h")
    parts = frame.pop("timestamp").str.split(" ", expand=True)
    frame.insert(0, "date", parts[0])
    frame.insert(1, "hour", parts[1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        source = data.from_series(saved(frame, tmp_path / "x.csv"), window=5)
    assert source.schema.names == ["temp", "load"]


def test_datetime_index_of_a_frame_is_written_back(tmp_path):
    frame = table()
    frame = frame.set_index(pd.DatetimeIndex(frame.pop("timestamp"), name="timestamp"))
    read = schema().read(frame)
    assert read.ids["timestamp"][1] == frame.index[3]
    out = schema().write(read.x, tmp_path / "x.parquet", like=read)
    pd.testing.assert_frame_equal(pd.read_parquet(out), frame)


@pytest.mark.parametrize("order", ["backwards", "shuffled"])
def test_rows_are_used_in_the_order_of_time_and_written_in_theirs(order, tmp_path, rng):
    frame = table()
    there = np.arange(60)[::-1] if order == "backwards" else rng.permutation(60)
    path = saved(frame.iloc[there], tmp_path / "x.csv")
    with pytest.warns(UserWarning, match="rows are used in the order of time"):
        read = schema().read(path)
    np.testing.assert_array_equal(read.x[0], frame[["temp", "load"]][:8].astype("float32"))
    out = schema().write(read.x, tmp_path / "out.csv", like=read)
    assert out.read_bytes() == path.read_bytes()
    columns, found = data.row_scores(read, read.x[:, :, 0].mean(1))
    assert columns["row"].tolist() == list(range(60))
    assert columns["timestamp"].tolist() == frame["timestamp"].iloc[there].tolist()
    assert len(found) == 60


def test_uneven_steps_are_reported_with_numbers(tmp_path):
    frame = table().drop(index=[5, 6, 30])
    with pytest.warns(
        UserWarning, match=r"2 of 56 steps in 'timestamp' are not 1 min long, th"
    ):
        data.from_series(saved(frame, tmp_path / "x.csv"), window=5)
    months = table(step="MS")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data.from_series(saved(months, tmp_path / "x.csv"), window=5)


@pytest.mark.filterwarnings("ignore:x.csv")
def test_series_of_a_panel_are_not_joined(tmp_path):
    frame = pd.concat([table(30, sensor="b"), table(20, sensor="a"), table(4, sensor="c")])
    path = saved(frame.sample(frac=1, random_state=0), tmp_path / "x.csv")
    with pytest.warns(UserWarning, match="'sensor' tells 3 series apart"):
        read = schema().read(path)
    assert set(read.skipped) == {"series c"}
    order = pd.read_csv(path)
    for window, name, first in zip(read.x, read.ids["sensor"], read.rows):
        own = frame[frame["sensor"] == name]
        start = own["timestamp"].tolist().index(order["timestamp"][first])
        expected = own[["temp", "load"]][start : start + 8].astype("float32")
        np.testing.assert_array_equal(window, expected)
    out = schema().write(read.x, tmp_path / "out.csv", like=read)
    assert out.read_bytes() == path.read_bytes()
    assert len(data.row_scores(read, np.zeros(len(read.x)))[1]) == 50


def test_series_named_by_whole_numbers_are_told_apart(tmp_path):
    frame = pd.concat([table(30, sensor_id=7), table(30, sensor_id=9)])
    with pytest.warns(UserWarning, match="tells 2 series apart"):
        source = data.from_series(saved(frame, tmp_path / "x.csv"), window=5, held_out=0.2)
    assert source.schema.names == ["temp", "load"]


def test_times_that_start_again_without_a_name_are_refused(tmp_path):
    path = saved(pd.concat([table(30), table(30)]), tmp_path / "x.csv")
    with pytest.raises(ValueError, match=r"row 30, which is before the row above.*series_id"):
        data.from_series(path, window=5)


@pytest.mark.parametrize("values", [np.arange(30), 1_700_000_000 + np.arange(30)])
def test_counted_times_start_again_in_each_series(values, tmp_path):
    frame = pd.concat([table(30, sensor="a"), table(30, sensor="b")])
    frame["timestamp"] = [*values, *values]
    path = saved(frame, tmp_path / "x.csv")
    with pytest.warns(UserWarning, match="tells 2 series apart"):
        source = data.from_series(path, window=5, held_out=0.2)
    assert source.schema.names == ["temp", "load"]
    saved(frame.drop(columns="sensor"), path)
    with pytest.raises(ValueError, match="must not go back and repeat"):
        data.from_series(path, window=5)


def test_stamps_in_any_order_are_times(tmp_path, rng):
    frame = table()
    frame["timestamp"] = 1_700_000_000 + rng.permutation(60)
    with pytest.warns(UserWarning, match="not sorted: rows are used in the order of time"):
        source = data.from_series(saved(frame, tmp_path / "x.csv"), window=5)
    assert source.schema.names == ["temp", "load"]


def test_words_that_change_are_no_names_of_series(tmp_path):
    frame = table(unit_state=["on", "off", "on"] * 20, code=[1, 2, 3, 2] * 15)
    with pytest.warns(UserWarning, match="unit_state: no numbers"):
        source = data.from_series(saved(frame, tmp_path / "x.csv"), window=5)
    assert source.schema.names == ["temp", "load", "code"]


@pytest.mark.filterwarnings("ignore:x.csv", "ignore:Left out")
@pytest.mark.parametrize(("cell", "reason"), [("ERR", "no number"), ("inf", "not finite")])
def test_bad_cell_is_named_and_its_row_left_out(cell, reason, tmp_path):
    frame = table().astype({"temp": object})
    frame.loc[17, "temp"] = cell
    path = saved(frame, tmp_path / "x.csv")
    with pytest.raises(
        ValueError, match=rf"Row 17 of .*'temp' has '?{cell}'?, which is {reason}"
    ):
        data.from_series(path, window=5)
    with pytest.warns(UserWarning, match="row 17: column 'temp'"):
        source = data.from_series(path, window=5, skip_bad=True)
    assert source.schema.names == ["temp", "load"]
    with pytest.warns(UserWarning, match="steps"):
        read = source.schema.read(path, skip_bad=True)
    assert 17 not in data.row_scores(read, np.zeros(len(read.x)))[0]["row"]
    assert data.row_scores(read, np.zeros(len(read.x)))[0]["row"][-1] == 59


def test_channels_are_found_by_name(tmp_path):
    read = schema().read(saved(table()[["timestamp", "load", "temp"]], tmp_path / "x.csv"))
    expected = schema().read(saved(table(extra=1.5), tmp_path / "y.csv"))
    np.testing.assert_array_equal(read.x, expected.x)
    path = saved(table().assign(temp="on"), tmp_path / "z.csv")
    with pytest.raises(ValueError, match="'temp' must have numbers"):
        schema().read(path)


@pytest.mark.parametrize("dialect", ["plain", "german", "utf16", "gz", "quoted"])
def test_only_missing_cells_are_filled(dialect, tmp_path):
    frame = table(note="a, b")
    frame.loc[[0, 20, 21, 59], "temp"] = np.nan
    options = {
        "plain": {},
        "german": {"sep": ";", "decimal": ",", "encoding": "latin-1"},
        "utf16": {"encoding": "utf-16", "lineterminator": "\r\n"},
        "gz": {"compression": "gzip"},
        "quoted": {"quoting": 1},
    }[dialect]
    name = "x.csv.gz" if dialect == "gz" else "x.csv"
    path = saved(frame, tmp_path / name, **options)
    read = schema(stride=5).read(path)
    filled = np.where(np.isnan(read.x), 123.456789, read.x)
    out = schema(stride=5).write(filled, tmp_path / f"out_{name}", like=read)
    keywords = {key: options[key] for key in ("sep", "decimal", "encoding") if key in options}
    before = pd.read_csv(path, dtype=str, keep_default_na=False, **keywords)
    after = pd.read_csv(out, dtype=str, keep_default_na=False, **keywords)
    changed = before != after
    assert np.argwhere(changed.to_numpy()).tolist() == [[r, 1] for r in (0, 20, 21, 59)]
    assert set(after["temp"][[0, 20]]) == {"123,46" if dialect == "german" else "123.46"}


def test_row_that_windows_share_is_their_mean(tmp_path):
    read = schema(window=4, stride=3).read(saved(table(10), tmp_path / "x.csv"))
    assert read.rows.tolist() == [0, 3, 6]
    read = schema(window=4, stride=3).read(saved(table(9), tmp_path / "x.csv"))
    assert read.rows.tolist() == [0, 3, 5]
    columns, scores = data.row_scores(read, [1.0, 3.0, 8.0])
    assert scores.tolist() == [1, 1, 1, 2, 3, 5.5, 5.5, 8, 8]
    assert columns["row"].tolist() == list(range(9))
    # A stride beyond the window would jump over rows.
    assert schema(window=4, stride=9).read(tmp_path / "x.csv").rows.tolist() == [0, 4, 5]


def test_training_windows_have_no_last_one():
    source = data.from_series(np.arange(10.0), window=4, stride=4, held_out=0)
    assert len(source.x_train) == 2
    assert len(source.schema.read(np.arange(10.0)).x) == 2


@pytest.mark.parametrize("shape", [(20,), (20, 2), (3, 20, 2)])
def test_array_file_comes_back_in_its_shape(shape, tmp_path, rng):
    values = rng.normal(size=shape).astype("float32")
    np.save(tmp_path / "x.npy", values)
    channels = ["0"] if len(shape) == 1 else ["0", "1"]
    read = schema(*channels).read(tmp_path / "x.npy")
    schema(*channels).write(read.x, tmp_path / "out.npy", like=read)
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), values)


def test_arrays_that_are_no_series_are_refused(tmp_path):
    for values, message in {
        "first": (np.zeros([2, 200]), "200 channels: if these are the steps, swap"),
        "objects": (np.array([1.5, "ERR"], dtype=object), "objects"),
        "complex": (np.zeros(100, complex), "real numbers"),
    }.values():
        with pytest.raises(ValueError, match=message):
            data.from_series(values, window=16, held_out=0)


@pytest.mark.parametrize("suffix", [".parquet", ".feather", ".xlsx", ".tsv"])
def test_other_table_files_are_read_and_written(suffix, tmp_path):
    path = saved(table(), tmp_path / "x.csv")
    read = schema().read(path)
    out = schema().write(read.x, tmp_path / f"y{suffix}", like=read)
    again = schema().read(out)
    np.testing.assert_allclose(again.x, read.x, rtol=1e-6)
    back = schema().write(again.x * 2, tmp_path / f"z{suffix}", like=again)
    np.testing.assert_allclose(schema().read(back).x, read.x * 2, atol=0.006)
    with pytest.raises(ValueError, match=r"must end in one of .*\.npy"):
        schema().write(read.x, tmp_path / "x.wav")


def test_integers_stay_integers(tmp_path):
    frame = table(hits=np.arange(60) % 7)
    frame.to_parquet(tmp_path / "x.parquet")
    read = schema("hits").read(tmp_path / "x.parquet")
    out = schema("hits").write(read.x + 0.4, tmp_path / "y.parquet", like=read)
    found = pd.read_parquet(out)
    assert found["hits"].dtype == frame["hits"].dtype
    pd.testing.assert_frame_equal(found, frame)
