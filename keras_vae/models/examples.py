"""Some examples of the training data, for parts that look at it before training.

Floor 4.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_vae.data.streaming import is_streamed
from keras_vae.models.checks import is_arrays

__all__ = ["some_examples"]


def some_examples(x: Any, y: Any, position: int, count: int, seed: int) -> np.ndarray:
    """Examples for `adapt`: at random where all are at hand, else the first.

    Args:
        x: The training data as given to `fit`.
        y: The targets as given to `fit`.
        position: 0 for inputs, 1 for targets, which are the inputs where there are none.
        count: How many; all if there are fewer.
        seed: Of the choice.

    Returns:
        `[rows, *event]`.

    Raises:
        ValueError: If x is a generator, which would lose what is looked at.
    """
    if is_arrays(x):
        values = y if position == 1 and y is not None else x
        values = values["x"] if isinstance(values, Mapping) else values
        values = values if is_streamed(values) else np.asarray(values)
        total = len(values)
        if total <= count:
            return np.asarray(values[:])
        chosen = np.random.default_rng(seed).choice(total, count, replace=False)
        return np.asarray(values[np.sort(chosen)])
    rows: list[np.ndarray] = []
    found = 0
    for batch in _batches(x):
        inputs, target, _ = keras.utils.unpack_x_y_sample_weight(batch)
        values = target if position == 1 and target is not None else inputs
        values = values["x"] if isinstance(values, Mapping) else values
        rows.append(np.asarray(values))
        found += len(rows[-1])
        if found >= count:
            break
    return np.concatenate(rows)[:count]


def _batches(x: Any) -> Iterator[Any]:
    if isinstance(x, keras.utils.PyDataset):
        return (x[index] for index in range(x.num_batches))
    if isinstance(x, tf.data.Dataset):
        return iter(x)
    raise ValueError(
        f"A part of this model looks at examples before training, which a generator would "
        f"lose. Received: x of type {type(x).__name__}. Pass arrays, a tf.data.Dataset or a "
        f"PyDataset."
    )
