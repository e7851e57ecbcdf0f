"""`keras-vae score`, `generate`, `reconstruct`, `embed`, `impute`, `interpolate`.

Floor 7.
"""

from __future__ import annotations

import csv
import enum
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keras_vae.cli.shell import (
    ConditionOption,
    DataArgument,
    ImportOption,
    JsonOption,
    ModelOption,
    OutOption,
    SeedOption,
    SkipBadOption,
    TracebackOption,
    array,
    examples,
    load,
    one_line_errors,
    progress,
    show,
    spelled,
    writer,
)
from keras_vae.core.atomic_io import writing
from keras_vae.core.paths import local_path

if TYPE_CHECKING:
    import numpy as np

    from keras_vae.data import Read
    from keras_vae.models import VAE

__all__ = ["embed", "generate", "impute", "interpolate", "reconstruct", "score"]


OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Let --out replace DATA.")]


class Score(enum.StrEnum):
    """Kinds of anomaly scores."""

    bound = "bound"
    likelihood = "likelihood"
    reconstruction = "reconstruction"
    typicality = "typicality"


def score(
    data: DataArgument,
    model: ModelOption,
    out: OutOption,
    kind: Annotated[Score, typer.Option(help="As in tasks.anomaly_score.")] = Score.bound,
    reference: Annotated[
        str | None,
        typer.Option(
            metavar="DATA", help="Normal examples: for --rate, and for --kind typicality."
        ),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(help="Share of normal examples that may be called anomalies, 0.01 say."),
    ] = None,
    samples: Annotated[int, typer.Option(help="Draws of the latents per example.")] = 100,
    condition: ConditionOption = None,
    seed: SeedOption = 0,
    skip_bad: SkipBadOption = False,
    modules: ImportOption = None,
    as_json: JsonOption = False,
    traceback: TracebackOption = False,
) -> None:
    """Score how unlike the training data examples are, in nats: .csv, .json or .npy.

    Examples beyond all numbers have the score inf, "Infinity" in .json, and are anomalies.

    For instance:
        keras-vae score new.csv --model people.keras --out scores.csv --reference people.csv \
            --rate 0.01
    """
    with one_line_errors(traceback):
        _check_columns(out)
        _check_other_path(data, out)
        if rate is not None and reference is None:
            raise ValueError("--rate needs --reference: normal examples to set the limit by.")
        vae, read, given = _opened(data, model, condition, skip_bad, modules)
        normal = None if reference is None else examples(vae, reference, skip_bad)
        from keras_vae import tasks

        options: dict[str, Any] = {"kind": str(kind), "samples": samples, "seed": seed}
        if kind is Score.typicality:
            options["reference"] = None if normal is None else normal.x
        with progress(f"Scoring {len(read.x)} examples"):
            scores = tasks.anomaly_score(vae, read.x, condition=given, **options)
            columns, scores = _aligned(vae, read, scores)
            columns["score"] = scores
            facts: dict[str, Any] = {}
            if rate is not None and normal is not None:
                usual = tasks.anomaly_score(vae, normal.x, **options)
                limit = tasks.threshold(_aligned(vae, normal, usual)[1], rate=rate)
                columns["anomaly"] = scores > limit.value
                facts = {
                    "threshold": f"{limit.value:.6g} ({limit.low:.6g} to {limit.high:.6g})",
                    "anomalies": int(columns["anomaly"].sum()),
                }
        path = _write_columns(columns, out)
        show({"examples": len(scores), **facts, "written": str(path)}, as_json)


def embed(
    data: DataArgument,
    model: ModelOption,
    out: OutOption,
    condition: ConditionOption = None,
    skip_bad: SkipBadOption = False,
    modules: ImportOption = None,
    as_json: JsonOption = False,
    traceback: TracebackOption = False,
) -> None:
    """Write the latents of examples: .csv, .json or .npy.

    For instance:
        keras-vae embed photos --model faces.keras --out codes.csv
    """
    with one_line_errors(traceback):
        _check_columns(out)
        _check_other_path(data, out)
        vae, read, given = _opened(data, model, condition, skip_bad, modules)
        with progress(f"Encoding {len(read.x)} examples"):
            codes = vae.encode(read.x, condition=given)
        columns = _identity(read)
        columns.update({f"z{index}": column for index, column in enumerate(codes.T)})
        path = _write_columns(columns, out, codes)
        show({"examples": len(codes), "latents": codes.shape[1], "written": str(path)}, as_json)


