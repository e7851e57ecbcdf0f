"""The workload that all contenders train: the same sizes, the same data, the same report.

MLP 784-512-10-512-784, ReLU, diagonal normal posterior, Bernoulli likelihood, Adam 1e-3,
batches of 128, float32, 60,000 examples of bits in memory. Each contender trains `WARM_UP`
epochs to start up and compile, then `EPOCHS` that are timed.
"""

import json
import sys

import numpy as np

EXAMPLES, PIXELS, HIDDEN, LATENT, BATCH = 60_000, 784, 512, 10, 128
WARM_UP, EPOCHS = 1, 4


def bits():
    """Random bits with MNIST's share of ones: the arithmetic does not depend on the values."""
    return (np.random.default_rng(0).random((EXAMPLES, PIXELS)) < 0.13).astype("float32")


def report(epoch_ends, **versions):
    """Print examples per second of the median timed epoch, from the times epochs ended."""
    seconds = np.diff(epoch_ends)[WARM_UP - 1 :] if WARM_UP else np.diff(epoch_ends)
    rate = EXAMPLES / float(np.median(seconds[-EPOCHS:]))
    json.dump({"examples_per_second": rate, "versions": versions}, sys.stdout)
    print()
