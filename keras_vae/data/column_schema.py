"""Descriptions of table columns, and what a user may say of them.

Floor 3.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_vae.data.column_kinds import ASIDE, MODELLED
from keras_vae.data.column_values import Cells

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Column", "check_frame", "kept_aside", "require_kind", "schema_kinds"]

#: Earlier names of kinds, and names of single likelihoods.
OTHER_NAMES = ("poisson", "negative_binomial", "categorical")


@dataclasses.dataclass(frozen=True)
class Column:
    """What a column of a table is.

    Attributes:
        name: Name of the column.
        kind: One of `MODELLED` or `ASIDE`, or an earlier name.
        why: Evidence for it.
        missing: Number of missing cells.
        examples: Some of its values, as text.
        cells: How it holds numbers or dates; `None` for words.
        kept: Words of it that elsewhere mean missing.
        step: Difference from row to row, and the first value, of an index.
    """

    name: str
    kind: str
    why: str
    missing: int = 0
    examples: tuple[str, ...] = ()
    cells: Cells | None = None
    kept: tuple[str, ...] = ()
    step: tuple[float, float] | None = None

    @property
    def modelled(self) -> bool:
        """Whether a model learns it."""
        return self.kind in (*MODELLED, *OTHER_NAMES)


def kept_aside(columns: Iterable[Column]) -> list[Column]:
    """Return the columns that no model learns."""
    return [column for column in columns if not column.modelled]


def require_kind(name: str, kind: str) -> None:
    """Check a kind of a column.

    Raises:
        ValueError: If it is none.
    """
    known = (*MODELLED, *OTHER_NAMES, *ASIDE)
    if kind not in known:
        raise ValueError(
            f"`kinds` must be of {[*known]}. Received: {kind!r} for column {name!r}."
        )


def schema_kinds(schema: Any) -> dict[str, str]:
    """Return kinds by name of what a user gave as the schema of a table.

    Args:
        schema: A mapping of names to kinds, a `Table`, or what `keras-vae inspect --json`
            prints: an object with a list "columns" of objects with "name" and "kind".

    Raises:
        ValueError: If it is none of these.
    """
    if hasattr(schema, "names") and hasattr(schema, "kinds"):
        return dict(zip(schema.names, schema.kinds))
    found = schema
    if isinstance(found, Mapping) and isinstance(found.get("columns"), list):
        found = found["columns"]
    if isinstance(found, list) and all(isinstance(c, Mapping) for c in found):
        found = {c.get("name"): c.get("kind") for c in found}
    if isinstance(found, Mapping) and all(
        isinstance(part, str) for pair in found.items() for part in pair
    ):
        # Evidence again finds these; they cannot be asked for.
        return {n: k for n, k in found.items() if k not in ("constant", "empty", "label")}
    raise ValueError(
        f"`schema` must be kinds by names of columns, such as {{'age': 'real'}}, a Table, or "
        f"what keras-vae inspect --json prints. Received: {str(schema)[:80]}."
    )


def check_frame(frame: pd.DataFrame) -> None:
    """Check names and cells of a frame.

    Raises:
        ValueError: If names are no strings or occur twice, or a cell holds a list.
    """
    names = list(frame.columns)
    twice = sorted({str(name) for name in names if names.count(name) > 1})
    if not all(isinstance(name, str) for name in names) or twice:
        what = f"{twice[0]!r} {names.count(twice[0])} times" if twice else f"{names}"
        raise ValueError(
            f"`frame` must have columns with names that are strings and differ. "
            f"Received: {what}. Rename them: frame.columns = [...]."
        )
    for name in names:
        column = frame[name]
        if column.dtype != object:
            continue
        for row, cell in enumerate(column):
            if isinstance(cell, (list, tuple, dict, set, np.ndarray)):
                raise ValueError(
                    f"Cells must be single values. Received: {str(cell)[:40]!r}, a "
                    f"{type(cell).__name__}, in row {row} of column {name!r}. Give each part a "
                    f"column of its own, or leave the column out with `ignore`."
                )
