"""Images: codes, nats, bits per dimension and samples, `python benchmarks/images.py STUDY`.

Studies, each result a cell of `results/images.json`; cells that are there are not run again:

- `choose`: the configurations of `mnist`, ours and pythae's, trained on the first 50,000
  training digits, 4 epochs each; linear probe on the other 10,000, on which ours was tried with
  other warps, too. No test digit is seen.
- `mnist`: the best of `choose`, of either library, trained anew on all 60,000 training digits,
  15 epochs: linear probe on the 10,000 test digits, beside PCA's. Then nats of another model
  that is trained for them: bits drawn anew in each epoch, beta 1, 15 epochs; the first 2,000
  test digits, bits drawn once, 500 samples.
- `fashion`: Fashion-MNIST in 8 bits: bits per dimension of the first 2,000 test images, 100
  samples, and linear probe on all, beside PCA's.
- `frey`: 1,965 frames of one face, 28 x 20, in 8 bits. Order at random, then 1,565 to train
  on, 200 to stop by and 200 to test. Neighbouring frames are alike: such a split tells nothing
  of another face. Nats of the normal likelihoods are of densities of grey values spread evenly
  over their cells, in units of the whole range; their bits per dimension are an upper bound of
  those of grey values. 500 samples.
- `cifar`: 5,000 training and 1,000 test images of CIFAR-10, a tenth of the set, so that no
  published figure can be compared: bits per dimension, 100 samples.

Nats: minus the bound (10 samples) and minus the estimate of log p(x), lower is better; where
few of the samples count, which `few_effective_samples` has the share of, too pessimistic.

Linear probe: `evaluation.probe`, a logistic regression of scikit-learn on standardised codes of
all training images, 32 numbers each (mean of q(z|x), or components of PCA), for all alike.
Labels serve it alone. `warped` configurations see each digit rotated, sheared, scaled and moved
at random and have to give the digit as it was; pythae's model, whose target is its input, has
to give it as warped. pythae's layers, likelihood (grey values as probabilities of bits), batch
size, epochs and decay (by epochs, ours by steps) are those of ours, initial weights PyTorch's;
it sees one of four warped copies of a digit each time. Everything has one seed.

Sheets of samples, means of p(x|z) at draws of the prior, lie in `results/` if they are small,
else in `output/`. Needs the folder of data sets named by KERAS_VAE_DATA, and for pythae's cells
`--peers PYTHON`, one that has pythae and torch.
"""

import argparse
import functools
import json
import os
import pathlib
import subprocess
import tempfile
import warnings
from typing import NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import smoke
import tensorflow as tf
from facts import machine, sha256, versions
from sklearn.decomposition import PCA

import keras_vae
from keras_vae import (
    callbacks,
    evaluation,
    likelihoods,
    networks,
    objectives,
    plots,
    posteriors,
)

HERE = pathlib.Path(__file__).parent
DATA = pathlib.Path(os.environ.get("KERAS_VAE_DATA", ""))
RESULTS, OUTPUT = smoke.RESULTS / "images.json", smoke.OUTPUT
SMALL = 150_000  # bytes of a picture
SEED, LATENTS, BATCH, RATE, COPIES = 0, 32, 100, 2e-3, 4


class Candidate(NamedTuple):
    """A configuration that codes may come from."""

    beta: float
    warped: bool


CANDIDATES = {
    "MLP, beta 1": Candidate(1.0, warped=False),
    "MLP, beta 0.1": Candidate(0.1, warped=False),
    "MLP, beta 0.1, warped": Candidate(0.1, warped=True),
}
EPOCHS = {"choose": 4, "mnist": 15, "nats": 15, "fashion": 8, "frey": 400, "cifar": 25}
EPOCHS = smoke.pick(EPOCHS, dict.fromkeys(EPOCHS, 1))
SAMPLES = smoke.pick(100, 5)


#: Rows that a smoke run takes of each array.
ROWS = {"x_train": 200, "y_train": 200, "x_test": 50, "y_test": 50, "x": 140}


def levels(name):
    """Arrays of a file; images `[examples, height, width, channels]` in 8 bits."""
    with np.load(DATA / name, allow_pickle=False) as arrays:
        found = {key: smoke.few(arrays[key], ROWS[key]) for key in arrays.files if key in ROWS}
    return {key: x[..., None] if x.ndim == 3 else x for key, x in found.items()}


