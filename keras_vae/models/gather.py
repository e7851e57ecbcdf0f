"""Terms and examples of all replicas, for what depends on more than one example.

Floor 4.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from keras_vae.terms import ElboTerms

__all__ = ["gather_terms", "local_part", "with_stand_ins"]

# Fields whose first axis is the batch; in all others it is the second.
_BATCH_FIRST = ("kl", "x", "posterior_params")


def gather_terms(terms: ElboTerms) -> ElboTerms:
    """Terms of the whole batch, on every replica; gradients flow back to where they belong."""
    replica = tf.distribute.get_replica_context()

    def gather(name: str, value: Any) -> Any:
        axis = 0 if name in _BATCH_FIRST else 1
        return tf.nest.map_structure(lambda t: replica.all_gather(t, axis=axis), value)

    fields = {
        n: v if v is None or n == "kl_blocks" else gather(n, v)
        for n, v in terms._asdict().items()
    }
    return ElboTerms(**fields)


def local_part(values: tf.Tensor | None, terms: ElboTerms) -> tf.Tensor | None:
    """This replica's share of values `[whole batch]`."""
    if values is None:
        return None
    replica = tf.distribute.get_replica_context()
    size = tf.shape(terms.log_likelihood)[1]
    sizes = replica.all_gather(size[None], axis=0)
    start = tf.reduce_sum(sizes[: replica.replica_id_in_sync_group])
    return values[start : start + size]


def with_stand_ins(tensors: Any) -> Any:
    """Give a replica that has no examples the first ones of the others.

    The last batch of a pass may have fewer examples than there are replicas. Layers that
    normalise by statistics of the batch have none of an empty one: NaN in their moving
    averages, which are means over replicas.

    Args:
        tensors: Nested tensors, `[batch, ...]`.

    Returns:
        The same, or of a replica without examples the stand-ins, without gradients.
    """
    replica = tf.distribute.get_replica_context()

    def filled(tensor: tf.Tensor) -> tf.Tensor:
        first = replica.all_gather(tf.stop_gradient(tensor[:1]), axis=0)
        wanted = tf.where(tf.shape(tensor)[0] == 0, tf.shape(first)[0], 0)
        return tf.concat([tensor, first[:wanted]], axis=0)

    return tf.nest.map_structure(filled, tensors)
