"""Writing a sequence with an autoregressive decoder, value by value.

Floor 4.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from keras_vae import numerics
from keras_vae.likelihoods import Likelihood

__all__ = ["next_params", "write_sequence"]


def next_params(
    decoder: Any,
    head: keras.Sequential,
    token: tf.Tensor,
    state: Any,
    z: tf.Tensor,
    options: dict[str, Any],
) -> tuple[tf.Tensor, Any]:
    """Parameters of the next element, `[batch, 1, n]`, and the state after it.

    Args:
        decoder: As in `write_sequence`, and so the other arguments.
        head: Maps features to parameters, place by place.
        token: The element before, `[batch, channels]`; anything at the first.
        state: From `decoder.initial_state`, or of the last step.
        z: `[batch, size]`, the condition included.
        options: Further arguments of the decoder's methods.
    """
    features, state = decoder.step(token, state, z, **options)
    params = features[:, None]
    for layer in head.layers:
        params = layer(params)
    return numerics.as_density(params), state


def write_sequence(
    decoder: Any,
    head: keras.Sequential,
    likelihood: Likelihood,
    z: tf.Tensor,
    key: tf.Tensor | None,
    options: dict[str, Any],
    adjust: Callable[[tf.Tensor], tf.Tensor] | None = None,
) -> tf.Tensor:
    """Write events, each value from those before it.

    Args:
        decoder: Has `initial_state(z)` and `step(token, state, z) -> (features, state)`.
        head: Maps features to parameters, place by place.
        likelihood: Of events `[length, channels]`. One with an `end_token` that is not `None`
            repeats it once it was written.
        z: `[batch, size]`, the condition included.
        key: Key of the draws. `None`: at each step the point.
        options: Further arguments of the decoder's methods.
        adjust: Done to parameters before a draw. Defaults to `None`: nothing.

    Returns:
        `[batch, length, channels]`.
    """
    length, channels = likelihood.event_shape
    end = getattr(likelihood, "end_token", None)

    def write(
        position: tf.Tensor, token: tf.Tensor, ended: tf.Tensor, state: Any, written: Any
    ) -> Any:
        params, state = next_params(decoder, head, token, state, z, options)
        if adjust is not None:
            params = adjust(params)
        place = 0
        if likelihood.weights:  # it may have some for each place: let it see its place
            params, place = tf.repeat(params, length, axis=1), position
        if key is None:
            token = likelihood.point(params)[:, place]
        else:
            token = likelihood.sample(params, numerics.fold_in(key, position))[:, place]
        if end is not None:
            token = tf.where(ended[:, None], tf.cast(end, token.dtype), token)
            ended = ended | tf.reduce_all(token == tf.cast(end, token.dtype), axis=-1)
        return position + 1, token, ended, state, written.write(position, token)

    rows = tf.shape(z)[0]
    start = tf.zeros([rows, channels], numerics.density_dtype())
    written = tf.TensorArray(start.dtype, size=length, element_shape=(None, channels))
    *_, written = tf.while_loop(
        lambda position, *_: position < length,
        write,
        (
            tf.constant(0),
            start,
            tf.zeros([rows], tf.bool),
            decoder.initial_state(z, **options),
            written,
        ),
    )
    return tf.ensure_shape(tf.transpose(written.stack(), [1, 0, 2]), (None, length, channels))
