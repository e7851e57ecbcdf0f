"""Do all parts go together? `python benchmarks/parts_matrix.py` (by hand, under an hour).

A covering array of strength 2 - every valid pair of parts and networks in at least one
composition - and 200 compositions at random. Each is trained two steps in a graph and two
under XLA, evaluated, saved, loaded, and evaluated again, which must give the same bound.
Then the decoder is exported to SavedModel and ONNX once for each likelihood and decoder.

Each case is a line in `results/parts_matrix.jsonl` as soon as it is done: a run that was
stopped goes on where it was, on another machine too. `--shard 0/2` and
`--shard 1/2` share the work between two processes; `--summary` writes
`results/parts_matrix.json`.
"""

import argparse
import collections
import itertools
import json
import os
import pathlib
import sys
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Two steps are run: compiling takes all the time, and that without optimising is half of it.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true",
)

import keras
import numpy as np
import smoke
from facts import versions

import keras_vae
from keras_vae import networks
from keras_vae.models.composition import why_invalid
from tests.conformance.case import CONDITION_SHAPE
from tests.conformance.cases import CASES

RESULTS = smoke.RESULTS
SEED, RANDOM_CASES, ROWS, BATCH = 0, 200, 16, 8
AT_A_TIME = 15
IMAGE, SEQUENCE = (8, 8, 1), (6, 3)
SLOTS = ("posterior", "prior", "likelihood", "objective", "encoder", "decoder")
FAMILIES = {slot: f"{slot}s" for slot in SLOTS[:2]} | {
    "likelihood": "likelihoods",
    "objective": "objectives",
}
ENCODERS = {
    "MLP": lambda: networks.MLP([8]),
    "ResidualMLP": lambda: networks.ResidualMLP(8, blocks=1),
    "ConvEncoder": lambda: networks.ConvEncoder([4]),
    "ResidualEncoder": lambda: networks.ResidualEncoder([4]),
    "RecurrentEncoder": lambda: networks.RecurrentEncoder([4]),
    "ConvEncoder1D": lambda: networks.ConvEncoder1D([4]),
    "TransformerEncoder": lambda: networks.TransformerEncoder(depth=1, heads=2, width=4),
}
DECODERS = {
    "MLP": lambda: networks.MLP([8]),
    "ResidualMLP": lambda: networks.ResidualMLP(8, blocks=1),
    "ConvDecoder": lambda: networks.ConvDecoder([4]),
    "ResidualDecoder": lambda: networks.ResidualDecoder([4]),
    "RecurrentDecoder": lambda: networks.RecurrentDecoder([4]),
    "RecurrentDecoder, autoregressive": lambda: networks.RecurrentDecoder(
        [4], autoregressive=True
    ),
    "CausalConvDecoder": lambda: networks.CausalConvDecoder(4, dilations=[1]),
    "CausalConvDecoder, autoregressive": lambda: networks.CausalConvDecoder(
        4, dilations=[1], autoregressive=True
    ),
    "TransformerDecoder": lambda: networks.TransformerDecoder(depth=1, heads=2, width=4),
    "TransformerDecoder, autoregressive": lambda: networks.TransformerDecoder(
        depth=1, heads=2, width=4, autoregressive=True
    ),
}
OF_IMAGES = ("ConvEncoder", "ResidualEncoder", "ConvDecoder", "ResidualDecoder")
OF_VECTORS = ("MLP", "ResidualMLP")
NEEDS_IMAGES = ("MSSSIM", "Perceptual")


def variants():
    """Cases by slot and class."""
    table = {slot: collections.defaultdict(list) for slot in FAMILIES}
    for slot, family in FAMILIES.items():
        for case in CASES:
            if case.family == family:
                table[slot][case.cls.__name__].append(case)
    return table


def valid_triples(table):
    """Posterior, prior and objective that go together: what the rule depends on."""
    likelihood = next(iter(table["likelihood"].values()))[0].make()
    slots = ("posterior", "prior", "objective")
    cases = {slot: [c for cases in table[slot].values() for c in cases] for slot in slots}
    made = {(slot, c.name): c.make() for slot in slots for c in cases[slot]}
    return [
        dict(zip(slots, triple, strict=True))
        for triple in itertools.product(*cases.values())
        if why_invalid(
            made["posterior", triple[0].name],
            made["prior", triple[1].name],
            likelihood,
            made["objective", triple[2].name],
        )
        is None
    ]


