"""`keras-vae inspect`: what a file holds, before anything is trained.

Floor 7.
"""

from __future__ import annotations

import collections
import re
import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keras_vae.cli.columns import (
    ColumnsOption,
    NaValuesOption,
    column_facts,
    read_columns,
    show_columns,
)
from keras_vae.cli.kinds import Kind
from keras_vae.cli.shell import (
    JsonOption,
    TracebackOption,
    one_line_errors,
    said_skipped,
    show,
)
from keras_vae.core.paths import local_path

if TYPE_CHECKING:
    from keras_vae.data.column_schema import Column
    from keras_vae.data.table_files import TableFile

__all__ = ["inspect"]


def inspect(
    data: Annotated[str, typer.Argument(metavar="DATA", help="A folder or a file.")],
    kind: Annotated[
        Kind | None,
        typer.Option(help="As in train. Default: table for files of tables."),
    ] = None,
    columns: ColumnsOption = None,
    label: Annotated[
        str | None, typer.Option(help="table: column that is a class, not data.")
    ] = None,
    na_values: NaValuesOption = None,
    as_json: JsonOption = False,
    traceback: TracebackOption = False,
) -> None:
    """Show what a file holds, without training: columns, examples, what cannot be read.

    A table's columns are shown with their kinds and the evidence for each. Columns of the
    kinds identifier, text, index, constant and empty are kept aside and written back. Where
    the evidence misleads, overrule it:

        keras-vae inspect people.csv --json > columns.json

        keras-vae train people.csv --kind table --columns columns.json --out people.keras
    """
    with one_line_errors(traceback):
        path = local_path(data, "DATA")
        if not path.exists():
            raise ValueError(f"DATA must be an existing file or folder. Received: {data}.")
        from keras_vae.data.table_files import is_table_path

        if kind is None and not is_table_path(path):
            raise ValueError(
                f"--kind must say what {data} holds: one of {', '.join(Kind)}. "
                f"Only files of tables are recognised."
            )
        if kind in (None, Kind.table):
            _show_table(str(path), read_columns(columns), label, na_values or [], as_json)
        else:
            _show_examples(str(path), Kind(kind or ""), as_json)


def _show_table(
    path: str,
    kinds: dict[str, str] | None,
    label: str | None,
    na_values: list[str],
    as_json: bool,
) -> None:
    from keras_vae.data.column_decisions import decide_columns
    from keras_vae.data.table_files import read_table_file

    with said_skipped():
        file = read_table_file(path, skip_bad=True)
    found = decide_columns(
        file.frame, kinds=kinds, label=label, na_values=na_values, decimal=file.decimal
    )
    skipped = {**file.skipped, **_bad_rows(file, found)}
    facts = {"rows": len(file.rows) + len(file.skipped), "cannot_be_used": _reasons(skipped)}
    if as_json:
        show({**facts, "columns": column_facts(found)}, as_json)
        return
    show_columns(found)
    typer.echo("")
    show({**facts, "first": _first(skipped)} if skipped else {"rows": facts["rows"]}, as_json)


def _bad_rows(file: TableFile, columns: Iterable[Column]) -> dict[str, str]:
    """Rows with a cell that does not suit its column."""
    bad: dict[str, str] = {}
    for column in columns:
        if not column.modelled or column.cells is None:
            continue
        cells = file.frame[column.name]
        for place in column.cells.read(cells)[1].nonzero()[0]:
            bad.setdefault(f"row {file.rows[place]}", f"{column.name} is {cells.iloc[place]!r}")
    return bad


def _show_examples(path: str, kind: Kind, as_json: bool) -> None:
    from keras_vae import data as loaders

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        source = getattr(loaders, f"from_{kind}")(path, held_out=0, skip_bad=True)
    facts: dict[str, Any] = {
        "kind": str(kind),
        "examples": len(source.x_train),
        "shape": str(source.event_shape),
        "classes": list(source.label_names),
        "cannot_be_used": _reasons(source.skipped),
    }
    if source.skipped:
        facts["first"] = _first(source.skipped)
    show({name: fact for name, fact in facts.items() if as_json or fact}, as_json)


def _reasons(skipped: dict[str, str]) -> dict[str, int]:
    """How many were left out for each reason; numbers and names in reasons aside."""
    alike = [re.sub(r"'[^']*'|\d[\d,.]*", "...", reason) for reason in skipped.values()]
    return dict(collections.Counter(alike).most_common())


def _first(skipped: dict[str, str]) -> str:
    name, reason = next(iter(skipped.items()))
    return f"{name}: {reason}"
