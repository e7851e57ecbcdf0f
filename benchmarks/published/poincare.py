"""A VAE whose latents lie in a Poincare ball, on dynamically binarised MNIST: 101.47 nats."""

import keras
import ladder

from keras_vae import likelihoods, networks, presets

RECIPE = ladder.Recipe(
    name="Poincare VAE z10",
    binarisation="dynamic",
    epochs=80,
    batch_size=128,
    samples=500,
    published=101.47,
    source="Mathieu et al. (2019), Continuous Hierarchical Representations with Poincare "
    "Variational Auto-Encoders, table 2, 10 dimensions, wrapped normal, curvature 0.7",
    pythae=101.66,
    changes="an ordinary first layer of the decoder in place of a geodesic one; 50,000 "
    "training images, the epoch chosen by 10,000 others",
)


def make(updates):
    return presets.PoincareVAE(
        networks.MLP([600], activation="relu"),
        networks.MLP([600], activation="relu"),
        latent_dim=10,
        curvature=0.7,
        likelihood=likelihoods.Bernoulli(),
        event_shape=(28, 28, 1),
        seed=ladder.SEED,
    )


if __name__ == "__main__":
    ladder.run(RECIPE, make, lambda steps: keras.optimizers.Adam(5e-4))
