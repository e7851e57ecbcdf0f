"""`keras-vae export` for one target, as the scripts in `export/` run it.

Options and defaults are those of the command: a script owns none.

Floor 7.
"""

from __future__ import annotations

import inspect
import sys
import typing
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

from keras_vae.cli.export import Target, export

__all__ = ["options_of", "run"]

# Options of the command itself, whatever the target.
_GENERAL = ("dry_run", "verbose", "modules", "traceback")
# Options of several values, which scripts take as words too.
_LISTS = ("--labels", "--signatures", "--variants")


def options_of(target: str) -> list[str]:
    """Options of the command that a target's function takes, such as `"opset"`."""
    from keras_vae import exporters

    taken = inspect.signature(getattr(exporters, f"export_{target}")).parameters
    return [name for name in inspect.signature(export).parameters if name in taken][1:]


def run(target: str, words: Sequence[str] | None = None) -> None:
    """Export a model and print the manifest as JSON.

    Args:
        target: Such as `"onnx"`.
        words: `MODEL FOLDER [OPTIONS]`. Defaults to `None`: those of the command line.
    """
    app = typer.Typer(
        add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None
    )
    app.command()(_command(Target(target)))
    app(args=_joined(sys.argv[1:] if words is None else words))


def _command(target: Target) -> Callable[..., None]:
    """`export` with the target given, the folder as an argument, and JSON as its output."""

    def command(**given: Any) -> None:
        export(to=target, out=given.pop("folder"), as_json=True, **given)

    shared = inspect.signature(export).parameters
    hints = typing.get_type_hints(export, include_extras=True)
    folder = Annotated[str, typer.Argument(help="Folder, new or existing.")]
    names = [*options_of(target), *_GENERAL]
    required = inspect.Parameter.KEYWORD_ONLY
    parameters = [
        inspect.Parameter("model", required, annotation=hints["model"]),
        inspect.Parameter("folder", required, annotation=folder),
        *(
            inspect.Parameter(n, required, default=shared[n].default, annotation=hints[n])
            for n in names
        ),
    ]
    command.__doc__ = f"Export a saved model to {target}, verified in a fresh process."
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # Typer reads it.
    return command


def _joined(words: Sequence[str]) -> list[str]:
    """Words behind an option of several values as one: `--signatures decode,encode`."""
    joined: list[str] = []
    option = None
    for word in words:
        if word.startswith("-"):
            option = word if word in _LISTS else None
            joined.append(word)
        elif option is not None and joined[-1] != option:
            joined[-1] += f",{word}"
        else:
            joined.append(word)
    return joined
