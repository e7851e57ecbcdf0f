"""Paths as users write them: `~`, `file://` and remote addresses.

Floor 0.
"""

from __future__ import annotations

import os
import re
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

__all__ = ["any_path", "is_address", "local_path"]

# At least two characters, for `C:/` is a drive. `Path` makes one slash of two.
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/")


def is_address(path: Any) -> bool:
    """Return whether a path is an address of another file system than this machine's."""
    if not isinstance(path, (str, os.PathLike)):
        return False
    return _scheme_of(str(os.fspath(path))) not in ("", "file")


def local_path(path: Any, name: str = "path") -> Path:
    """Return a path of this machine, with `~` and `file://` expanded.

    Args:
        path: A string or path.
        name: Name of the argument, for errors. Defaults to `"path"`.

    Raises:
        TypeError: If it is no path.
        ValueError: If it is empty, or an address of another file system.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(
            f"`{name}` must be a path. Received: {name}={path!r} of type {type(path).__name__}."
        )
    text = os.fsdecode(path)
    if not text:
        raise ValueError(f"`{name}` must not be empty. Received: {name}=''.")
    if "\0" in text:
        raise ValueError(f"`{name}` must not hold a null character. Received: {text!r}.")
    scheme = _scheme_of(text)
    if scheme == "file":
        return _of_file_address(text, name)
    if scheme:
        raise ValueError(
            f"`{name}` must be a path of this machine. Received: {text}, an address of "
            f"{scheme}://. Write to a local path and copy it there, or copy it to a local "
            f"path and read that."
        )
    return _expanded(text, name)


def any_path(path: Any, name: str = "path") -> str | Path:
    """Return a path of this machine, or an address that TensorFlow's file layer knows.

    Args:
        path: As in `local_path`.
        name: As there.

    Raises:
        TypeError: As there.
        ValueError: As there, but not for addresses such as gs:// that TensorFlow knows.
    """
    if is_address(path):
        import tensorflow as tf

        address = re.sub(r":/+", "://", os.fspath(path), count=1)
        if _scheme_of(address) in tf.io.gfile.get_registered_schemes():
            return address
    return local_path(path, name)


def _scheme_of(path: str) -> str:
    found = _SCHEME.match(path)
    return found[1].lower() if found else ""


def _of_file_address(text: str, name: str) -> Path:
    rest = text[len("file:") :]
    host, path = "", rest
    if rest.startswith("//"):
        host, slash, path = rest[2:].partition("/")
        path = slash + path
    if host not in ("", "localhost") or not path.strip("/"):
        raise ValueError(
            f"`{name}` must name a file of this machine, such as file:///home/me/vae.keras. "
            f"Received: {text}."
        )
    return Path(urllib.request.url2pathname(path))


def _expanded(text: str, name: str) -> Path:
    if not text.startswith("~"):
        return Path(text)
    expanded = os.path.expanduser(text)
    user, slash, _ = text.partition("/")
    if expanded == text and slash:
        raise ValueError(
            f"`{name}` begins with {user}, which is no user of this machine. "
            f"Received: {text}. Write ./{text} for a folder of that name."
        )
    return Path(expanded)
