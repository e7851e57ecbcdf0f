"""Data sets to begin with.

Floor 3.
"""

from __future__ import annotations

import os
from typing import NamedTuple

import keras
import numpy as np

from keras_vae.core.paths import local_path

__all__ = ["LabelledImages", "load_digits", "load_mnist"]

# Every fifth image of each class is held out.
_HELD_OUT = 5


class LabelledImages(NamedTuple):
    """Images and their classes, split for training and testing.

    Attributes:
        x_train: Grey values in [0, 1], float32 `[examples, height, width, 1]`.
        y_train: Classes, int32 `[examples]`.
        x_test: As `x_train`.
        y_test: As `y_train`.
    """

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray


def load_digits() -> LabelledImages:
    """Scikit-learn's 1,797 handwritten digits of 8 x 8 pixels: no download.

    The 4-bit grey values are divided by 16. Every fifth image of each class is held out, so
    that the split is the same everywhere and has all classes in equal shares.

    Example:
    >>> images = keras_vae.data.load_digits()
    >>> images.x_train.shape, images.x_test.shape
    ((1442, 8, 8, 1), (355, 8, 8, 1))

    Reference: Alpaydin and Kaynak (1998), Optical Recognition of Handwritten Digits, UCI.
    """
    import sklearn.datasets

    digits = sklearn.datasets.load_digits()
    x = (digits.images[..., None] / 16).astype("float32")
    y = digits.target.astype("int32")
    rank_in_class = np.empty_like(y)
    for label in np.unique(y):
        rank_in_class[y == label] = np.arange(np.sum(y == label))
    held_out = rank_in_class % _HELD_OUT == _HELD_OUT - 1
    return LabelledImages(x[~held_out], y[~held_out], x[held_out], y[held_out])


def load_mnist() -> LabelledImages:
    """MNIST: 60,000 and 10,000 handwritten digits of 28 x 28 pixels.

    Read from `mnist.npz` in the folder that the environment variable `KERAS_VAE_DATA` names,
    if it is there, else from `keras.datasets`, which downloads it once.

    Raises:
        FileNotFoundError: If the file is not there and the download fails.

    Reference: LeCun, Bottou, Bengio and Haffner (1998), Gradient-Based Learning Applied to
    Document Recognition.
    """
    folder = os.environ.get("KERAS_VAE_DATA")
    path = local_path(folder or ".", "KERAS_VAE_DATA") / "mnist.npz"
    if folder and path.is_file():
        with np.load(path, allow_pickle=False) as arrays:
            names = ("x_train", "y_train", "x_test", "y_test")
            x_train, y_train, x_test, y_test = (arrays[name] for name in names)
    else:
        try:
            (x_train, y_train), (x_test, y_test) = keras.datasets.mnist.load_data()
        except Exception as error:  # Keras raises a plain Exception when a download fails.
            raise FileNotFoundError(
                "MNIST is neither on this machine nor to be downloaded. Put mnist.npz, with "
                "the arrays x_train, y_train, x_test and y_test, into a folder and set "
                f"KERAS_VAE_DATA to it. Received: KERAS_VAE_DATA={folder!r}, and from "
                f"keras.datasets: {error}"
            ) from error
    return LabelledImages(
        _unit_interval(x_train),
        y_train.astype("int32"),
        _unit_interval(x_test),
        y_test.astype("int32"),
    )


def _unit_interval(grey: np.ndarray) -> np.ndarray:
    scaled: np.ndarray = np.divide(grey, 255, dtype="float32")
    return scaled[..., None]
