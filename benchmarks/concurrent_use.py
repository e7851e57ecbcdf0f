"""Right answers and flat memory under load: `python benchmarks/concurrent_use.py`.

- `requests`: 20,000 calls of `encode` and `generate` from 8 threads against one model while
  another model trains in the same process. Calls have 1 to 64 rows; each answer is compared
  with the one that the model gave before the threads began.
- `rounds`: 200 rounds of `fit` and `generate` of one model, with other numbers of examples,
  batch sizes and draws each time.

Memory is what is resident in the process, in MB: after a tenth of the work, when everything
that is compiled once has been compiled, and at the end. `growth` is the slope of a line through
the measurements of the last nine tenths, in MB per 1,000 calls or per 100 rounds. Results go to
`results/concurrent_use.json` after each part.
"""

import argparse
import concurrent.futures
import os
import pathlib
import threading

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import smoke
from facts import machine, versions
from rich.progress import track

import keras_vae
from keras_vae import likelihoods, networks, posteriors

RESULTS = smoke.RESULTS / "concurrent_use.json"
SEED, THREADS, TOLERANCE = 0, 8, 1e-5
REQUESTS, POOL, ROUNDS = smoke.pick((20_000, 200, 200), (80, 8, 4))
SIZES = (1, 2, 3, 8, 17, 64)


def model(seed):
    keras.utils.set_random_seed(seed)
    vae = keras_vae.VAE(
        networks.MLP([64]),
        networks.MLP([64]),
        posteriors.DiagonalNormal(8),
        likelihood=likelihoods.Bernoulli(),
        event_shape=(8, 8, 1),
        seed=seed,
    )
    vae.compile("adam")
    return vae


def resident_mb():
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def memory(levels, unit):
    """What is resident early and late, and the slope between, per `unit` measurements."""
    late = np.array(levels[len(levels) // 10 :])
    slope = np.polyfit(np.arange(len(late)), late, 1)[0] if len(late) > 1 else 0.0
    return {
        "early_mb": round(float(late[0]), 1),
        "late_mb": round(float(late[-1]), 1),
        "growth_mb": round(float(slope * unit), 3),
    }


def calls(vae, x):
    """Calls of the model by number, each a function without arguments."""
    rng = np.random.default_rng(SEED)
    found = []
    for index in range(POOL):
        rows = int(rng.choice(SIZES))
        if index % 2:
            found.append(lambda rows=rows, index=index: vae.generate(rows, seed=index))
        else:
            part = x[rng.choice(len(x), rows)]
            found.append(lambda part=part: vae.encode(part))
    return found


def requests(x):
    served, trained = model(0), model(1)
    served.fit(x, epochs=2, verbose=0)
    pool = calls(served, x)
    wanted = [call() for call in pool]
    numbers = np.random.default_rng(SEED).integers(POOL, size=REQUESTS)
    finished = threading.Event()
    levels, errors = [], []

    def train():
        epochs = 0
        while not finished.is_set():
            trained.fit(x, epochs=5, verbose=0)
            epochs += 5
        return epochs

    def ask(part):
        for number in part:
            found = pool[number]()
            same = found.shape == wanted[number].shape
            errors.append(float(np.abs(found - wanted[number]).max()) if same else np.inf)

    with concurrent.futures.ThreadPoolExecutor(THREADS + 1) as threads:
        training = threads.submit(train)
        try:
            for block in track(np.array_split(numbers, max(10, REQUESTS // 200)), "requests"):
                for asked in [
                    threads.submit(ask, part) for part in np.array_split(block, THREADS)
                ]:
                    asked.result()
                levels.append(resident_mb())
        finally:
            finished.set()
        epochs = training.result()
    return {
        "requests": len(errors),
        "threads": THREADS,
        "wrong": int(np.sum(~(np.array(errors) <= TOLERANCE))),
        "largest_error": max(errors),
        "epochs_of_the_other_model": epochs,
        "memory": memory(levels, 1_000 / (REQUESTS / len(levels))),
    }


def rounds(x):
    vae, rng, levels, bad = model(2), np.random.default_rng(SEED), [], 0
    for _ in track(range(ROUNDS), "rounds"):
        examples, rows, count = (
            int(rng.integers(*ends)) for ends in ((2, 600), (1, 129), (1, 300))
        )
        history = vae.fit(x[:examples], batch_size=rows, verbose=0).history
        drawn = vae.generate(count, seed=count)
        bad += not (np.isfinite(history["loss"]).all() and drawn.shape == (count, 8, 8, 1))
        levels.append(resident_mb())
    return {"rounds": ROUNDS, "wrong": bad, "memory": memory(levels, 100)}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    smoke.add_argument(parser)
    parser.parse_args()
    x = keras_vae.data.load_digits().x_train
    report = {
        "command": "python benchmarks/concurrent_use.py",
        "seed": SEED,
        "tolerance": TOLERANCE,
        "machine": machine(),
        "versions": versions(),
        "results": {},
    }
    for study in (requests, rounds):
        report["results"][study.__name__] = found = study(x)
        print(study.__name__, found)
        smoke.write(RESULTS, report, complete=study is rounds)
        if found["wrong"]:
            raise SystemExit(f"{found['wrong']} answers were wrong.")


if __name__ == "__main__":
    main()
