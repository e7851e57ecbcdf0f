"""Tables given back whole: unchanged files byte for byte, else only what changed."""

import difflib

import keras
import numpy as np
import pandas as pd
import pytest

from keras_vae import data, presets
from keras_vae.data.table_files import write_table_file

CITIES = ["Łódź", "São Paulo", "Oslo"]


def lines(separator=",", decimal=".", cities=CITIES, count=40):
    rng = np.random.default_rng(0)
    for row in range(count):
        income = f"{rng.normal(50_000, 9_000):.2f}".replace(".", decimal)
        cells = (str(rng.integers(18, 80)), income, cities[row % 3], str(row % 2 == 0))
        yield separator.join(cells)


def table(newline="\n", head="age,income,city,member", **options):
    return newline.join([head, *lines(**options)]) + newline


def thousands():
    head = 'id,"income, net",rate,price,joined,note'
    rng = np.random.default_rng(0)
    rows = []
    for row in range(40):
        whole, dollars = rng.integers(1_000, 90_000, 2)
        note = '"two\nlines"' if row % 3 else '"say ""hi"""'
        day = f"{1 + row % 28:02d}.0{1 + row % 9}.2021"
        cells = f'"{whole:,}",{rng.random():.1%},"${dollars:,}.50",{day},{note}'
        rows.append(f"{row:04d},{cells}")
    return "\n".join([head, *rows]) + "\n"


FILES = {
    "plain.csv": table().encode(),
    "no_last_newline.csv": table().rstrip("\n").encode(),
    "windows.csv": table("\r\n").encode("utf-8-sig"),
    "old_mac.csv": table("\r").encode(),
    "german.csv": table(head="age;income;city;member", separator=";", decimal=",").encode(),
    "latin.csv": table(cities=["Köln", "São Paulo", "Oslo"]).encode("latin-1"),
    "excel.csv": table().encode("utf-16"),
    "tabs.tsv": table(head="age\tincome\tcity\tmember", separator="\t").encode(),
    "commented.csv": ("# exported 2024\n" + table()).encode(),
    "blank_lines.csv": table("\n\n").encode(),
    "index.csv": "\n".join(
        [",age,income,city,member", *(f"{i},{line}" for i, line in enumerate(lines()))]
    ).encode(),
    "padded.csv": "\n".join(
        ["age,income,city,member", *(f"{line}," for line in lines())]
    ).encode(),
    "thousands.csv": thousands().encode(),
    "spread.csv": table(head=" age , income ,city,member").encode(),
}
pytestmark = [
    pytest.mark.filterwarnings("ignore:Kept aside"),
    pytest.mark.filterwarnings("ignore:.*Windows-1252"),
]


@pytest.fixture(params=FILES)
def path(request, tmp_path):
    place = tmp_path / request.param
    place.write_bytes(FILES[request.param])
    return place


def test_unchanged_files_come_back_byte_for_byte(path, tmp_path):
    schema = data.from_table(path).schema
    read = schema.read(path)
    written = schema.write(read.x, tmp_path / f"again{path.suffix}", like=read)
    assert written.read_bytes() == path.read_bytes()


def test_only_lines_with_missing_cells_change(path, tmp_path):
    schema = data.from_table(path).schema
    whole = schema.read(path)
    place = schema.table.names.index(schema.table.names[0])
    holes = [5, 11, 23]
    text = path.read_bytes()
    frame = whole.origin.file.frame.copy()
    frame.iloc[holes, list(frame).index(schema.table.names[place])] = ""
    holed = write_table_file(frame, whole.origin.file.format, tmp_path / f"holed{path.suffix}")
    read = schema.read(holed)
    assert np.flatnonzero(np.isnan(read.x).any(axis=1)).tolist() == holes
    filled = np.where(np.isnan(read.x), whole.x, read.x)
    written = schema.write(filled, tmp_path / f"filled{path.suffix}", like=read)
    encoding = whole.origin.file.format.encoding
    before, after, original = (
        content.decode(encoding).replace("\r\n", "\n").replace("\r", "\n").split("\n")
        for content in (holed.read_bytes(), written.read_bytes(), text)
    )
    changed = [
        line for line in difflib.unified_diff(before, after, n=0, lineterm="") if line[0] == "-"
    ][1:]
    assert len(changed) == 3
    # What is filled in looks as the others do.
    assert [a.replace('"', "") for a in after] == [a.replace('"', "") for a in original]