def event_of(chosen):
    """Shape of the events that networks, likelihood and objective all take, or None."""
    bodies = {chosen["encoder"], chosen["decoder"]} - set(OF_VECTORS)
    of_images = {body for body in bodies if body in OF_IMAGES}
    if "autoregressive" in chosen["decoder"] and not MASKABLE[chosen["likelihood"].name]:
        return None  # the density of one value needs the whole event
    if chosen["objective"].variant == "gradient_penalty" and "Recurrent" in chosen["decoder"]:
        return None  # TensorFlow has no forward mode through loops
    own = chosen["likelihood"].event_shape
    if own != IMAGE:  # a table: neither image nor sequence
        return (
            own if not bodies and chosen["objective"].cls.__name__ not in NEEDS_IMAGES else None
        )
    if of_images and of_images != bodies:
        return None
    if bodies and not of_images:
        return None if chosen["objective"].cls.__name__ in NEEDS_IMAGES else SEQUENCE
    return IMAGE


MASKABLE = {case.name: case.make().maskable for case in CASES if case.family == "likelihoods"}


def pairs_of(row):
    """The pairs of a composition by class: {((slot, name), (slot, name)), ...}."""
    named = [(slot, name_of(row[slot])) for slot in SLOTS]
    return set(itertools.combinations(named, 2))


def name_of(choice):
    return choice if isinstance(choice, str) else choice.cls.__name__


def pick(rng, options):
    return options[rng.integers(len(options))]


def some_row(rng, triples, table, fixed):
    """A composition that holds some choices; valid if networks and events fit."""
    row = dict(pick(rng, triples))
    name = fixed.get("likelihood") or pick(rng, list(table["likelihood"]))
    row["likelihood"] = pick(rng, table["likelihood"][name])
    row["encoder"] = fixed.get("encoder") or pick(rng, list(ENCODERS))
    row["decoder"] = fixed.get("decoder") or pick(rng, list(DECODERS))
    return row


def covering_array(table, triples, rng):
    """Compositions that hold every valid pair of classes, and the pairs that are not valid."""
    names = {slot: list(classes) for slot, classes in table.items()}
    names |= {"encoder": list(ENCODERS), "decoder": list(DECODERS)}
    items = [(slot, name) for slot in SLOTS for name in names[slot]]
    waiting = {pair for pair in itertools.combinations(items, 2) if pair[0][0] != pair[1][0]}
    rows, invalid = [], []
    while waiting:
        target = min(waiting)
        fixed = dict(target)
        held = [
            t for t in triples if all(name_of(t[s]) == n for s, n in fixed.items() if s in t)
        ]
        tries = (some_row(rng, held, table, fixed) for _ in range(500 if held else 0))
        found = list(itertools.islice(filter(event_of, tries), 60))
        if not found:
            invalid.append(target)
            waiting.discard(target)
            continue
        best = max(found, key=lambda row: len(pairs_of(row) & waiting))
        waiting -= pairs_of(best)
        rows.append(best)
    return rows, invalid


def random_rows(table, triples, rng, count):
    """Valid compositions at random, over all variants."""
    tries = (some_row(rng, triples, table, {}) for _ in itertools.count())
    return list(itertools.islice(filter(event_of, tries), count))


def make_model(row):
    keras.utils.set_random_seed(SEED)
    parts = {slot: row[slot].make() for slot in FAMILIES}
    if parts["prior"].needs_condition:
        parts["condition_shape"] = CONDITION_SHAPE
    return keras_vae.VAE(
        ENCODERS[row["encoder"]](),
        DECODERS[row["decoder"]](),
        **parts,
        event_shape=event_of(row),
        seed=1,
    )


def data_of(row, vae):
    x = row["likelihood"].data(np.random.default_rng(0), (ROWS, *vae.event_shape))
    if vae.condition_shape is None:
        return x
    return {"x": x, "condition": np.ones((ROWS, *CONDITION_SHAPE))}


def run_model(row):
    """Train, evaluate, save, load; what went wrong is an exception."""
    vae = make_model(row)
    x = data_of(row, vae)
    vae.compile(keras.optimizers.Adam(1e-3), steps_per_execution=1)
    history = vae.fit(x, batch_size=BATCH, verbose=0).history
    if not all(np.isfinite(values).all() for values in history.values()):
        raise ValueError(f"not finite: {history}")
    before = vae.evaluate(x, batch_size=BATCH, verbose=0, return_dict=True)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "vae.keras"
        vae.save(path)
        again = keras.saving.load_model(path)
    after = again.evaluate(x, batch_size=BATCH, verbose=0, return_dict=True)
    if before != after:
        raise ValueError(f"loaded model differs: {before} {after}")


def run_xla(row):
    vae = make_model(row)
    vae.compile(keras.optimizers.Adam(1e-3), steps_per_execution=1, jit_compile=True)
    history = vae.fit(data_of(row, vae), batch_size=BATCH, verbose=0).history
    if not np.isfinite(history["loss"]).all():
        raise ValueError(f"not finite: {history}")


