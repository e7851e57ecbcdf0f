"""Files that appear whole or not at all.

Floor 6.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

__all__ = ["check_replaceable", "publish", "staging"]

# From linux/fcntl.h and linux/fs.h.
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


def check_replaceable(path: Path, marker: str) -> None:
    """Raise a ValueError if something stands at `path` that is no earlier export.

    Args:
        path: Where the export is to go.
        marker: A file that every such export holds; `""` if the export is a file itself.
    """
    if not os.path.lexists(path) or (path / marker).is_file():
        return
    if path.is_dir() and not any(path.iterdir()):
        return
    raise ValueError(
        f"`folder` already holds {path.name!r}, which is no export of this kind and is not "
        f"overwritten. Received: folder={str(path.parent)!r}. Choose another folder."
    )


@contextlib.contextmanager
def staging(folder: Path) -> Iterator[Path]:
    """Make a temporary folder inside `folder`, which is made too if it does not exist.

    Inside, not beside it: `folder` may be a file system of its own, and only within one can
    files be moved into place in one step.

    Args:
        folder: Where the files are to be published.

    Yields:
        The temporary folder. It is removed at the end; so are folders made for it, if they
        are empty then.

    Raises:
        ValueError: If the folder cannot be made or written to.
    """
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            stage = Path(tempfile.mkdtemp(prefix=".export-", dir=folder))
        except OSError as error:
            raise ValueError(
                f"`folder` must be writable. Received: folder={str(folder)!r} "
                f"({error.strerror})."
            ) from error
        try:
            yield stage
        finally:
            shutil.rmtree(stage, ignore_errors=True)
    finally:
        for path in missing:
            with contextlib.suppress(OSError):
                path.rmdir()


def publish(stage: Path, folder: Path, names: Sequence[str]) -> None:
    """Move files or folders from the stage into place, all of them or none.

    What stood there before is left in the stage.
    """
    with contextlib.ExitStack() as undo:
        for name in names:
            _swap(stage / name, folder / name)
            undo.callback(_swap, stage / name, folder / name)
        undo.pop_all()


def _swap(a: Path, b: Path) -> None:
    """Exchange two paths of one file system, of which one may be missing: its own inverse."""
    if not os.path.lexists(b):
        a.rename(b)
    elif not os.path.lexists(a):
        b.rename(a)
    elif not _exchange(a, b):
        # Elsewhere than on Linux there is no folder `b` for an instant.
        aside = a.with_name(f"{a.name}.aside")
        b.rename(aside)
        try:
            a.rename(b)
        except OSError:
            aside.rename(b)
            raise
        aside.rename(a)


def _exchange(a: Path, b: Path) -> bool:
    # POSIX cannot rename onto a folder that is not empty. Linux can exchange the two in one
    # step, so that there is a whole export in place at any time, even if power fails.
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):
        return False
    paths = os.fsencode(a), os.fsencode(b)
    return bool(renameat2(_AT_FDCWD, paths[0], _AT_FDCWD, paths[1], _RENAME_EXCHANGE) == 0)
