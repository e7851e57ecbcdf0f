"""Rows of sparse matrices.

Floor 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["SparseRows"]


class SparseRows:
    """Rows of a sparse matrix, dense when they are looked at.

    Args:
        data: Values that are not 0.
        indices: Their columns.
        indptr: Where each row begins among them, and where the last one ends.
        shape: Of the matrix.

    Raises:
        ValueError: If these do not describe a matrix.

    Example:
    >>> rows = keras_vae.data.SparseRows([5, 7], [1, 0], [0, 1, 2, 2], (3, 2))
    >>> rows[1:].tolist()
    [[7.0, 0.0], [0.0, 0.0]]
    """

    dtype = np.dtype("float32")

    def __init__(self, data: Any, indices: Any, indptr: Any, shape: Sequence[int]) -> None:
        self.data, self.indices = np.asarray(data), np.asarray(indices)
        self.indptr = np.asarray(indptr, "int64")
        self.shape = tuple(int(side) for side in shape)
        whole_rows = len(self.shape) == 2 and len(self.indptr) == self.shape[0] + 1
        ends = whole_rows and self.indptr[0] == 0 and self.indptr[-1] == len(self.data)
        grows = bool(np.all(np.diff(self.indptr) >= 0))
        inside = not self.indices.size or (
            self.indices.min() >= 0 and self.indices.max() < self.shape[-1]
        )
        if not (ends and grows and inside and len(self.indices) == len(self.data)):
            raise ValueError(
                f"`data`, `indices` and `indptr` must describe a matrix of the shape, by rows "
                f"(CSR). Received: shape {self.shape}, {len(self.data)} values, "
                f"{len(self.indices)} indices, {len(self.indptr)} row pointers."
            )

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def ndim(self) -> int:
        """Number of axes: 2."""
        return len(self.shape)

    def __getitem__(self, rows: Any) -> np.ndarray:
        """Rows by number, slice or mask, dense: `[rows, columns]`, float32."""
        chosen = np.atleast_1d(np.arange(len(self))[rows])
        places, sizes = self._places(chosen)
        dense = np.zeros((len(chosen), self.shape[1]), self.dtype)
        dense[np.repeat(np.arange(len(chosen)), sizes), self.indices[places]] = self.data[
            places
        ]
        return dense

    def only(self, rows: Any) -> SparseRows:
        """Rows by number, slice or mask, still sparse."""
        chosen = np.atleast_1d(np.arange(len(self))[rows])
        places, sizes = self._places(chosen)
        indptr = np.concatenate([[0], np.cumsum(sizes)])
        shape = (len(chosen), self.shape[1])
        return SparseRows(self.data[places], self.indices[places], indptr, shape)

    def _places(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where the values of rows are, row after row, and how many each has."""
        starts = self.indptr[rows]
        sizes = self.indptr[rows + 1] - starts
        before = np.repeat(np.cumsum(sizes) - sizes, sizes)
        return np.arange(sizes.sum()) - before + np.repeat(starts, sizes), sizes
