import bz2
import gzip
import lzma
import zipfile

import numpy as np
import pandas as pd
import pytest

from keras_vae.data.table_files import read_table_file, write_table_file

BASE = "age,income,city\n70,66255.43,Łódź\n57,51081.30,Oslo\n,1.5,\n"
# Byte for byte the same after reading and writing.
DIALECTS = {
    "plain": (BASE, "utf-8", ","),
    "bom": (BASE, "utf-8-sig", ","),
    "utf16": (BASE, "utf-16", ","),
    "crlf": (BASE.replace("\n", "\r\n"), "utf-8", ","),
    "cr": (BASE.replace("\n", "\r"), "utf-8", ","),
    "mixed_newlines": ("a,b\r\n1,x\n2,y\n3,z\r\n", "utf-8", ","),
    "no_final_newline": (BASE.rstrip("\n"), "utf-8", ","),
    "german": ("alter;lohn\n70;66255,43\n57;1.234,50\n", "utf-8", ";"),
    "german_latin1": ("größe;lohn\n70;66255,43\nKöln;5,1\n", "latin-1", ";"),
    "tabs": (BASE.replace(",", "\t"), "utf-8", "\t"),
    "pipes": (BASE.replace(",", "|"), "utf-8", "|"),
    "comments": ("# made in 2024\n# by hand\n" + BASE, "utf-8", ","),
    "commented_names": ("# time,temp\n0,1.5\n1,2.5\n", "utf-8", ","),
    "sep_line": ("sep=;\na;b\n1;2\n3;4\n", "utf-8", ";"),
    "blank_lines": (BASE.replace("\n", "\n\n") + "\n", "utf-8", ","),
    "trailing_commas": (BASE.replace("\n", ",\n").replace("city,", "city", 1), "utf-8", ","),
    "trailing_commas_all": (BASE.replace("\n", ",\n"), "utf-8", ","),
    "quoted_all": ('"a","b"\n"1","x"\n"2","say ""hi"""\n', "utf-8", ","),
    "quoted_words": ('a,b\n1,"x y"\n2,"y z"\n', "utf-8", ","),
    "quoted_now_and_then": ('a,b\n1,x\n2,"y z"\n3,z\n', "utf-8", ","),
    "line_breaks": ('a,b\n1,"two\nlines"\n2,one\n', "utf-8", ","),
    "spaces_before_quotes": ('a, b\n1, "x, y"\n2, "z"\n', "utf-8", ","),
    "row_names": ('"x","y"\n"r1",1,2\n"r2",3,4\n', "utf-8", ","),
    "spaced_names": (" age , income \n1,2\n3,4\n", "utf-8", ","),
    "two_alike": ("age,age\n1,2\n3,4\n", "utf-8", ","),
    "no_name": ("age,,city\n1,2,a\n3,4,b\n", "utf-8", ","),
    "no_names": ("70,6.5,a\n57,5.5,b\n3,4.5,a\n", "utf-8", ","),
    "spaces": ("1.5 2.5\n3.5  4.5\n", "utf-8", " "),
    "one_column": ("x\n1.5\n\n2.5\n", "utf-8", ","),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", DIALECTS)
def test_file_comes_back_byte_for_byte(name, tmp_path):
    text, encoding, delimiter = DIALECTS[name]
    path = tmp_path / "in.csv"
    path.write_bytes(text.encode(encoding))
    table = read_table_file(path)
    assert table.format.delimiter == delimiter
    assert all(isinstance(cell, str) for cell in table.frame.to_numpy().ravel())
    out = write_table_file(table.frame, table.format, tmp_path / "out.csv")
    assert out.read_bytes() == path.read_bytes()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", DIALECTS)
def test_changed_cell_changes_nothing_else(name, tmp_path):
    text, encoding, _ = DIALECTS[name]
    path = tmp_path / "in.csv"
    path.write_bytes(text.encode(encoding))
    table = read_table_file(path)
    frame = table.frame.copy()
    frame.iloc[1, 0] = "99"
    out = write_table_file(frame, table.format, tmp_path / "out.csv")
    again = read_table_file(out)
    assert again.frame.equals(frame)
    before, after = path.read_bytes().splitlines(), out.read_bytes().splitlines()
    assert sum(a != b for a, b in zip(before, after)) <= 2


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".xz", ".zip", ".zst"])
def test_compressed_file_comes_back(suffix, tmp_path):
    path = tmp_path / f"in.csv{suffix}"
    pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}).to_csv(path, index=False)
    table = read_table_file(path)
    assert table.frame["b"].tolist() == ["x", "y"]
    out = write_table_file(table.frame, table.format, tmp_path / f"out.csv{suffix}")
    assert pd.read_csv(out)["a"].tolist() == [1, 2]
    plain = write_table_file(table.frame, table.format, tmp_path / "plain.csv")
    assert plain.read_text() == "a,b\n1,x\n2,y\n"


def test_damaged_archive_is_named(tmp_path):
    for suffix, module in ((".gz", gzip), (".bz2", bz2), (".xz", lzma)):
        path = tmp_path / f"cut.csv{suffix}"
        path.write_bytes(module.compress(BASE.encode() * 50)[:-20])
        with pytest.raises(ValueError, match=rf"whole. Received: .*cut.csv{suffix}"):
            read_table_file(path)
    with zipfile.ZipFile(tmp_path / "two.csv.zip", "w") as archive:
        archive.writestr("a.csv", BASE)
        archive.writestr("b.csv", BASE)
    with pytest.raises(ValueError, match="holds 2 files"):
        read_table_file(tmp_path / "two.csv.zip")


