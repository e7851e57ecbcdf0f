"""The workloads that all contenders train, and how they report: `SCRIPT NET BATCH [WORDS]`.

| net | sizes |
|---|---|
| `mlp` | 784-512-10-512-784, ReLU |
| `mnist` | the same, with as many examples as MNIST |
| `burda` | 784-200-200-50-200-200-784, tanh |
| `conv` | 32 x 32 x 3; 32, 64 and 128 filters of 3 x 3 with strides of 2; 64 latents |

Diagonal normal posterior, Bernoulli likelihood, Adam 1e-3, float32, data in memory. Each
contender trains `WARM_UP` epochs to start up and compile, then `EPOCHS` that are timed.
"""

import json
import sys

import numpy as np
from resident import peak_mb

WARM_UP, EPOCHS = 1, 4
NETS = {
    "mlp": {"shape": (784,), "hidden": [512], "latent": 10, "examples": 15_360},
    "mnist": {"shape": (784,), "hidden": [512], "latent": 10, "examples": 60_000},
    "burda": {"shape": (784,), "hidden": [200, 200], "latent": 50, "examples": 15_000},
    "conv": {"shape": (32, 32, 3), "hidden": [32, 64, 128], "latent": 64, "examples": 1_280},
}
MEMORY = {}
NAME, BATCH, WORDS = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
SHAPE, HIDDEN, LATENT, EXAMPLES = NETS[NAME].values()


def bits():
    """Random bits with MNIST's share of ones: the arithmetic does not depend on the values."""
    MEMORY["after_imports"] = peak_mb()
    return (np.random.default_rng(0).random((EXAMPLES, *SHAPE)) < 0.13).astype("float32")


def report(epoch_ends, first_step=None, **versions):
    """Print examples per second of the median timed epoch, from the times epochs ended."""
    seconds = np.diff(epoch_ends)[-EPOCHS:]
    result = {
        "examples_per_second": EXAMPLES / float(np.median(seconds)),
        "seconds_to_first_step": first_step,
        "memory_mb": {**MEMORY, "peak": peak_mb()},
        "versions": versions,
    }
    json.dump(result, sys.stdout)
    print()
