"""Columns of a table in a shell: as a page to read, and as a file that overrules them.

Floor 7.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keras_vae.core.paths import local_path

if TYPE_CHECKING:
    from keras_vae.data.column_schema import Column

__all__ = ["ColumnsOption", "NaValuesOption", "column_facts", "read_columns", "show_columns"]

ColumnsOption = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help='table: kinds of columns that overrule what was found, JSON such as {"age": '
        '"real", "zip": "text"}, or what inspect --json prints.',
        rich_help_panel="Of one kind of data",
    ),
]
NaValuesOption = Annotated[
    list[str] | None,
    typer.Option(
        help="table: a spelling of missing beside those of pandas, such as -999; may be "
        "repeated.",
        rich_help_panel="Of one kind of data",
    ),
]

# Characters in a line where no terminal says how wide it is.
_WIDTH = 132


def read_columns(path: str | None) -> dict[str, str] | None:
    """Read the file of --columns.

    Raises:
        ValueError: If it is none.
    """
    if path is None:
        return None
    from keras_vae.data.column_schema import schema_kinds

    place = local_path(path, "--columns")
    try:
        return schema_kinds(json.loads(place.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise ValueError(
            f'--columns must be a JSON file of kinds by names, such as {{"age": "real"}}, or '
            f"what keras-vae inspect --json prints. Received: {path} ({error})."
        ) from error


def column_facts(columns: Sequence[Column]) -> list[dict[str, Any]]:
    """Return what is known of columns as JSON values."""
    shown = ("name", "kind", "why", "missing", "examples")
    facts = [dataclasses.asdict(column) for column in columns]
    return [{name: _plain(fact[name]) for name in shown} for fact in facts]


def show_columns(columns: Sequence[Column], *, to_stderr: bool = False) -> None:
    """Print every column: kind, why, missing cells and examples."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(stderr=to_stderr)
    if not console.is_terminal:
        console = Console(stderr=to_stderr, width=_WIDTH)
    table = Table(box=None, pad_edge=False)
    for name in ("column", "kind", "why", "missing", "examples"):
        table.add_column(name, justify="right" if name == "missing" else "left")
    for column in columns:
        style = "" if column.modelled else "dim"
        examples = ", ".join(_short(example) for example in column.examples)
        missing = f"{column.missing:,}" if column.missing else ""
        cells = (column.name, column.kind, column.why, missing, examples)
        table.add_row(*(Text(cell, style) for cell in cells))
    console.print(table)


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 24 else text[:21] + "..."


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