def test_ragged_rows_are_counted_as_records(tmp_path):
    path = tmp_path / "in.csv"
    path.write_text('a,note\n1,"two\nlines"\n2,"bad\nbad",x\n3,ok\n4\n5,ok\n')
    with pytest.raises(ValueError, match="row 1 with 3 fields instead of 2, 2 such"):
        read_table_file(path)
    table = read_table_file(path, skip_bad=True)
    assert table.rows.tolist() == [0, 2, 4]
    assert table.frame["a"].tolist() == ["1", "3", "5"]
    assert dict(table.skipped) == {
        "row 1": "3 fields instead of 2",
        "row 3": "1 fields instead of 2",
    }
    out = write_table_file(table.frame, table.format, tmp_path / "out.csv")
    assert out.read_text() == 'a,note\n1,"two\nlines"\n3,ok\n5,ok\n'


def test_semicolons_with_decimal_commas_are_not_ragged(tmp_path):
    path = tmp_path / "in.csv"
    path.write_text("t;x;y\n" + "2024-01-01;0,5;1,25\n" * 50)
    table = read_table_file(path, skip_bad=True)
    assert not table.skipped
    assert table.frame["y"].tolist() == ["1,25"] * 50
    assert table.decimal == ","


def test_file_that_no_rule_fits_is_refused(tmp_path):
    path = tmp_path / "in.csv"
    for content, message in {
        "": "is empty",
        "a,b\n": "names of columns only",
        "Report of 2024\na,b,c\n1,2,3\n4,5,6\n": "begin it with #",
        "x\n1,5\n2,5\n": "separate the columns by ;",
        'a,b\n1,"x\n2,y\n3,z\n': "open to the end",
        "a,b\n1,x\0y\n2,z\n": "row 0 with a null character",
        "\0\1\2\3" * 50: "not text",
    }.items():
        path.write_bytes(content.encode())
        with pytest.raises(ValueError, match=message):
            read_table_file(path)


def test_header_of_numbers_is_told_from_a_row(tmp_path):
    path = tmp_path / "in.csv"
    for header in ("country,1990,1991", "0,1,2", "a,b,c"):
        path.write_text(f"{header}\nx,1.5,2.5\ny,3.5,4.5\n")
        assert read_table_file(path).frame.columns.tolist() == header.split(",")
    path.write_text("1.5,2.5\n3.5,4.5\n")
    with pytest.warns(UserWarning, match="no line of names: its columns are called 0 to 1"):
        table = read_table_file(path)
    assert table.frame["0"].tolist() == ["1.5", "3.5"]


def test_encoding_that_is_guessed_is_named(tmp_path):
    path = tmp_path / "in.csv"
    path.write_bytes("stadt,n\nKöln,1\n".encode("latin-1"))
    with pytest.warns(UserWarning, match="not UTF-8 and was read as Windows-1252"):
        table = read_table_file(path)
    assert table.frame["stadt"].tolist() == ["Köln"]
    path.write_bytes("stadt,n\nKöln,1\n".encode("utf-16-be"))
    assert read_table_file(path).frame["stadt"].tolist() == ["Köln"]


@pytest.mark.parametrize("suffix", [".parquet", ".feather", ".xlsx"])
def test_typed_files_keep_their_types(suffix, tmp_path):
    frame = pd.DataFrame({"a": [1, 2], "b": [0.5, np.nan], "c": ["NA", "x"]})
    out = write_table_file(frame, None, tmp_path / f"in{suffix}")
    table = read_table_file(out)
    assert table.format is None
    assert table.rows.tolist() == [0, 1]
    assert table.frame["c"].tolist() == ["NA", "x"]
    assert table.frame["a"].dtype.kind == "i"


@pytest.mark.parametrize("suffix", [".parquet", ".feather", ".xlsx"])
def test_damaged_typed_file_is_named(suffix, tmp_path):
    path = tmp_path / f"in{suffix}"
    path.write_bytes(b"PK\3\4 nothing")
    with pytest.raises(ValueError, match=f"a {suffix} file that is whole"):
        read_table_file(path)


def test_text_becomes_typed_with_another_ending(tmp_path):
    path = tmp_path / "in.csv"
    path.write_text("n;x;zip\n1;0,5;02139\n;1,25;00501\n")
    table = read_table_file(path)
    out = write_table_file(table.frame, table.format, tmp_path / "out.parquet")
    found = pd.read_parquet(out)
    assert found["x"].tolist() == [0.5, 1.25]
    assert found["n"].dtype == "Int64"
    assert found["zip"].tolist() == ["02139", "00501"]
    out = write_table_file(table.frame, table.format, tmp_path / "out.tsv")
    assert out.read_text() == "n\tx\tzip\n1\t0,5\t02139\n\t1,25\t00501\n"


def test_frames_in_memory_are_taken(tmp_path):
    frame = pd.DataFrame({"a": [1, 2]})
    assert read_table_file(frame).frame is frame
    polars = pytest.importorskip("polars")
    table = read_table_file(polars.DataFrame({"a": [1, 2], "b": ["x", "y"]}))
    assert table.frame["b"].tolist() == ["x", "y"]
    with pytest.raises(TypeError, match="a path or a frame"):
        read_table_file([1, 2])


def test_rows_can_be_left_out_by_name(tmp_path):
    path = tmp_path / "in.csv"
    path.write_text("a,b\n1,x\n2\n3,ERR\n4,y\n")
    table = read_table_file(path, skip_bad=True).without({1: "'ERR' is no number"})
    assert table.rows.tolist() == [0, 3]
    assert table.skipped == {"row 1": "1 fields instead of 2", "row 2": "'ERR' is no number"}
