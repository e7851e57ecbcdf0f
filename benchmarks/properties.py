"""Random compositions on extreme values: `python benchmarks/properties.py`.

1,000 compositions of `tests/properties.py`, each trained for one step in float32, and 200 of
them under `mixed_bfloat16`, where numbers that are not finite are counted but not promised
away. `--smoke` runs four. Results are written as they come.
"""

import argparse
import json
import multiprocessing
import os
import pathlib
import sys
import time

ROOT = pathlib.Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "properties.json"
SEED, COUNT, COUNT_MIXED, SMOKE = 0, 1_000, 200, 4
POLICIES = {"float32": COUNT, "mixed_bfloat16": COUNT_MIXED}


def some_compositions(count):
    """The first so many of a random sequence that depends on the seed alone."""
    from hypothesis import HealthCheck, Phase, given, seed, settings

    from tests.properties import compositions

    found = []

    @seed(SEED)
    @settings(
        max_examples=COUNT,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(compositions())
    def note(composition):
        found.append(composition)

    note()
    return found[:count]


def run(worker, workers, counts, queue):
    """Train every so-many-th composition, under each policy; put what came of it."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.path.insert(0, str(ROOT))
    import keras

    every = some_compositions(max(counts.values()))
    for policy, count in counts.items():
        keras.config.set_dtype_policy(policy)
        for index in range(worker, min(count, len(every)), workers):
            try:
                trouble = every[index].trouble()
            except Exception as error:
                trouble = f"{type(error).__name__}: {error}"
            queue.put((policy, index, repr(every[index]), trouble))
            if index % 50 < workers:
                keras.backend.clear_session()
    queue.put(None)


def main():
    """Collect what the workers find."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    counts = dict.fromkeys(POLICIES, SMOKE) if options.smoke else POLICIES
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    for worker in range(options.workers):
        arguments = (worker, options.workers, counts, queue)
        context.Process(target=run, args=arguments, daemon=True).start()
    found = {policy: {"compositions": 0, "not_finite": []} for policy in counts}
    left, written = options.workers, 0.0
    while left:
        message = queue.get()
        if message is None:
            left -= 1
        else:
            policy, _, composition, trouble = message
            found[policy]["compositions"] += 1
            if trouble:
                found[policy]["not_finite"].append([composition, trouble[:300]])
                print(f"{policy}: {composition}: {trouble[:300]}", flush=True)
        if not options.smoke and (not left or time.time() > written + 30):
            write(found)
            written = time.time()
    print({p: (f["compositions"], len(f["not_finite"])) for p, f in found.items()})


def write(found):
    """Write what was found so far."""
    from facts import machine, versions

    report = {
        "command": "python benchmarks/properties.py",
        "model": "Random parts of the conformance tables, one step on extreme values.",
        "seed": SEED,
        "asked": POLICIES,
        "versions": versions("hypothesis"),
        "machine": machine(),
        "results": found,
    }
    RESULTS.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
