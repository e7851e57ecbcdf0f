"""`keras-vae train`: from files to a model, its report and its exports.

Floor 7.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keras_vae.cli.columns import ColumnsOption, NaValuesOption, read_columns, show_columns
from keras_vae.cli.export import Target
from keras_vae.cli.fitting import fitted
from keras_vae.cli.kinds import Kind
from keras_vae.cli.shell import (
    ImportOption,
    JsonOption,
    SeedOption,
    SkipBadOption,
    TracebackOption,
    load,
    one_line_errors,
    progress,
    said_skipped,
    show,
)
from keras_vae.core.locks import locked
from keras_vae.core.paths import local_path

if TYPE_CHECKING:
    from keras_vae.data import Source
    from keras_vae.models import VAE

__all__ = ["train"]

_OPTIONS = "Of one kind of data"


def train(
    data: Annotated[
        str, typer.Argument(metavar="DATA", help="A folder or a file; see --kind.")
    ],
    kind: Annotated[
        Kind,
        typer.Option(
            help="images: folder of .png, .jpg ... (folders in it are classes), .npy of bytes. "
            "audio: folder of .wav. text: file, a line an example. table: .csv, .parquet. "
            "counts: .npz (sparse), .npy, .csv. series: .csv, .tsv, "
            ".parquet, .xlsx, .npy."
        ),
    ],
    out: Annotated[str, typer.Option(metavar="FILE", help="The model: a .keras file.")],
    minutes: Annotated[float, typer.Option(help="Time to train at most.")] = 5.0,
    epochs: Annotated[int | None, typer.Option(help="Epochs at most.")] = None,
    latent_dim: Annotated[
        int | None, typer.Option(help="Number of latents. Default: by the kind.")
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(help="Examples in a batch. Default: 128, fewer of few.")
    ] = None,
    held_out: Annotated[
        float, typer.Option(help="Share that is not trained on, to tell when to stop.")
    ] = 0.1,
    report: Annotated[
        str | None,
        typer.Option(metavar="FOLDER", help="Write a page with measures and pictures there."),
    ] = None,
    export: Annotated[
        list[Target] | None,
        typer.Option(help="Export there too, beside FILE; may be repeated."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with FILE.")] = False,
    size: Annotated[
        str | None,
        typer.Option(
            metavar="HxW", help="images: scale all to this.", rich_help_panel=_OPTIONS
        ),
    ] = None,
    channels: Annotated[
        int | None,
        typer.Option(help="images: convert all to 1 or 3.", rich_help_panel=_OPTIONS),
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(help="audio: of a clip.", rich_help_panel=_OPTIONS)
    ] = None,
    sample_rate: Annotated[
        int | None, typer.Option(help="audio: convert all to.", rich_help_panel=_OPTIONS)
    ] = None,
    form: Annotated[
        str | None,
        typer.Option(help="audio: spectrogram or waveform.", rich_help_panel=_OPTIONS),
    ] = None,
    level: Annotated[
        str | None,
        typer.Option(help="text: character or subword.", rich_help_panel=_OPTIONS),
    ] = None,
    length: Annotated[
        int | None, typer.Option(help="text: tokens of a line.", rich_help_panel=_OPTIONS)
    ] = None,
    label: Annotated[
        str | None,
        typer.Option(help="table: column that is a class, not data.", rich_help_panel=_OPTIONS),
    ] = None,
    ignore: Annotated[
        list[str] | None,
        typer.Option(
            help="table: column to leave out; may be repeated.", rich_help_panel=_OPTIONS
        ),
    ] = None,
    columns: ColumnsOption = None,
    na_values: NaValuesOption = None,
    window: Annotated[
        int | None, typer.Option(help="series: steps of a window.", rich_help_panel=_OPTIONS)
    ] = None,
    stride: Annotated[
        int | None,
        typer.Option(help="series: steps between windows.", rich_help_panel=_OPTIONS),
    ] = None,
    seed: SeedOption = 0,
    skip_bad: SkipBadOption = False,
    modules: ImportOption = None,
    as_json: JsonOption = False,
    traceback: TracebackOption = False,
) -> None:
    """Train a model on files: the network, the likelihood and the rest suit the data.

    Ends when the held-out bound has not risen for 20 epochs, when time is up, or with Ctrl-C;
    FILE is saved in each case, after the first epoch and each minute meanwhile: a training that
    was killed goes on from there with --resume, bit for bit, but no longer knows which epoch
    was the best before. If FILE cannot be written, training goes on and tries again later.
    For instance:

        keras-vae train photos --kind images --size 64x64 --out faces.keras --minutes 30

        keras-vae train people.csv --kind table --out people.keras --report report

        keras-vae train x.csv --kind series --window 128 --out x.keras --export onnx
    """
    with one_line_errors(traceback), _reserved(out) as target:
        _check_target(target, out, resume)
        options = {
            "size": None if size is None else _size(size),
            "channels": channels,
            "seconds": seconds,
            "sample_rate": sample_rate,
            "form": form,
            "level": level,
            "length": length,
            "label": label,
            "ignore": ignore,
            "schema": read_columns(columns),
            "na_values": na_values,
            "window": window,
            "stride": stride,
        }
        with progress(f"Reading {data}"), said_skipped():
            # The table of columns says it.
            warnings.filterwarnings("ignore", message="Kept aside")
            source = _source(data, kind, seed, held_out, skip_bad, options)
        if source.columns:
            show_columns(source.columns, to_stderr=True)
        with progress(f"Loading {out}" if resume else "Building the model"):
            vae = _model(target, source, resume, latent_dim, seed, modules or [])
        facts = fitted(vae, source, target, minutes, epochs, batch_size)
        saved = Path(facts["model"])
        if saved != target:
            show({"data": repr(source)[1:-1], **facts}, as_json)
            raise OSError(
                f"The model could not be written to {out}: it is in {saved}. Make room and "
                f"move it there."
            )
        if report is not None:
            facts["report"] = _reported(vae, source, report)
        for format_ in export or ():
            facts.setdefault("exports", []).append(_exported(vae, target, format_))
        show({"model": facts.pop("model"), "data": repr(source)[1:-1], **facts}, as_json)


@contextlib.contextmanager
def _reserved(out: str) -> Iterator[Path]:
    """The path of the model, which no other training writes meanwhile."""
    target = local_path(out)
    if not target.parent.exists():
        target.parent.mkdir(parents=True)
    with locked(target, "training"):
        yield target


def _check_target(target: Path, out: str, resume: bool) -> None:
    if target.suffix != ".keras":
        raise ValueError(f"--out must end in .keras. Received: {out}.")
    if resume and not target.is_file():
        raise ValueError(f"--resume goes on with an existing file. Received: --out {out}.")
    if target.exists() and not resume:
        raise ValueError(
            f"--out holds a model already, which is not overwritten. Received: {out}. Go on "
            f"with it by --resume, or choose another name."
        )


def _size(text: str) -> tuple[int, int]:
    height, _, width = text.lower().partition("x")
    if not (height.isdigit() and width.isdigit()):
        raise ValueError(f"--size must be HEIGHTxWIDTH, such as 64x64. Received: {text}.")
    return int(height), int(width)


def _source(
    data: str, kind: Kind, seed: int, held_out: float, skip_bad: bool, options: dict[str, Any]
) -> Source:
    import inspect

    from keras_vae import data as loaders

    if not local_path(data, "DATA").exists():
        raise ValueError(f"DATA must be an existing file or folder. Received: {data}.")
    loader = getattr(loaders, f"from_{kind}")
    known = inspect.signature(loader).parameters
    given = {name: value for name, value in options.items() if value is not None}
    unknown = [name for name in given if name not in known]
    if unknown:
        flag = f"--{unknown[0].replace('schema', 'columns').replace('_', '-')}"
        raise ValueError(f"{flag} is no option of --kind {kind}. Leave it out.")
    if "seed" in known:
        given["seed"] = seed
    source: Source = loader(data, held_out=held_out, skip_bad=skip_bad, **given)
    return source


def _model(
    target: Path,
    source: Source,
    resume: bool,
    latent_dim: int | None,
    seed: int,
    modules: list[str],
) -> VAE:
    import keras

    from keras_vae.models import presets

    if resume:
        vae = load(str(target), modules)
        kept = getattr(vae.preprocessor, "schema", None)
        if kept is None or kept.get_config() != source.schema.get_config():
            raise ValueError(
                f"--resume needs the data that the model was trained on. Received: {source!r}, "
                f"of which sizes, names or categories are others than those of {target}."
            )
        return vae
    keras.utils.set_random_seed(seed)
    vae = presets.for_source(source, latent_dim, seed=seed)
    vae.compile(keras.optimizers.Adam(1e-3))
    return vae


def _reported(vae: VAE, source: Source, folder: str) -> str:
    from keras_vae import evaluation

    held_out = len(source.x_test) > 0
    found = evaluation.report(
        vae,
        source.x_test if held_out else source.x_train,
        source.labels_test if held_out else source.labels_train,
        condition=source.condition_test if held_out else source.condition_train,
        pictures=True,
    )
    return str(found.save(folder))


def _exported(vae: VAE, target: Path, format_: Target) -> str:
    from keras_vae import exporters

    folder = target.with_name(f"{target.stem}-{format_}")
    with progress(f"Exporting to {format_}"):
        getattr(exporters, f"export_{format_}")(vae, str(folder))
    return str(folder)
