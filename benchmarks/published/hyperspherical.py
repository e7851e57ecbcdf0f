"""A hyperspherical VAE on dynamically binarised MNIST: 93.16 nats."""

import keras
import ladder

import keras_vae
from keras_vae import likelihoods, networks, posteriors, priors

RECIPE = ladder.Recipe(
    name="S-VAE z11",
    binarisation="dynamic",
    epochs=500,
    batch_size=64,
    samples=500,
    published=93.16,
    source="Davidson et al. (2018), Hyperspherical Variational Auto-Encoders, table 1, 10 "
    "dimensions; recipe of pythae's table: 784-256-128-z11, Adam(1e-3)",
    pythae=93.13,
    changes="power spherical in place of von Mises-Fisher posterior",
)


def make(updates):
    return keras_vae.VAE(
        networks.MLP([256, 128]),
        networks.MLP([128, 256]),
        posteriors.PowerSpherical(11),
        priors.SphericalUniform(),
        likelihood=likelihoods.Bernoulli(),
        event_shape=(28, 28, 1),
        seed=ladder.SEED,
    )


if __name__ == "__main__":
    ladder.run(RECIPE, make, lambda steps: keras.optimizers.Adam(1e-3))
