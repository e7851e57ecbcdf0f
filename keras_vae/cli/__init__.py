"""The command `keras-vae`: a thin shell over public functions.

Results go to standard output, progress and errors to standard error. Exit code 0 is success,
1 an error, 2 a wrong command line. Heavy imports stand inside the commands.

Floor 7.
"""

import signal
from typing import Any

import typer

from keras_vae.cli.evaluate import evaluate
from keras_vae.cli.export import export
from keras_vae.cli.info import info
from keras_vae.cli.inspect import inspect
from keras_vae.cli.train import train
from keras_vae.cli.using import embed, generate, impute, interpolate, reconstruct, score

__all__ = ["app", "main"]

app = typer.Typer(
    name="keras-vae",
    help="Variational autoencoders for Keras: train on files, use, measure and export models.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
_COMMANDS = (
    train,
    inspect,
    info,
    evaluate,
    score,
    generate,
    reconstruct,
    embed,
    impute,
    interpolate,
    export,
)
for _command in _COMMANDS:
    app.command()(_command)


def _terminate(number: int, _: Any) -> None:
    """End as after an error: what is half written is removed, and a training saved."""
    raise SystemExit(128 + number)


def main() -> None:
    """Run the command line."""
    signal.signal(signal.SIGTERM, _terminate)
    app(prog_name="keras-vae")
