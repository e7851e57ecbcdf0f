"""The workloads that all contenders train, and how: `SCRIPT NET BATCH TURNS [WORDS]`.

| net | sizes |
|---|---|
| `mlp` | 784-512-10-512-784, ReLU |
| `mnist` | the same, with as many examples as MNIST, twice as many |
| `burda` | 784-200-200-50-200-200-784, tanh |
| `conv` | 32 x 32 x 3; 32, 64 and 128 filters of 3 x 3 with strides of 2; 64 latents |

Diagonal normal posterior, Bernoulli likelihood, Adam 1e-3, float32, data in memory. Each
contender trains an epoch to start up and compile. Then it takes its turns: it waits for a line
of input, trains an epoch to get going and `TIMED` ones, and writes a line of JSON, as it does
once it is ready. Its memory is locked, for the kernel takes back what a waiting process does
not touch.
"""

import ctypes
import json
import os
import sys
import time

import numpy as np
from resident import peak_mb

TIMED = 2
NETS = {
    "mlp": {"shape": (784,), "hidden": [512], "latent": 10, "examples": 30_720},
    "mnist": {"shape": (784,), "hidden": [512], "latent": 10, "examples": 60_000},
    "burda": {"shape": (784,), "hidden": [200, 200], "latent": 50, "examples": 15_000},
    "conv": {"shape": (32, 32, 3), "hidden": [32, 64, 128], "latent": 64, "examples": 1_280},
}
MEMORY = {}
NAME, BATCH, TURNS, WORDS = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]
ALL_EPOCHS = 1 + TURNS * (1 + TIMED)
# Of `mlockall`: what is mapped, what will be, and only what was touched.
MCL_CURRENT, MCL_FUTURE, MCL_ONFAULT = 1, 2, 4
SHAPE, HIDDEN, LATENT, EXAMPLES = NETS[NAME].values()
if os.environ.get("KERAS_VAE_SMOKE"):
    EXAMPLES = 2 * BATCH


def bits():
    """Random bits with MNIST's share of ones: the arithmetic does not depend on the values."""
    MEMORY["after_imports"] = peak_mb()
    rng = np.random.default_rng(0)
    data = np.empty((EXAMPLES, *SHAPE), "float32")
    for example in data:  # at once would take three times the memory
        example[:] = rng.random(SHAPE) < 0.13
    return data


class Turns:
    """Times epochs in turn with other contenders.

    Args:
        **versions: Of the packages.

    Attributes:
        over: Whether all turns were taken.
    """

    def __init__(self, **versions):
        self._versions = versions
        self._epochs = 0
        self._first = None
        # Without the right to lock memory, turns only begin more slowly.
        ctypes.CDLL(None).mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT)
        self._start = time.perf_counter()

    @property
    def over(self):
        return self._epochs >= ALL_EPOCHS

    def step_ended(self):
        self._first = self._first or time.perf_counter() - self._start

    def epoch_ended(self):
        """Say what there is to say, and wait for the next turn, if it is time to."""
        now = time.perf_counter()
        self._epochs += 1
        in_turn = (self._epochs - 1) % (1 + TIMED)
        if in_turn == 1:
            self._timed_from = now
        if in_turn:
            return
        if self._epochs == 1:
            say(seconds_to_first_step=self._first, versions=self._versions)
        else:
            rate = TIMED * EXAMPLES / (now - self._timed_from)
            say(examples_per_second=rate, memory_mb={**MEMORY, "peak": peak_mb()})
        if not self.over:
            sys.stdin.readline()


def say(**what):
    """Write a line of JSON."""
    print(json.dumps(what), flush=True)
