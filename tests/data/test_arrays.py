"""Blocks of arrays in memory: for the loop in one program, and as a data set."""

import numpy as np
import pytest
import tensorflow as tf

from keras_vae.data.arrays import Arrays

REVERSED = {"order": lambda size: tf.range(size - 1, -1, -1)}


def given(kind):
    ids = np.arange(77)
    x, weight = kind(ids[:, None] * np.ones([1, 3])), kind(ids)
    return {"x": x, "condition": weight}, weight


@pytest.mark.parametrize("kind", [np.asarray, tf.constant], ids=["arrays", "tensors"])
@pytest.mark.parametrize("options", [{}, REVERSED], ids=["as they are", "reversed"])
@pytest.mark.parametrize("at_a_time", [1, 2, 99])
def test_blocks_and_data_set_have_the_same_rows(kind, options, at_a_time):
    arrays = Arrays(given(kind), 16, at_a_time, **options)
    expected = np.arange(77)[:: -1 if options else 1]
    for _ in range(2):
        blocks = list(arrays.one_pass())
        assert [len(x["x"]) for x, _ in blocks][:1] == [min(16 * at_a_time, 77)]
        batches = list(arrays.untuned_batches())
        assert [len(x["x"]) for x, _ in batches] == [16, 16, 16, 16, 13]
        for parts in (blocks, batches):
            for rows in (
                np.concatenate([x["x"][:, 2] for x, _ in parts]),
                np.concatenate([x["condition"] for x, _ in parts]),
                np.concatenate([weight for _, weight in parts]),
            ):
                np.testing.assert_array_equal(rows, expected)


@pytest.mark.parametrize("kind", [np.asarray, tf.constant], ids=["arrays", "tensors"])
def test_real_values_come_as_keras_gives_them(kind):
    (first, *_), dataset = (
        Arrays(kind(np.zeros([5, 2])), 2, 1).one_pass(),
        Arrays(kind(np.zeros([5, 2])), 2, 1).untuned_batches(),
    )
    assert first.dtype == "float32"
    assert dataset.element_spec.dtype == "float32"
    bytes_ = Arrays(kind(np.zeros([5, 2], "uint8")), 2, 1)
    assert next(bytes_.one_pass()).dtype == "uint8"
    assert bytes_.batches().element_spec.dtype == "uint8"


def test_arrays_are_not_copied():
    x = np.zeros([6, 2], "float32")
    arrays = Arrays(x, 2, 1)
    x[:] = 7  # seen, for it is the same
    assert all(np.all(block == 7) for block in arrays.one_pass())


def test_lengths_that_differ_are_refused():
    with pytest.raises(ValueError, match=r"arrays of one length.*\{4, 5\}"):
        Arrays((np.zeros([5, 2]), np.zeros([4])), 2, 1)
