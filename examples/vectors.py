"""What the KL is for: four factors behind a hundred numbers, found by eight latents.

    python examples/vectors.py

The data is a linear map of four normal factors plus noise. A variational autoencoder and a
plain autoencoder of the same sizes, 100-32-16-8-16-32-100, are trained on it.

Prints, of vectors that were held out: the evidence lower bound beside the true log p(x),
both in nats per vector; the number of active latent units, which should be four of eight; and
how far samples are from the data: the squared maximum mean discrepancy (0 on average if there
is no difference) with the p-value of the test that there is none. Samples are drawn

    from the VAE                     z from the prior N(0, I)
    from the autoencoder             z from N(0, I), for want of anything better
    from the autoencoder, fitted     z from a normal fitted to the codes of the training data
    from the truth                   as a yardstick: more of the data's own kind

and each then through p(x|z), noise included: a mean is no draw, and for a noisy x it is told
from one at a glance.
"""

import os
import time

import keras
import numpy as np

import keras_vae
from keras_vae import evaluation

SMOKE = os.environ.get("KERAS_VAE_SMOKE") == "1"
SEED = 0
FACTORS, EVENT, NOISE = 4, 100, 0.5
TRAINING, HELD_OUT = (640, 200) if SMOKE else (8_000, 2_000)
LATENTS, HIDDEN = 8, [32, 16]
EPOCHS = 2 if SMOKE else 60


def networks_and_likelihood() -> dict:
    """The same for both models, fresh for each."""
    # A smooth activation: with ReLU's straight pieces a decoder spends further latents on
    # smoothing its kinks. One scale for all elements, learned: the noise has one, and the KL
    # is weighed rightly against errors only if the model knows it.
    return {
        "encoder": keras_vae.networks.MLP(HIDDEN, activation="silu"),
        "decoder": keras_vae.networks.MLP(HIDDEN[::-1], activation="silu"),
        "likelihood": keras_vae.likelihoods.Normal(scale="learned"),
        "event_shape": (EVENT,),
    }


def trained(model: keras_vae.VAE, x: np.ndarray) -> keras_vae.VAE:
    model.compile(keras.optimizers.Adam(1e-3))
    model.fit(x, batch_size=64, epochs=EPOCHS, verbose=0)
    return model


def main() -> None:
    start = time.perf_counter()
    keras.utils.set_random_seed(SEED)
    rng = np.random.default_rng(SEED)
    mixing = rng.normal(size=(FACTORS, EVENT)) / np.sqrt(FACTORS)

    def draw(count: int) -> np.ndarray:
        factors, noise = rng.normal(size=(count, FACTORS)), rng.normal(size=(count, EVENT))
        return (factors @ mixing + NOISE * noise).astype("float32")

    x_train, x_test = draw(TRAINING), draw(HELD_OUT)

    print(f"Training on {TRAINING} vectors, {EPOCHS} epochs each ...", flush=True)
    vae = trained(
        keras_vae.VAE(
            posterior=keras_vae.posteriors.DiagonalNormal(LATENTS), **networks_and_likelihood()
        ),
        x_train,
    )
    autoencoder = trained(
        keras_vae.presets.Autoencoder(latent_dim=LATENTS, **networks_and_likelihood()), x_train
    )

    covariance = mixing.T @ mixing + NOISE**2 * np.eye(EVENT)
    true_log_p = -0.5 * (
        np.sum(x_test * np.linalg.solve(covariance, x_test.T).T, axis=1)
        + np.linalg.slogdet(2 * np.pi * covariance)[1]
    )
    active = evaluation.active_units(vae, x_test).sum()
    print(f"test elbo        {vae.elbo(x_test, samples=10, seed=SEED).mean():9.2f} nats")
    print(f"true log p(x)    {true_log_p.mean():9.2f} nats")
    print(f"active units     {active:6d} of {LATENTS}")

    codes = autoencoder.encode(x_train)
    fitted = rng.multivariate_normal(codes.mean(axis=0), np.cov(codes.T), HELD_OUT)
    samples = {
        "VAE": vae.generate(HELD_OUT, sample=True, seed=SEED),
        "autoencoder": autoencoder.generate(HELD_OUT, sample=True, seed=SEED),
        "autoencoder, fitted": autoencoder.likelihood_of(fitted).sample(seed=SEED).numpy(),
        "truth": draw(HELD_OUT),
    }
    # One kernel for all, or the statistics could not be compared.
    bandwidth = evaluation.median_distance(x_test)
    print(f"\n{'samples from':22s}{'squared MMD':>12s}{'p-value':>10s}")
    for name, x in samples.items():
        test = evaluation.two_sample_test(x, x_test, bandwidth=bandwidth, seed=SEED)
        print(f"{name:22s}{test.statistic:12.5f}{test.p_value:10.3f}")
    print(f"\ntotal            {time.perf_counter() - start:9.1f} s")


if __name__ == "__main__":
    main()
