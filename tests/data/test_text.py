"""Lines and their tokens: there and back, subwords by another route, what is refused."""

import collections
import gzip
import itertools

import keras
import numpy as np
import pytest

import keras_vae
from keras_vae import data

LINES = ["the lower and the lowest", "new newer newest", "aaaa aa", "wider and wider", "low"]


def test_characters_there_and_back():
    source = data.from_text([*LINES, "", "   "], held_out=0.2)
    x = np.concatenate([source.x_train, source.x_test])
    assert x.shape == (5, len(LINES[0]), 1)
    assert sorted(source.schema.decode(x)) == sorted(LINES)
    assert source.schema.vocabulary == ["", *sorted(set("".join(LINES)))]
    lengths = (x != 0).sum((1, 2))
    assert sorted(lengths) == sorted(map(len, LINES))  # the end fills the rest, and only that


def by_the_book(lines, count):
    """Merges as in Sennrich, Haddow and Birch (2016), algorithm 1: counted anew each time."""
    words = collections.Counter()
    for line in lines:
        first, *others = line.split(" ")
        words.update([tuple(first), *(tuple(" " + word) for word in others)])
    merges = []
    while len(merges) < count:
        pairs = collections.Counter()
        for word, times in words.items():
            for pair in itertools.pairwise(word):
                pairs[pair] += times
        if not pairs or max(pairs.values()) < 2:
            break
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(list(best))
        words = collections.Counter(
            {tuple(join(list(word), best)): times for word, times in words.items()}
        )
    return merges


def join(tokens, pair):
    for place in range(len(tokens) - 1):
        if tuple(tokens[place : place + 2]) == pair:
            rest = join(tokens[place + 2 :], pair)
            return [*tokens[:place], "".join(pair), *rest]
    return tokens


def test_subwords_are_those_of_the_paper():
    schema = data.from_text(LINES, "subword", vocabulary_size=40, held_out=0).schema
    characters = len(set("".join(LINES)))
    assert schema.merges == by_the_book(LINES, 40 - characters - 1)
    assert len(schema.vocabulary) <= 40
    x = schema.encode(LINES)
    assert schema.decode(x) == LINES
    assert (x != 0).sum() < sum(map(len, LINES)) / 1.5  # it is shorter that way


def test_files_and_what_is_packed(tmp_path):
    text = "\n".join(LINES)
    (tmp_path / "x.txt").write_text(text, "utf-8")
    (tmp_path / "x.txt.gz").write_bytes(gzip.compress(text.encode()))
    for name in ("x.txt", "x.txt.gz"):
        np.testing.assert_array_equal(
            data.from_text(tmp_path / name).x_train, data.from_text(LINES).x_train
        )
    schema = data.from_text(LINES).schema
    read = schema.read(schema.write(schema.encode(LINES), tmp_path / "y.txt"))
    assert schema.decode(read.x) == LINES


def test_long_and_strange_lines_are_an_error_or_are_reported():
    with pytest.raises(ValueError, match=r"2 others, such as line 1: 24 tokens.*skip_bad"):
        data.from_text(LINES, length=15)
    with pytest.warns(UserWarning, match="Left out 2 lines: line 1"):
        source = data.from_text(LINES, length=15, skip_bad=True)
    assert set(source.skipped) == {"line 1", "line 2"}
    schema = data.from_text(LINES).schema
    with pytest.raises(ValueError, match=r"characters \['Z'\]"):
        schema.read(["Zow"])
    read = schema.read(["low", "Zow", "new"], skip_bad=True)
    assert schema.decode(read.x) == ["low", "new"]
    assert list(read.skipped) == ["line 2"]


def test_errors_name_lines_of_the_file(tmp_path):
    # Blank lines do not count as examples, but as lines of the file.
    (tmp_path / "x.txt").write_text("ab\n\n\nabcd\n", "utf-8")
    with pytest.raises(ValueError, match="such as line 4: 4 tokens"):
        data.from_text(tmp_path / "x.txt", length=3)
    schema = data.from_text(["ab"], held_out=0).schema
    assert list(schema.read(["ab", "", "abc", "b"], skip_bad=True).skipped) == ["line 3"]
    assert schema.read(["ab", "", "b"]).names == ["line 1", "line 3"]


def test_marks_of_files_are_no_characters(tmp_path):
    # Line breaks of lines as read from a file, and the mark some editors begin files with.
    (tmp_path / "x.txt").write_text("ab\r\nba\r\n", "utf-8-sig", newline="")
    with (tmp_path / "x.txt").open(encoding="utf-8-sig", newline="") as file:
        lines = list(file)
    for source in (tmp_path / "x.txt", lines):
        assert data.from_text(source).schema.vocabulary == ["", "a", "b"]


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ([], {}, "lines of text"),
        (["ab\nc"], {}, "single lines"),
        (LINES, {"length": 0}, "`length`"),
        (LINES, {"level": "subword", "vocabulary_size": 5}, "room for an end and 13 char"),
        ("nowhere.txt", {}, "text file in UTF-8"),
        (LINES, {"level": "word"}, "`level`"),
    ],
)
def test_errors(source, options, message):
    with pytest.raises(ValueError, match=message):
        data.from_text(source, **options)
    with pytest.raises(ValueError, match="must begin with"):
        data.TextSchema(["a"], 3)


def test_a_model_of_text_keeps_its_vocabulary(tmp_path):
    source = data.from_text(LINES * 4)
    vae = keras_vae.presets.for_source(source, latent_dim=2, seed=0)
    vae.compile("adam")
    history = vae.fit(source.x_train, batch_size=18, epochs=1, verbose=0)
    assert np.isfinite(history.history["loss"][0])
    vae.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    schema = again.preprocessor.schema
    assert schema.get_config() == source.schema.get_config()
    drawn = again.generate(3, sample=True, temperature=0.7, top_p=0.9, seed=0)
    assert all(isinstance(line, str) for line in schema.decode(drawn))
    np.testing.assert_array_equal(
        drawn, vae.generate(3, sample=True, temperature=0.7, top_p=0.9, seed=0)
    )
