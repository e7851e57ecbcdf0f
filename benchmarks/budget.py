"""What a fixed time of the processor buys: `python benchmarks/budget.py --peers PYTHON`.

784-512-50-512-784, ReLU, on MNIST with bits drawn anew for each use; 10 minutes of the
processor each, tracing and compiling included, in a process of its own, one after the other:

- `keras_vae`: `fit` as shipped, batches of 128, Adam 1e-3;
- `torch.compile`: a loop with the same batches and optimizer, tuned;
- `pythae`: its VAE, trainer and defaults, batches of 64, Adam 1e-4; bits are drawn by its data
  set.

Measured: -log p(x) in nats, 500 importance samples, of one draw of the bits of 10,000 test
digits, the same for all; the formula is written in PyTorch for theirs. `PYTHON` is one that has
torch and pythae. One seed. Results go to `results/budget.json`; contenders that are there with
the same budget are not run again.
"""

import argparse
import json
import os
import pathlib
import sys
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import smoke
from facts import machine, sha256
from speed import run

import keras_vae

RESULTS = smoke.RESULTS / "budget.json"
SAMPLES, MINUTES = smoke.pick(500, 5), smoke.pick(10.0, 0.05)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", help="a Python that has torch and pythae")
    smoke.add_argument(parser)
    parser.add_argument("--minutes", type=float, default=MINUTES)
    given = parser.parse_args()
    if not (given.peers or given.smoke):
        parser.error("--peers is needed: a Python that has torch and pythae")
    images = smoke.load_mnist()
    test = keras_vae.data.binarize(images.x_test, 0)
    data = pathlib.Path(os.environ.get("KERAS_VAE_DATA", "")) / "mnist.npz"
    contenders = {
        "keras_vae": (sys.executable, "budget_keras_vae.py"),
        "torch.compile": (given.peers, "budget_torch.py", "torch.compile"),
        "pythae": (given.peers, "budget_torch.py", "pythae"),
    }
    report = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    rows = report.get("results", {}) if report.get("minutes") == given.minutes else {}
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "mnist.npz"
        np.savez(path, train=images.x_train.astype("float32"), test=test.astype("float32"))
        for name, (python, script, *words) in contenders.items():
            if name in rows or python is None:
                continue
            rows[name] = run(
                python, script, str(path), str(given.minutes), str(SAMPLES), *words
            )
            print(name, rows[name], flush=True)
            report = {
                "command": "python benchmarks/budget.py --peers PYTHON",
                "protocol": __doc__,
                "minutes": given.minutes,
                "importance_samples": SAMPLES,
                "seed": 0,
                "data": sha256(data),
                "machine": machine(),
                "results": rows,
            }
            smoke.write(RESULTS, report)


if __name__ == "__main__":
    main()
