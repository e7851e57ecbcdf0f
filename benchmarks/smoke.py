"""Short runs on tiny data that show that a benchmark still works: `SCRIPT ... --smoke`.

A smoke run takes seconds, trains next to nothing, leaves out what needs another environment
unless `--peers` names one, and keeps its files in a temporary folder: no committed result
changes. `tests/integration/test_benchmarks.py` runs all of them.
"""

import json
import os
import pathlib
import sys
import tempfile
import types

HERE = pathlib.Path(__file__).parent
SMOKE = "--smoke" in sys.argv
if SMOKE:
    os.environ["KERAS_VAE_SMOKE"] = "1"  # read by the processes that a benchmark starts
    _folder = tempfile.TemporaryDirectory(prefix="keras_vae_smoke_")
    RESULTS = OUTPUT = pathlib.Path(_folder.name)
else:
    RESULTS, OUTPUT = HERE / "results", HERE.parent / "output"


def add_argument(parser):
    """Add `--smoke` to a parser."""
    parser.add_argument(
        "--smoke", action="store_true", help="seconds on tiny data; changes no result"
    )


def pick(whole, smoke):
    """Return a setting of the whole run, or that of a smoke run."""
    return smoke if SMOKE else whole


def few(x, count):
    """Return the first rows in a smoke run, else all."""
    return x[:count] if SMOKE else x


def load_mnist(train=300, test=100):
    """MNIST, in a smoke run the first images only."""
    import keras_vae

    images = keras_vae.data.load_mnist()
    sizes = {"x_train": train, "y_train": train, "x_test": test, "y_test": test}
    return types.SimpleNamespace(**{n: few(getattr(images, n), k) for n, k in sizes.items()})


def write(path, report, *, complete=True):
    """Write a result file whole.

    Args:
        path: Where the complete report goes.
        report: Content that JSON can hold.
        complete: Whether this is the complete report. One that still grows goes to
            `output/`, so that an error later loses nothing and no earlier result is replaced
            by a part of a new one.
    """
    OUTPUT.mkdir(parents=True, exist_ok=True)
    partial = OUTPUT / f"{path.stem}.partial.json"
    target = path if complete else partial
    written = target.with_name(f"{target.name}.writing")
    written.write_text(json.dumps(report, indent=2) + "\n")
    written.replace(target)
    if complete:
        partial.unlink(missing_ok=True)