def reconstruct(
    data: DataArgument,
    model: ModelOption,
    out: OutOption,
    condition: ConditionOption = None,
    overwrite: OverwriteOption = False,
    skip_bad: SkipBadOption = False,
    modules: ImportOption = None,
    as_json: JsonOption = False,
    traceback: TracebackOption = False,
) -> None:
    """Write what the model makes of examples, as files of their kind or .npy.

    Of a table, the columns that the model learnt are replaced; all others stay as they are.

    For instance:
        keras-vae reconstruct photos --model faces.keras --out again
    """
    with one_line_errors(traceback):
        _check_other_path(data, out, overwrite)
        vae, read, given = _opened(data, model, condition, skip_bad, modules)
        write = writer(vae, out, read)
        with progress(f"Reconstructing {len(read.x)} examples"):
            found = vae.reconstruct(read.x, condition=given)
        show({"examples": len(found), "written": str(write(found))}, as_json)


def impute(
    data: DataArgument,
    model: ModelOption,
    out: OutOption,
    samples: Annotated[int, typer.Option(help="Draws of the latents per example.")] = 200,
    condition: ConditionOption = None,
    seed: SeedOption = 0,
    overwrite: OverwriteOption = False,
    skip_bad: SkipBadOption = False,
    modules: ImportOption = None,
    as_json: JsonOption = False,
    traceback: TracebackOption = False,
) -> None:
    """Fill in what is missing, as files of the data's kind or .npy.

    By draws of the latents and their importance; of a model that saw complete data, by chains
    (tasks.impute, "metropolis"). A table comes back as the same file with its missing cells
    filled, in each column's format; cells of columns that the model did not learn stay empty.

    For instance:
        keras-vae impute people.csv --model people.keras --out whole.csv
    """
    with one_line_errors(traceback):
        _check_other_path(data, out, overwrite)
        import numpy as np

        from keras_vae import tasks

        vae, read, given = _opened(data, model, condition, skip_bad, modules)
        write = writer(vae, out, read)
        missing, whole = np.isnan(read.x), read.x
        if missing.any():
            method = "metropolis" if vae.missing is None else "importance"
            with progress(f"Filling in {len(whole)} examples"):
                found = tasks.impute(
                    vae,
                    whole,
                    method=method,
                    draws=None,
                    samples=samples,
                    condition=given,
                    seed=seed,
                )
            # What is known to more digits than a model computes with stays so.
            whole = np.where(missing, found, whole)
        path, filled = write(whole), int(missing.sum())
        show({"examples": len(whole), "filled_in": filled, "written": str(path)}, as_json)


def generate(
    model: ModelOption,
    out: OutOption,
    count: Annotated[int, typer.Option(help="How many.")] = 16,
    draw: Annotated[
        bool | None,
        typer.Option(
            "--draw/--mean",
            help="Draw from p(x|z), or take what stands for it. Default: draw tables, counts "
            "and text.",
        ),
    ] = None,
    condition: Annotated[
        str | None, typer.Option(help="The number of a label, or .npy of conditions.")
    ] = None,
    seed: SeedOption = 0,
    modules: ImportOption = None,
    as_json: JsonOption = False,
    traceback: TracebackOption = False,
) -> None:
    """Write new examples, as files of the data's kind or .npy.

    Tables have the columns of the training file in their order and formats: an index counts
    on, constants repeat; identifiers, text and labels, which no model learns, are empty.

    For instance:
        keras-vae generate --model faces.keras --out sheet.png --count 64

        keras-vae generate --model people.keras --out synthetic.csv --count 1000
    """
    with one_line_errors(traceback):
        with progress(f"Loading {model}"):
            vae = load(model, modules or [])
        kind = getattr(getattr(vae.preprocessor, "schema", None), "kind", "")
        drawn = kind in ("table", "counts", "text") if draw is None else draw
        given: Any = condition
        if condition is not None:
            given = int(condition) if condition.isdigit() else array(condition, "--condition")
        write = writer(vae, out)
        with progress(f"Generating {count} examples"):
            found = vae.generate(count, condition=given, sample=drawn, seed=seed)
        show({"examples": len(found), "written": str(write(found))}, as_json)


