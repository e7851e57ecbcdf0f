"""Numbers that every part shares, and the one place that draws noise.

Floor 0.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

__all__ = [
    "SCALE_FLOOR",
    "NoiseSpec",
    "as_density",
    "density_dtype",
    "draw_noise",
    "fold_in",
    "inverse_positive",
    "keras_seeded",
    "key_from_seed",
    "log_mean_exp",
    "new_seed",
    "open_uniform",
    "positive",
    "sum_over_event",
    "weighted_mean",
]

# Smallest scale a part emits: its square, 1e-8, is still far above float32's smallest
# normal number, so that neither log(scale) nor 1 / scale**2 leaves float32.
SCALE_FLOOR = 1e-4

# TensorFlow's default algorithm is about 60 times slower under XLA on a CPU.
_ALGORITHM = tf.random.Algorithm.PHILOX.value
# What `tf.random.stateless_*` mixes seeds with.
_MIXING_KEY = 0x02461E293EC8F720


class NoiseSpec(NamedTuple):
    """Standard noise that a part asks for.

    Attributes:
        kind: `"normal"` (mean 0, variance 1) or `"uniform"` (on [0, 1)).
        shape: Shape of one draw, without sample and batch axes.
    """

    kind: str
    shape: tuple[int, ...]


def density_dtype() -> str:
    """Dtype of parameters, noise and densities: `floatx`, but never below float32."""
    return "float64" if keras.config.floatx() == "float64" else "float32"


def as_density(x: Any) -> tf.Tensor:
    """Convert to a tensor of `density_dtype`."""
    return tf.cast(tf.convert_to_tensor(x), density_dtype())


def positive(x: tf.Tensor, floor: float = SCALE_FLOOR) -> tf.Tensor:
    """Map any real number to a number above `floor`: softplus(x) + floor."""
    return keras.ops.softplus(x) + floor


def inverse_positive(y: float, floor: float = SCALE_FLOOR) -> float:
    """Return the `x` with `positive(x, floor) == y`.

    Raises:
        ValueError: If `y <= floor`.
    """
    if y <= floor:
        raise ValueError(f"`y` must be above the floor {floor}. Received: y={y}.")
    excess = tf.constant(y - floor, tf.float64)
    return float(excess + tf.math.log(-tf.math.expm1(-excess)))


def log_mean_exp(x: tf.Tensor, axis: int = 0) -> tf.Tensor:
    """Log of the mean of exp(x) along `axis`, without overflow."""
    count = tf.cast(tf.shape(x)[axis], x.dtype)
    return tf.reduce_logsumexp(x, axis=axis) - tf.math.log(count)


def open_uniform(uniform: tf.Tensor) -> tf.Tensor:
    """Move uniform noise from [0, 1) into (0, 1), where logarithms are finite.

    Such noise is a multiple of the dtype's epsilon; half of it is added, exactly, so that the
    result is symmetric about 1/2.
    """
    half = np.finfo(uniform.dtype.as_numpy_dtype).eps / 2
    return tf.minimum(uniform + half, 1 - half)


def sum_over_event(x: tf.Tensor, event_rank: int) -> tf.Tensor:
    """Sum over the last `event_rank` axes."""
    if event_rank == 0:
        return x
    return tf.reduce_sum(x, axis=list(range(-event_rank, 0)))


def weighted_mean(values: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """Weighted mean over the first axis.

    Args:
        values: `[sample, batch, ...]`.
        weights: `[sample, batch]`, adding up to 1 over samples.
    """
    extra = values.shape.rank - weights.shape.rank
    weights = tf.reshape(weights, tf.concat([tf.shape(weights), [1] * extra], axis=0))
    return tf.reduce_sum(weights * values, axis=0)


def new_seed() -> int:
    """A seed from Python's generator, which `keras.utils.set_random_seed` sets."""
    return random.randint(1, 2**31 - 1)  # noqa: S311 (not for secrets)


@contextlib.contextmanager
def keras_seeded(seed: int | None) -> Iterator[None]:
    """Seed what Keras draws on its own, and leave its source as it was.

    Initializers and Dropout layers without a seed take one from Python's generator, and so does
    `new_seed`. Nothing else is seeded: NumPy's and TensorFlow's generators are not touched.

    Args:
        seed: Random seed. `None`: a fresh one, from Python's generator.
    """
    if seed is None:
        seed = new_seed()
    state = random.getstate()
    random.seed(int(seed))
    try:
        yield
    finally:
        random.setstate(state)


def key_from_seed(seed: int | tf.Tensor | None, stream: int = 0) -> tf.Tensor:
    """Turn a user's seed into a key for `draw_noise`.

    Args:
        seed: Any integer, `None` for a fresh one from Python's generator, or a key, which is
            returned as it is.
        stream: Separates purposes that share one seed; see `streams.Stream`. Defaults to `0`.

    Returns:
        int32 tensor of shape `[2]`.
    """
    if tf.is_tensor(seed):
        return seed
    if seed is None:
        seed = new_seed()
    wrapped = (int(seed) + 2**31) % 2**32 - 2**31
    return tf.constant([wrapped, int(stream)], tf.int32)


def fold_in(key: tf.Tensor, number: Any) -> tf.Tensor:
    """Derive a new key from a key and an integer."""
    of_key = tf.raw_ops.StatelessRandomUniformFullIntV2(
        shape=[], dtype=tf.int32, alg=_ALGORITHM, **_mixed(key)
    )
    return tf.stack([of_key, tf.cast(number, tf.int32)])


def _mixed(key: tf.Tensor) -> dict[str, tf.Tensor]:
    """Key and counter of the generator, as `tf.random.stateless_*` makes them of a seed.

    In a third of the ops: to derive keys took longer than to draw the noise of small latents.
    """
    mixed = tf.raw_ops.StatelessRandomUniformFullIntV2(
        shape=[2, 2],
        key=tf.constant([_MIXING_KEY], tf.uint64),
        counter=tf.cast(key, tf.uint64),
        dtype=tf.uint32,
        alg=_ALGORITHM,
    )
    mixed = tf.bitcast(mixed, tf.uint64)
    return {"key": mixed[:1], "counter": mixed * tf.constant([0, 1], tf.uint64)}


def draw_noise(
    specs: Mapping[str, NoiseSpec], leading: Sequence[Any], key: tf.Tensor
) -> dict[str, tf.Tensor]:
    """Draw the noise a part asked for.

    Args:
        specs: The part's `noise_spec()`.
        leading: Leading axes, usually `[samples, batch]`.
        key: int32 tensor of shape `[2]`.

    Returns:
        A tensor `[*leading, *spec.shape]` per name.

    Raises:
        ValueError: If a spec's kind is neither `"normal"` nor `"uniform"`.
    """
    draws = {
        "normal": tf.raw_ops.StatelessRandomNormalV2,
        "uniform": tf.raw_ops.StatelessRandomUniformV2,
    }
    noise = {}
    for index, name in enumerate(sorted(specs)):
        spec = specs[name]
        if spec.kind not in draws:
            raise ValueError(
                f"Noise must be of kind 'normal' or 'uniform'. Received: {name}={spec!r}."
            )
        noise[name] = draws[spec.kind](
            shape=[*leading, *spec.shape],
            dtype=density_dtype(),
            alg=_ALGORITHM,
            **_mixed(fold_in(key, index)),
        )
    return noise
