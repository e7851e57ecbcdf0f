"""Hidden folders in which files are prepared, and what killed processes left of them.

Floor 0.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from keras_vae.core import locks

__all__ = ["abandoned", "aside"]

_NAME = re.compile(r"\..+\.writing-(\d+)-[0-9a-f]{8}")
_LOCK, _UNLOCKED = ".lock", ".lock.new"
# Of the name of what is written, so that the folder's own is no longer than systems allow.
_LONGEST = 100
# Those of this process.
_OPEN: set[Path] = set()


@contextlib.contextmanager
def aside(parent: Path, name: str) -> Iterator[Path]:
    """Make a folder `.name.writing-<process>-<random>` and remove it at the end.

    It holds a lock as long as the process lives, by which others know that it is in use.

    Args:
        parent: Where; the same file system as what is written, which is moved from here.
        name: Name of what is written.
    """
    short = os.fsencode(name)[:_LONGEST].decode("utf-8", "ignore") or "file"
    path = parent / f".{short}.writing-{os.getpid()}-{secrets.token_hex(4)}"
    _OPEN.add(path)
    descriptor = None
    try:
        path.mkdir(mode=0o700)
        # Locked before it has its name: nobody meets one that is free and in use.
        descriptor = os.open(path / _UNLOCKED, os.O_RDWR | os.O_CREAT, 0o600)
        locks.acquire(descriptor)
        (path / _UNLOCKED).rename(path / _LOCK)
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        if descriptor is not None:
            os.close(descriptor)
        _OPEN.discard(path)


@contextlib.contextmanager
def abandoned(parent: Path) -> Iterator[list[Path]]:
    """Yield the folders of processes that have ended, locked; they are removed at the end."""
    with contextlib.ExitStack() as stack:
        yield [path for path in _found(parent) if _claimed(path, stack)]


def _found(parent: Path) -> list[Path]:
    if not locks.KNOWN:
        return []
    try:
        with os.scandir(parent) as entries:
            return sorted(
                parent / entry.name
                for entry in entries
                if _NAME.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False)
            )
    except OSError:
        return []


def _claimed(path: Path, stack: contextlib.ExitStack) -> bool:
    """Lock a folder that nobody uses any more, and have it removed in the end."""
    try:
        descriptor = os.open(path / _LOCK, os.O_RDWR)
    except FileNotFoundError:
        _remove_unlocked(path)
        return False
    except OSError:
        return False
    if not locks.acquire(descriptor):
        os.close(descriptor)
        return False
    stack.callback(os.close, descriptor)
    stack.callback(_remove, path)
    return True


def _remove(path: Path) -> None:
    # A child of the process that was killed may still write here, by this name.
    gone = path.with_name(f"{path.name[:-8]}{secrets.token_hex(4)}")
    with contextlib.suppress(OSError):
        path.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)


def _remove_unlocked(path: Path) -> None:
    """Remove a folder whose process was killed before it had a lock; it is empty."""
    process = int(path.name.rsplit("-", maxsplit=2)[1])
    mine = process == os.getpid()
    if (path in _OPEN) if mine else _alive(process):
        return
    with contextlib.suppress(OSError):
        (path / _UNLOCKED).unlink(missing_ok=True)
        path.rmdir()


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
