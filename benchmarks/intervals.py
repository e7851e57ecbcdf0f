"""How often standard errors and intervals hold what they promise, on simulated data.

    python benchmarks/intervals.py [--smoke] [SECTION ...]

Each line is the share of 2,000 simulated data sets in which the truth lies within 1.96 standard
errors of the value, or within a 95% interval. Two binomial standard deviations of such a share
are 1%. Results go to `results/intervals.json`, section by section; with `--smoke` a few sets
are drawn, and nothing is written. The truth is 0 for kernel distances of equal distributions,
the quantile of the law for thresholds, and the mean over all data sets for the rest.
"""

import argparse
import json
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import scipy.stats
from facts import versions

from keras_vae import evaluation, tasks
from keras_vae.evaluation.factors.scores import over_parts
from keras_vae.evaluation.likelihood import LogMarginal

RESULTS = pathlib.Path(__file__).parent / "results" / "intervals.json"
REPEATS, SMOKE, SEED = 2_000, 5, 0
LAWS = {
    "exponential": scipy.stats.expon(),
    "normal": scipy.stats.norm(),
    "t4": scipy.stats.t(4),
}
SCORES, RATES = (500, 3_000), (0.01, 0.001)
FEATURES = {
    "normal": lambda rng, size: rng.normal(size=size),
    "rectified": lambda rng, size: np.maximum(rng.normal(size=size), 0),
    "exponential": lambda rng, size: rng.exponential(size=size),
}


def covered(values, errors, truth=None):
    """Share of the values within 1.96 errors of the truth, by default their mean."""
    values, errors = np.asarray(values), np.asarray(errors)
    truth = np.mean(values) if truth is None else truth
    return float(np.mean(np.abs(values - truth) <= 1.96 * errors))


def kernel_distances(repeats, rng):
    for law, draw in FEATURES.items():
        for real, generated, features in ((100, 100, 16), (200, 150, 32)):
            found = [
                evaluation.kernel_distance(
                    draw(rng, (real, features)), draw(rng, (generated, features)), subsets=5
                )
                for _ in range(repeats)
            ]
            name = f"{law}, {real} and {generated} rows of {features} features, alike"
            yield name, covered(*zip(*found, strict=True), truth=0.0)


def thresholds(repeats, rng):
    for law, count, rate in ((a, b, c) for a in LAWS for b in SCORES for c in RATES):
        truth = LAWS[law].isf(rate)
        for tail in ("quantile", "pareto"):
            hits = 0
            for scores in LAWS[law].rvs((repeats, count), random_state=rng):
                found = tasks.threshold(scores, rate, tail=tail)
                hits += bool(found.low <= truth <= found.high)
            yield f"{tail}, {law}, {count} scores, rate {rate:g}", hits / repeats


def quick_scores(codes, factors, seed):
    return {
        "mutual_information_gap": evaluation.mutual_information_gap(codes, factors),
        "separated_attributes": evaluation.separated_attributes(codes, factors, seed=seed),
        "interventional_robustness": evaluation.interventional_robustness(codes, factors),
        "modularity": evaluation.modularity(codes, factors),
        "explicitness": evaluation.explicitness(codes, factors, seed=seed),
    }


def disentanglement(repeats, rng):
    found = {}
    for _ in range(repeats):
        factors = rng.integers(0, 3, size=(400, 2))
        codes = factors @ [[1.0, 0.3], [0.2, 1.0]] + 0.5 * rng.normal(size=(400, 2))
        scores = over_parts(quick_scores, codes, factors, size=80, repeats=5, seed=0)
        for name, score in scores.items():
            found.setdefault(name, []).append(score)
    for name, scores in found.items():
        yield f"{name}, 400 examples, 5 parts", covered(*zip(*scores, strict=True))


def means(repeats, rng):
    for count in (50, 1_000):
        found = [
            LogMarginal(values, np.full(count, 9.0), 100, "importance sampling")
            for values in -rng.gamma(4.0, size=(repeats, count))
        ]
        name = f"log p(x), mean of {count} values of a gamma distribution"
        yield name, covered([f.mean for f in found], [f.standard_error for f in found])
        shares = rng.dirichlet(np.full(5, 0.5), size=(repeats, count))
        ranks = [evaluation.Calibration(each) for each in shares]
        name = f"share of a rank, {count} examples"
        yield name, covered([r.mean[0] for r in ranks], [r.standard_errors[0] for r in ranks])


SECTIONS = (kernel_distances, thresholds, disentanglement, means)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="a few sets, nothing written")
    names = [section.__name__ for section in SECTIONS]
    parser.add_argument("sections", nargs="*", help=f"of {names}; default: all")
    arguments = parser.parse_args()
    repeats = SMOKE if arguments.smoke else REPEATS
    for section in SECTIONS:
        if arguments.sections and section.__name__ not in arguments.sections:
            continue
        coverage = {}
        for name, share in section(repeats, np.random.default_rng(SEED)):
            coverage[name] = round(share, 4)
            print(f"{section.__name__}: {name}: {share:.1%}", flush=True)
        if not arguments.smoke:
            write(section.__name__, coverage)


def write(section, coverage):
    """Put a section's coverage beside those of others, measured before."""
    known = json.loads(RESULTS.read_text())["coverage_of_95%"] if RESULTS.exists() else {}
    result = {
        "command": "python benchmarks/intervals.py",
        "repeats": REPEATS,
        "seed": SEED,
        "versions": versions(),
        "coverage_of_95%": {**known, section: coverage},
    }
    RESULTS.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