def test_parquet_keeps_its_types(rng, tmp_path):
    n = 60
    levels = ["lo", "mid", "hi"]
    moments = pd.to_datetime(rng.integers(10**9, 2 * 10**9, n), unit="s")
    frame = pd.DataFrame(
        {
            "small": rng.integers(0, 100, n).astype("int16"),
            "holed": pd.array(rng.normal(50, 9, n).round(), dtype="Int64"),
            "single": rng.normal(size=n).astype("float32"),
            "level": pd.Categorical(rng.choice(levels, n), levels, ordered=True),
            "when": moments,
            "zoned": moments.tz_localize("UTC").tz_convert("Europe/Oslo"),
            "took": pd.to_timedelta(rng.integers(1, 9_999, n), unit="s"),
            "flag": pd.array(rng.random(n) < 0.5, dtype="boolean"),
            "note": [f"note {i}" for i in range(n)],
        },
        index=pd.Index(np.arange(n) * 3, name="key"),
    )
    frame.loc[frame.index[:5], ["holed", "level", "flag", "when"]] = None
    path = tmp_path / "x.parquet"
    frame.to_parquet(path)
    schema = data.from_table(path).schema
    read = schema.read(path)
    same = schema.write(read.x, tmp_path / "same.parquet", like=read)
    pd.testing.assert_frame_equal(pd.read_parquet(same), frame)
    filled = np.where(np.isnan(read.x), np.nanmean(read.x, axis=0), read.x)
    back = pd.read_parquet(schema.write(filled, tmp_path / "filled.parquet", like=read))
    pd.testing.assert_series_equal(back.dtypes, frame.dtypes)
    assert back.notna().all(axis=None)
    assert back.index.equals(frame.index)
    pd.testing.assert_frame_equal(back.iloc[5:], frame.iloc[5:])


def test_new_rows_look_like_the_file(tmp_path):
    path = tmp_path / "x.csv"
    path.write_bytes(FILES["thousands.csv"])
    schema = data.from_table(path).schema
    read = schema.read(path)
    back = schema.write(np.asarray(read.x[:3], "float32"), tmp_path / "new.csv")
    first, *rows = back.read_text().splitlines()
    assert first == 'id,"income, net",rate,price,joined,note'
    old = path.read_text().splitlines()[1].split(",", 1)[1]
    assert rows[0].split(",", 1)[1].split(".2021")[0] == old.split(".2021")[0]


def test_rows_that_were_skipped_keep_their_numbers(tmp_path):
    path = tmp_path / "x.csv"
    path.write_bytes(FILES["index.csv"])
    schema = data.from_table(path).schema
    text = path.read_text().splitlines()
    text[4] = "3,old,1.0,Oslo,True"
    path.write_text("\n".join(text))
    with pytest.raises(ValueError, match=r"'age' must hold .*'old' in row 3 of .*x\.csv"):
        schema.read(path)
    read = schema.read(path, skip_bad=True)
    assert read.rows.tolist()[:5] == [0, 1, 2, 4, 5]
    assert next(iter(read.ids.values())).tolist()[:5] == ["0", "1", "2", "4", "5"]
    out = schema.write(read.x, tmp_path / "y.csv", like=read).read_text().splitlines()
    assert out == [line for row, line in enumerate(text) if row != 4]


def test_files_with_other_columns(tmp_path):
    path = tmp_path / "x.csv"
    path.write_bytes(FILES["plain.csv"])
    schema = data.from_table(path).schema
    frame = pd.read_csv(path)
    with pytest.raises(ValueError, match=r"without \['income'\]. Rename 'Income' for 'income'"):
        schema.read(frame.rename(columns={"income": "Income"}))
    with pytest.warns(UserWarning, match="does not know are carried along: wage"):
        read = schema.read(frame[frame.columns[::-1]].assign(wage=1))
    np.testing.assert_array_equal(read.x, schema.read(path).x)
    written = pd.read_csv(schema.write(read.x, tmp_path / "y.csv", like=read))
    assert list(written) == ["member", "city", "income", "age", "wage"]


def test_rows_without_a_label_are_an_error_or_are_left_out(tmp_path):
    path = tmp_path / "x.csv"
    text = FILES["plain.csv"].decode().replace("True\n", "\n", 1)
    path.write_text(text)
    with pytest.raises(ValueError, match=r"1 rows without one.*row 0, column 'member' of"):
        data.from_table(path, label="member")
    with pytest.warns(UserWarning, match="row 0: no label in 'member'"):
        source = data.from_table(path, label="member", skip_bad=True)
    assert source.label_names == ("False", "True")


def test_no_column_drowns_the_others(rng, tmp_path):
    n = 400
    z = rng.normal(size=n)
    sizes = {"tiny": 1e-200, "one": 1.0, "large": 1e9, "huge": 1e200}
    frame = pd.DataFrame(
        {name: size * (z + 0.3 * rng.normal(size=n) + 5) for name, size in sizes.items()}
    )
    frame["when"] = 1_600_000_000 + (1e6 * (z + 0.3 * rng.normal(size=n))).astype(int)
    source = data.from_table(frame)
    assert source.schema.table.kinds == ["real"] * 4 + ["date"]
    vae = presets.for_source(source, seed=0)
    vae.compile(keras.optimizers.Adam(3e-3))
    history = vae.fit(source.x_train, epochs=25, batch_size=64, verbose=0).history
    # A standard normal costs 1.42 nats.
    assert 0 < history["loss"][-1] / 5 < 1.6
    drawn = source.schema.table.to_frame(vae.generate(500, sample=True, seed=0))
    for name, size in sizes.items():
        found, expected = drawn[name] / size, frame[name] / size
        assert abs(found.mean() - expected.mean()) < 0.4, name
        assert 0.5 < found.std() / expected.std() < 2, name
    assert abs(drawn["when"].mean() - frame["when"].mean()) < 1e6
