"""Counts of molecules in cells, beside scVI: `python benchmarks/counts.py --scvi PYTHON`.

`pbmc`: 700 cells of blood, 765 genes, with types of cells; a fifth held out. `brain`: 10,000
cells of a mouse's brain; a tenth held out, no types. Seeds choose the held-out cells and the
starting points; genes that no training cell has are left out. A tenth of the training cells
tell when to stop: when their bound has not risen for 20 epochs. All with 10 latents:

- `keras_vae`: `presets.for_source`, two hidden layers of 128 units, batches of 64, Adam at
  1e-3, with each of the likelihoods below. `library`: each cell's total count is given and
  the decoder says shares of it, as is the default; else it says log rates. Poisson given the
  library is the negative binomial with r held at 1.6e6.
- `scvi-tools`: `SCVI` with its defaults (Lopez, Regier, Cole, Jordan and Yosef 2018): one
  hidden layer of 128 units with batch normalisation and dropout, dispersion by gene, observed
  library, batches of 128, KL fading in over 400 epochs; 400 epochs at most with
  `early_stopping=True` on a tenth of the training cells. `PYTHON` is one that has it.

`bound` and `log_marginal` are nats per held-out cell, given its library where the model is;
the latter by 200 importance samples. Densities given the library and without are of the same
counts and differ in what is told beforehand: only among themselves do they compare.
`cells_error` is the standard error over the held-out cells of the first seed.

`accuracy` and `balanced_accuracy`: logistic regression on standardised codes of the training
cells, which tells the type of held-out ones; `PCA`: the 10 first components of log counts,
log(1 + 1e4 x / total), in place of codes.

Not all contenders have all seeds: `seeds` says which. The epochs of scVI on `brain`, whose
process went on after that of the benchmark was ended, are not known.

Cells of the result go to `output/counts.jsonl`, from where an interrupted run goes on;
results go to `results/counts.json`. Needs the folder of data sets named by KERAS_VAE_DATA.
"""

import argparse
import itertools
import json
import os
import pathlib
import subprocess
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import smoke
from facts import machine, sha256, versions
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import keras_vae
from keras_vae import data, presets
from keras_vae.likelihoods import NegativeBinomial, Poisson, ZeroInflatedNegativeBinomial

HERE = pathlib.Path(__file__).parent
DATA = pathlib.Path(os.environ.get("KERAS_VAE_DATA", ""))
CELLS, RESULTS = smoke.OUTPUT / "counts.jsonl", smoke.RESULTS / "counts.json"
FILES = {
    "pbmc": "pbmc68k_reduced_counts.npz",
    "brain": "mouse_brain_10k_x_1000_counts.npz",
}
HELD_OUT, LATENTS, SAMPLES = {"pbmc": 0.2, "brain": 0.1}, 10, smoke.pick(200, 5)
EPOCHS, PATIENCE, BATCH = smoke.pick(1_000, 1), 20, 64
OURS = {
    "Poisson": Poisson,
    "NegativeBinomial": NegativeBinomial,
    "ZeroInflatedNegativeBinomial": ZeroInflatedNegativeBinomial,
    "Poisson, library": lambda: NegativeBinomial(library="observed"),
    "NegativeBinomial, library": lambda: NegativeBinomial(library="observed"),
    "ZeroInflatedNegativeBinomial, library": lambda: ZeroInflatedNegativeBinomial(
        library="observed"
    ),
}
SCVI = {"poisson": "Poisson", "nb": "NegativeBinomial", "zinb": "ZeroInflatedNegativeBinomial"}
CONTENDERS = (
    *(f"keras_vae {name}" for name in OURS),
    *(f"scvi-tools {name}, library" for name in SCVI.values()),
    "PCA",
)


def split(name, seed):
    """Counts and types of the cells to train on, and of those held out."""
    with np.load(DATA / FILES[name], allow_pickle=False) as arrays:
        types = arrays.get("cell_type")
        if "x" in arrays:
            x = arrays["x"].astype("float32")
        else:
            x = np.zeros(arrays["shape"], "float32")
            rows = np.repeat(np.arange(len(x)), np.diff(arrays["indptr"]))
            x[rows, arrays["indices"]] = arrays["data"]
    x = x[smoke.pick(slice(None), (slice(None, None, 5), slice(40)))]
    types = types if types is None else types[:: smoke.pick(1, 5)]
    order = np.random.default_rng(seed).permutation(len(x))
    count = round(HELD_OUT[name] * len(x))
    test, train = order[:count], order[count:]
    x = x[:, x[train].sum(0) > 0]
    types = (None, None) if types is None else (types[train], types[test])
    return x[train], x[test], *types


def with_ours(name, train, test, seed):
    keras.utils.set_random_seed(seed)
    source = data.from_counts(train, seed=seed)
    vae = presets.for_source(source, LATENTS, likelihood=OURS[name](), seed=seed)
    if name == "Poisson, library":
        vae.likelihood.log_dispersion.assign(12 * np.ones(train.shape[1]))
        vae.likelihood.log_dispersion.trainable = False
    vae.compile(keras.optimizers.Adam(1e-3))
    history = vae.fit(
        source.x_train,
        validation_data=source.x_test,
        batch_size=BATCH,
        epochs=EPOCHS,
        callbacks=keras_vae.callbacks.EarlyStopping(patience=PATIENCE),
        verbose=0,
    )
    return {
        "bound": np.mean([vae.elbo(test, seed=draw) for draw in range(10)], axis=0),
        "log_marginal": vae.log_marginal(test, samples=SAMPLES, seed=seed),
        "codes": (vae.encode(train), vae.encode(test)),
        "epochs": len(history.epoch),
    }


