"""Checks of arguments: what passes, and what the others are told."""

import pytest

from keras_vae.arguments import require_integer, require_one_of, require_positive


def test_require_integer():
    require_integer("n", 1)
    require_integer("n", 0, 0)
    for wrong in (0, -1, 1.0, True, "1", None):
        with pytest.raises(ValueError, match=r"`n` must be an integer >= 1\. Received: n="):
            require_integer("n", wrong)
    with pytest.raises(ValueError, match=r"`n` must be an integer >= 2\. Received: n=1"):
        require_integer("n", 1, 2)


def test_require_one_of():
    require_one_of("mode", "a", ("a", "b"))
    with pytest.raises(
        ValueError, match=r"`mode` must be one of \('a', 'b'\)\. Received: mode='c'"
    ):
        require_one_of("mode", "c", ("a", "b"))


def test_require_positive():
    require_positive("scale", 1e-9)
    for wrong in (0, -1.0, float("nan")):
        with pytest.raises(ValueError, match=r"`scale` must be positive\. Received: scale="):
            require_positive("scale", wrong)
