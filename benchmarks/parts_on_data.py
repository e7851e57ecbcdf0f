"""Parts on real data, each against the plain one: `python benchmarks/parts_on_data.py STUDY`.

Studies, each with equal networks, budget and seed for all contenders of a table:

- `counts`: likelihoods of molecule counts, mouse brain cells x genes, 10% of cells held out.
- `pixels`: DiscretizedLogistic against others on 8-bit CIFAR-10 (5,000 images), bits per
  dimension of the 1,000 test images.
- `priors`: learned priors on dynamically binarised MNIST.
- `sphere`: hyperspherical posteriors on dynamically binarised MNIST; Davidson et al. (2018)
  give 93.16 nats for 10 dimensions after 500 epochs.
- `conditional`: label-conditional IWAE on dynamically binarised MNIST; 82.32 / 81.41 nats
  for 1 / 5 samples after 3,280 epochs (a TensorFlow rerun of Burda et al. 2016).

Needs the folder of data sets named by KERAS_VAE_DATA. All nats are of held-out examples,
by importance sampling; lower is better. Results go to `results/parts_on_data.json`.
"""

import argparse
import json
import os
import pathlib
import time

import keras
import numpy as np
import smoke
import tensorflow as tf
from facts import sha256, versions

import keras_vae
from keras_vae import likelihoods, networks, objectives, posteriors, priors, schedules

DATA = pathlib.Path(os.environ.get("KERAS_VAE_DATA", ""))
RESULTS = smoke.RESULTS / "parts_on_data.json"
SEED = 0


