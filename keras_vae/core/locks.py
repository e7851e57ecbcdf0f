"""Locks that the kernel releases when a process ends, however it ends.

Floor 0.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

fcntl: Any
try:
    import fcntl
except ImportError:  # Windows has none: files are whole there, but nobody waits.
    fcntl = None

__all__ = ["KNOWN", "acquire", "locked"]

#: Whether this system has locks.
KNOWN = fcntl is not None

_LOG = logging.getLogger(__name__)
_PAUSE = 0.05


def acquire(descriptor: int) -> bool:
    """Lock an open file without waiting; return whether that worked."""
    if not KNOWN:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextlib.contextmanager
def locked(path: Path, what: str, *, seconds: float = 0.0) -> Iterator[None]:
    """Hold the lock of a file or folder; others that ask for it wait or fail.

    Args:
        path: File or folder to be changed. The lock is a hidden file beside it, removed at the
            end.
        what: Work that would be disturbed, for the error: "export", "training".
        seconds: How long to wait. Defaults to `0.0`.

    Raises:
        TimeoutError: If another process holds it still.
    """
    if not KNOWN:
        yield
        return
    lock = path.with_name(f".{path.name}.lock")
    end, told = time.monotonic() + seconds, False
    while (descriptor := _attempt(lock)) is None:
        if time.monotonic() >= end:
            raise TimeoutError(
                f"Another {what} is writing {path}{_holder(lock)}. Wait until it has ended, "
                f"or choose another place."
            )
        if not told:
            told = True
            _LOG.warning("Waiting for another %s that is writing %s.", what, path)
        time.sleep(_PAUSE)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            lock.unlink()
        os.close(descriptor)


def _attempt(lock: Path) -> int | None:
    """Open and lock a file, unless another process holds it."""
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        # Whoever held it may have removed the file since it was opened.
        current = acquire(descriptor) and os.path.samestat(os.fstat(descriptor), lock.stat())
    except FileNotFoundError:
        current = False
    except OSError:
        os.close(descriptor)
        raise
    if not current:
        os.close(descriptor)
        return None
    os.ftruncate(descriptor, 0)
    with contextlib.suppress(OSError):  # A full disk has no room even for a number.
        os.write(descriptor, str(os.getpid()).encode())
    return descriptor


def _holder(lock: Path) -> str:
    with contextlib.suppress(OSError):
        number = lock.read_text(errors="replace").strip()
        return f" (process {number})" if number.isdigit() else ""
    return ""
