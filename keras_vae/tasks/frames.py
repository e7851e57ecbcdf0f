"""Frames of pandas in, frames out: index, columns and dtypes of what a task was given.

Floor 6. pandas is imported only if the user has done so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Frame", "taken"]


class Frame(NamedTuple):
    """What a frame has beside its numbers; `None` for arrays, which stay arrays.

    Attributes:
        index: Its index.
        columns: Names of its columns; `None` if it was none.
        dtypes: Dtypes of its columns.
    """

    index: Any
    columns: Any = None
    dtypes: Any = None

    def series(self, values: np.ndarray, name: str) -> Any:
        """Return `[rows]` as a series of that name."""
        if self.columns is None:
            return values
        import pandas as pd

        return pd.Series(values, self.index, name=name)

    def rows(self, values: np.ndarray, *, typed: bool = True) -> Any:
        """Return `[rows, columns]` as a frame, with the dtypes it had if `typed`."""
        if self.columns is None:
            return values
        return self._frame(values, self.index, typed)

    def stacked(self, values: np.ndarray, name: str, *, inner: bool = False) -> Any:
        """Return `[several, rows, columns]` as one frame, whose index has one more level.

        Args:
            values: `[several, rows, columns]`, or `[rows, several, columns]` if `inner`.
            name: Name of the new level, which counts from 0.
            inner: Whether the new level comes after those of the rows.
        """
        if self.columns is None:
            return values
        import pandas as pd

        several = range(values.shape[1] if inner else len(values))
        levels = [several, range(len(self.index))]
        both = pd.MultiIndex.from_product(levels[::-1] if inner else levels)
        rows = self.index.take(both.get_level_values(0 if inner else 1))
        kept = [rows.get_level_values(level) for level in range(rows.nlevels)]
        new = both.get_level_values(1 if inner else 0)
        index = pd.MultiIndex.from_arrays(
            [*kept, new] if inner else [new, *kept],
            names=[*rows.names, name] if inner else [name, *rows.names],
        )
        return self._frame(values.reshape(len(index), -1), index, True)

    def _frame(self, values: np.ndarray, index: Any, typed: bool) -> pd.DataFrame:
        import pandas as pd

        frame = pd.DataFrame(np.asarray(values, "float64"), index, self.columns)
        if not typed:
            return frame
        columns = [
            _cast(frame.iloc[:, place], dtype) for place, dtype in enumerate(self.dtypes)
        ]
        cast = pd.concat(columns, axis=1)
        cast.columns = self.columns
        return cast


def taken(x: Any, name: str = "x") -> tuple[Any, Frame]:
    """Return the numbers of a frame, and what it has beside them; others as they are.

    Args:
        x: A frame of pandas, or anything else.
        name: Argument to name in errors. Defaults to `"x"`.

    Raises:
        TypeError: If a column holds no numbers.
    """
    if type(x).__module__.partition(".")[0] != "pandas" or not hasattr(x, "columns"):
        return x, Frame(None)
    import pandas as pd

    for column, dtype in zip(x.columns, x.dtypes):
        if not pd.api.types.is_numeric_dtype(dtype) or pd.api.types.is_complex_dtype(dtype):
            raise TypeError(
                f"`{name}` must have columns of numbers. Received: dtype {dtype} of column "
                f"{column!r}. Make numbers of it, as keras_vae.tables.Table does."
            )
    return x.to_numpy("float64", na_value=np.nan), Frame(x.index, x.columns, list(x.dtypes))


def _cast(column: pd.Series, dtype: Any) -> pd.Series:
    """A column in a dtype: whole numbers rounded, as floats where some are missing."""
    if dtype.kind in "iub":
        column = column.round()
        if column.isna().any() and isinstance(dtype, np.dtype):
            return column
        if dtype.kind == "b":
            column = column.astype("boolean")
    return column.astype(dtype)
