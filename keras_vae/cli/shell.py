"""What all commands share: options, errors in one line, progress, models and tables.

Floor 7.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import logging
import math
import os
import re
import sys
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keras_vae.core.paths import local_path

if TYPE_CHECKING:
    from rich.table import Table

    from keras_vae.data import Read, Schema
    from keras_vae.models import VAE

__all__ = [
    "ConditionOption",
    "DataArgument",
    "ImportOption",
    "JsonOption",
    "ModelArgument",
    "ModelOption",
    "OutOption",
    "SeedOption",
    "SkipBadOption",
    "TracebackOption",
    "array",
    "examples",
    "load",
    "logged",
    "one_line_errors",
    "progress",
    "said_skipped",
    "show",
    "writer",
]

# What the library and Keras raise for what a user gave them; the rest is a bug.
_ERRORS = (ImportError, OSError, RuntimeError, TypeError, ValueError)
# Arguments of loaders that are options too: `window`, or window=10.
_NAMES = (
    "channels|form|held_out|ignore|label|length|level|na_values|overwrite|sample_rate|seconds|"
    "size|skip_bad|stride|window"
)
_ARGUMENT = re.compile(rf"`(?P<quoted>{_NAMES})`|\b(?P<given>{_NAMES})=(?P<value>[\w.]*\w)")

ModelArgument = Annotated[str, typer.Argument(metavar="MODEL", help="A .keras file.")]
ModelOption = Annotated[
    str, typer.Option("--model", metavar="FILE", help="The model: a .keras file.")
]
DataArgument = Annotated[
    str,
    typer.Argument(
        metavar="DATA",
        help="What the model was trained on, of that kind: a folder, a .csv or .txt file ...; "
        ".npy or .npz with x for a model made without a loader.",
    ),
]
OutOption = Annotated[
    str, typer.Option(metavar="PATH", help="Where to write; its ending says in which form.")
]
ConditionOption = Annotated[
    str | None, typer.Option(help="Conditions, one for each example: .npy.")
]
SeedOption = Annotated[int, typer.Option(help="Of all draws.")]
SkipBadOption = Annotated[
    bool, typer.Option("--skip-bad", help="Leave out what cannot be read, and say so.")
]
ImportOption = Annotated[
    list[str] | None,
    typer.Option(
        "--import", metavar="MODULE", help="Import a module that registers your own classes."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
TracebackOption = Annotated[bool, typer.Option("--traceback", help="Show where errors arise.")]


@contextlib.contextmanager
def one_line_errors(traceback: bool) -> Iterator[None]:
    """Turn errors of what a user gave into one line and exit code 1."""
    try:
        yield
    except _ERRORS as error:
        if traceback:
            raise
        typer.echo(f"error: {_in_shell(' '.join(str(error).split()))}", err=True)
        raise typer.Exit(1) from error


def _in_shell(text: str) -> str:
    """What an error calls arguments of Python, by the names that they have in the shell."""

    def option(found: re.Match[str]) -> str:
        flag = "--" + (found["quoted"] or found["given"]).replace("_", "-")
        return flag if found["value"] in (None, "True") else f"{flag} {found['value']}"

    text = text.replace("`source`", "DATA").replace("`path`", "--out")
    text = text.replace("`kinds`", "--columns")
    return _ARGUMENT.sub(option, text)


@contextlib.contextmanager
def progress(text: str) -> Iterator[Callable[[str], None]]:
    """Show what is being done, and yield a function that shows the next thing."""
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        typer.echo(f"{text} ...", err=True)
        yield lambda said: typer.echo(f"{said} ...", err=True)
        return
    with console.status(text) as status:
        yield status.update


@contextlib.contextmanager
def logged(name: str, say: Callable[[str], None]) -> Iterator[None]:
    """Show what a logger is told."""

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            say(record.getMessage())

    logger, handler = logging.getLogger(name), Handler()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def load(path: str, modules: list[str]) -> VAE:
    """Load a model, modules that register its classes first."""
    import keras

    from keras_vae.exporters.checks import unregistered_class
    from keras_vae.models import VAE

    place = local_path(path, "MODEL")
    _check_file(place)
    if modules:
        sys.path.insert(0, os.getcwd())
    for module in modules:
        try:
            importlib.import_module(module)
        except ImportError as error:
            raise ValueError(
                f"--import must name a module. Received: {module} ({error})."
            ) from error
    try:
        model = keras.saving.load_model(place)
    except TypeError as error:
        missing = unregistered_class(error)
        if missing is None:
            raise
        raise ValueError(
            f"MODEL needs the class {missing!r}, which is not known here. Received: "
            f"{path}. Register it with keras.saving.register_keras_serializable and name its "
            f"module with --import."
        ) from error
    if not isinstance(model, VAE):
        raise ValueError(
            f"MODEL must hold a keras_vae.VAE. Received: {path}, which holds a "
            f"{type(model).__name__}."
        )
    return model


def array(path: str, name: str) -> Any:
    """Read an array, or arrays by name, for the option or argument of that name."""
    import numpy as np

    place = local_path(path, name)
    try:
        return np.load(place, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"{name} must be a .npy or .npz file. Received: {path} ({error})."
        ) from error


@contextlib.contextmanager
def said_skipped() -> Iterator[None]:
    """Say what loaders leave out in a line of its own."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for warning in caught:
        typer.echo(f"note: {warning.message}", err=True)