def trained(x, *, epochs, batch_size=100, rate=1e-3, condition=None, **parts):
    """A model after so many epochs; x is an array, or a function of the batch size."""
    keras.utils.set_random_seed(SEED)
    epochs = smoke.pick(epochs, 1)
    x = x if callable(x) else smoke.few(x, 200)
    vae = keras_vae.VAE(**parts)
    examples = smoke.pick(60_000, 600) if callable(x) else len(x)
    steps = epochs * (examples // batch_size)
    decay = keras.optimizers.schedules.CosineDecay(rate, steps, alpha=0.1)
    vae.compile(keras.optimizers.Adam(decay), steps_per_execution=50)
    start = time.perf_counter()
    if callable(x):
        vae.fit(x(batch_size), epochs=epochs, verbose=2)
    else:
        data = x if condition is None else {"x": x, "condition": condition}
        vae.fit(data, epochs=epochs, batch_size=batch_size, verbose=2)
    return vae, round(time.perf_counter() - start, 1)


def nats(vae, x, samples, **options):
    """Mean negative log-likelihood of held-out examples, and its standard error."""
    x, samples = smoke.few(x, 20), smoke.pick(samples, 5)
    options = {
        name: smoke.few(v, 20) if name == "condition" else v for name, v in options.items()
    }
    values = -vae.log_marginal(x, samples=samples, seed=SEED, **options)
    error = values.std() / len(values) ** 0.5
    return {"nats": round(float(values.mean()), 2), "standard_error": round(float(error), 2)}


def counts():
    with np.load(DATA / "mouse_brain_10k_x_1000_counts.npz") as file:
        data, indices, indptr, shape = (file[k] for k in ("data", "indices", "indptr", "shape"))
    x = np.zeros(shape, "float32")
    rows = np.repeat(np.arange(shape[0]), np.diff(indptr))
    x[rows, indices] = data
    x = x[:, x.sum(axis=0) > 0]
    order = np.random.default_rng(SEED).permutation(len(x))
    train, test = x[order[:9000]], x[order[9000:]]
    contenders = {
        "Poisson": likelihoods.Poisson(),
        "NegativeBinomial": likelihoods.NegativeBinomial(),
        "NegativeBinomial, library observed": likelihoods.NegativeBinomial(library="observed"),
        "ZeroInflatedNegativeBinomial": likelihoods.ZeroInflatedNegativeBinomial(),
    }
    table = {}
    for name, likelihood in contenders.items():
        vae, seconds = trained(
            train,
            epochs=40,
            batch_size=128,
            encoder=networks.MLP([128]),
            decoder=networks.MLP([128]),
            posterior=posteriors.DiagonalNormal(10),
            likelihood=likelihood,
            event_shape=(x.shape[1],),
        )
        # Given the total count of each cell, nats compare with none of p(x).
        group = "counts" if likelihood.given is None else f"counts, given {likelihood.given}"
        found = {**nats(vae, test, 200), "training_seconds": seconds}
        table.setdefault(group, {})[name] = found
        smoke.write(RESULTS, table, complete=False)
    table["data"] = {"cells": list(map(len, (train, test))), "genes": x.shape[1]}
    return table


def pixels():
    with np.load(DATA / "cifar10_5k.npz") as file:
        train, test = (file[k].astype("float32") / 255 for k in ("x_train", "x_test"))
    per_dimension = test[0].size * np.log(2)
    contenders = {
        "DiscretizedLogistic(1)": (likelihoods.DiscretizedLogistic(components=1), 0.0),
        "DiscretizedLogistic(5)": (likelihoods.DiscretizedLogistic(components=5), 0.0),
        # Densities of values in [0, 1]: a level is 1/256 wide, once noise fills it up.
        "Normal, predicted scale": (likelihoods.Normal("predicted"), np.log(256)),
        "Normal, optimal scale": (likelihoods.Normal("optimal"), np.log(256)),
    }
    table = {}
    for name, (likelihood, log_levels) in contenders.items():
        dense = log_levels > 0
        x = keras_vae.data.dequantize(np.round(train * 255), SEED) if dense else train
        held_out = keras_vae.data.dequantize(np.round(test * 255), SEED) if dense else test
        vae, seconds = trained(
            x,
            epochs=25,
            batch_size=50,
            encoder=networks.ConvEncoder([32, 64, 128]),
            decoder=networks.ConvDecoder([128, 64, 32]),
            posterior=posteriors.DiagonalNormal(64),
            likelihood=likelihood,
            event_shape=test.shape[1:],
        )
        score = nats(vae, held_out, 50, batch_size=50)
        bits = (score["nats"] + log_levels * test[0].size) / per_dimension
        table[name] = {"bits_per_dimension": round(bits, 3), "training_seconds": seconds}
        smoke.write(RESULTS, table, complete=False)
    return table


def bits_of_mnist():
    """A function batch size -> dynamic bits, the labels, and fixed bits of the test images."""
    with np.load(DATA / "mnist.npz") as file:
        grey, labels = (smoke.few(file[k], 600) for k in ("x_train", "y_train"))
        grey = grey.astype("float32")[..., None] / 255
        grey_test = smoke.few(file["x_test"], 100).astype("float32")[..., None] / 255
        labels_test = file["y_test"]
    test = keras_vae.data.binarize(grey_test, SEED)

    def stream(batch_size):
        return keras_vae.data.dynamic_binarization(grey, batch_size, SEED)

    return stream, (grey, labels), test[:2000], labels_test[:2000]


def of_mnist(table, contenders, *, epochs, samples=500, of_all):
    stream, _, test, _ = bits_of_mnist()
    for name, own in contenders.items():
        parts = {"likelihood": likelihoods.Bernoulli(), **of_all(), **own}
        vae, seconds = trained(stream, epochs=epochs, event_shape=(28, 28, 1), **parts)
        table[name] = {**nats(vae, test, samples), "training_seconds": seconds}
        active = keras_vae.evaluation.active_units(vae, test)
        table[name]["active_units"] = int(active.sum())
        smoke.write(RESULTS, table, complete=False)
    return table


def learned_priors():
    def wide():
        return {
            "encoder": networks.MLP([300, 300]),
            "decoder": networks.MLP([300, 300]),
            "posterior": posteriors.DiagonalNormal(40),
            "objective": objectives.ELBO(beta=schedules.LinearWarmup(6_000)),
        }

    contenders = {
        "StandardNormal": {"prior": priors.StandardNormal()},
        "NormalMixture(100)": {"prior": priors.NormalMixture(components=100)},
        "VampPrior(500)": {"prior": priors.VampPrior(components=smoke.pick(500, 5))},
        "Flow": {"prior": priors.Flow()},
    }
    return of_mnist({"epochs": 30}, contenders, epochs=30, of_all=wide)


def sphere():
    def bodies():
        return {"encoder": networks.MLP([256, 128]), "decoder": networks.MLP([128, 256])}

    contenders = {
        "DiagonalNormal(10)": {"posterior": posteriors.DiagonalNormal(10)},
        "VonMisesFisher(11)": {
            "posterior": posteriors.VonMisesFisher(11),
            "prior": priors.SphericalUniform(),
        },
        "PowerSpherical(11)": {
            "posterior": posteriors.PowerSpherical(11),
            "prior": priors.SphericalUniform(),
        },
    }
    return of_mnist({"epochs": 60, "published": 93.16}, contenders, epochs=60, of_all=bodies)


def conditional():
    _, (grey, labels), test, labels_test = bits_of_mnist()
    keys = np.eye(10, dtype="float32")[labels]
    table = {"epochs": 40, "published_after_3280_epochs": {"1": 82.32, "5": 81.41}}
    for samples in (1, 5):

        def stream(batch_size):
            def bits(x, c):
                noise = tf.random.uniform(tf.shape(x))
                return {"x": tf.cast(noise < x, tf.float32), "condition": c}

            data = tf.data.Dataset.from_tensor_slices((grey, keys)).shuffle(60_000, SEED)
            return data.batch(batch_size, drop_remainder=True).map(bits).prefetch(4)

        vae, seconds = trained(
            stream,
            epochs=table["epochs"],
            encoder=networks.MLP([200, 200], activation="tanh"),
            decoder=networks.MLP([200, 200], activation="tanh"),
            posterior=posteriors.DiagonalNormal(50),
            likelihood=likelihoods.Bernoulli(),
            objective=objectives.IWAE(samples=samples),
            event_shape=(28, 28, 1),
            condition_shape=(10,),
        )
        score = nats(vae, test, 500, condition=labels_test)
        table[f"IWAE({samples})"] = {**score, "training_seconds": seconds}
        smoke.write(RESULTS, table, complete=False)
    return table


STUDIES = {
    "counts": (counts, "mouse_brain_10k_x_1000_counts.npz"),
    "pixels": (pixels, "cifar10_5k.npz"),
    "priors": (learned_priors, "mnist.npz"),
    "sphere": (sphere, "mnist.npz"),
    "conditional": (conditional, "mnist.npz"),
}


def main():
    parser = argparse.ArgumentParser(description="Parts on real data.")
    parser.add_argument("study", choices=STUDIES)
    smoke.add_argument(parser)
    name = parser.parse_args().study
    study, file = STUDIES[name]
    if not (DATA / file).exists():
        parser.error(f"there is no {file} in the folder named by KERAS_VAE_DATA, {str(DATA)!r}")
    report = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    report[name] = {
        "command": f"python benchmarks/parts_on_data.py {name}",
        "seed": SEED,
        "data": {file: sha256(DATA / file)},
        "versions": versions(),
        "results": study(),
    }
    smoke.write(RESULTS, report)
    print(json.dumps(report[name], indent=2))


if __name__ == "__main__":
    main()
