"""Series: windows by another route, nothing of the future in training."""

import keras
import numpy as np
import pandas as pd
import pytest

from keras_vae import data


def test_windows_are_those_of_the_series(rng):
    series = rng.normal(size=(50, 3)).astype("float32")
    source = data.from_series(series, window=8, stride=3, held_out=0.4)
    by_hand = [series[s : s + 8] for s in range(0, 30 - 7, 3)]
    np.testing.assert_array_equal(source.x_train, by_hand)
    by_hand = [series[s : s + 8] for s in range(30, 50 - 7, 3)]
    np.testing.assert_array_equal(source.x_test, by_hand)


def test_several_series_are_not_joined():
    series = [np.arange(20.0), 100 + np.arange(10.0)]
    source = data.from_series(series, window=5, held_out=0)
    assert all(np.all(np.diff(window[:, 0]) == 1) for window in source.x_train)
    assert source.schema.read(series).names[-1] == "1:4"


def test_a_file_is_read_and_words_are_left_out_with_a_warning(tmp_path):
    frame = pd.DataFrame({"time": ["a", "b"] * 20, "u": np.arange(40.0), "v": 1.0})
    frame.loc[3, "u"] = None
    frame.to_csv(tmp_path / "x.csv", index=False)
    with pytest.warns(UserWarning, match="time: no numbers"):
        source = data.from_series(tmp_path / "x.csv", window=4)
    assert source.schema.names == ["u", "v"]
    assert np.isnan(source.x_train).sum() == 2  # in the two windows that see it
    array = data.from_series(frame[["u", "v"]].to_numpy(), window=4)
    np.testing.assert_array_equal(array.x_train, source.x_train)


def test_windows_come_back_as_a_table(tmp_path, rng):
    schema = data.SeriesSchema(["u", "v"], window=4, stride=2)
    x = rng.normal(size=(3, 4, 2))
    frame = pd.read_csv(schema.write(x, tmp_path / "x.csv"))
    assert list(frame.columns) == ["window", "step", "u", "v"]
    cells = frame.set_index(["window", "step"])
    np.testing.assert_allclose(cells.loc[(2, 1)], x[2, 1], rtol=1e-12)


def test_a_schema_survives_saving():
    schema = data.SeriesSchema(["u"], window=4, stride=2)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(schema))
    assert again.get_config() == schema.get_config()


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        (np.zeros(10), {"window": 20}, "9 steps"),
        (np.zeros(30), {"window": 0}, "`window`"),
        (np.zeros([2, 3, 4, 5]), {}, "steps and channels"),
        ([np.zeros([99, 1]), np.zeros([99, 2])], {}, "as many channels"),
        (np.zeros(99), {"held_out": -1}, "`held_out`"),
        (pd.DataFrame({"a": ["x"]}), {}, "column of numbers"),
    ],
)
def test_errors(source, options, message):
    with pytest.raises(ValueError, match=message):
        data.from_series(source, **options)


def test_series_shorter_than_a_window_are_reported():
    read = data.SeriesSchema(["0"], window=4, stride=1).read([np.zeros(9), np.zeros(3)])
    assert len(read.x) == 6
    assert read.skipped == {"series 1": "3 steps, shorter than a window"}


def test_other_channels_are_refused():
    schema = data.SeriesSchema(["u"], window=2, stride=1)
    with pytest.raises(ValueError, match=r"1 channels u in .* w stands where u should"):
        schema.read(pd.DataFrame({"w": [1.0, 2.0]}))
