"""What exporters raise, and the checks of what they are given.

Floor 6.
"""

from __future__ import annotations

import math
import os
import re
from pathlib import Path
from typing import Any

from keras_vae.arguments import is_integer, is_number
from keras_vae.models import VAE

__all__ = [
    "ExportError",
    "UnsupportedError",
    "check_folder",
    "check_model",
    "check_opset",
    "check_tolerance",
    "reason_of",
    "unregistered_class",
]


class ExportError(RuntimeError):
    """An export failed or does not agree with the model; nothing was written."""


class UnsupportedError(ExportError):
    """A target lacks what a signature needs."""


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
    if not isinstance(folder, (str, os.PathLike)):
        raise TypeError(
            f"`folder` must be a path. Received: folder={folder!r} of type "
            f"{type(folder).__name__}."
        )
    if not os.fspath(folder):
        raise ValueError("`folder` must not be empty. Received: folder=''.")
    path = Path(folder)
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


def reason_of(error: ExportError) -> str:
    """What an error says of a part of an export, where the rest was written."""
    return str(error).removesuffix(" Nothing was written.")


def unregistered_class(error: Exception) -> str | None:
    """Return the name of the class that Keras could not find, if that is what it says."""
    names = re.findall(r"Could not locate (?:class|function) '([^']+)'", str(error))
    return names[-1] if names else None
