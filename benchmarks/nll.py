"""log p(x) of 10,000 digits from 5,000 samples each, beside pythae's `get_nll`.

    KERAS_VAE_DATA=... python benchmarks/nll.py --peers PYTHON

Both have the same networks, 784-512-10-512-784, untrained: the arithmetic does not depend on
the weights. Rates are of 100 digits, in turn for several rounds, each in a process of its own,
pythae at its fastest batch size; then keras_vae does all 10,000 once. pythae's time for these
is extrapolated. `PYTHON` is one that has torch and pythae. Results go to `results/nll.json`.
"""

import argparse
import json
import os
import pathlib
import statistics
import sys
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import smoke
from facts import machine, sha256
from speed import run, spread

import keras_vae

RESULTS = smoke.RESULTS / "nll.json"
SUBSET, ALL = smoke.pick((100, 10_000), (4, 8))
SAMPLES, ROUNDS = smoke.pick((5_000, 5), (5, 1))

# In place of what a smoke run leaves out.
NO_PEER = {"samples_per_second": float("inf"), "batch_size": None, "versions": {}}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", help="a Python that has torch and pythae")
    smoke.add_argument(parser)
    given = parser.parse_args()
    peers = given.peers
    if not (peers or given.smoke):
        parser.error("--peers is needed: a Python that has torch and pythae")
    bits = keras_vae.data.binarize(smoke.load_mnist().x_test, 0)
    ours, theirs = [], []
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "bits.npy"
        np.save(path, bits.astype("float32"))
        for _ in range(ROUNDS):
            sizes = (str(path), str(SUBSET), str(SAMPLES))
            ours.append(run(sys.executable, "keras_vae_nll.py", *sizes))
            theirs.append(run(peers, "pythae_nll.py", *sizes) if peers else NO_PEER)
            smoke.write(RESULTS, {"ours": ours, "theirs": theirs}, complete=False)
        whole = run(sys.executable, "keras_vae_nll.py", str(path), str(ALL), str(SAMPLES))
    rates = [[each["samples_per_second"] for each in of] for of in (ours, theirs)]
    ratios = [a / b for a, b in zip(*rates, strict=True)]
    data = pathlib.Path(os.environ.get("KERAS_VAE_DATA", "")) / "mnist.npz"
    result = {
        "command": "python benchmarks/nll.py --peers PYTHON",
        "samples": SAMPLES,
        "keras_vae / pythae": spread(ratios),
        "samples_per_second": {"keras_vae": spread(rates[0]), "pythae": spread(rates[1])},
        "all_digits": {
            "examples": ALL,
            "seconds": round(whole["seconds"], 1),
            "samples_per_second": round(whole["samples_per_second"]),
            "peak_memory_mb": round(whole["peak_memory_mb"]),
            "memory_beyond_200_examples_mb": round(whole["memory_beyond_200_examples_mb"]),
            "pythae_seconds_extrapolated": round(
                ALL * SAMPLES / statistics.median(rates[1]), 1
            ),
        },
        "pythae_batch_sizes": [each["batch_size"] for each in theirs],
        "data": sha256(data),
        "seed": 0,
        "machine": machine(),
        "versions": {**whole["versions"], **theirs[0]["versions"]},
    }
    smoke.write(RESULTS, result)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
