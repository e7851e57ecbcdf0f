"""A variational autoencoder on handwritten digits: train, measure, look, save, export.

    python examples/digits.py          scikit-learn's 8 x 8 digits: about a minute
    python examples/digits.py mnist    MNIST, binarised anew in each epoch: some minutes

Prints, of images that were held out: the evidence lower bound and the importance-weighted
estimate of log p(x), in nats per image; the number of active latent units; and seconds.
Writes overview.png, model.keras and two exports of the decoder into output/digits or
output/mnist, and ends with the commands that run the exports.
"""

import os
import pathlib
import sys
import time
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

import keras_vae
from keras_vae import data, evaluation, exporters, plots


class Setting(NamedTuple):
    """What differs between the data sets."""

    hidden: tuple[int, ...]
    latent_dim: int
    batch_size: int
    epochs: int
    learning_rate: float
    importance_samples: int
    images_scored: int


DIGITS = Setting((256, 128), 10, 16, 150, 2e-3, 1_000, 355)
MNIST = Setting((512, 256), 40, 128, 40, 1e-3, 500, 1_000)
SMOKE = Setting((16,), 4, 64, 2, 1e-3, 10, 100)
SEED = 0


def main() -> None:
    start = time.perf_counter()
    if sys.argv[1:] not in ([], ["mnist"]):
        sys.exit("usage: python examples/digits.py [mnist]")
    mnist = bool(sys.argv[1:])
    smoke = os.environ.get("KERAS_VAE_SMOKE") == "1"
    setting = SMOKE if smoke else MNIST if mnist else DIGITS
    output = pathlib.Path("output", "mnist" if mnist else "digits")
    output.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(SEED)

    # Grey values are probabilities of ink. The small digits are taken as they are; of MNIST
    # new bits are drawn in each epoch, and one fixed draw is held out.
    if mnist:
        images = data.load_mnist()
        x_test = data.binarize(images.x_test, seed=SEED)
        batches = data.dynamic_binarization(images.x_train, setting.batch_size, seed=SEED)
    else:
        images = data.load_digits()
        x_test = images.x_test
        batches = tf.data.Dataset.from_tensor_slices(images.x_train)
        batches = batches.shuffle(len(images.x_train), seed=SEED).batch(setting.batch_size)
    if smoke:
        batches, x_test = batches.take(5), x_test[: setting.images_scored]

    vae = keras_vae.VAE(
        encoder=keras_vae.networks.MLP(setting.hidden),
        decoder=keras_vae.networks.MLP(setting.hidden[::-1]),
        posterior=keras_vae.posteriors.DiagonalNormal(setting.latent_dim),
        likelihood=keras_vae.likelihoods.Bernoulli(),
        event_shape=x_test.shape[1:],
    )
    updates = setting.epochs * int(batches.cardinality())
    rate = keras.optimizers.schedules.CosineDecay(setting.learning_rate, updates)
    vae.compile(keras.optimizers.Adam(rate))
    print(f"Training on {len(images.x_train)} images, {setting.epochs} epochs ...", flush=True)
    history = vae.fit(batches, epochs=setting.epochs, verbose=0).history
    print(f"train elbo       {history['elbo'][-1]:9.2f} nats   average of the last epoch")
    print(f"training         {time.perf_counter() - start:9.1f} s")

    title = f"{'MNIST' if mnist else 'Digits'}: {measure(vae, x_test, setting)}"
    labels = images.y_test[: len(x_test)]
    plots.overview(vae, x_test, labels, path=output / "overview.png", title=title)
    # Written beside its place and then moved: never half a file there.
    vae.save(output / "part.keras")
    (output / "part.keras").replace(output / "model.keras")
    exports = output / "export"
    manifests = [
        exporters.export_saved_model(vae, exports),
        exporters.export_onnx(vae, exports),
    ]
    print(f"total            {time.perf_counter() - start:9.1f} s")
    print(f"Wrote overview.png, model.keras and export/ into {output}.")
    print("\nTo decode a latent with each export:\n")
    for manifest in manifests:
        print(f"(cd {exports} && {manifest.run})\n")


def measure(vae: keras_vae.VAE, x: np.ndarray, setting: Setting) -> str:
    """Print what the model is worth on held-out images, and return the gist."""
    scored, samples = x[: setting.images_scored], setting.importance_samples
    elbo = vae.elbo(x, samples=10, seed=SEED).mean()
    log_p = vae.log_marginal(scored, samples=samples, seed=SEED).mean()
    active = evaluation.active_units(vae, x).sum()
    print(f"test elbo        {elbo:9.2f} nats   {len(x)} images")
    print(f"test log p(x)    {log_p:9.2f} nats   {len(scored)} images, {samples} samples each")
    print(f"active units     {active:6d} of {setting.latent_dim}")
    return f"test ELBO {elbo:.1f} nats, {active} of {setting.latent_dim} latent units active"


if __name__ == "__main__":
    main()