def with_scvi(name, train, test, seed, python):
    likelihood = next(short for short, ours in SCVI.items() if name == f"{ours}, library")
    with tempfile.TemporaryDirectory() as folder:
        np.savez(pathlib.Path(folder, "cells.npz"), train=train, test=test)
        script = HERE / "contenders" / "scvi_counts.py"
        command = [python, str(script), likelihood, str(seed), str(SAMPLES), folder]
        # Its environment is its own.
        kept = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        run = subprocess.run(command, check=False, capture_output=True, text=True, env=kept)
        if run.returncode:
            raise RuntimeError(f"{' '.join(command)} ended with {run.stderr}.")
        line = next(line for line in run.stdout.splitlines() if line.startswith("{"))
        with np.load(pathlib.Path(folder, "scvi.npz"), allow_pickle=False) as found:
            return {
                "bound": found["bound"],
                "log_marginal": found["log_marginal"],
                "codes": (found["train_codes"], found["test_codes"]),
                **json.loads(line),
            }


def components(train, test, seed):
    logs = [np.log1p(1e4 * x / np.maximum(x.sum(1, keepdims=True), 1)) for x in (train, test)]
    found = PCA(LATENTS, random_state=seed).fit(logs[0])
    return {"codes": tuple(found.transform(x) for x in logs)}


def measure(table, contender, seed, python):
    train, test, types, truth = split(table, seed)
    library, _, name = contender.partition(" ")
    if library == "keras_vae":
        found = with_ours(name, train, test, seed)
    elif library == "PCA":
        found = components(train, test, seed)
    else:
        found = with_scvi(name, train, test, seed, python)
    result = {name: found[name] for name in ("epochs", "versions") if name in found}
    result["figures"] = {}
    for figure in ("bound", "log_marginal"):
        if figure in found:
            values = np.asarray(found[figure], "float64")
            assert values.shape == (len(test),)
            assert np.isfinite(values).all()
            result["figures"][figure] = float(values.mean())
            result[f"{figure}_error"] = float(values.std(ddof=1) / len(values) ** 0.5)
    if types is not None:
        probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=5_000))
        guess = probe.fit(found["codes"][0], types).predict(found["codes"][1])
        result["figures"]["accuracy"] = float(np.mean(guess == truth))
        result["figures"]["balanced_accuracy"] = float(balanced_accuracy_score(truth, guess))
    return result


def measured(options):
    """All cells, those of earlier runs among them."""
    CELLS.parent.mkdir(parents=True, exist_ok=True)
    lines = CELLS.read_text().splitlines() if CELLS.exists() else []
    cells = {(c["table"], c["contender"], c["seed"]): c for c in map(json.loads, lines)}
    wanted = itertools.product(options.tables, options.seeds, options.contenders)
    for table, seed, contender in wanted:
        if (table, contender, seed) in cells or (table == "brain" and contender == "PCA"):
            continue
        found = measure(table, contender, seed, options.scvi)
        cell = {"table": table, "contender": contender, "seed": seed, **found}
        cells[table, contender, seed] = cell
        with CELLS.open("a") as file:
            file.write(json.dumps(cell) + "\n")
        print(table, contender, seed, found, flush=True)
    return cells


def summary(cells, table):
    """Of each contender: mean and spread of its figures over the seeds it has."""
    result = {}
    for contender in CONTENDERS:
        found = [
            c for (of, each, _), c in sorted(cells.items()) if (of, each) == (table, contender)
        ]
        if not found:
            continue
        result[contender] = {"seeds": [cell["seed"] for cell in found]}
        if "epochs" in found[0]:
            result[contender]["epochs"] = [cell["epochs"] for cell in found]
        for figure in found[0]["figures"]:
            values = [cell["figures"][figure] for cell in found]
            row = {"mean": round(float(np.mean(values)), 3)}
            if len(values) > 1:
                row["spread"] = round(float(np.std(values, ddof=1)), 3)
            if f"{figure}_error" in found[0]:
                row["cells_error"] = round(found[0][f"{figure}_error"], 3)
            result[contender][figure] = row
    return result


def by_measure(contenders):
    """Those given the library apart: their densities compare among themselves alone."""
    names = {"log p(x)": False, "log p(x | its total count)": True}
    return {
        name: {c: row for c, row in contenders.items() if c.endswith(", library") == given}
        for name, given in names.items()
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scvi", help="a Python that has scvi-tools")
    smoke.add_argument(parser)
    parser.add_argument(
        "--tables", nargs="+", default=smoke.pick(list(FILES), ["pbmc"]), choices=FILES
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=smoke.pick([0, 1, 2], [0]))
    parser.add_argument(
        "--contenders",
        nargs="+",
        default=smoke.pick(CONTENDERS, (*CONTENDERS[:2], "PCA")),
        choices=CONTENDERS,
    )
    options = parser.parse_args()
    if options.scvi is None and any(c.startswith("scvi") for c in options.contenders):
        parser.error("--scvi is needed: a Python that has scvi-tools")
    cells = measured(options)
    theirs = [cell["versions"] for cell in cells.values() if "versions" in cell]
    shapes = {table: split(table, 0)[:2] for table in options.tables}
    results = {
        "command": "python benchmarks/counts.py --scvi PYTHON",
        "protocol": __doc__,
        "seeds": sorted({seed for _, _, seed in cells}),
        "data": {file: sha256(DATA / file) for file in FILES.values()},
        "machine": machine(),
        "versions": {
            **versions("scikit-learn"),
            **(theirs[0] if theirs else {}),
        },
        "results": {
            table: {
                "cells x genes of the first seed": [list(x.shape) for x in shapes[table]],
                **by_measure(summary(cells, table)),
            }
            for table in options.tables
        },
    }
    smoke.write(RESULTS, results)


if __name__ == "__main__":
    main()
