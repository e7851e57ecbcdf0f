"""Flushing files to the disk.

Floor 0.
"""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from pathlib import Path

__all__ = ["check_room", "fsync", "fsync_tree", "reserve"]

# What file systems answer that cannot flush or reserve.
_NEEDLESS = (errno.EINVAL, errno.ENOTSUP, errno.EBADF)


def reserve(descriptor: int, size: int) -> None:
    """Give an open file so many bytes of the disk, where the file system can.

    Raises:
        OSError: If there are too few.
    """
    if not hasattr(os, "posix_fallocate"):
        return
    try:
        os.posix_fallocate(descriptor, 0, max(size, 1))
    except OSError as error:
        if error.errno not in _NEEDLESS:
            raise


def check_room(folder: Path, size: int) -> None:
    """Raise an OSError unless a file of so many bytes fits into a folder.

    For what HDF5 is to write, which ends the process when the disk is full.
    """
    with tempfile.TemporaryFile(dir=folder) as file:
        reserve(file.fileno(), size)


def fsync(path: Path) -> None:
    """Flush a file or folder to the disk."""
    if path.is_symlink() or (os.name == "nt" and path.is_dir()):
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NEEDLESS:
            raise
    finally:
        with contextlib.suppress(OSError):
            os.close(descriptor)


def fsync_tree(path: Path) -> None:
    """Flush a file, or a folder with all that it holds."""
    if path.is_dir() and not path.is_symlink():
        for found in path.rglob("*"):
            fsync(found)
    fsync(path)
