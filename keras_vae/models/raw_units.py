"""Log p of raw data from log p of the values that a preprocessor makes of them.

A density is multiplied by how much the preprocessor stretches; a probability is not. It is
shared out where several raw values are rounded to one.

Floor 4.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from keras_vae import numerics
from keras_vae.likelihoods import Likelihood
from keras_vae.preprocessors import Preprocessor

__all__ = ["check_raw", "raw_log_det"]

# Examples looked at in one go.
_ROWS = 1024


def raw_log_det(
    preprocessor: Preprocessor | None, likelihood: Likelihood, x: tf.Tensor
) -> tf.Tensor:
    """What log p of raw data has more than log p of values, `[batch]`.

    - Elements with a density: the log-determinant of the preprocessor.
    - Elements with a probability: nothing, where raw values and values are one to one. Where
      the likelihood rounds and raw data are integers: minus the logarithm of how many of them
      share the value.

    Args:
        preprocessor: That of the model, or `None`.
        likelihood: That of the model, built.
        x: Raw data, `[batch, *raw_shape]`.
    """
    if preprocessor is None:
        return tf.zeros([tf.shape(x)[0]], x.dtype)
    discrete = likelihood.discrete_elements()
    if not discrete.any():
        return preprocessor.log_det(x)
    if discrete.all():
        return _minus_log_shared(preprocessor, likelihood, x)
    each = preprocessor.elementwise_log_det(x)
    each = tf.where(tf.constant(discrete), tf.zeros_like(each), each)
    return numerics.sum_over_event(each, len(discrete.shape))


def check_raw(preprocessor: Preprocessor | None, likelihood: Likelihood, x: Any) -> None:
    """Check that raw data have a log p of their own.

    Raises:
        ValueError: If discrete elements, preprocessed, are between the values that have
            probabilities, or columns of probabilities and of densities are mixed up.
    """
    if preprocessor is None:
        return
    discrete = likelihood.discrete_elements()
    if discrete.any() and not discrete.all():
        try:
            preprocessor.elementwise_log_det(numerics.as_density(x[:1]))
        except NotImplementedError as error:
            raise ValueError(
                f"raw=True needs the log-determinant of the columns that have densities, "
                f"without those that have probabilities. {error} Or leave raw=False."
            ) from error
    if not discrete.any() or _counts_integers(preprocessor, likelihood):
        return
    for start in range(0, len(x), _ROWS):
        y = preprocessor.forward(numerics.as_density(x[start : start + _ROWS]))
        between = np.argwhere(discrete & ~np.asarray(likelihood.has_mass(y)))
        if len(between):
            row, *place = between[0].tolist()
            raise ValueError(
                f"raw=True needs raw data that a {type(likelihood).__name__} likelihood has "
                f"probabilities for. Received: {y[(row, *place)]:g}, preprocessed, in row "
                f"{start + row}, which lies between such values. Leave raw=False; if raw data "
                f"are integers that it rounds, give the preprocessor their raw_dtype, such as "
                f"'int16'."
            )


def _counts_integers(preprocessor: Preprocessor, likelihood: Likelihood) -> bool:
    """Whether integers are rounded to values: several may share one."""
    whole = preprocessor.raw_dtype is not None and np.dtype(preprocessor.raw_dtype).kind in "iu"
    probe = tf.zeros((1, *likelihood.event_shape), numerics.density_dtype())
    return whole and likelihood.cell(probe) is not None


def _minus_log_shared(
    preprocessor: Preprocessor, likelihood: Likelihood, x: tf.Tensor
) -> tf.Tensor:
    """Minus the logarithm of how many integers are rounded to the value of x, `[batch]`."""
    if not _counts_integers(preprocessor, likelihood):
        return tf.zeros([tf.shape(x)[0]], x.dtype)
    cell = _cell(likelihood, preprocessor.forward(x))
    ends = [tf.reshape(preprocessor.inverse(end), tf.shape(x)) for end in cell]
    least, most = tf.math.ceil(tf.minimum(*ends)), tf.math.floor(tf.maximum(*ends))
    limits = np.iinfo(str(preprocessor.raw_dtype))

    def shares(raw: tf.Tensor) -> tf.Tensor:
        y = preprocessor.forward(raw)
        support = likelihood.support
        same = (
            (_cell(likelihood, y)[0] == cell[0]) & (y >= support.lower) & (y <= support.upper)
        )
        return tf.reshape(same, tf.shape(x)) & (raw >= limits.min) & (raw <= limits.max)

    # Which cell has an integer at its end is for `forward` and `cell` to say, as they do of x.
    lowest = highest = x
    for step in (1, 0, -1):
        lowest = tf.where(shares(least + step), least + step, lowest)
        highest = tf.where(shares(most - step), most - step, highest)
    log_count = tf.math.log(highest - lowest + 1)
    log_count = tf.where(tf.math.is_nan(x), tf.zeros_like(log_count), log_count)
    return -numerics.sum_over_event(log_count, x.shape.rank - 1)


def _cell(likelihood: Likelihood, y: tf.Tensor) -> Any:
    return likelihood.cell(y)
