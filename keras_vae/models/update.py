"""One optimizer update that leaves everything as it was if numbers are not finite.

Floor 4.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

__all__ = [
    "all_finite",
    "any_replica",
    "apply_update",
    "number_of_replicas",
    "projected_kernels",
    "restore_unless",
    "scales_loss",
]


def number_of_replicas() -> int:
    """Replicas that run this step in sync: 1 without a distribution strategy."""
    replica = tf.distribute.get_replica_context()
    return 1 if replica is None else int(replica.num_replicas_in_sync)


def scales_loss(optimizer: keras.optimizers.Optimizer) -> bool:
    """Whether the optimizer searches its loss scale by skipping non-finite gradients."""
    return isinstance(optimizer, keras.optimizers.LossScaleOptimizer)


def all_finite(tensors: Sequence[tf.Tensor | None]) -> tf.Tensor:
    """Whether all numbers are finite, as a boolean scalar."""
    # A sum is one pass over memory and is finite only if every term is.
    sums = [tf.reduce_sum(_rows_summed(_values(t))) for t in tensors if t is not None]
    if not sums:
        return tf.constant(True)
    return tf.reduce_all([tf.math.is_finite(s) for s in sums])


def any_replica(flags: tf.Tensor) -> tf.Tensor:
    """Logical or of boolean flags over the replicas."""
    if number_of_replicas() == 1:
        return flags
    replica = tf.distribute.get_replica_context()
    total = replica.all_reduce(tf.distribute.ReduceOp.SUM, tf.cast(flags, tf.float32))
    return total > 0


def apply_update(
    optimizer: keras.optimizers.Optimizer,
    gradients: Sequence[tf.Tensor | None],
    variables: Sequence[Any],
    finite: tf.Tensor,
) -> None:
    """Apply the gradients if `finite`, else change neither weights nor slots.

    Args:
        optimizer: Built on the variables.
        gradients: One per variable.
        variables: The trainable variables.
        finite: Boolean scalar, equal on all replicas.
    """

    def apply() -> None:
        optimizer.apply(list(gradients), list(variables))

    if number_of_replicas() == 1:
        _if(finite, apply)
        return

    # The optimizer merges replicas, which it may not do inside a branch of one replica: the
    # branch is taken outside of them, and they are entered again inside it.
    def across(strategy: Any, gradients: Any, finite: Any) -> None:
        def apply_on_each() -> None:
            strategy.extended.call_for_each_replica(
                lambda *each: optimizer.apply(list(each), list(variables)), args=gradients
            )

        _if(strategy.experimental_local_results(finite)[0], apply_on_each)

    tf.distribute.get_replica_context().merge_call(across, args=(tuple(gradients), finite))


def restore_unless(
    finite: tf.Tensor, variables: Sequence[Any], before: Sequence[tf.Tensor]
) -> None:
    """Give variables back the values they had before, unless `finite`.

    Args:
        finite: Boolean scalar, equal on all replicas.
        variables: Such as the moving averages of normalisation layers.
        before: Their values at the beginning of the step.
    """
    if not variables:
        return
    if number_of_replicas() == 1:
        # In a branch of its own: values that never change are then never copied.
        _if(~finite, lambda: [v.assign(old) for v, old in zip(variables, before)])
        return
    for variable, old in zip(variables, before):
        variable.assign(tf.where(finite, tf.convert_to_tensor(variable), old))


def projected_kernels(model: keras.Model) -> list[Any]:
    """Weights that the forward pass itself changes, as spectral normalisation does."""
    layers = model._flatten_layers(include_self=False)
    wrappers = [la for la in layers if isinstance(la, keras.layers.SpectralNormalization)]
    return [wrapper.layer.kernel for wrapper in wrappers]


def _if(condition: tf.Tensor, branch: Callable[[], Any]) -> None:
    def then() -> tf.Tensor:
        branch()
        return tf.constant(0)

    tf.cond(condition, then, lambda: tf.constant(0))


def _values(tensor: Any) -> tf.Tensor:
    return tensor.values if isinstance(tensor, tf.IndexedSlices) else tensor


def _rows_summed(tensor: tf.Tensor) -> tf.Tensor:
    """Sums over the axes after the first, as a product with ones.

    XLA on a CPU takes eight times as long to reduce a batch of images to one sum.
    """
    if not tensor.shape.rank or None in tensor.shape[1:]:
        return tensor
    rows = tf.reshape(tensor, [-1, math.prod(tensor.shape[1:])])
    return tf.linalg.matvec(rows, tf.ones([rows.shape[1]], rows.dtype))
