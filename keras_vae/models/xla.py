"""Functions that XLA compiles, or TensorFlow runs where XLA cannot.

Floor 4.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from keras_vae.models.tracing import compiled

__all__ = ["Program", "XlaChoice"]

_OP = re.compile(r"(\w+) \(No registered")
_NODE = re.compile(r"\{\{node (?:while/)*([^}]+)\}\}")
_FRAME = re.compile(r'File "([^"]+)", line (\d+), in (\S+)')
_LIBRARIES = ("/keras/src/", "/tensorflow/", "/tensorflow_probability/", "/tf_keras/")


class XlaChoice:
    """The choice of XLA for all functions of one model, and whether XLA has refused one.

    Args:
        insist: Whether `jit_compile=True` was asked for, so that a refusal is an error.
    """

    def __init__(self, *, insist: bool) -> None:
        self.insist = insist
        self.refused = False

    def refuse(self, error: tf.errors.OpError) -> None:
        """Go on without XLA, and warn about it the first time."""
        if not self.refused:
            warnings.warn(
                f"XLA cannot compile this model; TensorFlow runs it without, more slowly. "
                f"compile(jit_compile=False) spares the attempt. {_described(error)}",
                stacklevel=2,
            )
        self.refused = True


class Program:
    """A function of tensors, compiled at its first call.

    Args:
        function: Function of tensors.
        choice: The model's choice of XLA.
        xla: Whether to compile with XLA.
        eager: Whether to run the function op by op, not compiled. Defaults to `False`.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        choice: XlaChoice,
        *,
        xla: bool,
        eager: bool = False,
    ) -> None:
        self.xla = xla and not eager
        self._function = function
        self._choice = choice
        self._compiled_by_xla = False
        self.compiled: Any = function if eager else _compiled(function, xla=self.xla)

    def __call__(self, *arguments: Any) -> Any:
        """Run the function.

        Raises:
            ValueError: If XLA cannot compile it, and the user insists on XLA.
        """
        if not self.xla:
            return self.compiled(*arguments)
        if self._choice.refused and not self._compiled_by_xla:
            self._do_without()
            return self.compiled(*arguments)
        try:
            results = self.compiled(*arguments)
        except tf.errors.OpError as error:
            # A program is compiled as a whole: none of it has run.
            if isinstance(error, tf.errors.ResourceExhaustedError):
                raise
            if self._choice.insist:
                raise ValueError(
                    f"XLA cannot compile this model. {_described(error)} Received: "
                    f"jit_compile=True. Use compile(jit_compile='auto') or "
                    f"compile(jit_compile=False), or replace that operation."
                ) from error
            self._do_without()
            results = self.compiled(*arguments)  # An error that is not XLA's is raised again.
            self._choice.refuse(error)
            return results
        self._compiled_by_xla = True
        return results

    def _do_without(self) -> None:
        self.xla = False
        self.compiled = _compiled(self._function, xla=False)


def _compiled(function: Callable[..., Any], *, xla: bool) -> Any:
    return compiled(function, autograph=False, reduce_retracing=True, jit_compile=xla)


def _described(error: tf.errors.OpError) -> str:
    """The operation that XLA names in an error, and where it is in the model."""
    message = str(error.message)
    op, node = _OP.search(message), _NODE.search(message)
    lines = [line for line in message.splitlines() if "XLA" in line] or message.splitlines()
    said = f"XLA said: {lines[0]}"
    if node is None:
        return said
    place = node.group(1)
    name = op.group(1) if op else place.rpartition("/")[2]
    trace = message.partition("The op is created at")[2].partition("tf2xla")[0]
    frames = [f for f in _FRAME.findall(trace) if not any(li in f[0] for li in _LIBRARIES)]
    line = "{}, line {}, in {}".format(*frames[-1]) if frames else "a place unknown"
    return f"It refuses the operation {name} of {place} ({line}). {said}"
