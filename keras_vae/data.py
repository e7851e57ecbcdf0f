"""Data sets to begin with, and drawing bits or real values from grey ones.

Floor 0. Salakhutdinov and Murray (2008), On the Quantitative Analysis of Deep Belief Networks,
introduced binarised MNIST; Burda, Grosse and Salakhutdinov (2016) draw new bits at every use.
"""

from __future__ import annotations

import os
import pathlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from keras_vae import numerics
from keras_vae.arguments import require_integer

__all__ = [
    "LabelledImages",
    "binarize",
    "dequantize",
    "dynamic_binarization",
    "load_digits",
    "load_mnist",
]

# Every fifth image of each class is held out.
_HELD_OUT = 5
# Rows drawn at a time: bounds the memory that the noise takes.
_ROWS = 4096


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
    path = pathlib.Path(folder or ".") / "mnist.npz"
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


def binarize(x: np.ndarray, seed: int) -> np.ndarray:
    """Static binarisation: bits that are 1 with probability x, drawn once.

    Args:
        x: Probabilities, `[examples, ...]`.
        seed: Of the draw; with the same seed the bits are the same on every machine.

    Returns:
        0.0 and 1.0 in the shape of `x`, float32.

    Raises:
        ValueError: If values are outside [0, 1] or not finite.

    Example:
    >>> keras_vae.data.binarize(np.array([[0.0, 1.0, 0.5, 0.5]]), seed=0).tolist()
    [[0.0, 1.0, 0.0, 1.0]]

    Reference: Salakhutdinov and Murray (2008), On the Quantitative Analysis of Deep Belief
    Networks, section 5.
    """
    _require_probabilities(x)
    bits = np.empty(x.shape, "float32")
    for rows, uniform in _uniform_blocks(x.shape, seed):
        # Uniform on [0, 1): probability 0 never gives a 1, and probability 1 always does.
        bits[rows] = uniform < x[rows]
    return bits


