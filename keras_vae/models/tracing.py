"""Compiled functions that belong to one model.

Floor 4.
"""

from __future__ import annotations

import collections
from collections.abc import Callable
from typing import Any

import tensorflow as tf

__all__ = ["CompiledFunctions", "compiled"]

# Compiled functions that a model keeps: a sweep over `samples` or priors must not fill memory.
_MOST = 32


class CompiledFunctions(collections.UserDict[tuple[str, bool], Any]):
    """Compiled functions by name, of which the longest unused ones are let go.

    (No `dict`, which Keras and TensorFlow would track as a part of the model.)
    """

    def __getitem__(self, key: tuple[str, bool]) -> Any:
        self.data[key] = self.data.pop(key)
        return self.data[key]

    def __setitem__(self, key: tuple[str, bool], function: Any) -> None:
        self.data[key] = function
        while len(self.data) > _MOST:
            del self.data[next(iter(self.data))]


def compiled(function: Callable[..., Any], **options: Any) -> Any:
    """Make a `tf.function` whose retracing is counted for itself.

    TensorFlow counts by source line: several models, each of which is traced once, would make
    it warn of retracing.

    Args:
        function: Function to compile.
        **options: Of `tf.function`.
    """
    made = tf.function(function, **options)
    made._key_for_call_stats = made
    return made
