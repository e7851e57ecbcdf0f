"""Recurrent layers in ops that every file can hold.

Where Keras sees a GPU, LSTM and GRU become one op of cuDNN, which runs on GPUs of NVIDIA only
and which no other format has. Some formats have no loops either.

Floor 6.
"""

from __future__ import annotations

import contextlib
import contextvars
import threading
from collections.abc import Iterator
from typing import Any

import keras

__all__ = ["plain_recurrence", "unrolled"]

# Layers are changed while they are traced: one trace at a time, or two that overlap would put
# back each other's changes.
_LOCK = threading.RLock()
_UNROLL = contextvars.ContextVar("unroll", default=False)


@contextlib.contextmanager
def unrolled() -> Iterator[None]:
    """Let `plain_recurrence` unroll recurrent layers, in this thread."""
    token = _UNROLL.set(True)
    try:
        yield
    finally:
        _UNROLL.reset(token)


@contextlib.contextmanager
def plain_recurrence(model: keras.Layer) -> Iterator[None]:
    """Let recurrent layers of a model compute without cuDNN, and put them back after.

    Args:
        model: Any layer; those inside it are changed, wherever they are nested.
    """
    wanted: dict[str, Any] = {"use_cudnn": False}
    if _UNROLL.get():
        wanted["unroll"] = True
    with _LOCK, contextlib.ExitStack() as undo:
        for layer in model._flatten_layers():
            if isinstance(layer, keras.layers.RNN):
                for name in wanted.keys() & vars(layer):
                    undo.callback(setattr, layer, name, getattr(layer, name))
                    setattr(layer, name, wanted[name])
        yield
