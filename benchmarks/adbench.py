"""Anomalies in ten tables of ADBench: `python benchmarks/adbench.py --peers PYTHON`.

The unsupervised protocol of ADBench (Han, Hu, Huang, Jiang and Zhao 2022): at most 10,000 rows
of a table, drawn at random; 70 % of them, stratified, to train on with their anomalies and
without labels; ROC-AUC and average precision on the other 30 %. Seeds choose rows, splits and
starting points; all detectors see the same splits, and each has one configuration for all
tables:

- `VAEOutlierDetector` with its defaults;
- scikit-learn's `IsolationForest` with its defaults, and the squared error of reconstruction
  from the principal components that explain 90 % of the variance of standardised columns;
- pyod's `AutoEncoder`, `VAE` and `ECOD` with their defaults, in an environment of their own:
  `PYTHON` is one that has pyod and torch.

`rank` is the mean over tables of a detector's rank (1: best) by its mean over seeds. The
defaults of `VAEOutlierDetector` were chosen on the tables named in `CHOSEN_ON`, by splits with
seeds from 100 on; ranks over the other tables are given on their own. Seconds of fitting and
scoring are those of a machine that did other work, too: only their orders of magnitude count.

Cells, one detector on one split, go to `output/adbench.jsonl`, from where an interrupted run
goes on; results go to `results/adbench.json`.
"""

import argparse
import itertools
import json
import os
import pathlib
import subprocess
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import scipy.stats
import smoke
from facts import machine, sha256, versions
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from keras_vae.tasks import VAEOutlierDetector

HERE = pathlib.Path(__file__).parent
FILE = pathlib.Path(os.environ.get("KERAS_VAE_DATA", "")) / "adbench_shared10.npz"
CELLS, RESULTS = smoke.OUTPUT / "adbench.jsonl", smoke.RESULTS / "adbench.json"
CHOSEN_ON = ("breastw", "satellite", "thyroid", "vowels")
OTHERS = ("annthyroid", "campaign", "mammography", "optdigits", "pendigits", "shuttle")
SEEDS, ROWS = smoke.pick((0, 1, 2, 3, 4), (0,)), smoke.pick(10_000, 200)
MEASURES = {"roc_auc": roc_auc_score, "average_precision": average_precision_score}


class Components:
    """Squared error of reconstruction from principal components."""

    def __init__(self, seed):
        self.scaler = StandardScaler()
        self.components = PCA(0.9, random_state=seed)

    def fit(self, x):
        self.components.fit(self.scaler.fit_transform(x))

    def score_samples(self, x):
        x = self.scaler.transform(x)
        error = x - self.components.inverse_transform(self.components.transform(x))
        return -np.sum(error**2, axis=1)


FAST = smoke.pick({}, {"epochs": 1})
# Here, and in the environment of pyod.
OURS = {
    "keras_vae VAEOutlierDetector": lambda seed: VAEOutlierDetector(random_state=seed, **FAST),
    "scikit-learn IsolationForest": lambda seed: IsolationForest(random_state=seed),
    "scikit-learn PCA": Components,
}
PYOD = ("AutoEncoder", "VAE", "ECOD")
DETECTORS = (*OURS, *(f"pyod {name}" for name in PYOD))
TABLES, COMPARED = smoke.pick(
    (sorted(CHOSEN_ON + OTHERS), DETECTORS), (["breastw"], tuple(OURS))
)


def splits(name, seed):
    """Rows to train on, rows to test on, and what is true of the latter."""
    with np.load(FILE, allow_pickle=False) as arrays:
        x, y = arrays[f"{name}_X"].astype("float64"), arrays[f"{name}_y"]
    rows = (
        np.random.default_rng(seed).permutation(len(x))[:ROWS] if len(x) > ROWS else slice(None)
    )
    x, y = x[rows], y[rows]
    train, test, _, truth = train_test_split(x, y, test_size=0.3, stratify=y, random_state=seed)
    return train, test, truth


def with_ours(seed, pairs):
    """For each pair of a table and a detector: scores, higher for anomalies, and seconds."""
    for table, name in pairs:
        train, test, _ = splits(table, seed)
        detector = OURS[name](seed)
        start = time.perf_counter()
        detector.fit(train)
        fitted = time.perf_counter()
        scores = -detector.score_samples(test)
        scored = time.perf_counter()
        seconds = {"fit_seconds": fitted - start, "score_seconds": scored - fitted}
        yield table, name, scores, seconds


