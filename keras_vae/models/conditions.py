"""What a model is conditioned on: labels, vectors or images beside x.

Floor 4. Sohn, Lee and Yan (2015), Learning Structured Output Representation using Deep
Conditional Generative Models.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_vae import numerics
from keras_vae.arguments import require_shape, require_share
from keras_vae.data.containers import as_array
from keras_vae.models.checks import Wanted, check_array, check_shape

__all__ = ["Conditions", "attach", "repeated"]

Shape = tuple[int, ...]


class Conditions:
    """How conditions are checked, dropped and given to networks.

    A condition that is not known - dropped in training, or none given - is all zeros. Where
    it can be unknown, a last channel says whether it is known, so that the condition zero
    and no condition differ.

    Args:
        shape: Shape of one condition, `None` for a model without.
        dropout: Share of training examples whose condition is dropped.

    Raises:
        ValueError: If the shape is no tuple of positive integers, or `dropout` is outside
            [0, 1) or given without a shape.
    """

    def __init__(self, shape: Sequence[int] | None, dropout: float) -> None:
        if shape is not None:
            example = "(10,) for one of ten labels"
            shape = require_shape("condition_shape", shape, example)
        dropout = require_share("condition_dropout", dropout)
        if dropout and shape is None:
            raise ValueError(
                f"`condition_dropout` needs a `condition_shape`. Received: "
                f"condition_dropout={dropout}, condition_shape=None."
            )
        self.shape = shape
        self.dropout = dropout

    @property
    def optional(self) -> bool:
        """Whether a condition may be left out."""
        return self.dropout > 0

    def in_words(self) -> str:
        """What conditions are."""
        if self.shape is not None and len(self.shape) == 1:
            return f"whole numbers from 0 to {self.shape[0] - 1}"
        return f"conditions of shape {self.shape}"

    @property
    def prepared_shape(self) -> Shape | None:
        """Shape of one condition as parts and networks see it."""
        if self.shape is None or not self.optional:
            return self.shape
        return (*self.shape[:-1], self.shape[-1] + 1)

    def check(self, name: str, condition: Any, rows: int | None) -> Any:
        """Check what a user passed, for `rows` examples; `None` for as many as given.

        Integers stand for one-hot vectors; a single condition stands for all examples.

        Returns:
            `[rows, *shape]` as an array, or `None` where conditions are left out.

        Raises:
            ValueError: If it is missing, or has the wrong shape, length or range.
        """
        if self.shape is None:
            if condition is not None:
                raise ValueError(
                    f"`{name}` was given, but the model has none. Pass condition_shape=... to "
                    f"its constructor."
                )
            return None
        if condition is None:
            if self.optional:
                return None
            raise ValueError(
                f"`{name}` is missing: this model is conditioned on arrays of shape "
                f"{(None, *self.shape)}. Received: None."
            )
        condition = np.asarray(as_array(name, condition))
        condition = self._one_hot(name, self._labels(condition), condition)
        if condition.shape == self.shape:
            condition = condition[None]
        if len(condition) == 1 and rows is not None:
            condition = np.repeat(condition, rows, axis=0)
        condition = check_array(name, condition, Wanted(self.shape))
        if rows is not None and len(condition) != rows:
            raise ValueError(
                f"`{name}` must hold one condition per example. Received: {len(condition)} "
                f"for {rows} examples."
            )
        return condition

    def _labels(self, condition: np.ndarray) -> np.ndarray | None:
        """Labels among what was passed, `[rows]` or a single one; `None` for conditions.

        Floats are labels where they can be nothing else.
        """
        shape = self.shape or ()
        vectors = len(shape) == 1
        if vectors and condition.ndim == 2 and condition.shape[1] == 1 != shape[0]:
            condition = condition[:, 0]
        if condition.ndim > 1:
            return None
        if condition.dtype.kind in "iub":
            return condition.astype("int64") if condition.dtype.kind == "b" else condition
        return condition if vectors and condition.shape != shape else None

    def _one_hot(
        self, name: str, labels: np.ndarray | None, condition: np.ndarray
    ) -> np.ndarray:
        if labels is None or (self.shape == (1,) and labels.dtype.kind == "f"):
            return condition
        if self.shape is None or len(self.shape) != 1:
            raise ValueError(
                f"`{name}` holds integers, which stand for one-hot vectors, but conditions "
                f"have shape {self.shape}. Received: shape {labels.shape}."
            )
        classes = self.shape[0]
        good = (labels >= 0) & (labels < classes) & (labels == np.round(labels))
        if not np.all(good):
            row = int(np.argmin(good))
            raise ValueError(
                f"`{name}` must hold labels from 0 to {classes - 1}. "
                f"Received: from {labels.min()} to {labels.max()}, such as "
                f"{np.atleast_1d(labels)[row]} at index {row}."
            )
        rows: np.ndarray = np.eye(classes, dtype="float32")[labels.astype("int64")]
        return rows

    def tensor(self, condition: Any) -> tf.Tensor | None:
        """`[batch, *shape]` from a batch of the training data: labels become one-hot."""
        if self.shape is None or condition is None:
            return None
        condition = tf.convert_to_tensor(condition)
        if condition.shape.rank is None:
            return self._of_unknown_rank(condition)
        if len(self.shape) == 1:
            if condition.shape.rank == 2 and condition.shape[-1] == 1 != self.shape[0]:
                condition = condition[:, 0]  # Keras gives vectors a second axis
            if condition.shape.rank == 1 and (
                condition.dtype.is_integer or condition.dtype.is_bool or self.shape != (1,)
            ):
                condition = self._one_hot_or_nan(condition)
        check_shape("condition", condition.shape, self.shape)
        return tf.ensure_shape(numerics.as_density(condition), (None, *self.shape))

    def _of_unknown_rank(self, condition: tf.Tensor) -> tf.Tensor:
        """As `tensor`: a loop is traced once for labels and for vectors of one dtype."""
        rows = tf.shape(condition)[0]
        if self.shape is None or len(self.shape) > 1 or self.shape == (1,):
            shaped = tf.reshape(condition, [rows, *(self.shape or ())])
            return numerics.as_density(shaped)
        flat = tf.reshape(condition, [rows, -1])
        vectors = tf.cond(
            tf.shape(flat)[1] == 1,
            lambda: self._one_hot_or_nan(flat[:, 0]),
            lambda: numerics.as_density(flat),
        )
        return tf.ensure_shape(vectors, (None, *self.shape))

    def _one_hot_or_nan(self, labels: tf.Tensor) -> tf.Tensor:
        """One-hot vectors `[batch, classes]`; NaN where a label is none."""
        classes = (self.shape or (0,))[0]
        labels = tf.cast(labels, tf.float64)  # exact for all labels, in range or not
        good = (labels >= 0) & (labels < classes) & (labels == tf.round(labels))
        chosen = tf.cast(tf.where(good, labels, tf.zeros_like(labels)), tf.int32)
        vectors = tf.one_hot(chosen, classes, dtype=numerics.density_dtype())
        return tf.where(good[:, None], vectors, tf.constant(float("nan"), vectors.dtype))

    def prepared(self, condition: tf.Tensor | None, like: tf.Tensor) -> tf.Tensor | None:
        """The condition as parts and networks see it.

        Args:
            condition: `[batch, *shape]`, `None` where it is left out.
            like: Any tensor `[batch, ...]`.
        """
        if self.shape is None or self.prepared_shape is None:
            return None
        if condition is None:
            zeros = tf.concat([tf.shape(like)[:1], self.prepared_shape], axis=0)
            return tf.zeros(zeros, numerics.density_dtype())
        if not self.optional:
            return condition
        return tf.concat([condition, tf.ones_like(condition[..., :1])], axis=-1)

    def dropped(self, prepared: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
        """Drop conditions at random.

        Args:
            prepared: As from `prepared`.
            noise: Uniform, `[batch]`.
        """
        keep = tf.reshape(noise >= self.dropout, [-1] + [1] * (prepared.shape.rank - 1))
        return prepared * tf.cast(keep, prepared.dtype)


def attach(network: Any, x: Any, condition: Any, role: str) -> tuple[Any, dict[str, Any]]:
    """What a network is called with: x and condition in one tensor, or side by side.

    A network whose `call` takes `condition` gets it as it is. Else it becomes further
    elements of vectors, and further channels of everything else: a vector at each place, or
    a map of the same size.

    Args:
        network: The encoder or decoder.
        x: `[batch, *shape]`, real or symbolic.
        condition: `[batch, *condition_shape]` or `None`.
        role: `"encoder"` or `"decoder"`, for messages.

    Returns:
        The network's input and further keyword arguments.

    Raises:
        ValueError: If shapes do not go together.
    """
    if condition is None:
        return x, {}
    if "condition" in inspect.signature(network.call).parameters:
        return x, {"condition": condition}
    if len(x.shape) == 2 or getattr(network, "flattens", False):
        return keras.ops.concatenate([_flat(x), _flat(condition)], axis=-1), {}
    if len(condition.shape) == 2:
        places = [1] * (len(x.shape) - 2)
        size = condition.shape[-1]
        spread = keras.ops.reshape(condition, (-1, *places, size))
        ones = keras.ops.ones_like(x[..., :1])
        return keras.ops.concatenate([x, ones * spread], axis=-1), {}
    if tuple(condition.shape[1:-1]) == tuple(x.shape[1:-1]):
        return keras.ops.concatenate([x, condition], axis=-1), {}
    raise ValueError(
        f"The {role} takes {tuple(x.shape)} and conditions have shape "
        f"{tuple(condition.shape)}: neither vectors nor maps of one size. Write a network "
        f"whose `call` takes `condition`."
    )


def repeated(condition: tf.Tensor | None, leading: tf.Tensor) -> tf.Tensor | None:
    """Conditions `[batch, ...]` for tensors `[*leading]` whose last axis is the batch, flat."""
    if condition is None:
        return None
    rest = condition.shape[1:]
    repeats = tf.reduce_prod(leading[:-1])
    tiled = tf.tile(condition[None], tf.concat([[repeats], [1] * (1 + len(rest))], axis=0))
    return tf.reshape(tiled, (-1, *rest))


def _flat(x: Any) -> Any:
    return keras.ops.reshape(x, (-1, math.prod(x.shape[1:])))
