"""What raw data of a kind are: how files become arrays, and arrays files.

Floor 3.
"""

from __future__ import annotations

import csv
import os
import tempfile
import types
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from keras_vae.component import FromSignature
from keras_vae.core.atomic_io import writing
from keras_vae.core.durable import reserve
from keras_vae.core.paths import local_path

__all__ = [
    "Read",
    "Schema",
    "check_names",
    "check_rows",
    "files_in",
    "folders",
    "is_array",
    "load_array",
    "report_skipped",
    "room",
    "stacked",
]

#: Bytes of an array from which on it is kept on disk.
IN_MEMORY = 2**30


class Read(NamedTuple):
    """Raw examples as read, and what the source says of them beside.

    Attributes:
        x: `[examples, *event_shape]`; an `np.memmap` in a temporary file if it is large.
        names: Of the examples, such as paths or line numbers.
        labels: Class of each example, where the source has classes; else `None`.
        skipped: What was left out, and why.
        rows: Position of each example in the source, from 0, examples that were left out
            counted too. Defaults to `None`: nothing was left out.
        ids: Columns of the source that identify examples and are no data, by name: an index,
            names of cells, times. Defaults to none.
        origin: Anything else the schema needs to write a file like the source. Defaults to
            `None`: nothing.
    """

    x: Any
    names: list[str]
    labels: np.ndarray | None
    skipped: dict[str, str]
    rows: np.ndarray | None = None
    ids: Mapping[str, np.ndarray] = types.MappingProxyType({})
    origin: Any = None

    @property
    def positions(self) -> np.ndarray:
        """`rows`, or 0, 1, 2 ... where nothing was left out."""
        return np.arange(len(self.x)) if self.rows is None else self.rows

    def ordered(self, order: np.ndarray) -> Read:
        """The examples in another order, or some of them.

        Args:
            order: Indices of examples.
        """
        select = getattr(self.x, "only", self.x.__getitem__)
        return self._replace(
            x=select(order),
            names=[self.names[i] for i in order],
            labels=None if self.labels is None else self.labels[order],
            rows=self.positions[order],
            ids={name: values[order] for name, values in self.ids.items()},
        )


class Schema(FromSignature):
    """What raw data of one kind are, kept with a model by its preprocessor.

    Subclassing: set `kind`; implement `event_shape`, `read` and, if files are of a kind of
    their own, `write`. Constructor arguments, stored unchanged, are the config.
    """

    #: One of the kinds that `keras-vae train --kind` takes.
    kind = ""

    @property
    def event_shape(self) -> tuple[int, ...]:
        """Shape of one raw example."""
        raise NotImplementedError

    def read(self, source: Any, skip_bad: bool = False) -> Read:
        """Read raw examples of this kind.

        Args:
            source: What the loader of this kind takes.
            skip_bad: Whether to leave out what cannot be used, and say so. Defaults to
                `False`: it is an error.

        Raises:
            ValueError: If there is nothing to read, or something that does not fit.
        """
        raise NotImplementedError

    def write(
        self, x: np.ndarray, path: str | os.PathLike[str], like: Read | None = None
    ) -> Path:
        """Write raw examples: files as they are read, or `.npy`.

        The path appears when all is written.

        Args:
            x: `[examples, *event_shape]`.
            path: Ends in `.npy` for the array itself; what else is possible is up to the kind.
            like: The examples as read that x was made from, one for each of x. What was kept
                of their source is written back: names, ids, other columns, and every value
                that is equal in both as it stood there. Defaults to `None`: new examples.

        Returns:
            The path.

        Raises:
            ValueError: If the path names a kind of file that this kind of data is not
                written to, or a folder with something in it.
        """
        target = self.checked(path)
        with writing(target) as draft, draft.open("wb") as file:
            np.save(file, np.asarray(x), allow_pickle=False)
        return target

    def align(self, values: np.ndarray, read: Read) -> tuple[dict[str, Any], np.ndarray]:
        """Return values of examples beside what tells which example is which.

        Subclassing: where examples overlap in the source, return values of its rows.

        Args:
            values: `[examples]`, such as scores.
            read: The examples.

        Returns:
            Columns by name: `row`, position in the source from 0, `example`, its name, the
            `ids`, and `label` where the source has classes; and the values beside them.
        """
        columns = {"row": read.positions, "example": read.names}
        aside = {name: found for name, found in read.ids.items() if name not in columns}
        labels = {} if read.labels is None else {"label": read.labels}
        return {**columns, **aside, **labels}, values

    def checked(self, path: str | os.PathLike[str]) -> Path:
        """The path, if `write` can write there.

        Raises:
            ValueError: If it cannot.
        """
        target = local_path(path)
        if target.suffix not in self.suffixes():
            raise ValueError(
                f"`path` must end in one of {list(self.suffixes())}"
                f"{', nothing for a folder' if '' in self.suffixes() else ''}. Received: "
                f"{target}."
            )
        taken = target.exists() and (not target.is_dir() or any(target.iterdir()))
        if taken and not target.suffix:
            raise ValueError(f"`path` must be a new or empty folder. Received: {target}.")
        return target

    def suffixes(self) -> tuple[str, ...]:
        """Endings of paths that `write` takes; `""` is a folder."""
        return (".npy",)


