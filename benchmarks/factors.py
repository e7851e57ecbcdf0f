"""Scores of disentanglement beside disentanglement_lib's own: `python benchmarks/factors.py`.

On codes made of 3,000 draws of three independent factors with 4, 3 and 5 values. The library
gets an environment of its own, made here unless `--peers PYTHON` names one. Ours are means of
one score on all examples for each of five seeds of splits, trees and pairs, with their spread;
the library's is one run. Results go to `results/factors.json`.
"""

import argparse
import pathlib
import tempfile

import numpy as np
import smoke
from facts import versions
from rich.console import Console
from rich.table import Table
from speed import make_peers, run

from keras_vae.evaluation.factors.scores import _all_scores

PEERS = (
    "--no-deps disentanglement_lib==1.5",
    "gin-config==0.4.0",
    "absl-py",
    "scikit-learn",
    "six",
)
SIZES, EXAMPLES, SEEDS = (4, 3, 5), smoke.pick(3_000, 200), smoke.pick(5, 2)

RESULTS = smoke.RESULTS / "factors.json"


def made(rng):
    """Factors and several kinds of codes of them."""
    factors = np.stack([rng.integers(0, size, EXAMPLES) for size in SIZES], axis=1)
    scaled = (factors - factors.mean(axis=0)) / factors.std(axis=0)
    rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    noise = rng.normal(size=scaled.shape)
    first = factors[:, 0]
    return {
        "factors": factors,
        "perfect": scaled,
        "noisy": scaled + 0.3 * noise,
        "random": noise,
        "rotated": scaled @ rotation,
        "split": np.column_stack([first % 2, first // 2, scaled[:, 1:]]),
        "merged": np.column_stack([first + 10.0 * factors[:, 1], scaled[:, 2]]),
        "spare": np.column_stack([scaled, 0.1 * noise]),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", help="a Python that has disentanglement_lib")
    smoke.add_argument(parser)
    given = parser.parse_args()
    arrays = made(np.random.default_rng(0))
    with tempfile.TemporaryDirectory() as folder:
        python = given.peers
        if python is None and not given.smoke:
            python = make_peers(pathlib.Path(folder) / "peers", PEERS)
        path = pathlib.Path(folder) / "codes.npz"
        np.savez(path, **arrays)
        theirs = run(python, "disentanglement_lib_scores.py", str(path)) if python else {}
    factors = arrays.pop("factors")
    table = Table("codes", "score", "ours", "spread", "disentanglement_lib")
    results = {}
    for name, codes in arrays.items():
        each = [_all_scores(codes, factors, seed) for seed in range(SEEDS)]
        for score, other in theirs.get(name, dict.fromkeys(each[0])).items():
            values = [found[score] for found in each]
            row = {
                "ours": round(float(np.mean(values)), 4),
                "spread": round(float(np.std(values, ddof=1)), 4),
                "disentanglement_lib": None if other is None else round(other, 4),
            }
            results.setdefault(name, {})[score] = row
            table.add_row(name, score, *map(str, row.values()))
        smoke.write(RESULTS, results, complete=False)
    report = {
        "command": "python benchmarks/factors.py",
        "protocol": __doc__,
        "seed": 0,
        "versions": {**versions(), "disentanglement_lib": "1.5"},
        "results": results,
    }
    smoke.write(RESULTS, report)
    Console().print(table)


if __name__ == "__main__":
    main()