def run_export(row):
    vae = make_model(row)
    # Untrained, locations stand on the thresholds of ordered levels, which rounding decides.
    rng = np.random.default_rng(SEED)
    for variable in vae.trainable_variables:
        variable.assign_add(0.1 * rng.normal(size=variable.shape))
    with tempfile.TemporaryDirectory() as folder:
        for export in (
            keras_vae.exporters.export_saved_model,
            keras_vae.exporters.export_onnx,
        ):
            export(vae, pathlib.Path(folder) / export.__name__, signatures=["decode"])


def attempt(function, row):
    try:
        function(row)
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[-400:]}"
    return "passed"


def planned(table, triples):
    """All cases by name, in order; each a kind and a composition."""
    rng = np.random.default_rng(SEED)
    covering, invalid = covering_array(table, triples, rng)
    cases = [("covering", row) for row in covering]
    cases += [("random", row) for row in random_rows(table, triples, rng, RANDOM_CASES)]
    for classes in table["likelihood"].values():
        for decoder in DECODERS:
            if "autoregressive" in decoder:
                continue  # a loop, exported another way
            row = {
                "posterior": table["posterior"]["DiagonalNormal"][0],
                "prior": table["prior"]["StandardNormal"][0],
                "likelihood": classes[0],
                "objective": table["objective"]["ELBO"][0],
                "encoder": "MLP",
                "decoder": decoder,
            }
            if event_of(row):
                cases.append(("export", row))
    named = {}
    for kind, row in cases:
        text = " | ".join(getattr(row[s], "name", row[s]) for s in SLOTS)
        named[f"{kind}: {text}"] = (kind, row)
    return named, invalid


def run(shard, shards, path):
    cases, _ = planned(*prepared())
    done = {json.loads(line)["case"] for line in lines_of(path)}
    todo = [item for i, item in enumerate(cases.items()) if i % shards == shard]
    todo = [(name, case) for name, case in todo if name not in done]
    todo = todo[:: smoke.pick(1, len(todo) // 2 + 1)]
    print(f"{len(cases)} cases, {len(todo)} to do in this shard", flush=True)
    for index, (name, (kind, row)) in enumerate(todo):
        start = time.perf_counter()
        if kind == "export":
            result = {"export": attempt(run_export, row)}
        else:
            result = {"graph": attempt(run_model, row), "xla": attempt(run_xla, row)}
        result = {"case": name, **result, "seconds": round(time.perf_counter() - start, 1)}
        with path.open("a") as file:
            file.write(json.dumps(result) + "\n")
        keras.backend.clear_session()
        bad = {
            k: v
            for k, v in result.items()
            if isinstance(v, str) and k in FINISHED and v != "passed"
        }
        print(f"{index + 1}/{len(todo)} {result['seconds']} s {name} {bad or ''}", flush=True)
        if index + 1 == AT_A_TIME and len(todo) > AT_A_TIME:
            # Compiled programs are never freed: a process of 60 cases holds 9 GB.
            os.execv(sys.executable, [sys.executable, *sys.argv])  # noqa: S606


FINISHED = ("graph", "xla", "export")


def lines_of(path):
    return path.read_text().splitlines() if path.exists() else []


def prepared():
    table = variants()
    return table, valid_triples(table)


def summary(path):
    cases, invalid = planned(*prepared())
    results = {r["case"]: r for r in map(json.loads, lines_of(path)) if r["case"] in cases}
    counts = collections.Counter()
    failures, by_part = {}, {}
    for name, result in results.items():
        kind, row = cases[name]
        for way in FINISHED:
            if way not in result:
                continue
            passed = result[way] == "passed"
            counts[f"{kind} {way} {'passed' if passed else 'failed'}"] += 1
            if not passed:
                failures[f"{name} [{way}]"] = result[way]
            for slot in SLOTS:
                key = f"{slot} {name_of(row[slot])}"
                part = by_part.setdefault(key, {"passed": 0, "failed": 0})
                part["passed" if passed else "failed"] += 1
    report = {
        "command": "python benchmarks/parts_matrix.py [--summary]",
        "planned": dict(collections.Counter(kind for kind, _ in cases.values())),
        "not_run": len(cases) - len(results),
        "counts": dict(sorted(counts.items())),
        "failures": failures,
        "by_part": dict(sorted(by_part.items())),
        "invalid_pairs": [" with ".join(f"{s} {n}" for s, n in pair) for pair in invalid],
        "seconds_of_one_process": round(sum(r["seconds"] for r in results.values())),
        "seed": SEED,
        "versions": versions(),
    }
    smoke.write(RESULTS / "parts_matrix.json", report)
    print(json.dumps(report["counts"], indent=2))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--shard", default="0/1")
    parser.add_argument("--summary", action="store_true")
    smoke.add_argument(parser)
    arguments = parser.parse_args()
    lines = RESULTS / "parts_matrix.jsonl"
    if arguments.summary:
        summary(lines)
    else:
        run(*map(int, arguments.shard.split("/")), lines)
