"""Scores of examples whose numbers leave float32 on their way through the networks.

Such an example is as improbable as can be: its bound is -inf, never NaN, which no comparison
would call an anomaly.

Floor 4.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

__all__ = ["capped", "representable", "without_nan"]

# The encoder sees no larger values: squares of what networks make of them fit float32.
_CAP = 1e12
# Examples looked at in one go.
_ROWS = 4096


def capped(x: tf.Tensor) -> tf.Tensor:
    """What the encoder is given of x when x is scored; NaN stays NaN.

    Any x gives a bound on log p(x), and this one is finite more often.
    """
    return tf.where(tf.abs(x) > _CAP, _CAP * tf.sign(x), x)


def without_nan(model: keras.Model, values: np.ndarray, instead: float) -> np.ndarray:
    """Put a value in place of NaN.

    Raises:
        ValueError: If there are NaN because the weights are not finite.
    """
    bad = np.isnan(values)
    if not bad.any():
        return values
    for weight in model.weights:
        if not np.isfinite(np.asarray(weight.value, "float64")).all():
            raise ValueError(
                f"The model must have finite weights. Received: NaN or infinities in "
                f"{weight.path}. Load a checkpoint from before they arose."
            )
    return np.where(bad, np.asarray(instead, values.dtype), values)


def representable(model: Any, x: np.ndarray) -> np.ndarray:
    """Whether each example stays finite as float32 and as preprocessed, `[examples]`.

    Infinities and NaN that x has itself are not looked at.
    """
    largest = np.finfo("float32").max
    fits = np.ones(len(x), bool)
    for start in range(0, len(x), _ROWS):
        rows = np.asarray(x[start : start + _ROWS])
        axes = tuple(range(1, rows.ndim))
        with np.errstate(over="ignore"):
            lost = np.isfinite(rows) & (np.abs(np.asarray(rows, "float64")) > largest)
        within = ~lost.any(axes)
        if model.preprocessor is not None:
            wide = np.asarray(np.where(lost, 0, rows), "float32")
            y = np.asarray(model.preprocessed(wide))
            given = np.isfinite(wide).all(axes)
            within &= ~given | np.isfinite(y).all(tuple(range(1, y.ndim)))
        fits[start : start + len(rows)] = within
    return fits
