"""What `fit` and `evaluate` are given, and the batches that are made of it here.

Keras makes them of arrays, too, but more slowly, and of arrays on disk not at all.

Floor 4.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from keras_vae.data.arrays import Arrays
from keras_vae.data.blocks import Blocks
from keras_vae.data.streaming import Runs, is_streamed
from keras_vae.models.checks import check_weights, is_arrays

__all__ = ["ROWS", "Given", "batches_in_order", "blocks_to_train_on", "given"]

# Rows of a batch unless `fit` is told otherwise, as in Keras.
ROWS = 32


class Given(NamedTuple):
    """Data and their weights, checked.

    Attributes:
        x: Arrays, or a stream of batches.
        y: The target; `None` if it is x, and in a stream.
        weight: One number for each example, or `None`.
    """

    x: Any
    y: Any = None
    weight: Any = None

    @property
    def on_disk(self) -> bool:
        """Whether they may not fit into memory."""
        return any(is_streamed(array) for array in keras.tree.flatten((self.x, self.y)))

    def packed(self) -> Any:
        """As steps, and Keras's `validation_data`, have them."""
        return keras.utils.pack_x_y_sample_weight(*self)

    def steps_of_epoch(self, size: int, batch_size: int | None) -> tuple[int, int]:
        """Steps of an epoch, 0 if unknown, and examples of a batch, of a stream about so many.

        Args:
            size: Number of examples, 0 if unknown.
            batch_size: As the user gave it.
        """
        rows = batch_size or ROWS
        if isinstance(self.x, tf.data.Dataset):
            first = tf.nest.flatten(self.x.element_spec)[0]
            return max(0, int(self.x.cardinality())), first.shape[0] or rows
        if isinstance(self.x, keras.utils.PyDataset):
            return self.x.num_batches or 0, rows
        if not is_arrays(self.x):
            try:
                return len(self.x), rows  # such as PyTorch's DataLoader
            except TypeError:  # of a generator, or of a loader that does not know
                return 0, rows
        rows = self.fitting(rows)
        return -(-size // rows), rows

    def fitting(self, rows: int) -> int:
        """Examples of a batch, no more than there are: memory is taken for all of them."""
        if not is_arrays(self.x):
            return rows
        return min(rows, *(int(a.shape[0]) for a in keras.tree.flatten(self.x)))


def given(x: Any, y: Any, weight: Any, prefix: str = "") -> Given:
    """Data with weights that fit them.

    Args:
        x: As in `fit`, checked.
        y: As in `fit`, checked.
        weight: `sample_weight` of `fit`.
        prefix: Put before the name of the weights in messages.

    Raises:
        ValueError: If there is not one weight for each example.
    """
    if weight is None or not is_arrays(x):
        return Given(x, y, weight)
    array = x["x"] if isinstance(x, Mapping) else x
    weight = check_weights(f"{prefix}sample_weight", weight, array.shape[0])
    # Keras silently drops the weights of data that has no y.
    return Given(x, array if y is None else y, weight)


def batches_in_order(
    model: Any, data: Given, rows: int, steps: int | None
) -> tf.data.Dataset | None:
    """Batches to evaluate a model on; `None` where they are left to Keras.

    Args:
        model: A Keras model.
        data: What to evaluate on.
        rows: Examples of a batch.
        steps: After so many Keras is to stop.
    """
    rows = data.fitting(rows)
    if data.on_disk:
        return Runs(data.packed(), rows, 0, shuffle=False, first_epoch=0).untuned_batches()
    if steps or not is_arrays(data.x) or _replicated(model):
        return None
    return Arrays(data.packed(), rows, model.steps_per_execution).untuned_batches()


def blocks_to_train_on(
    model: Any, data: Given, rows: int, options: Mapping[str, Any], *, whole: bool
) -> Blocks | None:
    """Blocks of batches to train a model on; `None` where batches are left to Keras.

    Args:
        model: A compiled `BoundModel`.
        data: What to train on.
        rows: Examples of a batch.
        options: `shuffle` and `initial_epoch` of `fit`.
        whole: Whether an epoch is a pass over the data.
    """
    shuffle = options.get("shuffle", True)
    if data.on_disk:
        seed, epoch = int(model.state.noise_seed.numpy()), options.get("initial_epoch", 0)
        return Runs(data.packed(), rows, seed, shuffle=shuffle, first_epoch=epoch)
    if not whole or _replicated(model):
        return None
    blocks = getattr(data.x, "blocks", None)
    if isinstance(blocks, Blocks):
        return blocks if data.y is None and data.weight is None else None
    if not (is_arrays(data.x) and isinstance(shuffle, bool)):
        return None
    order = model.state.order if shuffle else None
    return Arrays(data.packed(), rows, model.steps_per_execution, order)


def _replicated(model: Any) -> bool:
    return bool(model.distribute_strategy.num_replicas_in_sync > 1)