def unit(x):
    return np.divide(x, 255, dtype="float32")


def build(event_shape, encoder, decoder, likelihood, *, latents=LATENTS, beta=1.0):
    keras.utils.set_random_seed(SEED)
    return keras_vae.VAE(
        encoder,
        decoder,
        posteriors.DiagonalNormal(latents),
        likelihood=likelihood,
        objective=objectives.ELBO(beta=beta),
        event_shape=event_shape,
        seed=SEED,
    )


def train(vae, data, examples, epochs, *, batch_size=BATCH, rate=RATE, **options):
    """Fit to an array, or to batches that a data set gives."""
    steps = epochs * (examples // batch_size)
    decay = keras.optimizers.schedules.CosineDecay(rate, steps, alpha=0.05)
    vae.compile(keras.optimizers.Adam(decay), steps_per_execution=50)
    if not isinstance(data, tf.data.Dataset):
        options["batch_size"] = batch_size
    vae.fit(data, epochs=epochs, verbose=2, **options)
    return vae


def warp(x):
    """Images rotated, sheared, scaled and moved at random."""
    rows = tf.shape(x)[0]
    angle, shear = 0.2 * tf.random.normal([rows]), 0.2 * tf.random.normal([rows])
    wide, high = tf.unstack(tf.exp(0.12 * tf.random.normal([2, rows])))
    moved = tf.random.uniform([2, rows], -2.5, 2.5)
    cos, sin = tf.cos(angle), tf.sin(angle)
    a, b, c, d = cos * wide, (shear - sin) * wide, sin * high, cos * high
    # About the centre.
    centre = (x.shape[1] - 1) / 2
    left, top = centre * (1 - a - b) + moved[0], centre * (1 - c - d) + moved[1]
    zero = tf.zeros_like(a)
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=x,
        transforms=tf.stack([a, b, left, c, d, top, zero, zero], axis=-1),
        output_shape=x.shape[1:3],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )


def pairs(x):
    """Batches of warped images and the images as they were."""
    data = tf.data.Dataset.from_tensor_slices(x).shuffle(len(x), SEED)
    data = data.batch(BATCH, drop_remainder=True)
    return data.map(lambda batch: (warp(batch), batch)).prefetch(50)


def our_codes(candidate, x_train, x_test, epochs, peers):
    x = unit(x_train)
    encoder, decoder = networks.MLP([512, 512]), networks.MLP([512, 512])
    bits = likelihoods.Bernoulli()
    vae = build(x.shape[1:], encoder, decoder, bits, beta=candidate.beta)
    train(vae, pairs(x) if candidate.warped else x, len(x), epochs)
    return vae.encode(x), vae.encode(unit(x_test)), {}


