"""The folder of an export: drafts beside what is there, which is replaced if it is ours.

Floor 6.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from keras_vae.core import atomic_io
from keras_vae.core.locks import locked
from keras_vae.exporters import manifest as manifests
from keras_vae.exporters.manifest import FileEntry, Manifest, file_entry

__all__ = ["check_replaceable", "foreign", "known", "publish", "staging"]

_LOG = logging.getLogger(__name__)


@contextlib.contextmanager
def staging(folder: Path) -> Iterator[Path]:
    """Make a folder for drafts, as `atomic_io.staging` does.

    Raises:
        ValueError: If the folder cannot be made or written to.
    """
    with contextlib.ExitStack() as stack:
        try:
            stage = stack.enter_context(atomic_io.staging(folder))
        except OSError as error:
            raise ValueError(
                f"`folder` must be writable. Received: folder={str(folder)!r} "
                f"({error.strerror})."
            ) from error
        yield stage


def check_replaceable(
    folder: Path, names: Iterable[str], known: Mapping[str, FileEntry]
) -> None:
    """Raise a ValueError if something in the way of an export is not ours.

    Args:
        folder: Where it is to go.
        names: Files and folders that it consists of.
        known: Files that exporters wrote there, by path.
    """
    taken = [path for name in names for path in foreign(folder, name, known)]
    if taken:
        others = f" and {len(taken) - 1} more" if len(taken) > 1 else ""
        raise ValueError(
            f"`folder` holds {taken[0]!r}{others}, which no export wrote, or which was changed "
            f"since, and which is not replaced. Received: folder={str(folder)!r}. Choose "
            f"another folder, or replace it by overwrite=True."
        )


def foreign(folder: Path, name: str, known: Mapping[str, FileEntry]) -> list[str]:
    """Paths at and below a name that are not as an exporter wrote them.

    Empty folders are nobody's.

    Args:
        folder: That of an export.
        name: Name of a file or folder in it.
        known: Files that exporters wrote there, by path.
    """
    start = folder / name
    if not os.path.lexists(start):
        return []
    plain = start.is_dir() and not start.is_symlink()
    found = sorted(start.rglob("*")) if plain else [start]
    paths = [p for p in found if p.is_symlink() or not p.is_dir()]
    names = {path: path.relative_to(folder).as_posix() for path in paths}
    return [names[path] for path in paths if not _is_ours(path, known.get(names[path]))]


def _is_ours(path: Path, entry: FileEntry | None) -> bool:
    if entry is None or path.is_symlink() or not path.is_file():
        return False
    return path.stat().st_size == entry.bytes and file_entry(path) == entry


def known(folder: Path, *, overwrite: bool) -> dict[str, Manifest]:
    """Read the manifest of a folder; one that is not ours counts as none if it is replaced."""
    with contextlib.suppress(*([ValueError] if overwrite else [])):
        return manifests.parsed(folder)
    return {}


def publish(
    stage: Path, folder: Path, manifest: Manifest, names: Sequence[str], *, overwrite: bool
) -> None:
    """Put an export and its manifest in place in one switch, one export at a time.

    Args:
        stage: Holds the files.
        folder: Where they belong.
        manifest: Their record.
        names: Files and folders.
        overwrite: Whether to replace what is not ours.
    """
    with locked(folder / manifests.NAME, "export", seconds=manifests.PATIENCE):
        earlier = known(folder, overwrite=overwrite)
        files = manifests.known_files(earlier)
        if not overwrite:
            check_replaceable(folder, names, files)
        old = sorted(manifests.artefacts(earlier.get(manifest.target)) - set(names))
        kept = [name for name in old if foreign(folder, name, files)]
        if kept:
            _LOG.warning("Left as it is, for it was changed: %s.", ", ".join(kept))
        text = manifests.merged(folder, manifest, overwrite=overwrite)
        (stage / manifests.NAME).write_text(text, "utf-8")
        removed = [name for name in old if name not in kept]
        atomic_io.publish(stage, folder, [*names, *removed, manifests.NAME])
