"""What data, sizes and memory cost: `python benchmarks/costs.py data|scaling|memory`.

- `data`: examples a second of `fit` on MNIST from memory, from `tf.data`, from a folder of
  60,000 PNG files and from a memory-mapped file of 20 GB (MNIST 425 times, each time with other
  noise), each in a process of its own, in turn for several rounds; seconds until the first
  60,000 examples were done, and memory of its own at most (of a mapped file, what the system
  keeps of it is not the process's). `--gigabytes` makes the file smaller; `--places` names
  those to measure again beside memory.
- `scaling`: seconds of an epoch against examples, latents and importance samples, medians over
  rounds, with the least-squares line, its R^2, and a picture, `results/scaling.png`.
- `memory`: resident at most, and beyond what the imports take, of training
  784-512-10-512-784 on 60,000 examples and of log p(x) from 5,000 samples each, beside pythae
  and a loop by `torch.compile`; `--peers PYTHON` names one that has both.

Results go to `results/costs.json`. Nothing else may run meanwhile.
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
from facts import machine, sha256, versions
from speed import run, spread

import keras_vae

RESULTS = smoke.RESULTS / "costs.json"
PLACES = ("tf.data", "folder", "file")
ROUNDS = {"data": smoke.pick(5, 1), "scaling": smoke.pick(3, 1), "memory": 1}
NLL_SAMPLES = smoke.pick("5000", "5")
ALL_SIZES = {
    "examples": (3_840, 7_680, 15_360, 30_720, 61_440),
    "latents": (2, 64, 128, 256, 512),
    "samples": (1, 4, 8, 16, 32),
}
SIZES = smoke.pick(ALL_SIZES, {"examples": (128, 256)})


def data(given):
    images = (255 * smoke.load_mnist().x_train).round().astype("uint8")
    with tempfile.TemporaryDirectory(dir=given.scratch) as folder:
        places = {"memory": "images.npy", "tf.data": "images.npy", "folder": "png"}
        places["file"] = "large.npy"
        paths = {where: pathlib.Path(folder) / name for where, name in places.items()}
        np.save(paths["memory"], images)
        if "folder" in given.places:
            write_folder(images, paths["folder"])
        if "file" in given.places:
            write_large(images, paths["file"], given.gigabytes)
        paths = {w: path for w, path in paths.items() if w in ("memory", *given.places)}
        rounds = [
            {w: run(sys.executable, "data_path.py", w, str(p)) for w, p in paths.items()}
            for _ in range(ROUNDS["data"])
        ]
    table = {"gigabytes": given.gigabytes}
    for where in paths:
        each = [outcome[where] for outcome in rounds]
        rates = [outcome["examples_per_second"] for outcome in each]
        ratios = [
            rate / outcome["memory"]["examples_per_second"]
            for rate, outcome in zip(rates, rounds, strict=True)
        ]
        table[where] = {
            "examples_per_second": spread(rates),
            "of_that_from_memory": spread(ratios),
            "seconds_of_the_first_pass": spread([e["seconds_of_the_first_pass"] for e in each]),
            "peak_memory_mb": spread([e["memory_mb"]["peak"] for e in each]),
        }
    return table


def write_folder(images, path):
    import PIL.Image

    path.mkdir()
    for index, image in enumerate(images):
        PIL.Image.fromarray(image[..., 0]).save(path / f"{index:05d}.png")


def write_large(images, path, gigabytes):
    copies = max(1, round(gigabytes * 1e9 / images.nbytes))
    shape = (copies * len(images), *images.shape[1:])
    large = np.lib.format.open_memmap(path, "w+", "uint8", shape)
    rng = np.random.default_rng(0)
    for copy in range(copies):
        noise = rng.integers(0, 8, images.shape, dtype="uint8")
        large[copy * len(images) : (copy + 1) * len(images)] = images ^ noise
    large.flush()


def scaling(given):
    table = {}
    for what, sizes in SIZES.items():
        found = {size: [] for size in sizes}
        for _ in range(ROUNDS["scaling"]):
            for size in sizes:
                outcome = run(sys.executable, "epoch_costs.py", what, str(size))
                found[size].append(outcome["seconds"])
        seconds = [statistics.median(each) for each in found.values()]
        slope, start = np.polyfit(sizes, seconds, 1)
        missed = np.var(np.array(seconds) - start - slope * np.array(sizes))
        table[what] = {
            "seconds": {str(size): spread(each) for size, each in found.items()},
            "line": {"start": round(float(start), 4), "slope": float(f"{slope:.4g}")},
            "r_squared": round(float(1 - missed / np.var(seconds)), 5),
        }
        smoke.write(RESULTS, table, complete=False)
    draw(table)
    return table


def draw(table):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3), layout="constrained")
    for axes, (what, row) in zip(
        figure.subplots(1, len(table), squeeze=False)[0], table.items(), strict=True
    ):
        sizes = np.array([int(size) for size in row["seconds"]])
        for size, each in zip(sizes, row["seconds"].values(), strict=True):
            axes.plot([size, size], [each["lowest"], each["highest"]], color="C0")
            axes.plot(size, each["median"], "o", color="C0")
        axes.plot(sizes, row["line"]["start"] + row["line"]["slope"] * sizes, color="C1")
        axes.set(xlabel=what, ylabel="seconds of an epoch", ylim=(0, None))
        axes.set_title(f"R² {row['r_squared']:.4f}", fontsize="medium")
    figure.savefig(RESULTS.parent / "scaling.png", dpi=100)


def memory(given):
    peers = given.peers
    if peers is None and not given.smoke:
        raise SystemExit("--peers names a Python that has torch and pythae")
    bits = keras_vae.data.binarize(smoke.load_mnist().x_test, 0)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "bits.npy"
        np.save(path, bits.astype("float32"))
        size = ("mnist", "128", "1")
        training = {
            "keras_vae": run(sys.executable, "keras_vae_fit.py", *size),
        }
        nll = {
            "keras_vae": run(
                sys.executable, "keras_vae_nll.py", str(path), "1000", NLL_SAMPLES
            ),
        }
        if peers:
            training["torch.compile"] = run(peers, "torch_loop.py", *size, "tuned", "compiled")
            training["pythae"] = run(peers, "pythae_trainer.py", *size)
            nll["pythae"] = run(peers, "pythae_nll.py", str(path), "100", NLL_SAMPLES)
    return {
        "training": {who: rounded(outcome["memory_mb"]) for who, outcome in training.items()},
        "log p(x)": {who: round(outcome["peak_memory_mb"]) for who, outcome in nll.items()},
        "unit": "MiB",
    }


def rounded(megabytes):
    beyond = megabytes["peak"] - megabytes["after_imports"]
    return {"peak": round(megabytes["peak"]), "beyond_imports": round(beyond)}


STUDIES = {"data": data, "scaling": scaling, "memory": memory}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", choices=STUDIES)
    parser.add_argument("--peers", help="a Python that has torch and pythae")
    parser.add_argument("--gigabytes", type=float, default=smoke.pick(20.0, 0.001))
    parser.add_argument(
        "--places", nargs="+", default=smoke.pick(PLACES, PLACES[:0]), choices=PLACES
    )
    smoke.add_argument(parser)
    parser.add_argument("--scratch", help="a folder with so much room")
    given = parser.parse_args()
    path = pathlib.Path(os.environ.get("KERAS_VAE_DATA", "")) / "mnist.npz"
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    # Places that were not measured again keep their figures.
    before = results.get(given.study, {}).get("results", {})
    table = {**before, **STUDIES[given.study](given)}
    results[given.study] = {
        "command": f"python benchmarks/costs.py {given.study}",
        "protocol": __doc__,
        "rounds": ROUNDS[given.study],
        "seed": 0,
        "data": sha256(path),
        "machine": machine(),
        "versions": versions(),
        "results": table,
    }
    smoke.write(RESULTS, results)
    print(json.dumps(table, indent=2))


if __name__ == "__main__":
    main()
