"""What leaves for which runtime, how exactly: `python benchmarks/export_matrix.py` (by hand).

Models of all kinds of networks, likelihoods and priors are exported to each target with all
their signatures. A cell of the table is the largest error measured in the target's runtime -
on batches of 1, 3 and 64, as a share of the output's scale - or the reason why there is none.

Each model and target is a line in `results/export_cells.jsonl` as soon as it is done: a run
that was stopped goes on where it was, and `--shard 0/2` and `1/2` share the work of two
processes. The table is `results/export_cells.json`.
"""

import argparse
import collections
import functools
import json
import os
import sys
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import smoke
import tensorflow as tf
from facts import versions

import keras_vae
from keras_vae import exporters, likelihoods, networks, posteriors, preprocessors, priors

RESULTS = smoke.RESULTS
LINES = RESULTS / "export_cells.jsonl"
SEED, AT_A_TIME = 0, 12
IMAGE, SEQUENCE, TABLE = (16, 16, 1), (8, 3), (6,)

TARGETS = {
    "saved_model": exporters.export_saved_model,
    "onnx": exporters.export_onnx,
    "litert": exporters.export_litert,
    "openvino": exporters.export_openvino,
    "keras_archive": exporters.export_keras_archive,
}

BODIES = {
    "MLP": (lambda: networks.MLP([32]), lambda: networks.MLP([32]), IMAGE),
    "convolutions, batch norm": (
        lambda: networks.ConvEncoder([8, 16], batch_normalization=True),
        lambda: networks.ConvDecoder([16, 8], batch_normalization=True),
        IMAGE,
    ),
    "GRU": (
        lambda: networks.RecurrentEncoder([16]),
        lambda: networks.RecurrentDecoder([16]),
        SEQUENCE,
    ),
    "LSTM": (
        lambda: networks.RecurrentEncoder([16], cell="lstm"),
        lambda: networks.RecurrentDecoder([16], cell="lstm"),
        SEQUENCE,
    ),
    "transformer": (
        lambda: networks.TransformerEncoder(depth=1, heads=2, width=8),
        lambda: networks.TransformerDecoder(depth=1, heads=2, width=8),
        SEQUENCE,
    ),
    "GRU, autoregressive": (
        lambda: networks.RecurrentEncoder([16]),
        lambda: networks.RecurrentDecoder([16], autoregressive=True),
        SEQUENCE,
    ),
    "transformer, autoregressive": (
        lambda: networks.TransformerEncoder(depth=1, heads=2, width=8),
        lambda: networks.TransformerDecoder(depth=1, heads=2, width=8, autoregressive=True),
        SEQUENCE,
    ),
}
LIKELIHOODS = {
    "Bernoulli": likelihoods.Bernoulli,
    "Normal": lambda: likelihoods.Normal("predicted"),
    "DiscretizedLogistic": lambda: likelihoods.DiscretizedLogistic(3),
    "Categorical": lambda: likelihoods.Categorical(4),
    "NegativeBinomial": likelihoods.NegativeBinomial,
}
COLUMNS = {
    "age": lambda: likelihoods.Normal("learned"),
    "height": lambda: likelihoods.Normal("learned"),
    "income": lambda: likelihoods.LogNormal("learned"),
    "children": likelihoods.Poisson,
    "city": lambda: likelihoods.Categorical(3),
    "grade": lambda: likelihoods.Ordinal(4),
}
PRIORS = {
    "NormalMixture": lambda: priors.NormalMixture(5),
    "Flow": priors.Flow,
    "VampPrior": lambda: priors.VampPrior(5),
}


def models():
    """Name -> a function that makes the model."""
    made = {}
    for body in BODIES:
        for name, likelihood in LIKELIHOODS.items():
            made[f"{body} | {name} | StandardNormal"] = functools.partial(
                model, body, likelihood
            )
        for name, prior in PRIORS.items():
            if "autoregressive" not in body:
                made[f"{body} | Bernoulli | {name}"] = functools.partial(
                    model, body, LIKELIHOODS["Bernoulli"], prior
                )
    made["MLP | Columns, missing values | StandardNormal"] = functools.partial(
        model,
        "MLP",
        lambda: likelihoods.Columns({name: make() for name, make in COLUMNS.items()}),
        event_shape=TABLE,
        missing="nan",
    )
    made["MLP | Bernoulli | StandardNormal, conditional"] = functools.partial(
        model, "MLP", LIKELIHOODS["Bernoulli"], condition_shape=(3,)
    )
    for body in ("MLP", "convolutions, batch norm"):
        made[f"{body} | Normal | StandardNormal, 8-bit images"] = functools.partial(
            model, body, LIKELIHOODS["Normal"], preprocessor=from_bytes
        )
    made["GRU | Normal | StandardNormal, standardised"] = functools.partial(
        model,
        "GRU",
        LIKELIHOODS["Normal"],
        preprocessor=preprocessors.Standardization,
    )
    for name in ("ZeroInflatedNegativeBinomial", "StudentT", "Beta"):
        made[f"MLP | {name} | StandardNormal"] = functools.partial(
            model, "MLP", getattr(likelihoods, name)
        )
    made["MLP | Bernoulli | SphericalUniform"] = functools.partial(
        model,
        "MLP",
        LIKELIHOODS["Bernoulli"],
        priors.SphericalUniform,
        posterior=posteriors.PowerSpherical,
    )
    return made