def files_in(source: Any, suffixes: Sequence[str], what: str) -> list[Path]:
    """Files of a folder and its folders, or of a list, in their order by name.

    Args:
        source: A folder, a file, or paths of files.
        suffixes: Endings that count.
        what: What the files are, for the error.

    Raises:
        ValueError: If there are none, or one that is listed does not exist.
    """
    if isinstance(source, (str, os.PathLike)):
        root = local_path(source, "source")
        found = [root] if root.is_file() else sorted(p for p in root.rglob("*") if p.is_file())
    else:
        found = [local_path(path, "source") for path in source]
        absent = [str(path) for path in found if not path.is_file()]
        if absent:
            raise ValueError(f"`source` must be existing files. Received: {absent[0]}.")
    found = [path for path in found if path.suffix.lower() in suffixes]
    if not found:
        raise ValueError(
            f"`source` must be a folder or list of {what} ({', '.join(suffixes)}). "
            f"Received: {source}, which holds none."
        )
    return found


def folders(files: Sequence[Path]) -> np.ndarray | None:
    """Names of the files' folders, if there are several, and each within one."""
    names = [path.parent.name for path in files]
    parents = {path.parent.parent for path in files}
    return np.array(names) if len(parents) == 1 and len(set(names)) > 1 else None


def is_array(source: Any) -> bool:
    """Whether a source is an array, or a file that holds one."""
    if isinstance(source, (str, os.PathLike)):
        return local_path(source, "source").suffix in (".npy", ".npz")
    return hasattr(source, "shape")


def load_array(source: str | os.PathLike[str]) -> Any:
    """The array of a `.npy` file, memory-mapped if large, or `x` of an `.npz` file.

    Raises:
        ValueError: If the file is damaged, needs unpickling or has no x.
    """
    path = local_path(source, "source")
    try:
        large = path.suffix == ".npy" and path.stat().st_size > IN_MEMORY
        found = np.load(path, allow_pickle=False, mmap_mode="r" if large else None)
        return found["x"] if path.suffix == ".npz" else found
    except (KeyError, OSError, ValueError) as error:
        raise ValueError(
            f"`source` must be a .npy file, or .npz with an array x. Received: {path} "
            f"({error})."
        ) from error


def room(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """Room for an array: in memory, or in a temporary file if it is large."""
    size = int(np.prod(shape, dtype="int64") * np.dtype(dtype).itemsize)
    if size <= IN_MEMORY:
        return np.empty(shape, dtype)
    # The file has no name: it is gone when nobody has it open any more.
    with tempfile.TemporaryFile(prefix="keras_vae-") as file:
        _reserve(file.fileno(), size)
        return np.memmap(file, dtype, "w+", shape=shape)


def _reserve(descriptor: int, size: int) -> None:
    # Where room is short, writing to mapped memory ends the process.
    try:
        reserve(descriptor, size)
    except OSError as error:
        raise OSError(
            error.errno,
            f"{os.strerror(error.errno or 0)}: {size:,} bytes of raw data are kept there. Set "
            f"TMPDIR to a folder with more room",
            tempfile.gettempdir(),
        ) from error


def check_names(what: str, expected: Sequence[str], found: Sequence[str]) -> None:
    """Check that a source's columns are those of the model, in their order.

    Raises:
        ValueError: If they are not, with the first that differs.
    """
    if list(found) == list(expected):
        return
    differing = (
        f" {name} stands where {wanted} should."
        for wanted, name in zip(expected, found, strict=False)
        if name != wanted
    )
    raise ValueError(
        f"`source` must have the {len(expected)} {what} {_some(expected)} in this order. "
        f"Received: {len(found)}, {_some(found)}.{next(differing, '')}"
    )


def stacked(parts: Iterable[np.ndarray], shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """Parts `[some, *shape]` as one array: in memory, or in a temporary file if it is large."""
    with tempfile.SpooledTemporaryFile(IN_MEMORY, prefix="keras_vae-") as file:
        for part in parts:
            file.write(np.ascontiguousarray(part, dtype).tobytes())
        if file.tell() > IN_MEMORY:
            return np.memmap(file, dtype, "r+").reshape(-1, *shape)
        file.seek(0)
        return np.frombuffer(bytearray(file.read()), dtype).reshape(-1, *shape)


def report_skipped(skipped: Mapping[str, str], what: str) -> None:
    """Warn of what was left out, with the first few."""
    if skipped:
        some = "; ".join(f"{name}: {why}" for name, why in list(skipped.items())[:3])
        warnings.warn(f"Left out {len(skipped)} {what}: {some}.", stacklevel=3)


def check_rows(path: Path, skip_bad: bool) -> dict[str, str]:
    """Lines of a CSV file that have not as many fields as its first.

    Raises:
        ValueError: If there are any and `skip_bad` is false.
    """
    bad: dict[str, str] = {}
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.reader(file)
        width = len(next(reader, []))
        for row in reader:
            if row and len(row) != width:
                bad[f"line {reader.line_num}"] = f"{len(row)} fields instead of {width}"
    if bad and not skip_bad:
        line, reason = next(iter(bad.items()))
        raise ValueError(
            f"Rows of {path} must all have {width} fields. Received: {line} with {reason}, "
            f"{len(bad)} such in all. Mend the file, or leave them out with skip_bad=True."
        )
    return bad


def _some(names: Sequence[str]) -> str:
    return ", ".join(list(names)[:3]) + (", ..." if len(names) > 3 else "")
