"""Matrices of counts, most of which may be 0.

Floor 3.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_vae.component import register
from keras_vae.core.atomic_io import writing
from keras_vae.core.paths import local_path
from keras_vae.data.schema import (
    Read,
    Schema,
    check_names,
    check_rows,
    load_array,
    report_skipped,
)
from keras_vae.data.source import Source, shuffled, split
from keras_vae.data.sparse import SparseRows
from keras_vae.preprocessors import Identity

__all__ = ["CountSchema", "from_counts"]

# Rows looked at in one go.
_ROWS = 4096


@register("data")
class CountSchema(Schema):
    """Counts of so many things.

    Args:
        names: Of the things counted, such as genes.

    Example:
    >>> keras_vae.data.CountSchema(["Actb", "Gapdh"]).event_shape
    (2,)
    """

    kind = "counts"

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names

    @property
    def event_shape(self) -> tuple[int, ...]:
        return (len(self.names),)

    def suffixes(self) -> tuple[str, ...]:
        return (".csv", ".npy", ".npz")

    def read(self, source: Any, skip_bad: bool = False) -> Read:
        x, names = _matrix(source)
        if x.shape[1:] != self.event_shape or not len(x):
            raise ValueError(
                f"`source` must have {len(self.names)} columns and a row or more. Received: "
                f"shape {tuple(x.shape)}."
            )
        if names is not None:
            check_names("columns", self.names, names)
        good = np.ones(len(x), bool)
        for start in range(0, len(x), _ROWS):
            good[start : start + _ROWS] = _whole(x[start : start + _ROWS])
        rows = np.arange(len(x))
        skipped = {f"row {row}": "not all whole numbers >= 0" for row in rows[~good]}
        if skipped and not (skip_bad and good.any()):
            raise ValueError(
                f"`source` must hold whole numbers >= 0. Received: {len(skipped)} rows with "
                f"others, the first of them {next(iter(skipped))}. Give raw counts, not "
                f"normalised ones, or leave such rows out: skip_bad=True."
            )
        if skipped:
            x = x.only(good) if isinstance(x, SparseRows) else x[good]
        return Read(x, [str(row) for row in rows[good]], None, skipped, rows[good])

    def write(
        self, x: np.ndarray, path: str | os.PathLike[str], like: Read | None = None
    ) -> Path:
        """Write counts: `.csv` with a column for each thing, `.npz` of SciPy, or `.npy`."""
        target = self.checked(path)
        if target.suffix == ".npz":
            import scipy.sparse

            with writing(target) as draft:
                scipy.sparse.save_npz(draft, scipy.sparse.csr_matrix(x))
            return target
        if target.suffix != ".csv":
            return super().write(x, path, like)
        with writing(target) as draft, draft.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(self.names)
            writer.writerows([f"{value:.7g}" for value in row] for row in np.asarray(x))
        return target


def from_counts(
    source: Any,
    *,
    names: Sequence[str] | None = None,
    batch: Any = None,
    held_out: float = 0.1,
    seed: int = 0,
    skip_bad: bool = False,
) -> Source:
    """Load a matrix of counts, such as molecules of genes in cells.

    A sparse matrix stays so: rows become dense as they are used.

    Args:
        source: `[examples, things]`: an array, a sparse matrix of SciPy, a `.npy` file, an
            `.npz` file of `scipy.sparse.save_npz` or with `data`, `indices`, `indptr` and
            `shape` (by rows), or `.csv` with a line of names.
        names: Of the things counted. Defaults to `None`: those of the file, or numbers.
        batch: What each example belongs to, such as the run of an instrument, for models with
            `condition_shape=(batches,)`. Defaults to `None`.
        held_out: Share that is not trained on. Defaults to `0.1`.
        seed: Of the choice of those. Defaults to `0`.
        skip_bad: Whether to leave out, with a warning, rows that hold anything but whole
            numbers >= 0. Defaults to `False`: they are an error.

    Returns:
        A `Source` of counts as they are; `condition_train` and `condition_test` are the
        batches, one-hot.

    Raises:
        ValueError: If there are no counts, bad ones, or as many names or batches as not fit.

    Example:
    >>> keras_vae.data.from_counts(np.random.default_rng(0).poisson(2.0, [50, 6]))
    <Source of counts: 45 to train on, 5 held out, (6,), 0 left out>
    """
    x, found = _matrix(source)
    if x.ndim != 2:
        raise ValueError(f"`source` must be a matrix. Received: shape {tuple(x.shape)}.")
    numbers = [str(column) for column in range(x.shape[1])]
    schema = CountSchema(list(names or found or numbers))
    read = schema.read(x, skip_bad)
    report_skipped(read.skipped, "rows")
    read, _ = shuffled(read, seed)
    condition = None
    if batch is not None:
        batch = np.asarray(batch)
        if batch.shape != (len(x),):
            raise ValueError(
                f"`batch` must have one entry for each of {len(x)} rows. Received: shape "
                f"{batch.shape}."
            )
        kept = np.array([int(name) for name in read.names])
        _, codes = np.unique(batch, return_inverse=True)
        condition = np.eye(codes.max() + 1, dtype="float32")[codes[kept]]
    return split(read, held_out, schema, Identity(schema=schema), condition)


def _matrix(source: Any) -> tuple[Any, list[str] | None]:
    """Rows that can be sliced, and names of the columns where there are any."""
    if hasattr(source, "tocsr"):
        rows = source.tocsr()
        return SparseRows(rows.data, rows.indices, rows.indptr, rows.shape), None
    if not isinstance(source, (str, os.PathLike)):
        return source if hasattr(source, "shape") else np.asarray(source), None
    path = local_path(source, "source")
    if path.suffix == ".csv":
        check_rows(path, skip_bad=False)
        with path.open(encoding="utf-8", newline="") as file:
            names = next(csv.reader(file), [])
        try:
            table = np.loadtxt(path, "float32", delimiter=",", skiprows=1, ndmin=2)
        except ValueError as error:
            raise ValueError(
                f"`source` must hold numbers below a line of names. Received: {path} ({error})."
            ) from error
        return table, names
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as arrays:
            if {"data", "indices", "indptr", "shape"} <= set(arrays.files):
                format_ = arrays["format"].item() if "format" in arrays.files else b"csr"
                if format_ not in (b"csr", "csr"):
                    raise ValueError(
                        f"`source` must be saved by rows (CSR). Received: {path}, which is "
                        f"{format_!r}. Save matrix.tocsr()."
                    )
                parts = (arrays[name] for name in ("data", "indices", "indptr", "shape"))
                return SparseRows(*parts), None
    return load_array(path), None


def _whole(rows: Any) -> np.ndarray:
    rows = np.asarray(rows)
    good: np.ndarray = (np.isfinite(rows) & (rows >= 0) & (rows == np.rint(rows))).all(1)
    return good