def interpolate(
    data: DataArgument,
    model: ModelOption,
    out: OutOption,
    start: Annotated[int, typer.Option(help="Number of the first example in DATA.")] = 0,
    end: Annotated[int, typer.Option(help="Number of the last one.")] = 1,
    steps: Annotated[int, typer.Option(help="Examples, both ends included.")] = 10,
    path: Annotated[
        str, typer.Option(help="geodesic, linear or spherical: as in tasks.interpolate.")
    ] = "geodesic",
    skip_bad: SkipBadOption = False,
    modules: ImportOption = None,
    as_json: JsonOption = False,
    traceback: TracebackOption = False,
) -> None:
    """Write examples on the way from one to another, as files of their kind or .npy.

    For instance:
        keras-vae interpolate photos --model faces.keras --out way.png --start 3 --end 8
    """
    with one_line_errors(traceback):
        vae, read, _ = _opened(data, model, None, skip_bad, modules)
        for name, number in (("--start", start), ("--end", end)):
            if not 0 <= number < len(read.x):
                raise ValueError(
                    f"{name} must be the number of an example, from 0 to {len(read.x) - 1}. "
                    f"Received: {number}."
                )
        from keras_vae import tasks

        write = writer(vae, out)
        first, last = read.x[start : start + 1], read.x[end : end + 1]
        with progress("Interpolating"):
            way = tasks.interpolate(vae, first, last, steps, path=path)[0]
        facts = {"from": read.names[start], "to": read.names[end], "examples": steps}
        show({**facts, "written": str(write(way))}, as_json)


def _opened(
    data: str, model: str, condition: str | None, skip_bad: bool, modules: list[str] | None
) -> tuple[VAE, Read, Any]:
    """The model, the examples and their conditions."""
    with progress(f"Loading {model}"):
        vae = load(model, modules or [])
    with progress(f"Reading {data}"):
        read = examples(vae, data, skip_bad)
    return vae, read, None if condition is None else array(condition, "--condition")


def _aligned(vae: VAE, read: Read, values: np.ndarray) -> tuple[dict[str, Any], np.ndarray]:
    """Columns that tell which value is which, and the values, by row of the source."""
    from keras_vae.data import Schema

    schema = getattr(vae.preprocessor, "schema", None) or Schema()
    columns, aligned = schema.align(values, read)
    return dict(columns), aligned


def _identity(read: Read) -> dict[str, Any]:
    """Columns that tell which example is which: position in DATA, name, ids."""
    from keras_vae.data import Schema

    return Schema().align(read.positions, read)[0]


def _check_other_path(data: str, out: str, overwrite: bool = False) -> None:
    """Raise a ValueError if results would take the place of what they are made from."""
    source, target = local_path(data, "DATA"), local_path(out)
    if not overwrite and target.exists() and target.resolve() == source.resolve():
        raise ValueError(
            f"--out must not be DATA. Received: {out} for both. Choose another name, or pass "
            f"--overwrite where impute or reconstruct is to replace it."
        )


def _check_columns(out: str) -> None:
    if local_path(out).suffix not in (".csv", ".json", ".npy"):
        raise ValueError(f"--out must end in .csv, .json or .npy. Received: {out}.")


def _write_columns(
    columns: Mapping[str, Any], out: str, numbers: np.ndarray | None = None
) -> Path:
    """Write columns as .csv, .json, or .npy of the numbers alone."""
    import numpy as np

    from keras_vae.data import Schema

    target = local_path(out)
    if target.suffix == ".npy":
        return Schema().write(columns["score"] if numbers is None else numbers, target)
    values = {name: np.asarray(column).tolist() for name, column in columns.items()}
    with writing(target) as draft, draft.open("w", encoding="utf-8", newline="") as file:
        if target.suffix == ".json":
            json.dump(spelled(values), file, allow_nan=False)
        else:
            writer = csv.writer(file)
            writer.writerow(values)
            writer.writerows(zip(*values.values()))
    return target
