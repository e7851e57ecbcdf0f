"""Anomalies in series: `python benchmarks/series.py nab` and `python benchmarks/series.py ecg`.

`nab`: the 58 series of the Numenta Anomaly Benchmark, with its score (Lavin and Ahmad 2015,
Evaluating Real-Time Anomaly Detection Algorithms, section II; the standard profile: weights 1,
0.11 and 1 of hits, false alarms and misses): a hit counts more the earlier it is in its window,
only the earliest of a window counts, a false alarm counts less shortly after a window; 0 is
silence and 100 an alarm at the start of each window and nowhere else. As there, one threshold
for all series is the best for the detector, and the first 15 % of a series, 750 points at most,
are for training and not scored. Nothing but them is trained on.

- `VAE`: windows of 64 points, in standard deviations of the training part; networks of 64
  units, 4 latents, Student likelihood; 600 updates by batches of 64; three seeds. One compiled
  model starts anew for each series. `window` scores the last point by the bound of its window,
  `last point` by its own log p(x|z).
- `IsolationForest` of scikit-learn with its defaults on the same windows.
- `rolling z-score`: how many deviations a point is from the mean of the 64 before it.
- `random`: uniform numbers.

Scores of the VAE and of IsolationForest are then standardised by mean and deviation of the
scores before them. Of all but those at random, alarms that follow a higher score among the last
64 are dropped, which NAB itself does not do: compare with its published list loosely. Nothing
else was tried: no figure was chosen by its score.

`ecg`: 500 heartbeats of ECG5000, 140 points each. Training on 70 % of the most frequent class;
ROC-AUC and average precision of telling the rest of it from other classes, five seeds. The VAE
has the same networks with 128 units and 8 latents, 2,000 updates; score: the bound; PCA: error
of reconstruction from components that explain 90 % of the variance.

Needs the folder of data sets named by KERAS_VAE_DATA. Results go to `results/series.json`.
"""

import argparse
import csv
import io
import json
import os
import pathlib
import tarfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import smoke
import tensorflow as tf
from facts import machine, sha256, versions
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.metrics import average_precision_score, roc_auc_score

import keras_vae
from keras_vae import likelihoods, networks, posteriors, tasks

DATA = pathlib.Path(os.environ.get("KERAS_VAE_DATA", ""))
RESULTS = smoke.RESULTS / "series.json"
WINDOW, SEEDS = 64, {"nab": (0, 1, 2), "ecg": (0, 1, 2, 3, 4)}
SEEDS = smoke.pick(SEEDS, dict.fromkeys(SEEDS, (0,)))
HIT, FALSE_ALARM, MISS = 1.0, 0.11, 1.0


def corpus():
    """The series by name: values, and first and last index of each labelled window."""
    result = {}
    with tarfile.open(DATA / "nab.tar.gz") as archive:
        names = {name.removeprefix("./"): name for name in archive.getnames()}

        def text(name):
            return archive.extractfile(names[name]).read().decode()

        windows = json.loads(text("labels/combined_windows.json"))
        if smoke.SMOKE:
            few = (
                "artificialNoAnomaly/art_flatline.csv",
                "artificialWithAnomaly/art_daily_flatmiddle.csv",
            )
            windows = {name: windows[name] for name in few}
        for name, limits in sorted(windows.items()):
            rows = list(csv.DictReader(io.StringIO(text(f"data/{name}"))))
            place = {row["timestamp"]: index for index, row in enumerate(rows)}
            # Limits have fractions of a second.
            ends = [[place[end.split(".")[0]] for end in pair] for pair in limits]
            result[name] = np.array([float(row["value"]) for row in rows]), ends
    return result


def probation(length):
    """How many points are for training."""
    return min(int(0.15 * length), int(0.15 * 5000))


def scaled_sigmoid(position):
    """What an alarm counts: position -1 at a window's start, 0 at its end, above after it."""
    position = np.asarray(position, "float64")
    return np.where(position > 3, -1.0, 2 / (1 + np.exp(5 * np.minimum(position, 3))) - 1)


