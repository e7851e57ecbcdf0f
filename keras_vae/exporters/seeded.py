"""Standard noise from seeds, by a counter-based generator made of integer operations.

The same seed gives the same noise in each runtime, process and batch: there is no state, and
examples do not know of each other. Runtimes need no random operation for it.

Floor 6. Salmon, Moraes, Dror and Shaw (2011), Parallel Random Numbers: As Easy as 1, 2, 3.
"""

from __future__ import annotations

import contextlib
import contextvars
import math
from collections.abc import Iterator, Mapping

import numpy as np
import tensorflow as tf

from keras_vae import numerics

__all__ = [
    "ENTROPY_OP",
    "entropy_on_demand",
    "given_or_own_seeds",
    "noise_of_seeds",
    "own_seeds",
    "threefry",
]

#: The op from which graphs have entropy.
ENTROPY_OP = "RandomUniform"
_ON_DEMAND = contextvars.ContextVar("on_demand", default=False)

_WORD = 2**32
_PARITY = 0x1BD11BDA
_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))


def noise_of_seeds(
    seeds: tf.Tensor, specs: Mapping[str, numerics.NoiseSpec]
) -> dict[str, tf.Tensor]:
    """Draw what a part asks for, from one seed for each example.

    Args:
        seeds: int64, `[batch]`.
        specs: The part's `noise_spec()`.

    Returns:
        A tensor `[batch, *spec.shape]` per name.
    """
    key = (tf.math.floormod(seeds, _WORD), tf.math.floormod(seeds // _WORD, _WORD))
    noise = {}
    for stream, name in enumerate(sorted(specs)):
        kind, shape = specs[name]
        size = math.prod(shape)
        counters = tf.range((size + 1) // 2, dtype=tf.int64)[None]
        streams = tf.fill(tf.shape(counters), tf.constant(stream, tf.int64))
        words = threefry((key[0][:, None], key[1][:, None]), (counters, streams))
        draws = tf.concat(_normals(*words) if kind == "normal" else _uniforms(*words), axis=1)
        noise[name] = tf.reshape(draws[:, :size], (-1, *shape))
    return noise


@contextlib.contextmanager
def entropy_on_demand() -> Iterator[None]:
    """Let `given_or_own_seeds` draw in a branch of its own, which is taken where needed."""
    token = _ON_DEMAND.set(True)
    try:
        yield
    finally:
        _ON_DEMAND.reset(token)


def given_or_own_seeds(seeds: tf.Tensor) -> tf.Tensor:
    """Replace seeds below 0 by some from the entropy of the process that runs the graph.

    Args:
        seeds: int64, `[batch]`.
    """

    def replaced() -> tf.Tensor:
        return tf.where(seeds < 0, own_seeds(seeds), seeds)

    if not _ON_DEMAND.get():
        return replaced()
    return tf.cond(tf.reduce_any(seeds < 0), replaced, lambda: tf.identity(seeds))


def own_seeds(like: tf.Tensor) -> tf.Tensor:
    """Seeds from the entropy of the process that runs the graph, `[batch]`, from 0 on.

    Args:
        like: int64, `[batch]`.
    """
    if tf.executing_eagerly():
        # A generator of its own: TensorFlow refuses unseeded ops where determinism is on.
        fresh = np.random.default_rng().integers(2**63, size=like.shape, dtype="int64")
        return tf.constant(fresh)
    # Not tf.random.uniform: a seed that was set for the training would be baked in. Not of
    # integers: few runtimes have those. Such noise has 23 bits, of which 21 are taken thrice.
    shape = tf.concat([[3], tf.shape(like)], axis=0)
    uniform = tf.raw_ops.RandomUniform(shape=shape, dtype=tf.float32)
    high, middle, low = tf.unstack(tf.cast(uniform * 2.0**21, tf.int64))
    return (high * 2**21 + middle) * 2**21 + low


def threefry(
    key: tuple[tf.Tensor, tf.Tensor], counter: tuple[tf.Tensor, tf.Tensor]
) -> tuple[tf.Tensor, tf.Tensor]:
    """Threefry-2x32 with 20 rounds: a bijection of counters, a different one for each key.

    Args:
        key: Two words of 32 bits, in int64 tensors.
        counter: The same, of shapes that broadcast against the key's.

    Returns:
        Two words, in int64 tensors.
    """
    parity = tf.bitwise.bitwise_xor(key[0], key[1])
    schedule = (*key, tf.bitwise.bitwise_xor(parity, tf.constant(_PARITY, tf.int64)))
    a, b = _add(counter[0], schedule[0]), _add(counter[1], schedule[1])
    for block in range(5):
        for rotation in _ROTATIONS[block % 2]:
            a = _add(a, b)
            b = tf.bitwise.bitwise_xor(_rotated(b, rotation), a)
        a = _add(a, schedule[(block + 1) % 3])
        b = _add(b, schedule[(block + 2) % 3] + (block + 1))
    return a, b


def _add(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    return tf.math.floormod(a + b, _WORD)


def _rotated(word: tf.Tensor, places: int) -> tf.Tensor:
    shifted = word * 2**places  # below 2**63
    return tf.math.floormod(shifted, _WORD) + shifted // _WORD


def _uniforms(a: tf.Tensor, b: tf.Tensor) -> list[tf.Tensor]:
    """On [0, 1), multiples of 2**-23 as all uniform noise is."""
    dtype = numerics.density_dtype()
    return [tf.cast(word // 512, dtype) * tf.constant(2.0**-23, dtype) for word in (a, b)]


def _normals(a: tf.Tensor, b: tf.Tensor) -> list[tf.Tensor]:
    """By Box and Muller (1958). Of magnitude up to 6.8: beyond, there are 1e-11 of all."""
    dtype = numerics.density_dtype()
    open_uniform, angle = ((tf.cast(w, dtype) + 0.5) / _WORD for w in (a, b))
    radius = tf.sqrt(-2 * tf.math.log(open_uniform))
    return [radius * tf.cos(2 * math.pi * angle), radius * tf.sin(2 * math.pi * angle)]
