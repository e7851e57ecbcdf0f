"""Bringing the terms of all replicas together, for objectives that compare examples.

Floor 4.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from keras_vae.terms import ElboTerms

__all__ = ["gather_terms", "local_part"]

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