def weights(length, windows):
    """What an alarm at each point would count, and the number of its window, -1 for none."""
    found, window_of = np.full(length, -FALSE_ALARM), np.full(length, -1)
    index = np.arange(length)
    for number, (first, last) in enumerate(windows):
        width = last - first + 1
        after = index > last
        past = (index[after] - last) / (width - 1)
        found[after] = FALSE_ALARM * scaled_sigmoid(past)
        inside = slice(first, last + 1)
        position = -(last - index[inside] + 1) / width
        found[inside] = HIT * scaled_sigmoid(position) / scaled_sigmoid(-1)
        window_of[inside] = number
    return found, window_of


def nab_score(series, scores):
    """The normalised score at the best threshold for all series, and that threshold.

    An alarm is a finite score at or above the threshold; none is raised above all scores.
    """
    points, windows = [], 0
    for name, (values, ends) in series.items():
        found, window_of = weights(len(values), ends)
        window_of = np.where(window_of >= 0, window_of + windows, -1)
        windows += len(ends)
        scored = slice(probation(len(values)), None)
        points.append(np.stack([scores[name], found, window_of])[:, scored])
    values, found, window_of = np.concatenate(points, axis=1)
    order = np.argsort(-values, kind="stable")
    order = order[np.isfinite(values[order])]
    best_of_window, changes = np.full(windows, -MISS), np.zeros(len(order))
    for place, point in enumerate(order):
        window = int(window_of[point])
        if window < 0:
            changes[place] = found[point]
        elif found[point] > best_of_window[window]:
            changes[place] = found[point] - best_of_window[window]
            best_of_window[window] = found[point]
    totals = np.cumsum(changes) - MISS * windows
    # All points of one score raise their alarms together.
    ends = np.flatnonzero(np.diff(values[order], append=-np.inf))
    silence, perfect = -MISS * windows, HIT * windows
    best = ends[np.argmax(totals[ends])] if len(ends) else None
    if best is None or totals[best] <= silence:
        return 0.0, np.inf
    return 100 * (totals[best] - silence) / (perfect - silence), values[order[best]]


def check_scorer(series):
    """The cases that Lavin and Ahmad state."""
    assert abs(scaled_sigmoid(-1) - 0.98661) < 1e-5
    assert scaled_sigmoid(0) == 0
    assert scaled_sigmoid(3.1) == -1
    silent = {name: np.full(len(values), -np.inf) for name, (values, _) in series.items()}
    assert nab_score(series, silent)[0] == 0
    perfect = {name: scores.copy() for name, scores in silent.items()}
    for name, (_, windows) in series.items():
        perfect[name][[first for first, _ in windows]] = 1
    assert abs(nab_score(series, perfect)[0] - 100) < 1e-9
    # A second hit in a window changes nothing; a false alarm far from windows costs 0.11.
    count = sum(len(windows) for _, windows in series.values())
    name = "artificialNoAnomaly/art_flatline.csv"
    perfect[name][-1] = 1
    for name, (_, windows) in series.items():
        perfect[name][[last for _, last in windows]] = 1
    assert abs(nab_score(series, perfect)[0] - (100 - 100 * FALSE_ALARM / (2 * count))) < 1e-9
    return count


def windows_of(values):
    """The window that ends at each point but the first ones, in training deviations."""
    training = values[: probation(len(values))]
    spread = training.std() if training.min() < training.max() else 1.0
    values = (values - training.mean()) / spread
    # As far as float32 can tell, and no further.
    values = np.clip(values, -1e3, 1e3).astype("float32")
    return np.lib.stride_tricks.sliding_window_view(values, WINDOW)


