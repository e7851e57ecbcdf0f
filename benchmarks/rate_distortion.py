"""Rate against distortion over beta, on MNIST: what a nat of code buys.

    KERAS_VAE_DATA=... python benchmarks/rate_distortion.py

784-500-500-20, one draw of the bits, 10 epochs at each beta. Results and picture go to
`results/rate_distortion.json` and `.png`.
"""

import argparse
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import smoke
from facts import sha256, versions

import keras_vae
from keras_vae import evaluation, likelihoods, networks, objectives, plots, posteriors

RESULTS = smoke.RESULTS / "rate_distortion.json"
BETAS = smoke.pick((0.1, 0.3, 0.6, 1.0, 2.0, 4.0, 10.0), (0.1, 1.0))
EPOCHS, SEED = smoke.pick(10, 1), 0


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    smoke.add_argument(parser)
    parser.parse_args()
    images = smoke.load_mnist()
    train, test = (keras_vae.data.binarize(x, SEED) for x in (images.x_train, images.x_test))
    points, table = {}, {}
    for beta in BETAS:
        keras.utils.set_random_seed(SEED)
        vae = keras_vae.VAE(
            networks.MLP([500, 500]),
            networks.MLP([500, 500]),
            posteriors.DiagonalNormal(20),
            likelihood=likelihoods.Bernoulli(),
            objective=objectives.ELBO(beta=beta),
            event_shape=(28, 28, 1),
            seed=SEED,
        )
        vae.compile(keras.optimizers.Adam(1e-3))
        vae.fit(train, epochs=EPOCHS, batch_size=128, verbose=0)
        found = points[beta] = evaluation.rate_distortion(vae, test, seed=SEED)
        table[str(beta)] = {name: round(nats, 2) for name, nats in found._asdict().items()}
        print(beta, found)
        smoke.write(RESULTS, table, complete=False)
    plots.rate_distortion(points, path=RESULTS.with_suffix(".png"))
    path = pathlib.Path(os.environ.get("KERAS_VAE_DATA", "")) / "mnist.npz"
    result = {
        "command": "python benchmarks/rate_distortion.py",
        "epochs": EPOCHS,
        "seed": SEED,
        "data": sha256(path),
        "versions": versions(),
        "nats_by_beta": table,
    }
    smoke.write(RESULTS, result)


if __name__ == "__main__":
    main()
