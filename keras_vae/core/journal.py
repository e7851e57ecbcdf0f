"""Several files in one switch: a journal says what is to be moved, and can be resumed.

The journal is written when all files are. Whoever finds one later, of a process that was
killed, goes on with it: files are all old before, and all new after.

Floor 0.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from keras_vae.core.durable import fsync, fsync_tree

__all__ = ["NEW", "publish", "resume", "swap", "tree_sha256"]

#: Where drafts lie, below the folder that is set aside.
NEW = "new"
_OLD, _JOURNAL = "old", "journal.json"
# From linux/fcntl.h and linux/fs.h.
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_CHUNK = 1 << 20


def publish(aside: Path, folder: Path, names: Sequence[str]) -> None:
    """Move files and folders into place, all of them or none.

    Args:
        aside: Holds `new/NAME` for each; a name that is not there is removed.
        folder: Where they belong.
        names: Without folders.
    """
    new = {name: aside / NEW / name for name in names}
    drafts = [path for path in new.values() if os.path.lexists(path)]
    for path in drafts:
        fsync_tree(path)
    digests = {
        name: tree_sha256(path) if path in drafts else None for name, path in new.items()
    }
    (aside / _OLD).mkdir()
    draft = aside / f"{_JOURNAL}.new"
    draft.write_text(json.dumps(digests), "utf-8")
    fsync(draft)
    draft.replace(aside / _JOURNAL)
    fsync(aside)
    moved: list[str] = []
    try:
        for name in names:
            _move(aside, folder, name, None)
            moved.append(name)
    except BaseException:
        for name in reversed(moved):
            _move_back(aside, folder, name)
        (aside / _JOURNAL).unlink()
        raise
    fsync(folder)


def resume(aside: Path, folder: Path) -> bool:
    """Go on with a journal, if there is one; return whether there was."""
    try:
        digests = json.loads((aside / _JOURNAL).read_text("utf-8"))
    except FileNotFoundError:
        return False
    if not isinstance(digests, Mapping) or any(Path(n).name != n for n in digests):
        raise ValueError(f"{aside / _JOURNAL} must list names of files. Remove {aside}.")
    for name, digest in digests.items():
        _move(aside, folder, name, digest)
    fsync(folder)
    return True


def _move(aside: Path, folder: Path, name: str, digest: str | None) -> None:
    """Move one name, wherever an earlier attempt has got to.

    Args:
        aside: As in `publish`.
        folder: As in `publish`.
        name: Name of the file or folder.
        digest: Hash of the new one, to be recognised by in place. `None`: it is not there.
    """
    new, old, there = aside / NEW / name, aside / _OLD / name, folder / name
    present, kept = os.path.lexists(there), os.path.lexists(old)
    if not os.path.lexists(new):
        if digest is None and present and not kept:
            there.rename(old)
    elif not present:
        new.rename(there)
    elif not kept:
        in_place = digest is not None and tree_sha256(there) == digest
        if in_place or exchange(new, there):
            new.rename(old)
        else:
            # Elsewhere than on Linux there is nothing in place for an instant.
            there.rename(old)
            _rename_or_undo(new, there, old)


def _rename_or_undo(new: Path, there: Path, old: Path) -> None:
    try:
        new.rename(there)
    except OSError:
        old.rename(there)
        raise


def _move_back(aside: Path, folder: Path, name: str) -> None:
    new, old, there = aside / NEW / name, aside / _OLD / name, folder / name
    if os.path.lexists(there) and not os.path.lexists(new):
        there.rename(new)
    if os.path.lexists(old):
        old.rename(there)


def swap(a: Path, b: Path) -> None:
    """Exchange two existing paths of one file system."""
    if not exchange(a, b):
        between = a.with_name(f"{a.name}.between")
        b.rename(between)
        _rename_or_undo(a, b, between)
        between.rename(a)


def exchange(a: Path, b: Path) -> bool:
    """Exchange two paths in one step, where the system can; return whether it did."""
    # POSIX cannot rename onto a folder that is not empty. Linux can exchange the two, so that
    # there is a whole one in place at any time, even if power fails.
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):
        return False
    paths = os.fsencode(a), os.fsencode(b)
    return bool(renameat2(_AT_FDCWD, paths[0], _AT_FDCWD, paths[1], _RENAME_EXCHANGE) == 0)


def tree_sha256(path: Path) -> str:
    """Hash a file, or the names and contents of all that a folder holds."""
    digest = hashlib.sha256()
    for found in sorted([path, *path.rglob("*")] if path.is_dir() else [path]):
        digest.update(os.fsencode(found.relative_to(path)) + b"\0")
        if found.is_symlink():
            digest.update(os.fsencode(found.readlink()))
        elif found.is_file():
            with found.open("rb") as file:
                while block := file.read(_CHUNK):
                    digest.update(block)
        digest.update(b"\0")
    return digest.hexdigest()