def standardised(scores, first, last):
    """Deviations of each score from the mean of those before it, of which `last` are enough."""
    result = np.zeros(len(scores))
    sums = np.cumsum([np.zeros(len(scores)), scores, scores**2][1:], axis=1)
    sums = np.pad(sums, ((0, 0), (1, 0)))
    index = np.arange(max(last, first + 2), len(scores))
    count = index - first
    mean, square = (sums[:, index] - sums[:, [first]]) / count
    deviation = np.sqrt(np.maximum(square - mean**2, 1e-12 + 1e-6 * mean**2))
    result[index] = (scores[index] - mean) / deviation
    return result


def first_alarms(scores):
    """Scores that are higher than the `WINDOW` before them; others raise no alarm."""
    padded = np.concatenate([np.full(WINDOW, -np.inf), scores])
    before = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[: len(scores)].max(axis=1)
    return np.where(scores > before, scores, -np.inf)


def of_windows(score):
    """A detector from a function of training windows and all windows."""

    def detect(values):
        windows = windows_of(values)
        training = probation(len(values))
        found = score(windows[: training - WINDOW + 1], windows)
        scores = np.concatenate([np.zeros(WINDOW - 1), np.asarray(found, "float64")])
        return first_alarms(standardised(scores, WINDOW - 1, training))

    return detect


def network(width, latents, length, seed):
    keras.utils.set_random_seed(seed)
    vae = keras_vae.VAE(
        networks.MLP([width]),
        networks.MLP([width]),
        posteriors.DiagonalNormal(latents),
        likelihood=likelihoods.StudentT(scale="learned"),
        event_shape=(length,),
        seed=seed,
    )
    vae.compile(keras.optimizers.Adam(1e-3), steps_per_execution=100)
    return vae


def train(vae, x, updates, seed):
    rows = tf.data.Dataset.from_tensor_slices(x).shuffle(len(x), seed).repeat().batch(64)
    vae.fit(rows, steps_per_epoch=smoke.pick(updates, 2), verbose=0)


def vaes_on_windows(seed):
    """Scores of windows, and of their last points, by a model that starts anew each time."""
    vae = network(64, 4, WINDOW, seed)
    train(vae, np.zeros((64, WINDOW), "float32"), 100, seed)
    fresh = network(64, 4, WINDOW, seed)
    start = [np.array(value) for value in fresh.get_weights()]
    optimizer = [v for v in vae.optimizer.variables if v is not vae.optimizer.learning_rate]

    def both(training, windows):
        vae.set_weights(start)
        for variable in optimizer:
            variable.assign(np.zeros(variable.shape))
        train(vae, training, 600, seed)
        options = {"samples": 8, "seed": seed, "batch_size": 2048}
        bound = tasks.anomaly_score(vae, windows, **options)
        return bound, tasks.attribution(vae, windows, **options)[:, -1]

    return both


def forest(seed):
    def score(training, windows):
        return -IsolationForest(random_state=seed).fit(training).score_samples(windows)

    return score


def rolling(values):
    """Deviations of a point from the mean of those before it."""
    scores = np.zeros(len(values))
    before = np.lib.stride_tricks.sliding_window_view(values, WINDOW)[:-1]
    spread = np.maximum(before.std(axis=1), 1e-6 * (1 + np.abs(before).max(axis=1)))
    scores[WINDOW:] = np.abs(values[WINDOW:] - before.mean(axis=1)) / spread
    return first_alarms(scores)


