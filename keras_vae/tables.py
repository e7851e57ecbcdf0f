"""Tables of pandas as arrays and back: what the columns are, and their likelihoods.

Floor 3. pandas is imported when frames are made: `pip install keras-vae[tables]`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_vae import likelihoods
from keras_vae.component import FromSignature, register

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["KINDS", "Table"]

#: What a column may be, and the likelihood that it gets; of categories, by their number.
KINDS = {
    "real": lambda size: likelihoods.Normal("learned"),
    "poisson": lambda size: likelihoods.Poisson(),
    "negative_binomial": lambda size: likelihoods.NegativeBinomial(),
    "binary": lambda size: likelihoods.Bernoulli(),
    "categorical": lambda size: likelihoods.Categorical(max(size, 2)),
    "ordinal": lambda size: likelihoods.Ordinal(max(size, 2)),
}
_CODED = ("binary", "categorical", "ordinal")


@register("tables")
class Table(FromSignature):
    """What the columns of a table are. Make it with `from_frame`.

    It turns frames into arrays `[rows, columns]` and back: numbers stay numbers, categories
    become 0, 1, 2 ..., and what is missing (`NaN`, `None`, `pd.NA`) becomes NaN. It is saved
    as JSON: `json.dumps(table.get_config())`, and back by `Table.from_config`.

    Args:
        names: Names of the columns.
        kinds: Of each column, one of `KINDS`.
        dtypes: Of each column, as pandas names them.
        categories: Of each column the values behind the codes, in their order; `None` for
            numbers.

    Raises:
        ValueError: If the lists differ in length or a kind is unknown.

    Example:
    >>> table = keras_vae.tables.Table(
    ...     ["age", "city"],
    ...     ["real", "categorical"],
    ...     ["float64", "object"],
    ...     [None, ["Oslo", "Rome", "Wien"]],
    ... )
    >>> [type(likelihood).__name__ for likelihood in table.columns().values()]
    ['Normal', 'Categorical']
    >>> table.event_shape
    (2,)
    """

    def __init__(
        self,
        names: list[str],
        kinds: list[str],
        dtypes: list[str],
        categories: list[list[Any] | None],
    ) -> None:
        lengths = [len(part) for part in (names, kinds, dtypes, categories)]
        if len(set(lengths)) != 1:
            raise ValueError(
                f"`names`, `kinds`, `dtypes` and `categories` must be equally long. "
                f"Received: lengths {lengths}."
            )
        for name, kind in zip(names, kinds):
            _require_kind(name, kind)
        self.names = names
        self.kinds = kinds
        self.dtypes = dtypes
        self.categories = categories

    @classmethod
    def from_frame(cls, frame: pd.DataFrame, kinds: Mapping[str, str] | None = None) -> Table:
        """Tell from a frame what its columns are.

        - Two values, whatever they are: `"binary"`, but for ordered categories.
        - Ordered categories: `"ordinal"`. Other categories, strings and objects:
          `"categorical"`, strings and objects in alphabetical order.
        - Integers from 0 on: counts, `"negative_binomial"` if their variance is larger than
          their mean, else `"poisson"`.
        - Other numbers: `"real"`. So are whole numbers that pandas keeps as floats, as it
          does with holes in them; `frame.convert_dtypes()` makes integers of them.

        Args:
            frame: The training data.
            kinds: Kinds by name, where the rule does not suit, as for numbers that stand for
                categories. Defaults to `None`.

        Raises:
            TypeError: If a column holds anything but numbers, strings and categories.
            ValueError: If a name is no string, is there twice or is unknown, or a column has
                no values.
        """
        kinds = dict(kinds or {})
        names = list(frame.columns)
        if not all(isinstance(name, str) for name in names) or len(set(names)) < len(names):
            raise ValueError(
                f"`frame` must have columns with names that are strings and differ. "
                f"Received: {names}. Rename them: frame.columns = [...]."
            )
        unknown = sorted(set(kinds) - set(names))
        if unknown:
            raise ValueError(f"`kinds` must have names of columns. Received: {unknown}.")
        categories: list[list[Any] | None] = []
        for name in names:
            kind = kinds.setdefault(name, _kind_of(frame[name]))
            _require_kind(name, kind)
            categories.append(_categories_of(frame[name]) if kind in _CODED else None)
        dtypes = [str(dtype) for dtype in frame.dtypes]
        return cls(names, [kinds[name] for name in names], dtypes, categories)

    @property
    def event_shape(self) -> tuple[int]:
        """Shape of one row, as a model wants to know it."""
        return (len(self.names),)

    def columns(self) -> dict[str, likelihoods.Likelihood]:
        """A new likelihood for each column, for `likelihoods.Columns`.

        Others may take their place: `Columns({**table.columns(), "income": LogNormal()})`.
        """
        schema = zip(self.names, self.kinds, self.categories)
        return {name: KINDS[kind](len(values or ())) for name, kind, values in schema}

    def to_array(self, frame: pd.DataFrame) -> np.ndarray:
        """Turn a frame into numbers, `[rows, columns]`, float64, NaN where missing.

        Args:
            frame: With all columns of the table, in any order; others are left out.

        Raises:
            ValueError: If columns are missing, or a value is none of the table's categories.
        """
        absent = [name for name in self.names if name not in frame.columns]
        if absent:
            raise ValueError(
                f"`frame` must have the columns of the table. Received: a frame without "
                f"{absent}. Add them, with None where they are not known."
            )
        schema = zip(self.names, self.categories)
        columns = [
            frame[name].to_numpy("float64", na_value=np.nan)
            if values is None
            else _codes(frame[name], values)
            for name, values in schema
        ]
        return np.stack(columns, axis=1)

    def to_frame(self, x: np.ndarray) -> pd.DataFrame:
        """Turn numbers into a frame as the table's, with its dtypes and categories.

        Integers are rounded, and codes to the nearest one: `reconstruct` and `impute` give
        means of counts and probabilities of binary columns. Integers and booleans with holes
        become pandas' `Int64` and `boolean`.

        Args:
            x: `[rows, columns]`, NaN where missing.

        Raises:
            ValueError: If x has another number of columns.
        """
        import pandas as pd

        x = np.asarray(x, "float64")
        if x.ndim != 2 or x.shape[1:] != self.event_shape:
            raise ValueError(
                f"`x` must have shape (rows, {len(self.names)}). Received: {x.shape}."
            )
        schema = zip(self.names, self.kinds, self.dtypes, self.categories, x.T)
        return pd.DataFrame({name: _series(*rest) for name, *rest in schema})


def _require_kind(name: str, kind: str) -> None:
    if kind not in KINDS:
        raise ValueError(
            f"`kinds` must be of {list(KINDS)}. Received: {kind!r} for column {name!r}."
        )


def _kind_of(column: pd.Series) -> str:
    import pandas as pd

    dtype = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        if dtype.ordered:
            return "ordinal"
        return "binary" if len(dtype.categories) == 2 else "categorical"
    present = column.dropna()
    if not len(present):
        raise ValueError(f"Column {column.name!r} has no values. Leave it out.")
    if present.nunique() == 2:
        return "binary"
    if pd.api.types.is_bool_dtype(dtype) or pd.api.types.is_string_dtype(dtype):
        return "categorical"
    if pd.api.types.is_object_dtype(dtype):
        return "categorical"
    if not pd.api.types.is_numeric_dtype(dtype) or pd.api.types.is_complex_dtype(dtype):
        raise TypeError(
            f"Column {column.name!r} must hold numbers, strings or categories. "
            f"Received: dtype {dtype}. Turn dates into numbers, as of days, or leave it out."
        )
    if pd.api.types.is_integer_dtype(dtype) and present.min() >= 0:
        return "negative_binomial" if present.var() > present.mean() else "poisson"
    return "real"


def _categories_of(column: pd.Series) -> list[Any]:
    import pandas as pd

    if isinstance(column.dtype, pd.CategoricalDtype):
        values: list[Any] = column.cat.categories.tolist()
    else:
        found = column.dropna().unique().tolist()
        values = sorted(found, key=lambda value: (type(value).__name__, value))
    for value in values:
        if not isinstance(value, (str, bool, int, float)):
            raise TypeError(
                f"Column {column.name!r} must have categories that are strings, numbers or "
                f"booleans. Received: {value!r}. Turn them into strings: astype(str)."
            )
    return values


def _codes(column: pd.Series, values: list[Any]) -> np.ndarray:
    code_of = {value: float(code) for code, value in enumerate(values)}
    missing = column.isna().to_numpy()
    cells = column.astype(object).to_numpy()
    unknown = [v for v, hidden in zip(cells, missing) if not hidden and v not in code_of]
    if unknown:
        raise ValueError(
            f"Column {column.name!r} must hold categories of the table. "
            f"Received: {unknown[0]!r}. Known are {values}; replace others by None."
        )
    return np.array([np.nan if h else code_of[v] for v, h in zip(cells, missing)], "float64")


def _series(kind: str, dtype: str, values: list[Any] | None, x: np.ndarray) -> pd.Series:
    import pandas as pd

    missing = np.isnan(x)
    holed = {"b": "boolean", "i": "Int64", "u": "UInt64"}
    if values is not None:
        codes = np.clip(np.rint(np.where(missing, 0, x)), 0, len(values) - 1).astype(int)
        if dtype == "category":
            codes[missing] = -1
            return pd.Series(pd.Categorical.from_codes(codes, values, kind == "ordinal"))
        cells = pd.Series([values[code] for code in codes], dtype=object)
        cells[missing] = None
    else:
        cells = pd.Series(x)
    target = pd.api.types.pandas_dtype(dtype)
    if target.kind in "iu" and values is None:
        cells = cells.round()
    if missing.any() and isinstance(target, np.dtype):
        dtype = holed.get(target.kind, dtype)
    return cells.astype(dtype)
