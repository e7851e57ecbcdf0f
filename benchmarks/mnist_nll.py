"""Test log-likelihood on dynamically binarised MNIST: `python benchmarks/mnist_nll.py`.

The model of Burda, Grosse and Salakhutdinov (2016) with one stochastic layer (784-200-200-50,
tanh), trained with the ELBO and with IWAE(5) for 60 epochs, batches of 50, Adam(1e-3,
epsilon=1e-4) decayed to 1e-4 by a cosine; they trained 3,280 epochs. Measured by 500
importance samples on one fixed binarisation of the 10,000 test images.
"""

import argparse
import hashlib
import time

import keras
import numpy as np
import smoke
from facts import machine, versions

import keras_vae

PUBLISHED = {"ELBO": 86.76, "IWAE(5)": 85.54}
OBJECTIVES = {
    "ELBO": keras_vae.objectives.ELBO,
    "IWAE(5)": lambda: keras_vae.objectives.IWAE(samples=5),
}
BATCH, SEED, SAMPLES = 50, 0, smoke.pick(500, 5)

RESULTS = smoke.RESULTS / "mnist_nll.json"


def train_and_measure(name, epochs, x_train, x_test):
    keras.utils.set_random_seed(SEED)
    vae = keras_vae.VAE(
        encoder=keras_vae.networks.MLP([200, 200], activation="tanh"),
        decoder=keras_vae.networks.MLP([200, 200], activation="tanh"),
        posterior=keras_vae.posteriors.DiagonalNormal(50),
        likelihood=keras_vae.likelihoods.Bernoulli(),
        objective=OBJECTIVES[name](),
        event_shape=(28, 28, 1),
    )
    steps = epochs * len(x_train) // BATCH
    rate = keras.optimizers.schedules.CosineDecay(1e-3, steps, alpha=0.1)
    vae.compile(
        keras.optimizers.Adam(rate, epsilon=1e-4), steps_per_execution=100, jit_compile=True
    )
    bits = keras_vae.data.dynamic_binarization(x_train, BATCH, SEED)
    start = time.perf_counter()
    vae.fit(bits, epochs=epochs, verbose=2)
    trained = time.perf_counter()
    log_marginal = vae.log_marginal(x_test, samples=SAMPLES, seed=SEED)
    measured = time.perf_counter()
    return {
        "negative_log_likelihood": round(float(-log_marginal.mean()), 3),
        "standard_error_over_images": round(float(log_marginal.std() / len(x_test) ** 0.5), 3),
        "negative_elbo": round(float(-vae.elbo(x_test, seed=SEED).mean()), 3),
        "active_units": int(keras_vae.evaluation.active_units(vae, x_test).sum()),
        "published_after_3280_epochs": PUBLISHED[name],
        "training_seconds": round(trained - start, 1),
        "measuring_seconds": round(measured - trained, 1),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=smoke.pick(60, 1))
    smoke.add_argument(parser)
    options = parser.parse_args()
    images = smoke.load_mnist()
    x_test = keras_vae.data.binarize(images.x_test, SEED)
    rows = {}
    for name in OBJECTIVES:
        rows[name] = train_and_measure(name, options.epochs, images.x_train, x_test)
        print(name, rows[name])
        smoke.write(RESULTS, rows, complete=False)
    result = {
        "command": f"python benchmarks/mnist_nll.py --epochs {options.epochs}",
        "protocol": __doc__,
        "epochs": options.epochs,
        "importance_samples": SAMPLES,
        "seed": SEED,
        "sha256_of_test_bits": hashlib.sha256(np.packbits(x_test > 0).tobytes()).hexdigest(),
        "sha256_of_training_images": hashlib.sha256(images.x_train.tobytes()).hexdigest(),
        "machine": machine(),
        "versions": versions(),
        "rows": rows,
    }
    smoke.write(RESULTS, result)


if __name__ == "__main__":
    main()
