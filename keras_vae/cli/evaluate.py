"""`keras-vae evaluate`: measure a saved model on held-out data.

Floor 7.
"""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keras_vae.cli.shell import (
    ImportOption,
    JsonOption,
    ModelOption,
    SkipBadOption,
    TracebackOption,
    array,
    examples,
    load,
    one_line_errors,
    progress,
)
from keras_vae.core.paths import local_path

if TYPE_CHECKING:
    from keras_vae.models import VAE

__all__ = ["evaluate"]

_NAMES = ("x", "labels", "factors", "condition", "train")


def evaluate(
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="Held-out examples of the kind that the model was trained on, or .npz of x "
            "and, if there are any, labels, factors, condition and train.",
        ),
    ],
    model: ModelOption,
    labels: Annotated[str | None, typer.Option(help="Classes: .npy.")] = None,
    history: Annotated[
        str | None, typer.Option(help="Of the training: .csv of CSVLogger, or .json.")
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(metavar="FOLDER", help="Write report.html and report.json there."),
    ] = None,
    samples: Annotated[int, typer.Option(help="Latents per example, for log p(x).")] = 500,
    max_examples: Annotated[int, typer.Option(help="Examples that count at most.")] = 5_000,
    seed: Annotated[int, typer.Option(help="Of all draws.")] = 0,
    skip_bad: SkipBadOption = False,
    modules: ImportOption = None,
    as_json: JsonOption = False,
    traceback: TracebackOption = False,
) -> None:
    """Measure a saved model: likelihood, latents, calibration, samples, factors.

    Ctrl-C ends it with what it has.
    """
    with one_line_errors(traceback):
        given = None if history is None else _history(history)
        with progress(f"Loading {model}"):
            vae = load(model, modules or [])
        arrays = _arrays(vae, data, skip_bad)
        if labels is not None:
            arrays["labels"] = array(labels, "--labels")
        from keras_vae import evaluation

        found = evaluation.report(
            vae,
            arrays.pop("x"),
            **arrays,
            history=given,
            samples=samples,
            max_examples=max_examples,
            seed=seed,
            pictures=out is not None,
        )
        page = None if out is None else found.save(out)
        typer.echo(found.to_json() if as_json else str(found))
        if page is not None:
            typer.echo(f"written: {page}", err=True)


def _arrays(model: VAE, path: str, skip_bad: bool) -> dict[str, Any]:
    """Arrays by what they are."""
    if local_path(path, "DATA").suffix != ".npz":
        read = examples(model, path, skip_bad)
        return {"x": read.x} if read.labels is None else {"x": read.x, "labels": read.labels}
    with array(path, "DATA") as found:
        unknown = sorted(set(found.files) - set(_NAMES))
        if unknown or "x" not in found.files:
            raise ValueError(
                f"DATA must hold x and may hold {', '.join(_NAMES[1:])}. Received: {path}, "
                f"which holds {', '.join(found.files)}. Write it with np.savez(path, x=...)."
            )
        return {name: found[name] for name in found.files}


def _history(path: str) -> dict[str, list[float]]:
    """Values of epochs by name."""
    place = local_path(path, "--history")
    text = place.read_text(encoding="utf-8")
    try:
        if place.suffix == ".json":
            values = json.loads(text)
            return {name: [float(v) for v in of_name] for name, of_name in values.items()}
        rows = list(csv.DictReader(text.splitlines()))
        names = [name for name in rows[0] if name != "epoch"]
        return {name: [float(row[name]) for row in rows] for name in names}
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"--history must be a .csv file of keras.callbacks.CSVLogger, or .json of names "
            f"and lists. Received: {path} ({error})."
        ) from error
