"""Columns of a table that a model learns: frames to arrays and back, and likelihoods.

Floor 3. pandas is imported when frames are made: `pip install keras-vae[tables]`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_vae import likelihoods
from keras_vae.component import FromSignature, register
from keras_vae.data.column_decisions import decide_columns
from keras_vae.data.column_forms import form_of
from keras_vae.data.column_schema import Column, require_kind
from keras_vae.data.column_units import absent_columns, categories_of, present_cells, unit_of
from keras_vae.data.column_values import (
    Categories,
    Cells,
    Numbers,
    is_text,
    made_form,
)
from keras_vae.data.typed_columns import typed_column

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["KINDS", "Table"]

#: Kinds of columns that a model learns, and the likelihood of each, by the number of
#: categories.
KINDS = {
    "real": lambda size: likelihoods.Normal("learned"),
    "positive": lambda size: likelihoods.LogNormal("learned"),
    "count": lambda size: likelihoods.NegativeBinomial(),
    "poisson": lambda size: likelihoods.Poisson(),
    "negative_binomial": lambda size: likelihoods.NegativeBinomial(),
    "binary": lambda size: likelihoods.Bernoulli(),
    "category": lambda size: likelihoods.Categorical(max(size, 2)),
    "categorical": lambda size: likelihoods.Categorical(max(size, 2)),
    "ordinal": lambda size: likelihoods.Ordinal(max(size, 2)),
    "date": lambda size: likelihoods.Normal("learned"),
}
_CODED = ("binary", "category", "categorical", "ordinal")
_COUNTS = ("count", "poisson", "negative_binomial")


@register("tables")
class Table(FromSignature):
    """Columns of a table that a model learns. Make it with `from_frame`.

    It turns frames into arrays `[rows, columns]` and back: numbers stay numbers, categories
    become 0, 1, 2 ..., dates the number of `units`, and what is missing (`NaN`, `None`,
    `pd.NA`) becomes NaN. It is saved as JSON: `json.dumps(table.get_config())`, and back by
    `Table.from_config`.

    Args:
        names: Names of the columns.
        kinds: Kind of each column, one of `KINDS`.
        dtypes: Dtype of each column, as pandas names them.
        categories: For each column the values behind the codes, in their order; `None` for
            numbers.
        forms: For each column how its file spells numbers and dates, as JSON; `None` for
            categories and plain dtypes. Defaults to `None`: plain for all.
        units: For each column the number that becomes 0 and the one that becomes 1 more, or
            `None` where arrays hold the column's own numbers. Defaults to `None` for all.
        na_values: Spellings of missing beside those of pandas. Defaults to `None`: none.

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
        forms: list[dict[str, Any] | None] | None = None,
        units: list[list[float] | None] | None = None,
        na_values: list[str] | None = None,
    ) -> None:
        lists: list[list[Any]] = [
            names,
            kinds,
            dtypes,
            categories,
            forms or names,
            units or names,
        ]
        lengths = [len(part) for part in lists]
        if len(set(lengths)) != 1:
            raise ValueError(
                f"`names`, `kinds`, `dtypes` and `categories` must be equally long. "
                f"Received: lengths {lengths[:4]}."
            )
        for name, kind in zip(names, kinds):
            require_kind(name, kind)
            if kind not in KINDS:
                raise ValueError(
                    f"`kinds` must be of {list(KINDS)}. Received: {kind!r} for column {name!r}."
                )
        self.names = names
        self.kinds = kinds
        self.dtypes = dtypes
        self.categories = categories
        self.forms = forms
        self.units = units
        self.na_values = na_values

    @classmethod
    def from_frame(cls, frame: pd.DataFrame, kinds: Mapping[str, str] | None = None) -> Table:
        """Decide what the columns of a frame are, and keep all of them.

        - Two values, whatever they are: `"binary"`, but for ordered categories.
        - Ordered categories, and few whole numbers next to each other such as ratings:
          `"ordinal"`. Other categories, strings and objects: `"category"`, strings and
          objects in alphabetical order.
        - Whole numbers that behave like counts - small, from 0 on, as spread as Poisson or
          negative binomial counts: `"count"`. Years, heights and prices do not.
        - Dates, and whole numbers that count seconds since 1970: `"date"`.
        - Numbers above 0 over orders of magnitude, most of them small: `"positive"`.
        - Other numbers: `"real"`; whole ones are rounded on the way out.

        `data.from_table` also keeps identifiers and the like aside.

        Args:
            frame: The training data.
            kinds: Kinds by name, where the rule does not suit, as for numbers that stand for
                categories. Defaults to `None`.

        Raises:
            TypeError: If a column holds anything but numbers, strings, dates and categories.
            ValueError: If a name is no string, is there twice or is unknown, or a column has
                no values.
        """
        columns = []
        for found in decide_columns(frame, kinds=kinds):
            if found.kind == "empty":
                raise ValueError(f"Column {found.name!r} has no values. Leave it out.")
            if found.modelled:
                columns.append(found)
                continue
            wish = {found.name: "category" if found.cells is None else "real"}
            columns += decide_columns(frame[[found.name]], kinds=wish)
        return cls.from_columns(frame, columns)

    @classmethod
    def from_columns(
        cls,
        frame: pd.DataFrame,
        columns: Sequence[Column],
        na_values: Sequence[str] = (),
        scaled: bool = False,
    ) -> Table:
        """Make a table of columns as `decide_columns` describes them.

        Args:
            frame: The training data.
            columns: Those to learn.
            na_values: Spellings of missing beside those of pandas. Defaults to none.
            scaled: Whether columns that floats of 32 bits would not hold, such as 1e-200 or
                1e17, get `units`. Defaults to `False`: only dates do.
        """
        categories: list[list[Any] | None] = []
        forms: list[dict[str, Any] | None] = []
        units: list[list[float] | None] = []
        dtypes = []
        for column in columns:
            cells = frame[column.name]
            coded = column.kind in _CODED
            found = categories_of(cells, column, na_values) if coded else None
            form: Cells | None = column.cells
            if coded and is_text(cells):
                form = Categories((), column.kept, True, tuple(na_values))
            categories.append(found)
            unit = None
            if form is not None and not coded:
                values = form.read(cells)[0]
                unit = unit_of(column.kind, values[np.isfinite(values)], scaled)
            units.append(unit)
            plain = isinstance(form, Numbers) and form.dtype == str(cells.dtype)
            keeps = plain and form is not None and not getattr(form, "decimals", None)
            forms.append(None if form is None or keeps else form.config())
            dtypes.append(typed_column(cells, column.kind, form))
        return cls(
            [column.name for column in columns],
            [column.kind for column in columns],
            dtypes,
            categories,
            forms if any(forms) else None,
            units if any(units) else None,
            list(na_values) or None,
        )

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

    def form(self, place: int) -> Cells:
        """Return how the training data spell the column at a place."""
        config = self.forms[place] if self.forms else None
        values = self.categories[place]
        if values is not None:
            config = config or {}
            kept, text = tuple(config.get("kept", ())), bool(config.get("text"))
            return Categories(tuple(values), kept, text, tuple(self.na_values or ()))
        found = made_form(config)
        return Numbers(self.dtypes[place]) if found is None else found

    def forms_of(self, frame: pd.DataFrame, decimal: str | None = None) -> list[Cells | None]:
        """Return how a frame spells each column of the table; `None` if it cannot be read.

        Args:
            frame: With all columns of the table, in any order.
            decimal: Decimal mark of the file. Defaults to `None`: each column decides.

        Raises:
            ValueError: If columns are missing.
        """
        absent = [name for name in self.names if name not in frame.columns]
        if absent:
            raise ValueError(absent_columns(absent, [str(name) for name in frame.columns]))
        found: list[Cells | None] = []
        for place, name in enumerate(self.names):
            known = self.form(place)
            if isinstance(known, Categories):
                text = is_text(frame[name])
                found.append(Categories(known.values, known.kept, text, known.extra))
            else:
                kind, extra = self.kinds[place], tuple(self.na_values or ())
                form = form_of(frame[name], kind, known, extra, decimal)
                empty = form is None and not present_cells(frame[name], extra).any()
                found.append(known if empty else form)
        return found

    def read(
        self, frame: pd.DataFrame, forms: Sequence[Cells | None] | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Turn a frame into numbers and say which cells cannot be used.

        Args:
            frame: With all columns of the table, in any order; others are left out.
            forms: As `forms_of` returns them. Defaults to `None`: found anew.

        Returns:
            Numbers `[rows, columns]`, float64, NaN where missing or bad; and where they are
            bad: unknown categories, text among numbers, infinity, values outside of counts
            or above 0.
        """
        forms = self.forms_of(frame) if forms is None else forms
        x = np.full((len(frame), len(self.names)), np.nan)
        bad = np.zeros(x.shape, bool)
        for place, (name, form) in enumerate(zip(self.names, forms)):
            if form is None:
                bad[:, place] = present_cells(frame[name], tuple(self.na_values or ()))
                continue
            values, wrong = form.read(frame[name])
            kind = self.kinds[place]
            with np.errstate(invalid="ignore"):
                if kind in _COUNTS:
                    wrong = (
                        wrong | (values < 0) | (values != np.round(values)) & ~np.isnan(values)
                    )
                elif kind == "positive":
                    wrong = wrong | (values <= 0)
            x[:, place] = np.where(wrong, np.nan, self._scaled(place, values))
            bad[:, place] = wrong
        return x, bad

    def to_array(self, frame: pd.DataFrame) -> np.ndarray:
        """Turn a frame into numbers, `[rows, columns]`, float64, NaN where missing.

        Args:
            frame: With all columns of the table, in any order; others are left out.

        Raises:
            ValueError: If columns are missing, or a value is none of the table's categories,
                no number or infinite.
        """
        x, bad = self.read(frame)
        if bad.any():
            row, place = np.argwhere(bad)[0]
            raise ValueError(self.complaint(frame, int(row), int(place)))
        return x

    def complaint(self, frame: pd.DataFrame, row: int, place: int, where: str = "") -> str:
        """Say what is wrong with a cell, in a sentence and with the fix.

        Args:
            frame: The frame.
            row: Position of the row in it.
            place: Place of the column in the table.
            where: Where the row is, in words. Defaults to `""`: "row " and its position.
        """
        name, kind = self.names[place], self.kinds[place]
        value = frame[name].iloc[row]
        value = value.item() if isinstance(value, np.generic) else value
        where = where or f"row {row}"
        values = self.categories[place]
        if values is not None:
            shown = str(values) if len(values) <= 12 else f"{str(values[:12])[:-1]}, ...]"
            return (
                f"Column {name!r} must hold categories of the table. Received: {value!r} in "
                f"{where}. Known are {shown}; replace others by None."
            )
        wanted = {"date": "dates of one format", "positive": "numbers above 0"}.get(kind)
        if wanted is None:
            wanted = "whole numbers from 0 on" if kind in _COUNTS else "finite numbers"
        return (
            f"Column {name!r} must hold {wanted}, for its kind is {kind!r}. Received: "
            f"{value!r} in {where}. Correct it, leave the cell empty, leave out such rows with "
            f"skip_bad=True, or train with another kind of column."
        )

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

        from keras_vae.data.typed_columns import typed_series

        columns = {}
        for place, values in enumerate(self.numbers(x).T):
            columns[self.names[place]] = typed_series(
                values,
                self.kinds[place],
                self.dtypes[place],
                self.categories[place],
                self.form(place),
            )
        return pd.DataFrame(columns)

    def numbers(self, x: np.ndarray) -> np.ndarray:
        """Return arrays of the model in the columns' own units, counts from 0 on.

        Args:
            x: `[rows, columns]`.
        """
        x = np.array(x, "float64")
        if x.ndim != 2 or x.shape[1:] != self.event_shape:
            raise ValueError(
                f"`x` must have shape (rows, {len(self.names)}). Received: {x.shape}."
            )
        for place, unit in enumerate(self.units or ()):
            if unit is not None:
                x[:, place] = x[:, place] * unit[1] + unit[0]
        return x

    def _scaled(self, place: int, values: np.ndarray) -> np.ndarray:
        unit = self.units[place] if self.units else None
        return values if unit is None else (values - unit[0]) / unit[1]
