"""Drawing bits or real values from grey ones.

Floor 3. Salakhutdinov and Murray (2008), On the Quantitative Analysis of Deep Belief Networks,
introduced binarised MNIST; Burda, Grosse and Salakhutdinov (2016) draw new bits at every use.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from keras_vae import numerics
from keras_vae.arguments import require_integer
from keras_vae.data.blocks import Blocks
from keras_vae.streams import Stream

__all__ = ["binarize", "dequantize", "dynamic_binarization"]

# Rows drawn at a time: bounds the memory that the noise takes.
_ROWS = 4096


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
    for rows, uniform in _uniform_blocks(x.shape, numerics.key_from_seed(seed)):
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
    return Bits(x, batch_size, seed, first_epoch, drop_remainder=drop_remainder).batches()


class Bits(Blocks):
    """What `dynamic_binarization` draws.

    Several batches at a time, which is several times faster than one.

    Args:
        x: As there.
        batch_size: As there.
        seed: As there.
        first_epoch: As there.
        drop_remainder: As there.
    """

    def __init__(
        self,
        x: np.ndarray,
        batch_size: int,
        seed: int,
        first_epoch: int,
        *,
        drop_remainder: bool,
    ) -> None:
        self._probabilities = numerics.as_density(x)
        examples = len(x) // batch_size * batch_size if drop_remainder else len(x)
        spec = tf.TensorSpec([None, *x.shape[1:]], self._probabilities.dtype)
        super().__init__(spec, batch_size, examples)
        self._key = Stream.DYNAMIC_BINARIZATION.key(seed)
        self._epoch = tf.Variable(first_epoch, trainable=False, dtype=tf.int64)
        self._of_block = self.rows_of_block(_ROWS)
        self._begin = tf.function(self._begin_pass, autograph=False)
        self._draw = tf.function(self._block, autograph=False)

    def skip(self, passes: int) -> None:
        self._epoch.assign_add(passes)

    def one_pass(self) -> Iterator[tf.Tensor]:
        key, order = self._begin()
        for number in range(-(-self.examples // self._of_block)):
            yield self._draw(key, order, tf.constant(number, tf.int64))

    def unbatched(self) -> tf.data.Dataset:
        numbers = tf.data.Dataset.range(-(-self.examples // self._of_block))

        def blocks(key: tf.Tensor, order: tf.Tensor) -> tf.data.Dataset:
            return numbers.map(lambda number: self._block(key, order, number)).prefetch(1)

        return (
            tf.data.Dataset.from_tensors(0).map(lambda _: self._begin_pass()).flat_map(blocks)
        )

    def _begin_pass(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Key of the next pass, and the order of the rows in it."""
        # The one thing that a pass changes; all else follows from its number.
        key = numerics.fold_in(self._key, self._epoch.assign_add(1) - 1)
        order = tf.random.experimental.stateless_shuffle(
            tf.range(len(self._probabilities)), numerics.fold_in(key, 0), alg="philox"
        )
        return key, order[: self.examples]

    def _block(self, key: tf.Tensor, order: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
        rows = order[number * self._of_block : (number + 1) * self._of_block]
        # From 1: number 0 was the order's.
        uniform = _uniform(
            tf.shape(rows)[0], self.spec.shape[1:], numerics.fold_in(key, number + 1)
        )
        grey = tf.gather(self._probabilities, rows)
        return tf.cast(uniform < grey, grey.dtype)


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
    key = Stream.DEQUANTIZE.key(seed)
    spread = np.empty(x.shape, "float32")
    # Less than 1 by so much that rounding cannot carry the sum into the next cell.
    below_one = np.float32(1 - levels * np.finfo("float32").eps)
    for rows, uniform in _uniform_blocks(x.shape, key):
        spread[rows] = (x[rows] + np.minimum(uniform, below_one)) / np.float32(levels)
    return spread


def _uniform(rows: Any, shape: tuple[int, ...], key: tf.Tensor) -> tf.Tensor:
    spec = {"uniform": numerics.NoiseSpec("uniform", shape)}
    return numerics.draw_noise(spec, [rows], key)["uniform"]


def _uniform_blocks(
    shape: tuple[int, ...], key: tf.Tensor
) -> Iterator[tuple[slice, np.ndarray]]:
    """Uniform noise on [0, 1) for an array of that shape, some rows at a time."""
    for block, start in enumerate(range(0, shape[0], _ROWS)):
        rows = slice(start, min(start + _ROWS, shape[0]))
        noise = _uniform(rows.stop - start, shape[1:], numerics.fold_in(key, block))
        yield rows, noise.numpy()


def _require_probabilities(x: np.ndarray) -> None:
    if x.ndim < 1 or not len(x):
        raise ValueError(f"`x` must hold examples. Received: shape {x.shape}.")
    if not (x.min() >= 0 and x.max() <= 1):
        raise ValueError(
            f"`x` must be in [0, 1], as probabilities. Received: values from {x.min():g} to "
            f"{x.max():g}, dtype {x.dtype}. Divide 8-bit images by 255."
        )
