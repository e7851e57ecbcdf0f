"""Running functions of tensors over arrays, in batches, compiled once.

Floor 4.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from keras_vae import numerics
from keras_vae.arguments import require_integer
from keras_vae.data.containers import columns_of, is_stream
from keras_vae.data.streaming import is_streamed
from keras_vae.models.checks import CheckedRows, check_array, split_mapping
from keras_vae.models.forking import require_own_process
from keras_vae.models.streams import joined_batches
from keras_vae.models.tracing import CompiledFunctions, compiled
from keras_vae.models.wiring import TwoNetworks

__all__ = ["ROWS", "InBatches"]

# Rows that one call of a network gets, unless told otherwise: enough to keep the machine
# busy, few enough for the largest layer to stay small in memory.
ROWS = 1024


class InBatches(TwoNetworks):
    """A model whose methods take and return arrays of any length."""

    _functions: CompiledFunctions  # by name and whether conditional

    def checked_events(self, x: Any, *, scored: bool = False) -> Any:
        """Check x of a method; `scored` if its density is asked for.

        Returns:
            An array or tensor, or what gives rows of one that is on disk or sparse, checked
            when they are read.
        """
        x, condition = self.checked_inputs(x, None, scored=scored)
        if condition is not None:
            raise ValueError(
                "`x` must come without conditions here. Received: a condition beside x. Pass "
                "x alone, and condition=... where there is such an argument."
            )
        return x

    def checked_inputs(
        self, x: Any, condition: Any, *, scored: bool = False, missing: bool = False
    ) -> tuple[Any, Any]:
        """Check x of a method, and take the condition that x may hold.

        Args:
            x: Array, `{"x": ..., "condition": ...}`, or a stream of batches that ends; of
                `(x, y)` only x counts.
            condition: As the user gave it beside x, or `None`.
            scored: Whether the density of x is asked for. Defaults to `False`.
            missing: Whether NaN is allowed even if the model was made for complete data.
                Defaults to `False`.

        Returns:
            x as from `checked_events`, and the condition, to be checked still.
        """
        wanted = self.wanted(supported=scored)
        wanted = wanted._replace(missing=wanted.missing or missing)
        x, within = columns_of("x", x), None
        if is_stream(x):
            x, within = joined_batches("x", x, wanted)
        elif isinstance(x, Mapping):
            x, within = split_mapping("", x)
        if within is not None and condition is not None:
            raise ValueError(
                "`condition` must be given once. Received: one in x and one beside it."
            )
        x = check_array("x", x, wanted)
        checked = CheckedRows("x", x, wanted) if is_streamed(x) else x
        return checked, condition if within is None else within

    def in_batches(
        self,
        name: str,
        function: Callable[..., Any],
        array: Any,
        batch_size: int,
        key: tf.Tensor | None = None,
        condition: Any = None,
        *,
        shared: bool = False,
    ) -> list[np.ndarray]:
        """Run a function over the rows of an array, compiled once under its name.

        Args:
            name: Under which the compiled function is kept.
            function: `(rows, key, condition=None) -> tensors`, with the condition as checked.
            array: `[examples, ...]`.
            batch_size: Examples at a time.
            key: Key of the draws, such as `Stream.ENCODE.key(seed)`. Defaults to `None`, for a
                function that draws nothing.
            condition: As the user gave it.
            shared: Whether all batches get the same key. Defaults to `False`.

        Returns:
            What the function returns, for all rows, as arrays.
        """
        require_own_process()
        batch_size = require_integer("batch_size", batch_size)
        condition = self.conditions.check("condition", condition, len(array))
        function_key = (name, condition is not None)
        if function_key not in self._functions:
            dtype = numerics.density_dtype()
            signature = [
                tf.TensorSpec((None, *array.shape[1:]), dtype),
                tf.TensorSpec([2], tf.int32),
                tf.TensorSpec([], tf.int32),
            ]
            if condition is not None:
                signature.append(tf.TensorSpec((None, *condition.shape[1:]), dtype))

            def keyed(rows: tf.Tensor, key: tf.Tensor, batch: tf.Tensor, *given: Any) -> Any:
                # In the graph: run by itself, this takes longer than many a network.
                with self.added_losses.ignored():
                    return function(rows, numerics.fold_in(key, batch), *given)

            self._functions[function_key] = compiled(keyed, input_signature=signature)
        run = self._functions[function_key]
        key = tf.zeros([2], tf.int32) if key is None else key
        parts = []
        for start in range(0, len(array), batch_size):
            rows = slice(start, start + batch_size)
            batch = tf.constant(0 if shared else start // batch_size)
            arguments = [numerics.as_density(array[rows]), key, batch]
            if condition is not None:
                arguments.append(numerics.as_density(condition[rows]))
            parts.append(run(*arguments))
        return [np.concatenate([t.numpy() for t in each]) for each in zip(*parts)]
