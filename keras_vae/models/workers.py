"""What the workers of a `MultiWorkerMirroredStrategy` must agree on before they train.

Each worker is a process with data of its own, and whatever a part learns from that data would
differ between them in silence: variables are kept equal by equal updates alone.

Floor 4.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

__all__ = ["agree_on_size", "agree_on_weights", "examples_of_all", "number_of_workers"]


def number_of_workers(strategy: tf.distribute.Strategy) -> int:
    """Processes that train together: 1 without a strategy of several workers."""
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return 1
    cluster = strategy.cluster_resolver.cluster_spec().as_dict()
    return max(1, sum(len(cluster.get(job, [])) for job in ("chief", "worker")))


def examples_of_all(
    strategy: tf.distribute.Strategy, rows: np.ndarray, count: int, seed: int
) -> np.ndarray:
    """Examples that all workers adapt to, in the same order.

    Args:
        strategy: Strategy of the model.
        rows: Examples that this worker found, `[rows, ...]`.
        count: Maximum number of examples.
        seed: Random seed of the choice among them, equal on all workers.

    Returns:
        `rows` where all workers found the same, else at most `count` of all of them.
    """
    if number_of_workers(strategy) == 1:
        return rows
    # As doubles, which hold whatever examples are made of; collectives know few types.
    sizes = _gathered(strategy, np.array([len(rows)], "int64"))
    gathered = _gathered(strategy, np.asarray(rows, "float64"))
    parts = np.split(gathered, np.cumsum(sizes)[:-1])
    if all(np.array_equal(part, parts[0], equal_nan=True) for part in parts):
        return rows
    together = gathered.astype(rows.dtype)
    if len(together) <= count:
        return together
    chosen = np.random.default_rng(seed).choice(len(together), count, replace=False)
    return together[np.sort(chosen)]


def agree_on_size(strategy: tf.distribute.Strategy, size: int, x: Any) -> int:
    """Number of examples of all workers, 0 if unknown.

    Args:
        strategy: Strategy of the model.
        size: Number of examples of this worker, 0 if unknown.
        x: Its data. Workers with the same data share the work on one data set.
    """
    if number_of_workers(strategy) == 1:
        return size
    first = [np.asarray(a[:64]) for a in tf.nest.flatten(x)] if size else []
    mark = zlib.crc32(b"".join(np.ascontiguousarray(a).tobytes() for a in first))
    found = _gathered(strategy, np.array([[size, mark]], "int64"))
    same = len(np.unique(found, axis=0)) == 1
    return int(found[0, 0] if same else found[:, 0].sum() * found[:, 0].all())


def agree_on_weights(strategy: tf.distribute.Strategy, weights: Sequence[Any]) -> None:
    """Give all workers the first one's weights, which equal data need not make equal."""
    if number_of_workers(strategy) == 1:
        return
    for weight in weights:
        weight.assign(_gathered(strategy, weight.numpy()[None])[0])


def _gathered(strategy: tf.distribute.Strategy, values: np.ndarray) -> np.ndarray:
    """Values of all replicas, joined along the first axis."""

    @tf.function(autograph=False)
    def gather(tensor: tf.Tensor) -> Any:
        def of_each() -> tf.Tensor:
            here = tf.identity(tensor)  # on the device of the replica
            return tf.distribute.get_replica_context().all_gather(here, axis=0)

        return strategy.run(of_each)

    gathered = gather(tf.constant(values))
    local: np.ndarray = strategy.experimental_local_results(gathered)[0].numpy()
    return local
