"""The workloads that all contenders train, and how: `SCRIPT NET BATCH TURNS [WORDS]`.

| net | sizes |
|---|---|
| `mlp` | 784-512-10-512-784, ReLU |
| `mnist` | the same, with as many examples as MNIST |
| `burda` | 784-200-200-50-200-200-784, tanh |
| `conv` | 32 x 32 x 3; 32, 64 and 128 filters of 3 x 3 with strides of 2; 64 latents |

Diagonal normal posterior, Bernoulli likelihood, Adam 1e-3, float32, data in memory. Each
contender trains an epoch to start up and compile. Then it takes its turns: it waits for a line
of input, trains `EPOCHS`, and writes a line of JSON, as it does once it is ready.
"""

import json
import sys
import time

import numpy as np
from resident import peak_mb

EPOCHS = 4
NETS = {
    "mlp": {"shape": (784,), "hidden": [512], "latent": 10, "examples": 15_360},
    "mnist": {"shape": (784,), "hidden": [512], "latent": 10, "examples": 60_000},
    "burda": {"shape": (784,), "hidden": [200, 200], "latent": 50, "examples": 15_000},
    "conv": {"shape": (32, 32, 3), "hidden": [32, 64, 128], "latent": 64, "examples": 1_280},
}
MEMORY = {}
NAME, BATCH, TURNS, WORDS = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]
ALL_EPOCHS = 1 + TURNS * EPOCHS
SHAPE, HIDDEN, LATENT, EXAMPLES = NETS[NAME].values()


def bits():
    """Random bits with MNIST's share of ones: the arithmetic does not depend on the values."""
    MEMORY["after_imports"] = peak_mb()
    return (np.random.default_rng(0).random((EXAMPLES, *SHAPE)) < 0.13).astype("float32")


class Turns:
    """Times epochs in turn with other contenders.

    Args:
        **versions: Of the packages.

    Attributes:
        over: Whether all turns were taken.
    """

    def __init__(self, **versions):
        self._versions = versions
        self._ends = []
        self._first = None
        self._start = time.perf_counter()

    @property
    def over(self):
        return len(self._ends) >= ALL_EPOCHS

    def step_ended(self):
        self._first = self._first or time.perf_counter() - self._start

    def epoch_ended(self):
        """Say what there is to say, and wait for the next turn, if it is time to."""
        self._ends.append(time.perf_counter())
        if len(self._ends) == 1:
            say(seconds_to_first_step=self._first, versions=self._versions)
        elif len(self._ends) % EPOCHS == 1:
            # Of the first epoch, the beginning is that of the turn.
            began = [self._turn, *self._ends[-EPOCHS:-1]]
            seconds = np.subtract(self._ends[-EPOCHS:], began)
            rate = EXAMPLES / float(np.median(seconds))
            say(examples_per_second=rate, memory_mb={**MEMORY, "peak": peak_mb()})
        if len(self._ends) % EPOCHS == 1 and not self.over:
            sys.stdin.readline()
            self._turn = time.perf_counter()


def say(**what):
    """Write a line of JSON."""
    print(json.dumps(what), flush=True)
