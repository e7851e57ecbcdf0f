"""Scripts for processes of their own that use keras_vae.core alone: no TensorFlow, no wait."""

import pathlib
import sys

import keras_vae

ALONE = (
    "import sys, types\n"
    "package = sys.modules['keras_vae'] = types.ModuleType('keras_vae')\n"
    f"package.__path__ = [{str(pathlib.Path(keras_vae.__file__).parent)!r}]\n"
)


def command(script, *arguments):
    """Run a script with arguments."""
    return [sys.executable, "-c", ALONE + script, *map(str, arguments)]
