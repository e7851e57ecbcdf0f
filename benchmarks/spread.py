"""What another seed changes: every measure of the report, over three trainings.

    KERAS_VAE_DATA=... python benchmarks/spread.py mnist | dsprites

`mnist.npz`, or `dsprites_gen.py`, which draws images like those of dSprites, must be in the
folder named by KERAS_VAE_DATA. The pages of all seeds lie in `/output/spread`; a seed whose
report is there already is not trained again. Results go to `results/spread.json`.
"""

import argparse
import importlib.util
import json
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import smoke
from facts import sha256, versions

import keras_vae
from keras_vae import evaluation, likelihoods, networks, objectives, posteriors

DATA = pathlib.Path(os.environ["KERAS_VAE_DATA"])
RESULTS = smoke.RESULTS / "spread.json"
SEEDS, EPOCHS = (
    smoke.pick((0, 1, 2), (0, 1)),
    smoke.pick({"mnist": 20, "dsprites": 15}, {"mnist": 1, "dsprites": 1}),
)

# Images of dSprites.
TRAINED, TESTED = smoke.pick((60_000, 5_000), (256, 300))


def mnist():
    """784-500-500-20, one draw of the bits, 20 epochs."""
    images = smoke.load_mnist()
    x_train = keras_vae.data.binarize(images.x_train, 0)
    x_test = keras_vae.data.binarize(images.x_test, 0)

    def make(seed):
        return keras_vae.VAE(
            networks.MLP([500, 500]),
            networks.MLP([500, 500]),
            posteriors.DiagonalNormal(20),
            likelihood=likelihoods.Bernoulli(),
            event_shape=(28, 28, 1),
            seed=seed,
        )

    return (
        make,
        x_train,
        x_test,
        {"labels": images.y_test},
        {
            "epochs": EPOCHS["mnist"],
            "batch_size": 128,
        },
    )


def dsprites():
    """beta-TC-VAE (beta 6), 1200-1200, ten latents, 60,000 images, 15 epochs."""
    spec = importlib.util.spec_from_file_location("dsprites_gen", DATA / "dsprites_gen.py")
    generator = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generator)
    factors = np.random.default_rng(0).permutation(generator.all_classes())[: TRAINED + TESTED]
    x = generator.render(factors).astype("float32")[..., None]

    def make(seed):
        return keras_vae.VAE(
            networks.MLP([1200, 1200]),
            networks.MLP([1200, 1200], activation="tanh"),
            posteriors.DiagonalNormal(10),
            likelihood=likelihoods.Bernoulli(),
            objective=objectives.TCVAE(6.0),
            event_shape=(64, 64, 1),
            seed=seed,
        )

    options = {"factors": factors[TRAINED:], "labels": factors[TRAINED:, 0]}
    return (
        make,
        x[:TRAINED],
        x[TRAINED:],
        options,
        {
            "epochs": EPOCHS["dsprites"],
            "batch_size": 256,
        },
    )


STUDIES = {"mnist": (mnist, "mnist.npz"), "dsprites": (dsprites, "dsprites_gen.py")}


def main(name):
    study, file = STUDIES[name]
    make, x_train, x_test, options, training = study()
    reports = []
    for seed in SEEDS:
        folder = smoke.OUTPUT / "spread" / f"{name}_{seed}"
        if not (folder / "report.json").exists():
            keras.utils.set_random_seed(seed)
            vae = make(seed)
            vae.compile(keras.optimizers.Adam(1e-3))
            vae.fit(x_train, validation_data=x_test, verbose=2, **training)
            found = evaluation.report(vae, x_test, train=x_train, seed=0, **options)
            print(found)
            found.save(folder)
        reports.append(json.loads((folder / "report.json").read_text())["measures"])
    table = {}
    for section, measures in reports[0].items():
        for measure, first in measures.items():
            values = np.array([each[section][measure]["value"] for each in reports])
            table[f"{section}: {measure}"] = {
                "mean": float(f"{values.mean():.5g}"),
                "spread": float(f"{values.std(ddof=1):.3g}"),
                "unit": first["unit"],
                "standard_error_of_one": first["standard_error"],
                "values": [float(f"{value:.5g}") for value in values],
            }
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    results[name] = {
        "command": f"python benchmarks/spread.py {name}",
        "model": study.__doc__,
        "training": training,
        "seeds": SEEDS,
        "data": {file: sha256(DATA / file)},
        "versions": versions(),
        "results": table,
    }
    smoke.write(RESULTS, results)
    print(json.dumps(table, indent=2))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", choices=STUDIES)
    smoke.add_argument(parser)
    main(parser.parse_args().study)
