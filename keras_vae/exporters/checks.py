"""What exporters raise, and the checks of what they are given.

Floor 6.
"""

from __future__ import annotations

import math
import os
import re
from pathlib import Path
from typing import Any

import tensorflow as tf

from keras_vae.arguments import is_integer, is_number
from keras_vae.core.paths import local_path
from keras_vae.models import VAE

__all__ = [
    "FOREIGN_ERRORS",
    "ExportError",
    "ModelError",
    "UnsupportedError",
    "check_folder",
    "check_model",
    "check_opset",
    "check_tolerance",
    "one_line",
    "reason_of",
    "unregistered_class",
]


#: What the code of others - converters, runtimes, layers of users - was seen to raise.
FOREIGN_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
    tf.errors.OpError,
)
# Characters of a message of others that are shown.
_LONGEST = 300
# What comes before the message itself: frames of a function that was being traced, and colours
# in which Keras repeats what TensorFlow said.
_FRAMES = re.compile(r'(?s)^in user code:.*File "[^"\n]+", line \d+, in [^\n]*\n[^\n]*\n')
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class ExportError(RuntimeError):
    """An export failed or does not agree with the model; nothing was written."""


class UnsupportedError(ExportError):
    """A target lacks what a signature needs."""


class ModelError(UnsupportedError):
    """The model itself cannot compute a signature, before anything is converted."""


def check_model(model: Any) -> None:
    """Raise a TypeError unless `model` is a `keras_vae.VAE`."""
    if isinstance(model, VAE):
        return
    hint = ""
    if isinstance(model, type):
        hint = " Call the class to make one."
    elif isinstance(model, (str, os.PathLike)):
        hint = " Load the file first: keras.saving.load_model(path)."
    raise TypeError(
        f"`model` must be a keras_vae.VAE. Received: a {type(model).__name__}.{hint}"
    )


def check_folder(folder: Any) -> Path:
    """Return `folder` as a path.

    Raises:
        TypeError: If it is no path.
        ValueError: If it is empty, or a file stands there.
    """
    path = local_path(folder, "folder")
    if path.exists() and not path.is_dir():
        raise ValueError(
            f"`folder` must be a folder, new or existing. Received: folder={str(path)!r}, "
            f"which is a file. Choose another name."
        )
    return path


def check_tolerance(tolerance: Any) -> None:
    """Raise an error unless `tolerance` is a finite number >= 0.

    Raises:
        TypeError: If it is no number.
        ValueError: If it is negative, infinite or NaN.
    """
    if not is_number(tolerance):
        raise TypeError(
            f"`tolerance` must be a number. Received: tolerance={tolerance!r} of type "
            f"{type(tolerance).__name__}."
        )
    if not (math.isfinite(tolerance) and tolerance >= 0):
        raise ValueError(
            f"`tolerance` must be finite and >= 0. Received: tolerance={tolerance}. "
            f"The default is 1e-5."
        )


def check_opset(opset: Any, supported: range) -> None:
    """Raise a ValueError unless `opset` is one of those supported."""
    if not is_integer(opset) or opset not in supported:
        raise ValueError(
            f"`opset` must be an integer from {supported[0]} to {supported[-1]}. "
            f"Received: opset={opset!r}."
        )


def one_line(error: object) -> str:
    """What an error of others says, on one line, cut where it gets long."""
    text, traced = _FRAMES.subn("", str(error))
    said = _COLOURS.sub("", text).split()
    # A traced function's message begins with the kind of the error.
    named = isinstance(error, BaseException) and not traced
    kind = [f"{type(error).__name__}:"] if named else []
    return " ".join([*kind, *said])[:_LONGEST]


def reason_of(error: ExportError) -> str:
    """What an error says of a part of an export, where the rest was written."""
    return str(error).removesuffix(" Nothing was written.")


def unregistered_class(error: Exception) -> str | None:
    """Return the name of the class that Keras could not find, if that is what it says."""
    names = re.findall(r"Could not locate (?:class|function) '([^']+)'", str(error))
    return names[-1] if names else None