def pythae_codes(candidate, x_train, x_test, epochs, peers):
    keras.utils.set_random_seed(SEED)
    seen = x_train[None, ..., 0]
    if candidate.warped:
        parts = np.split(unit(x_train), max(1, len(x_train) // 1_000))
        copies = [np.concatenate([warp(part) for part in parts]) for _ in range(COPIES)]
        seen = np.round(255 * np.stack(copies)[..., 0]).astype("uint8")
    with tempfile.TemporaryDirectory() as folder:
        arrays = {"train": x_train[..., 0], "test": x_test[..., 0]}
        np.savez(pathlib.Path(folder, "images.npz"), seen=seen, **arrays)
        script = HERE / "contenders" / "pythae_codes.py"
        command = map(str, (peers, script, folder, candidate.beta, epochs, BATCH, SEED))
        done = subprocess.run([*command], check=True, stdout=subprocess.PIPE, text=True)
        with np.load(pathlib.Path(folder, "codes.npz")) as codes:
            found = codes["train"], codes["test"]
    return *found, {"versions": json.loads(done.stdout.splitlines()[-1])}


def probed(codes, y_train, codes_test, y_test):
    found = evaluation.probe(codes, y_train, codes_test, y_test)
    return {"linear": round(found.linear, 4), "nearest": round(found.nearest, 4)}


def components(x, y, x_test, y_test):
    """The probe of principal components."""
    flat, flat_test = (unit(each).reshape(len(each), -1) for each in (x, x_test))
    pca = PCA(LATENTS, random_state=SEED).fit(flat)
    return probed(pca.transform(flat), y, pca.transform(flat_test), y_test)


def nats(vae, x, samples, batch_size=128):
    """Minus bound and log p(x) of held-out images, with standard errors."""
    with warnings.catch_warnings():
        # The share is in the results.
        warnings.simplefilter("ignore", evaluation.FewEffectiveSamplesWarning)
        found = evaluation.log_marginal(
            vae, x, samples=samples, seed=SEED, batch_size=batch_size, progress=False
        )
    bound = vae.elbo(x, samples=10, seed=SEED, batch_size=batch_size)
    return {
        "examples": len(x),
        "samples": samples,
        "minus_elbo": round(float(-bound.mean(dtype="float64")), 3),
        "minus_log_marginal": round(-found.mean, 3),
        "standard_error": round(found.standard_error, 3),
        "few_effective_samples": round(found.few, 3),
    }


def in_bits(found, dimensions, log_unit=0.0):
    """The same with bits per dimension, of values with so many nats a unit."""
    for measure in ("minus_elbo", "minus_log_marginal"):
        bits = (found[measure] / dimensions + log_unit) / np.log(2)
        found[f"{measure}_bits"] = round(float(bits), 4)
    return found


def sheet(vae, name):
    """Write samples; the path from the root of the repository."""
    OUTPUT.mkdir(exist_ok=True)
    path = plots.samples(vae, path=OUTPUT / f"images_{name}.png", seed=SEED)
    if path.stat().st_size < SMALL:
        path = path.replace(RESULTS.parent / path.name)
    return {"sheet": str(path if smoke.SMOKE else path.relative_to(HERE.parent))}


def chosen(library):
    """The candidate with the best linear probe on the digits held out."""
    cells = read().get("choose", {}).get("results", {})
    if not all(f"{library}: {name}" in cells for name in CANDIDATES):
        raise SystemExit("Nothing has been chosen yet. First: benchmarks/images.py choose")
    return max(CANDIDATES, key=lambda name: cells[f"{library}: {name}"]["linear"])


def choose(peers):
    x, y = (levels("mnist.npz")[key] for key in ("x_train", "y_train"))
    count = smoke.pick(50_000, 150)
    train_rows, held_out = slice(count), slice(count, None)

    def cell(codes, candidate):
        epochs = EPOCHS["choose"]
        first, second, more = codes(candidate, x[train_rows], x[held_out], epochs, peers)
        return {**probed(first, y[train_rows], second, y[held_out]), **more}

    libraries = {"keras_vae": our_codes, **({"pythae": pythae_codes} if peers else {})}
    return {
        f"{library}: {name}": functools.partial(cell, codes, each)
        for library, codes in libraries.items()
        for name, each in CANDIDATES.items()
    }


def mnist(peers):
    arrays = levels("mnist.npz")
    x, y, x_test, y_test = (arrays[k] for k in ("x_train", "y_train", "x_test", "y_test"))

    def best(library, codes):
        name = chosen(library)
        first, second, more = codes(CANDIDATES[name], x, x_test, EPOCHS["mnist"], peers)
        return {"configuration": name, **probed(first, y, second, y_test), **more}

    def bits():
        encoder, decoder = networks.MLP([512, 512]), networks.MLP([512, 512])
        vae = build(x.shape[1:], encoder, decoder, likelihoods.Bernoulli())
        data = keras_vae.data.dynamic_binarization(unit(x), BATCH, SEED)
        train(vae, data, len(x), EPOCHS["nats"])
        test = keras_vae.data.binarize(unit(x_test), SEED)[:2_000]
        return {**nats(vae, test, 5 * SAMPLES), **sheet(vae, "mnist")}

    cells = {
        "probe, PCA": functools.partial(components, x, y, x_test, y_test),
        "probe, keras_vae": functools.partial(best, "keras_vae", our_codes),
        "nats of bits": bits,
    }
    if peers:
        cells["probe, pythae"] = functools.partial(best, "pythae", pythae_codes)
    return cells


def fashion(peers):
    arrays = levels("fashion_mnist.npz")
    x, y, x_test, y_test = (arrays[k] for k in ("x_train", "y_train", "x_test", "y_test"))

    def vae():
        first, second = unit(x), unit(x_test)
        likelihood = likelihoods.DiscretizedLogistic(components=2)
        encoder, decoder = networks.MLP([512, 512]), networks.MLP([512, 512])
        model = build(x.shape[1:], encoder, decoder, likelihood)
        train(model, first, len(x), EPOCHS["fashion"], rate=1e-3)
        found = {
            **sheet(model, "fashion"),
            **in_bits(nats(model, second[:2_000], SAMPLES), 784),
        }
        return {**found, **probed(model.encode(first), y, model.encode(second), y_test)}

    return {
        "probe, PCA": functools.partial(components, x, y, x_test, y_test),
        "DiscretizedLogistic(2)": vae,
    }


def frey(peers):
    x = levels("frey_faces.npz")["x"]
    order = np.random.default_rng(SEED).permutation(len(x))
    parts = [x[rows] for rows in np.split(order, smoke.pick([1_565, 1_765], [100, 120]))]

    def cell(likelihood, dense, name):
        spread = functools.partial(keras_vae.data.dequantize, seed=SEED) if dense else unit
        first, second, test = (spread(part) for part in parts)
        encoder, decoder = networks.MLP([200, 200]), networks.MLP([200, 200])
        model = build(x.shape[1:], encoder, decoder, likelihood(), latents=20)
        options = {"validation_data": second, "batch_size": 50, "rate": 1e-3}
        stop = callbacks.EarlyStopping(patience=40)
        train(model, first, len(first), EPOCHS["frey"], callbacks=[stop], **options)
        found = in_bits(
            nats(model, test, 5 * SAMPLES), x[0].size, np.log(256) if dense else 0.0
        )
        return {**found, **sheet(model, f"frey_{name}")}

    def normal(scale):
        return functools.partial(cell, lambda: likelihoods.Normal(scale), True, scale)

    discretized = functools.partial(likelihoods.DiscretizedLogistic, components=3)
    return {
        "Normal, learned scale": normal("learned"),
        "Normal, predicted scale": normal("predicted"),
        "DiscretizedLogistic(3)": functools.partial(cell, discretized, False, "discretized"),
    }


def cifar(peers):
    arrays = levels("cifar10_5k.npz")

    def vae():
        x, x_test = unit(arrays["x_train"]), unit(arrays["x_test"])
        encoder, decoder = (
            networks.ConvEncoder([32, 64, 128]),
            networks.ConvDecoder([128, 64, 32]),
        )
        likelihood = likelihoods.DiscretizedLogistic(components=5)
        model = build(x.shape[1:], encoder, decoder, likelihood, latents=128)
        train(model, x, len(x), EPOCHS["cifar"], batch_size=50, rate=1e-3)
        found = sheet(model, "cifar")
        return {**found, **in_bits(nats(model, x_test, SAMPLES, batch_size=50), x[0].size)}

    return {"DiscretizedLogistic(5)": vae}


STUDIES = {
    "choose": (choose, "mnist.npz"),
    "mnist": (mnist, "mnist.npz"),
    "fashion": (fashion, "fashion_mnist.npz"),
    "frey": (frey, "frey_faces.npz"),
    "cifar": (cifar, "cifar10_5k.npz"),
}


def read():
    return json.loads(RESULTS.read_text()) if RESULTS.exists() else {}


def record(name, file, cell, found):
    """Put a cell among the results of all studies, as they are now."""
    results = read()
    cells = results.get(name, {}).get("results", {})
    needs = " --peers PYTHON" if name in ("choose", "mnist") else ""
    results[name] = {
        "command": f"python benchmarks/images.py {name}{needs}",
        "protocol": __doc__,
        "seed": SEED,
        "epochs": EPOCHS,
        "data": {file: sha256(DATA / file)},
        "machine": machine(),
        "versions": versions("scikit-learn"),
        "results": {**cells, cell: found},
    }
    smoke.write(RESULTS, results)


def main():
    parser = argparse.ArgumentParser(description="Images: codes, nats, bits and samples.")
    parser.add_argument("study", choices=STUDIES)
    parser.add_argument("--peers", help="a Python that has pythae and torch")
    smoke.add_argument(parser)
    options = parser.parse_args()
    study, file = STUDIES[options.study]
    if not (DATA / file).exists():
        parser.error(f"there is no {file} in the folder named by KERAS_VAE_DATA, {str(DATA)!r}")
    for cell, run in study(options.peers).items():
        if cell not in read().get(options.study, {}).get("results", {}):
            found = run()
            record(options.study, file, cell, found)
            print(options.study, cell, json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
