"""Checks of arguments: what passes, and what the others are told."""

import fractions

import numpy as np
import pytest
import tensorflow as tf

from keras_vae.arguments import (
    plain,
    require_integer,
    require_number,
    require_one_of,
    require_positive,
    require_shape,
    require_size,
    require_sizes,
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.int64(3), 3),
        (np.float32(0.5), 0.5),
        (np.longdouble(0.5), 0.5),
        (np.True_, True),
        (np.array(3), 3),
        (tf.constant(0.5), 0.5),
        (fractions.Fraction(1, 2), 0.5),
        (tf.TensorShape([2, 3]), (2, 3)),
        ([np.int64(3), (np.uint8(1), "a")], [3, (1, "a")]),
        ({"a": np.float64(0.5)}, {"a": 0.5}),
    ],
)
def test_scalars_become_those_of_python(value, expected):
    found = plain(value)
    assert found == expected
    assert type(found) is type(expected)


def test_what_is_plain_already_stays_the_same_object():
    for value in (None, True, 3, "a", [1, 2], (1, [2]), {"a": 1}, np.zeros(3), object()):
        assert plain(value) is value


def test_variables_and_shapes_of_unknown_rank_stay():
    for value in (tf.Variable(1.0), tf.TensorShape(None)):
        assert plain(value) is value


def test_require_integer():
    assert require_integer("n", np.int64(1)) == 1
    require_integer("n", 0, 0)
    for wrong in (0, -1, 1.0, True, np.True_, np.float32(1), "1", None):
        with pytest.raises(ValueError, match=r"`n` must be an integer >= 1\. Received: n="):
            require_integer("n", wrong)
    with pytest.raises(ValueError, match=r"`n` must be an integer >= 2\. Received: n=1"):
        require_integer("n", 1, 2)
    with pytest.raises(ValueError, match=r"`n` must be an integer from 1 to 3\. Received: n=4"):
        require_integer("n", 4, 1, 3)


def test_sizes_beyond_memory_are_refused():
    require_size("n", 2**20)
    for check in (lambda: require_size("n", 10**9), lambda: require_sizes("n", [3, 10**9])):
        with pytest.raises(ValueError, match=r"`n` must be at most .* Received: n=1000000000"):
            check()
    with pytest.raises(ValueError, match=r"`n` must have at most .* elements"):
        require_shape("n", (10_000, 10_000, 3), "(28, 28, 1)")


def test_require_shape():
    for shape in ((2, 3), [2, np.int32(3)], np.array([2, 3]), tf.TensorShape([2, 3])):
        assert require_shape("shape", shape, "(28, 28, 1)") == (2, 3)
    for wrong in (3, (), (2, 0), (2, True), (2, None), "23", tf.TensorShape(None), None):
        with pytest.raises(ValueError, match=r"`shape` must be a tuple of positive integers"):
            require_shape("shape", wrong, "(28, 28, 1)")


def test_require_number():
    assert require_number("share", np.float32(0.5), 0, 1) == 0.5
    for wrong in (-0.1, 1.1, float("nan"), True, "a", None, 1j):
        with pytest.raises(ValueError, match=r"`share` must be in \[0, 1\]\. Received: share="):
            require_number("share", wrong, 0, 1)
    with pytest.raises(
        ValueError, match=r"`rate` must be a finite number\. Received: rate=inf"
    ):
        require_number("rate", float("inf"))


def test_require_one_of():
    require_one_of("mode", "a", ("a", "b"))
    for wrong in ("c", ["a"], np.zeros(2)):
        with pytest.raises(
            ValueError, match=r"`mode` must be one of \('a', 'b'\)\. Received: mode="
        ):
            require_one_of("mode", wrong, ("a", "b"))


def test_require_positive():
    require_positive("scale", 1e-9)
    for wrong in (0, -1.0, float("nan"), "a", True):
        with pytest.raises(ValueError, match=r"`scale` must be positive\. Received: scale="):
            require_positive("scale", wrong)