def from_bytes():
    return preprocessors.Chain(
        [
            preprocessors.Rescaling(raw_dtype="uint8"),
            preprocessors.Reshape(IMAGE[:2]),
            preprocessors.Standardization(),
        ]
    )


def model(
    body,
    likelihood,
    prior=priors.StandardNormal,
    posterior=posteriors.DiagonalNormal,
    event_shape=None,
    preprocessor=None,
    **options,
):
    keras.utils.set_random_seed(SEED)
    encoder, decoder, shape = BODIES[body]
    vae = keras_vae.VAE(
        encoder(),
        decoder(),
        posterior(4),
        prior(),
        likelihood=likelihood(),
        event_shape=event_shape or shape,
        preprocessor=preprocessor and preprocessor(),
        seed=1,
        **options,
    )
    # Weights that matter: zero biases, and heads of tiny numbers, would hide mistakes.
    rng = np.random.default_rng(SEED)
    for variable in vae.trainable_variables:
        noise = 0.1 * rng.normal(size=variable.shape)
        variable.assign(tf.convert_to_tensor(variable) + noise.astype("float32"))
    if vae.preprocessor is not None:
        vae.preprocessor.adapt(rng.uniform(0, 255, size=(100, *vae.raw_shape)))
    return vae


def cells_of(make, target):
    """Signature -> largest error, or the reason why there is none."""
    vae = make()
    with tempfile.TemporaryDirectory() as folder:
        try:
            manifest = TARGETS[target](vae, folder)
        except exporters.ExportError as error:
            return {"all": str(error)}
        size = sum(entry.bytes for entry in manifest.files.values())
    batches = [str(rows) for rows in (1, 3, 64)]
    errors = {
        name: max(entry.max_error[rows] for rows in batches)
        for name, entry in manifest.signatures.items()
    }
    return {**errors, **manifest.left_out, "bytes": size}


def run(shard, shards):
    done = set()
    if LINES.exists():
        done = {
            (r["model"], r["target"]) for r in map(json.loads, LINES.read_text().splitlines())
        }
    every = [(m, t) for m in models() for t in TARGETS][: smoke.pick(None, 2)]
    todo = [each for each in every[shard::shards] if each not in done]
    print(f"{len(todo)} to do", flush=True)
    for index, (name, target) in enumerate(todo):
        start = time.perf_counter()
        cells = cells_of(models()[name], target)
        seconds = round(time.perf_counter() - start, 1)
        with LINES.open("a") as file:
            line = {"model": name, "target": target, "cells": cells, "seconds": seconds}
            file.write(json.dumps(line) + "\n")
        print(f"{index + 1}/{len(todo)} {seconds} s {name} -> {target}", flush=True)
        keras.backend.clear_session()
        if index + 1 == AT_A_TIME and len(todo) > AT_A_TIME:
            # Compiled programs are never freed.
            os.execv(sys.executable, [sys.executable, *sys.argv])  # noqa: S606
    if shards == 1:
        summary()


def summary():
    table = collections.defaultdict(dict)
    filled = empty = 0
    for line in map(json.loads, LINES.read_text().splitlines()):
        table[line["model"]][line["target"]] = line["cells"]
        for name, cell in line["cells"].items():
            filled += isinstance(cell, float)
            empty += isinstance(cell, str) and name != "bytes"
    worst = max(
        cell
        for targets in table.values()
        for cells in targets.values()
        for cell in cells.values()
        if isinstance(cell, float)
    )
    report = {
        "command": "python benchmarks/export_matrix.py",
        "cells_with_an_error_measured": filled,
        "cells_with_a_reason": empty,
        "largest_error": worst,
        "cells": table,
        "seed": SEED,
        "versions": versions(),
    }
    smoke.write(RESULTS / "export_cells.json", report)
    print(f"{filled} cells, {empty} reasons, largest error {worst:.2g}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--summary", action="store_true")
    parser.add_argument("--shard", default="0/1", help="such as 0/2: the first half")
    smoke.add_argument(parser)
    arguments = parser.parse_args()
    if arguments.summary:
        summary()
    else:
        run(*map(int, arguments.shard.split("/")))