def nab():
    series = corpus()
    count = check_scorer(series)
    found = {}
    for seed in SEEDS["nab"]:
        both = vaes_on_windows(seed)
        scores = {"VAE, window": {}, "VAE, last point": {}, "IsolationForest": {}, "random": {}}
        seconds = dict.fromkeys((*scores, "rolling z-score"), 0.0)
        rng = np.random.default_rng(seed)
        for name, (values, _) in series.items():
            start = time.perf_counter()
            kept = {}

            def vae_score(training, windows, both=both, kept=kept):
                bound, kept["last"] = both(training, windows)
                return bound

            scores["VAE, window"][name] = of_windows(vae_score)(values)
            last = of_windows(lambda training, windows, kept=kept: kept["last"])
            scores["VAE, last point"][name] = last(values)
            middle = time.perf_counter()
            scores["IsolationForest"][name] = of_windows(forest(seed))(values)
            seconds["VAE, window"] += middle - start
            seconds["VAE, last point"] += middle - start
            seconds["IsolationForest"] += time.perf_counter() - middle
            scores["random"][name] = rng.random(len(values))
        if not seed:
            start = time.perf_counter()
            scores["rolling z-score"] = {n: rolling(v) for n, (v, _) in series.items()}
            seconds["rolling z-score"] = time.perf_counter() - start
        for detector, of_series in scores.items():
            score, threshold = nab_score(series, of_series)
            print(seed, detector, round(score, 2), threshold, flush=True)
            row = {"score": score, "threshold": threshold, "seconds": seconds[detector]}
            found.setdefault(detector, []).append(row)
        smoke.write(RESULTS, found, complete=False)
    table = {"series": len(series), "windows": count, "detectors": {}}
    for detector, rows in found.items():
        table["detectors"][detector] = {
            figure: spread([row[figure] for row in rows]) for figure in rows[0]
        }
    return table


def ecg():
    with np.load(DATA / "ecg5000_train500.npz", allow_pickle=False) as arrays:
        x, y = arrays["x"], arrays["y"]
    normal = y == np.bincount(y).argmax()
    found = {}
    for seed in SEEDS["ecg"]:
        order = np.random.default_rng(seed).permutation(np.flatnonzero(normal))
        train_rows = order[: int(0.7 * len(order))]
        held_out = np.setdiff1d(np.arange(len(x)), train_rows)
        mean, spread_of = x[train_rows].mean(0), x[train_rows].std(0)
        training, test = ((x[rows] - mean) / spread_of for rows in (train_rows, held_out))
        vae = network(128, 8, x.shape[1], seed)
        train(vae, training, 2_000, seed)
        components = PCA(0.9, random_state=seed).fit(training)
        back = components.inverse_transform(components.transform(test))
        forest_scores = forest(seed)(training, test)
        scores = {
            "VAE": tasks.anomaly_score(vae, test, samples=16, seed=seed),
            "IsolationForest": forest_scores,
            "PCA": np.sum((test - back) ** 2, axis=1),
        }
        for detector, values in scores.items():
            row = {
                "roc_auc": roc_auc_score(~normal[held_out], values),
                "average_precision": average_precision_score(~normal[held_out], values),
            }
            print(seed, detector, row, flush=True)
            found.setdefault(detector, []).append(row)
        smoke.write(RESULTS, found, complete=False)
    return {
        "held out": {"normal": int(normal[held_out].sum()), "others": int((~normal).sum())},
        "detectors": {
            detector: {figure: spread([row[figure] for row in rows]) for figure in rows[0]}
            for detector, rows in found.items()
        },
    }


def spread(values):
    """Mean and standard deviation over the seeds."""
    result = {"mean": float(f"{np.mean(values):.4g}")}
    if len(values) > 1:
        result["spread"] = float(f"{np.std(values, ddof=1):.2g}")
    return result


STUDIES = {"nab": (nab, "nab.tar.gz"), "ecg": (ecg, "ecg5000_train500.npz")}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", choices=STUDIES)
    smoke.add_argument(parser)
    name = parser.parse_args().study
    study, file = STUDIES[name]
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    results[name] = {
        "command": f"python benchmarks/series.py {name}",
        "protocol": __doc__,
        "seeds": SEEDS[name],
        "data": {file: sha256(DATA / file)},
        "machine": machine(),
        "versions": versions("scikit-learn"),
        "results": study(),
    }
    smoke.write(RESULTS, results)
    print(json.dumps(results[name]["results"], indent=2))


if __name__ == "__main__":
    main()