def dynamic_binarization(
    x: np.ndarray,
    batch_size: int,
    seed: int,
    *,
    first_epoch: int = 0,
    drop_remainder: bool = False,
) -> tf.data.Dataset:
    """Dynamic binarisation: batches of bits, drawn anew and shuffled anew in each epoch.

    Order and bits are a function of the seed and the epoch's number, so that a run
    can be repeated, and continued: `fit(dataset, initial_epoch=n, epochs=...)` with
    `first_epoch=n` sees what an uninterrupted run would have seen. An epoch is one pass over
    the data set; a pass that ends early counts as one.

    Args:
        x: Probabilities, `[examples, ...]`. One copy is kept, whatever the number of epochs.
        batch_size: Examples in a batch.
        seed: Of the order and the bits.
        first_epoch: Number of the first pass. Defaults to `0`.
        drop_remainder: Whether to leave out a last batch that is smaller. Defaults to
            `False`.

    Returns:
        A data set of batches `[batch, ...]`, float32, that are 0.0 or 1.0.

    Raises:
        ValueError: If values are outside [0, 1] or not finite, or `batch_size` or
            `first_epoch` is not an integer in range.

    Example:
    >>> x = np.full([100, 8, 8, 1], 0.5, "float32")
    >>> bits = keras_vae.data.dynamic_binarization(x, batch_size=40, seed=0)
    >>> [batch.shape[0] for batch in bits]
    [40, 40, 20]

    Reference: Burda, Grosse and Salakhutdinov (2016), Importance Weighted Autoencoders,
    section 5.
    """
    _require_probabilities(x)
    require_integer("batch_size", batch_size, 1)
    require_integer("first_epoch", first_epoch, 0)
    examples = len(x)
    probabilities = numerics.as_density(x)
    key = numerics.key_from_seed(seed)
    epoch = tf.Variable(first_epoch, trainable=False, dtype=tf.int64)

    def begin_epoch(_: tf.Tensor) -> tf.Tensor:
        # The one thing that a pass changes; all else follows from its number.
        return numerics.fold_in(key, epoch.assign_add(1) - 1)

    def batches_of_epoch(epoch_key: tf.Tensor) -> tf.data.Dataset:
        order = tf.random.experimental.stateless_shuffle(
            tf.range(examples), numerics.fold_in(epoch_key, 0), alg="philox"
        )

        def bits(block: tf.Tensor) -> tf.Tensor:
            rows = order[block * several : (block + 1) * several]
            # From 1: number 0 was the order's.
            uniform = _uniform(
                tf.shape(rows)[0], x.shape[1:], numerics.fold_in(epoch_key, block + 1)
            )
            return tf.cast(uniform < tf.gather(probabilities, rows), probabilities.dtype)

        # Several batches at a time, which is several times faster than one.
        several = max(1, _ROWS // batch_size) * batch_size
        drawn = tf.data.Dataset.range(-(-examples // several)).map(bits).prefetch(1)
        return drawn.rebatch(batch_size, drop_remainder=drop_remainder)

    batches = tf.data.Dataset.from_tensors(0).map(begin_epoch).flat_map(batches_of_epoch)
    # So that Keras knows the length of an epoch before the first has passed.
    size = examples // batch_size if drop_remainder else -(-examples // batch_size)
    batches = batches.apply(tf.data.experimental.assert_cardinality(size))
    return batches.prefetch(tf.data.AUTOTUNE)


def dequantize(x: np.ndarray, seed: int, *, levels: int = 256) -> np.ndarray:
    """Spread each of `levels` grey values evenly over its cell: `(x + u) / levels`.

    A density of real values fitted to the result gives a lower bound of the log-probability
    of the grey values: subtract `log(levels)` for each element. Fitted to grey values as they
    are, it can grow without bound.

    Args:
        x: Integers from 0 to `levels - 1`, `[examples, ...]`.
        seed: Of the uniform draw `u`.
        levels: Number of grey values. Defaults to `256`.

    Returns:
        Values in [0, 1), float32.

    Raises:
        ValueError: If `x` holds anything but integers in range.

    Example:
    >>> x = keras_vae.data.dequantize(np.array([[0, 255]], "uint8"), seed=0)
    >>> (x * 256).astype(int).tolist()
    [[0, 255]]

    Reference: Theis, van den Oord and Bethge (2016), A Note on the Evaluation of Generative
    Models, section 3.1.
    """
    require_integer("levels", levels, 1)
    if x.size and (x.min() < 0 or x.max() >= levels or np.any(np.mod(x, 1))):
        raise ValueError(
            f"`x` must hold integers from 0 to {levels - 1}. Received: values from "
            f"{x.min():g} to {x.max():g}, dtype {x.dtype}."
        )
    spread = np.empty(x.shape, "float32")
    # Less than 1 by so much that rounding cannot carry the sum into the next cell.
    below_one = np.float32(1 - levels * np.finfo("float32").eps)
    for rows, uniform in _uniform_blocks(x.shape, seed):
        spread[rows] = (x[rows] + np.minimum(uniform, below_one)) / np.float32(levels)
    return spread


def _uniform(rows: Any, shape: tuple[int, ...], key: tf.Tensor) -> tf.Tensor:
    spec = {"uniform": numerics.NoiseSpec("uniform", shape)}
    return numerics.draw_noise(spec, [rows], key)["uniform"]


def _uniform_blocks(shape: tuple[int, ...], seed: int) -> Iterator[tuple[slice, np.ndarray]]:
    """Uniform noise on [0, 1) for an array of that shape, some rows at a time."""
    key = numerics.key_from_seed(seed)
    for block, start in enumerate(range(0, shape[0], _ROWS)):
        rows = slice(start, min(start + _ROWS, shape[0]))
        noise = _uniform(rows.stop - start, shape[1:], numerics.fold_in(key, block))
        yield rows, noise.numpy()


def _unit_interval(grey: np.ndarray) -> np.ndarray:
    scaled: np.ndarray = np.divide(grey, 255, dtype="float32")
    return scaled[..., None]


def _require_probabilities(x: np.ndarray) -> None:
    if x.ndim < 1 or not len(x):
        raise ValueError(f"`x` must hold examples. Received: shape {x.shape}.")
    if not (x.min() >= 0 and x.max() <= 1):
        raise ValueError(
            f"`x` must be in [0, 1], as probabilities. Received: values from {x.min():g} to "
            f"{x.max():g}, dtype {x.dtype}. Divide 8-bit images by 255."
        )