def with_pyod(seed, pairs, peers):
    """The same for detectors of pyod, in one process of its own."""
    if not pairs:
        return
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for table in {table for table, _ in pairs}:
            train, test, _ = splits(table, seed)
            np.savez(folder / f"{table}.npz", train=train, test=test)
        pairs = [(table, detector.removeprefix("pyod ")) for table, detector in pairs]
        (folder / "pairs.json").write_text(json.dumps(pairs))
        command = [peers, str(HERE / "contenders" / "pyod_detectors.py"), str(seed), name]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        with subprocess.Popen(command, **pipes) as process:
            for line in process.stdout:
                if not line.startswith("{"):
                    continue
                found = json.loads(line)
                table, detector = found.pop("table"), f"pyod {found.pop('detector')}"
                yield table, detector, np.load(folder / "scores.npy"), found
                process.stdin.write("\n")
                process.stdin.flush()
        if process.returncode:
            raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}.")


def measured(options):
    """All cells, those of earlier runs among them."""
    CELLS.parent.mkdir(parents=True, exist_ok=True)
    lines = CELLS.read_text().splitlines() if CELLS.exists() else []
    cells = {(c["table"], c["detector"], c["seed"]): c for c in map(json.loads, lines)}
    for seed in options.seeds:
        pairs = [(t, d) for t in options.tables for d in options.detectors]
        pairs = [pair for pair in pairs if (*pair, seed) not in cells]
        ours = with_ours(seed, [pair for pair in pairs if pair[1] in OURS])
        theirs = [pair for pair in pairs if pair[1] not in OURS]
        found = itertools.chain(ours, with_pyod(seed, theirs, options.peers))
        for table, detector, scores, seconds in found:
            truth = splits(table, seed)[2]
            values = {name: measure(truth, scores) for name, measure in MEASURES.items()}
            cell = {"table": table, "detector": detector, "seed": seed, **values, **seconds}
            cells[table, detector, seed] = cell
            with CELLS.open("a") as file:
                file.write(json.dumps(cell) + "\n")
            rounded = {name: round(value, 4) for name, value in values.items()}
            print(table, detector, seed, rounded, flush=True)
    return cells


def ranks(means, tables):
    """Mean over tables of the rank of each detector; equals share their ranks."""
    values = np.array([[-means[table][each] for each in COMPARED] for table in tables])
    mean = scipy.stats.rankdata(values, axis=1).mean(axis=0)
    return {each: round(float(rank), 2) for each, rank in zip(COMPARED, mean)}


def spread(values):
    """Mean and standard deviation over the seeds."""
    result = {"mean": round(float(np.mean(values)), 4)}
    if len(values) > 1:
        result["spread"] = round(float(np.std(values, ddof=1)), 4)
    return result


def summary(cells, seeds):
    tables = TABLES
    result = {}
    for measure in (*MEASURES, "seconds"):
        means, rows = {}, {}
        for table in tables:
            of_table = {}
            for detector in COMPARED:
                found = [cells[table, detector, seed] for seed in seeds]
                if measure == "seconds":
                    values = [c["fit_seconds"] + c["score_seconds"] for c in found]
                else:
                    values = [c[measure] for c in found]
                of_table[detector] = values
            means[table] = {each: np.mean(values) for each, values in of_table.items()}
            rows[table] = {each: spread(values) for each, values in of_table.items()}
        result[measure] = {"tables": rows}
        if measure != "seconds":
            result[measure]["mean"] = {
                each: round(float(np.mean([means[table][each] for table in tables])), 4)
                for each in COMPARED
            }
            result[measure]["rank"] = ranks(means, tables)
            result[measure]["rank over the tables that no default was chosen on"] = ranks(
                means, smoke.pick(OTHERS, tables)
            )
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", help="a Python that has pyod and torch")
    smoke.add_argument(parser)
    parser.add_argument("--tables", nargs="+", default=TABLES)
    parser.add_argument("--detectors", nargs="+", default=COMPARED, choices=DETECTORS)
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS))
    options = parser.parse_args()
    if options.peers is None and set(options.detectors) - set(OURS):
        parser.error("--peers is needed for pyod's detectors")
    cells = measured(options)
    wanted = itertools.product(TABLES, COMPARED, options.seeds)
    if not all(cell in cells for cell in wanted):
        return
    peers = next((c["versions"] for c in cells.values() if "versions" in c), {})
    results = {
        "command": "python benchmarks/adbench.py --peers PYTHON --seeds "
        + " ".join(map(str, options.seeds)),
        "protocol": __doc__,
        "seeds": options.seeds,
        "chosen_on": CHOSEN_ON,
        "data": {FILE.name: sha256(FILE)},
        "machine": machine(),
        "versions": {
            **versions("scikit-learn"),
            **peers,
        },
        "results": summary(cells, options.seeds),
    }
    smoke.write(RESULTS, results)
    print(json.dumps(results["results"], indent=2))


if __name__ == "__main__":
    main()