def examples(model: VAE, source: str, skip_bad: bool = False) -> Read:
    """Raw examples as the model takes them, by the schema that it keeps, if any."""
    from keras_vae.data import Read
    from keras_vae.data.schema import report_skipped

    schema = _schema(model)
    if schema is None:
        found = array(source, "DATA")
        if not hasattr(found, "shape"):
            if "x" not in found.files:
                raise ValueError(
                    f"DATA must hold x. Received: {source}, which holds "
                    f"{', '.join(found.files)}. Write it with np.savez(path, x=...)."
                )
            found = found["x"]
        return Read(found, [str(row) for row in range(len(found))], None, {})
    with said_skipped():
        read: Read = schema.read(source, skip_bad)
        report_skipped(read.skipped, "examples")
    return read


def writer(model: VAE, out: str, like: Read | None = None) -> Callable[[Any], Path]:
    """What writes raw examples there, by the schema that the model keeps, or as an array.

    Args:
        model: Model that makes them.
        out: As the option.
        like: Examples that they are made from. Defaults to `None`: they are new.

    Raises:
        ValueError: If the path is no place for them: before anything is computed.
    """
    from keras_vae.data import Schema

    schema = _schema(model) or Schema()
    schema.checked(out)
    return lambda x: schema.write(x, out, like)


def _schema(model: VAE) -> Schema | None:
    preprocessor: Any = model.preprocessor
    return None if preprocessor is None else preprocessor.schema


def spelled(value: Any) -> Any:
    """Put words in place of infinities and NaN, for which JSON has no numbers."""
    if isinstance(value, dict):
        return {name: spelled(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [spelled(item) for item in value]
    if not isinstance(value, float) or math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def show(facts: dict[str, Any], as_json: bool) -> None:
    """Print facts as JSON, or as a table."""
    if as_json:
        typer.echo(json.dumps(spelled(facts), indent=2, allow_nan=False))
        return
    from rich.console import Console

    Console().print(_table(facts))


def _check_file(path: Path) -> None:
    if not path.exists():
        raise ValueError(f"MODEL must be an existing file. Received: {path}.")
    whole = path.suffix == ".keras" and zipfile.is_zipfile(path)
    if whole:
        with zipfile.ZipFile(path) as archive:
            whole = {"config.json", "metadata.json"} <= set(archive.namelist())
    if not whole:
        raise ValueError(
            f"MODEL must be a .keras file, as written by model.save(). Received: {path}, "
            f"which is none or is damaged."
        )


def _table(facts: dict[str, Any]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False)
    for name, value in facts.items():
        rows = value.items() if isinstance(value, dict) else [("", value)]
        for index, (key, item) in enumerate(rows):
            shown = f"{item:,}" if isinstance(item, int) else str(item)
            if isinstance(item, list) and all(isinstance(one, str) for one in item):
                shown = ", ".join(item)
            label = name.replace("_", " ") if index == 0 else ""
            table.add_row(Text(label, "bold"), Text(key), Text(shown))
    return table
