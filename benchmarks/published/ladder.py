"""What the recipes of this folder share: data, training that goes on where it was, results.

Each recipe is a file and a command, `python benchmarks/published/<name>.py`, and needs
`mnist.npz` in the folder named by KERAS_VAE_DATA, or the network. Checkpoints, one each epoch,
lie in `/output/ladder`, so that a run which was stopped goes on where it was; `--epochs` makes
a shorter one, whose schedule is that of the whole. Of 60,000 training images the last 10,000
are for validation: the weights of the epoch with the best validation bound are measured.

`static` data are drawn from the grey values once, with seed 0; `dynamic` ones anew for each
use. The two are not to be compared: static ones overfit.
"""

import argparse
import csv
import dataclasses
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
from facts import sha256, versions  # noqa: E402 (of the folder above)

RESULTS = ROOT / "benchmarks" / "results" / "ladder.json"
SEED, HELD_OUT = 0, 10_000
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


def run(recipe, make, optimizer, command=None):
    """Train, or go on training, and measure.

    Args:
        recipe: A `Recipe`.
        make: Returns the model.
        optimizer: Steps of an epoch -> the optimizer.
        command: The file and its own arguments. Defaults to `None`: the file alone.
    """
    command = command or pathlib.Path(sys.argv[0]).name
    parser = argparse.ArgumentParser(description=recipe.name)
    parser.add_argument("--epochs", type=int, default=recipe.epochs)
    epochs = parser.parse_args().epochs
    folder = ROOT / "output" / "ladder" / recipe.name
    folder.mkdir(parents=True, exist_ok=True)
    best, curve = folder / "best.keras", folder / "curve.csv"

    images = keras_vae.data.load_mnist()
    grey, grey_val = images.x_train[:-HELD_OUT], images.x_train[-HELD_OUT:]
    val = keras_vae.data.binarize(grey_val, SEED + 1)
    test = keras_vae.data.binarize(images.x_test, SEED)
    steps = len(grey) // recipe.batch_size
    known = [float(row["val_elbo"]) for row in rows_of(curve)]
    if recipe.binarisation == "dynamic":
        x = keras_vae.data.dynamic_binarization(
            grey, recipe.batch_size, SEED, first_epoch=len(known)
        )
        options = {}
    else:
        x = keras_vae.data.binarize(grey, SEED + 2)
        options = {"batch_size": recipe.batch_size}

    keras.utils.set_random_seed(SEED)
    vae = make()
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
                monitor="val_elbo",
                mode="max",
                save_best_only=True,
                initial_value_threshold=max(known, default=None),
            ),
        ],
        **options,
    )
    seconds = time.perf_counter() - start

    rows = rows_of(curve)
    bounds = [float(row["val_elbo"]) for row in rows]
    vae = keras.saving.load_model(best)
    found = evaluation.log_marginal(vae, test, samples=recipe.samples, seed=SEED)
    print(found)
    chosen = np.unique(np.linspace(0, len(rows) - 1, POINTS).astype(int))
    write(
        recipe.name,
        {
            **{k: v for k, v in dataclasses.asdict(recipe).items() if k != "name"},
            "command": f"python benchmarks/published/{command}",
            "epochs_trained": len(rows),
            "best_epoch": int(np.argmax(bounds)) + 1,
            "nats": round(-found.mean, 3),
            "standard_error": round(found.standard_error, 3),
            "gap_to_published": round(-found.mean - recipe.published, 3),
            "median_effective_samples": round(float(np.median(found.effective)), 1),
            "active_units": int(evaluation.active_units(vae, test).sum()),
            "seconds_of_last_run": round(seconds, 1),
            "curve": {
                "epoch": [int(e) + 1 for e in chosen],
                "elbo": [round(float(rows[e]["elbo"]), 3) for e in chosen],
                "val_elbo": [round(bounds[e], 3) for e in chosen],
            },
        },
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
    RESULTS.write_text(json.dumps(ladder, indent=2) + "\n")


def stepwise(rate, factor, epochs):
    """Adam whose rate is multiplied by a factor after each of these epochs."""

    def optimizer(steps, **options):
        boundaries = [epoch * steps for epoch in epochs]
        rates = [rate * factor**index for index in range(len(epochs) + 1)]
        schedule = keras.optimizers.schedules.PiecewiseConstantDecay(boundaries, rates)
        return keras.optimizers.Adam(schedule, **options)

    return optimizer
