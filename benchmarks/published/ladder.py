"""What the recipes of this folder share: data, training that goes on where it was, results.

Each recipe is a file and a command, `python benchmarks/published/<name>.py`, and needs
`mnist.npz` in the folder named by KERAS_VAE_DATA, or the network. Checkpoints, one each epoch,
lie in `/output/ladder`, so that a run which was stopped goes on where it was; `--epochs` makes
a shorter one, whose schedule is that of the whole, `--short` one with a schedule of its own:
the rate rises to `--rate` over 5 % of the updates and falls along a cosine to zero. Of 60,000
training images the last 10,000 are for validation: the weights of the epoch with the best
validation bound are measured.

`static` data are drawn from the grey values once, with seed 0; `dynamic` ones anew for each
use. The two are not to be compared: static ones overfit.
"""

import argparse
import csv
import dataclasses
import functools
import json
import os
import pathlib
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

import keras_vae
from keras_vae import evaluation

ROOT = pathlib.Path(__file__).parents[2]
sys.path.append(str(ROOT / "benchmarks"))
import smoke  # noqa: E402 (of the folder above)
from facts import sha256, versions  # noqa: E402

RESULTS = smoke.RESULTS / "ladder.json"
SEED, HELD_OUT = 0, smoke.pick(10_000, 100)
FILE = pathlib.Path(sys.argv[0]).name
# Training images of a smoke run, those held out among them.
IMAGES = 700
# What the name of a row with a schedule of its own ends with.
SHORT = ", short"
# Of --short. Muon makes the updates of matrices orthogonal, at Adam's rate for the rest.
OPTIMIZERS = {
    "Adam": keras.optimizers.Adam,
    "Muon": functools.partial(
        keras.optimizers.Muon, adam_lr_ratio=1.0, weight_decay=0.0, adam_weight_decay=0.0
    ),
}
# Points of a learning curve that are kept.
POINTS = 50


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a published model was trained and measured.

    Attributes:
        name: Of the row.
        binarisation: `"static"` or `"dynamic"`.
        epochs: Of the whole schedule.
        batch_size: In training.
        samples: Importance samples.
        published: Negative log-likelihood in nats.
        source: Of that figure.
        pythae: What pythae reports, if it does.
        changes: How this run differs from the published one.
        chosen_by: What says which epoch is the best: `"val_elbo"`, highest, or where another
            bound is trained on `"val_loss"`, lowest.
    """

    name: str
    binarisation: str
    epochs: int
    batch_size: int
    samples: int
    published: float
    source: str
    pythae: float | None = None
    changes: str = ""
    chosen_by: str = "val_elbo"


def run(recipe, make, optimizer, begin=None):
    """Train, or go on training, and measure.

    Args:
        recipe: A `Recipe`.
        make: Updates of the whole schedule -> the model.
        optimizer: Steps of an epoch -> the optimizer of the whole schedule.
        begin: Of which recipe's best weights, found before, this one begins at. Defaults to
            `None`: at new ones.
    """
    parser = argparse.ArgumentParser(description=recipe.name)
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--epochs", type=int, help="the first so many of the whole schedule")
    length.add_argument("--short", type=int, help="so many, with a schedule of their own")
    parser.add_argument("--batch-size", type=int, default=recipe.batch_size)
    parser.add_argument("--rate", type=float, default=1e-3, help="highest, with --short")
    parser.add_argument("--optimizer", choices=OPTIMIZERS, default="Adam", help="of --short")
    smoke.add_argument(parser)
    given = parser.parse_known_args()[0]
    if given.short:
        recipe = shortened(recipe, given, begin)
        optimizer = rise_and_fall(OPTIMIZERS[given.optimizer], given.rate, given.short)
    if given.smoke:
        recipe = dataclasses.replace(recipe, samples=5)
    epochs = given.epochs or smoke.pick(recipe.epochs, 1)
    folder = folder_of(recipe)
    folder.mkdir(parents=True, exist_ok=True)
    best, curve = folder / "best.keras", folder / "curve.csv"

    bits = static_bits()
    val, test = bits["val"], bits["test"]
    steps = len(bits["train"]) // recipe.batch_size
    mode, best_of = ("max", max) if recipe.chosen_by == "val_elbo" else ("min", min)
    known = [float(row[recipe.chosen_by]) for row in rows_of(curve)]
    if recipe.binarisation == "dynamic":
        grey = smoke.load_mnist(IMAGES).x_train
        x = keras_vae.data.dynamic_binarization(
            grey[:-HELD_OUT], recipe.batch_size, SEED, first_epoch=len(known)
        )
        options = {}
    else:
        x = bits["train"]
        options = {"batch_size": recipe.batch_size}

    keras.utils.set_random_seed(SEED)
    vae = make(recipe.epochs * steps)
    if begin is not None:
        vae.set_weights(keras.saving.load_model(folder_of(begin) / "best.keras").get_weights())
    vae.compile(optimizer(steps))
    start = time.perf_counter()
    vae.fit(
        x,
        validation_data=val,
        epochs=epochs,
        verbose=2,
        callbacks=[
            keras.callbacks.BackupAndRestore(str(folder / "backup"), delete_checkpoint=False),
            keras.callbacks.CSVLogger(str(curve), append=True),
            keras.callbacks.ModelCheckpoint(
                str(best),
                monitor=recipe.chosen_by,
                mode=mode,
                save_best_only=True,
                initial_value_threshold=best_of(known, default=None),
            ),
        ],
        **options,
    )
    seconds = time.perf_counter() - start

    rows = rows_of(curve)
    bounds = [float(row[recipe.chosen_by]) for row in rows]
    vae = keras.saving.load_model(best)
    found = evaluation.log_marginal(vae, test, samples=recipe.samples, seed=SEED)
    print(found)
    chosen = np.unique(np.linspace(0, len(rows) - 1, POINTS).astype(int))
    write(
        recipe.name,
        {
            **{k: v for k, v in dataclasses.asdict(recipe).items() if k != "name"},
            "command": " ".join(["python", "benchmarks/published/" + FILE, *sys.argv[1:]]),
            "epochs_trained": len(rows),
            "best_epoch": bounds.index(best_of(bounds)) + 1,
            "nats": round(-found.mean, 3),
            "standard_error": round(found.standard_error, 3),
            "gap_to_published": round(-found.mean - recipe.published, 3),
            "median_effective_samples": round(float(np.median(found.effective)), 1),
            "active_units": int(evaluation.active_units(vae, test).sum()),
            "seconds_of_last_run": round(seconds, 1),
            "curve": {
                "epoch": [int(e) + 1 for e in chosen],
                "elbo": [round(float(rows[e]["elbo"]), 3) for e in chosen],
                "val_elbo": [round(float(rows[e]["val_elbo"]), 3) for e in chosen],
                "val_loss": [round(float(rows[e]["val_loss"]), 3) for e in chosen],
            },
        },
    )


def static_bits():
    """MNIST drawn once: to train on, held out, and for the test."""
    images = smoke.load_mnist(IMAGES)
    parts = {
        "test": images.x_test,
        "val": images.x_train[-HELD_OUT:],
        "train": images.x_train[:-HELD_OUT],
    }
    return {
        name: keras_vae.data.binarize(grey, SEED + index)
        for index, (name, grey) in enumerate(parts.items())
    }


def folder_of(recipe):
    """Where checkpoints and the curve of a recipe lie."""
    return smoke.OUTPUT / "ladder" / recipe.name


def shortened(recipe, given, begin):
    """A recipe with a schedule of so many epochs, and what that changes."""
    change = (
        f"{given.short} epochs in batches of {given.batch_size}, {given.optimizer}'s rate "
        f"up to {given.rate:g} over 5 % of the updates and along a cosine to zero"
    )
    if begin is not None:
        change += f", beginning at the weights of '{begin.name}'"
    return dataclasses.replace(
        recipe,
        name=recipe.name + SHORT,
        epochs=given.short,
        batch_size=given.batch_size,
        changes=f"{recipe.changes}; {change}; published: {recipe.epochs} epochs",
    )


def rows_of(path):
    """Rows of a CSV file, none if it is not there."""
    if not path.exists():
        return []
    with path.open() as file:
        return list(csv.DictReader(file))


def data_file(name):
    """Where a file of data is, if it is there."""
    return pathlib.Path(os.environ.get("KERAS_VAE_DATA", "")) / name


def write(name, row, file="mnist.npz"):
    """Put a row into the ladder."""
    ladder = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    ladder[name] = {
        **row,
        "seed": SEED,
        "data": sha256(data_file(file)),
        "versions": versions(),
    }
    smoke.write(RESULTS, ladder)


def rise_and_fall(make, rate, epochs):
    """One whose rate rises over 5 % of the updates and falls along a cosine to zero."""

    def optimizer(steps):
        rise = epochs * steps // 20
        return make(
            keras.optimizers.schedules.CosineDecay(
                0.0, epochs * steps - rise, warmup_target=rate, warmup_steps=rise
            )
        )

    return optimizer


def stepwise(rate, factor, epochs):
    """Adam whose rate is multiplied by a factor after each of these epochs."""

    def optimizer(steps, **options):
        boundaries = [epoch * steps for epoch in epochs]
        rates = [rate * factor**index for index in range(len(epochs) + 1)]
        schedule = keras.optimizers.schedules.PiecewiseConstantDecay(boundaries, rates)
        return keras.optimizers.Adam(schedule, **options)

    return optimizer
