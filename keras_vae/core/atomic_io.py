"""Files and folders that appear whole or not at all.

They are prepared in a hidden folder beside their place (`asides`), flushed to the disk and
moved. What was there stays as it was until then. A process that is killed leaves its hidden
folder, which the next one that writes there removes.

Floor 0.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import re
import stat
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from keras_vae.core import journal
from keras_vae.core.asides import abandoned, aside
from keras_vae.core.durable import fsync, fsync_tree

__all__ = [
    "is_full",
    "publish",
    "staging",
    "temporary_folder",
    "tidy",
    "write_bytes",
    "write_text",
    "writing",
]

_LOG = logging.getLogger(__name__)
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
# Bytes that a disk with room takes.
_PROBE = 1 << 16


@contextlib.contextmanager
def writing(
    path: Path, *, folder: bool = False, ours: Callable[[Path], bool] | None = None
) -> Iterator[Path]:
    """Let a file or folder appear only when it is written.

    A file that is there is replaced and its permissions are kept; of a symbolic link, the
    file that it points to. A folder must be new, empty, or one of ours.

    Args:
        path: Where; folders above are made if they do not exist.
        folder: Whether it is a folder. Defaults to `False`.
        ours: Whether a folder that is not empty may be replaced. Defaults to `None`: never.

    Yields:
        The path of a draft, with the same name. A folder is there already.

    Raises:
        OSError: If it cannot be written.
        ValueError: If something is in the way.
    """
    place = Path(os.path.realpath(path))
    _check_place(path, place, folder, ours)
    with _folder_of(place.parent), aside(place.parent, place.name) as found:
        draft = found / journal.NEW / place.name
        with _told(found, path):
            draft.parent.mkdir()
            if folder:
                draft.mkdir()
            yield draft
            fsync_tree(draft)
        _keep_permissions(place, draft)
        # Again: it may have come meanwhile.
        _check_place(path, place, folder, ours)
        if folder and place.is_dir() and any(place.iterdir()):
            journal.swap(draft, place)
        else:
            draft.replace(place)
        fsync(place.parent)


@contextlib.contextmanager
def staging(folder: Path) -> Iterator[Path]:
    """Make a hidden folder for drafts inside `folder`, which is made if it does not exist.

    Inside, not beside it: `folder` may be a file system of its own, and only within one can
    files be moved into place in one step. `publish` does so.

    Yields:
        The folder for drafts. It is removed at the end; so are folders made for it, if they
        are empty then.
    """
    with _folder_of(folder), aside(folder, folder.resolve().name or "folder") as found:
        drafts = found / journal.NEW
        with _told(found, folder):
            drafts.mkdir()
            yield drafts


def publish(stage: Path, folder: Path, names: Sequence[str]) -> None:
    """Move files and folders of a stage into place, in one switch.

    If the process is killed between two of them, the next that writes to the folder, or
    `tidy`, moves the rest.

    Args:
        stage: As from `staging`.
        folder: The same as there.
        names: Files and folders to move; what is not in the stage is removed from the folder.
    """
    journal.publish(stage.parent, folder, names)


def tidy(folder: Path) -> None:
    """Remove or complete what killed processes left in a folder, and report it."""
    with abandoned(folder) as found:
        for path in found:
            if journal.resume(path, folder):
                _LOG.warning("Completed what a killed process was moving into %s.", folder)
            else:
                _LOG.warning("Removed %s, which a killed process left.", path)


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """Make a folder in the system's temporary one; also those of killed processes go."""
    parent = Path(tempfile.gettempdir())
    tidy(parent)
    with aside(parent, "keras-vae") as found:
        folder = found / journal.NEW
        folder.mkdir()
        yield folder


def write_text(path: Path, text: str) -> None:
    """Write a file of text in UTF-8 that appears when it is whole."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file that appears when it is whole."""
    with writing(path) as draft:
        draft.write_bytes(content)


def is_full(error: BaseException | None) -> bool:
    """Return whether an error, or one that it came of, says that there is no room."""
    return _full_errno(error) is not None


def _full_errno(error: BaseException | None) -> int | None:
    while error is not None:
        if (number := _errno_of(error)) in _FULL:
            return number
        error = error.__cause__ or error.__context__
    return None


def _errno_of(error: BaseException) -> int | None:
    if isinstance(error, OSError) and error.errno:
        return error.errno
    text = str(error)
    if os.strerror(errno.ENOSPC) in text:  # As TensorFlow says it.
        return errno.ENOSPC
    found = re.search(r"errno[ =]+(\d+)", text)  # As HDF5 does.
    return int(found[1]) if found else None


@contextlib.contextmanager
def _folder_of(folder: Path) -> Iterator[None]:
    """Make a folder, tidy it up, and in the end remove what was made and is empty."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        tidy(folder)
        yield
    finally:
        for path in missing:
            with contextlib.suppress(OSError):
                path.rmdir()


@contextlib.contextmanager
def _told(found: Path, path: Path) -> Iterator[None]:
    """Turn errors of a full disk, which libraries put in many ways, into one that is clear."""
    try:
        yield
    except Exception as error:  # Of any library that writes files.
        number = _full_errno(error) or _reason(found)
        if number not in _FULL:
            raise
        message = f"{os.strerror(number)}. What was there is unchanged"
        raise OSError(number, message, str(path)) from error


def _reason(found: Path) -> int:
    """What the disk says to a few more bytes."""
    try:
        probe = found / "probe"
        probe.write_bytes(bytes(_PROBE))
        fsync(probe)
        probe.unlink()
    except OSError as error:
        return error.errno or 0
    return 0


def _check_place(
    path: Path, place: Path, folder: bool, ours: Callable[[Path], bool] | None
) -> None:
    if not place.exists():
        return
    mode = place.stat().st_mode
    if folder:
        free = stat.S_ISDIR(mode) and (not any(place.iterdir()) or (ours and ours(place)))
        if not free:
            raise ValueError(f"`path` must be a new or empty folder. Received: {path}.")
    elif stat.S_ISDIR(mode):
        raise ValueError(f"`path` must be a file. Received: {path}, which is a folder.")
    elif not stat.S_ISREG(mode):
        raise ValueError(f"`path` must be a file. Received: {path}, which is a device.")
    elif not os.access(place, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))


def _keep_permissions(place: Path, draft: Path) -> None:
    if place.exists():
        found = place.stat()
        draft.chmod(stat.S_IMODE(found.st_mode))
        if hasattr(os, "chown"):
            with contextlib.suppress(OSError):
                os.chown(draft, found.st_uid, found.st_gid)
