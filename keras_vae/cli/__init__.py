"""The command `keras-vae`: a thin shell over public functions.

Results go to standard output, progress and errors to standard error. Exit code 0 is success,
1 an error, 2 a wrong command line. Heavy imports stand inside the commands.

Floor 7.
"""

import typer

from keras_vae.cli.evaluate import evaluate
from keras_vae.cli.export import export
from keras_vae.cli.info import info

__all__ = ["app", "main"]

app = typer.Typer(
    name="keras-vae",
    help="Variational autoencoders for Keras: look at trained models, measure and export them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for command in (info, evaluate, export):
    app.command()(command)


def main() -> None:
    """Run the command line."""
    app(prog_name="keras-vae")
