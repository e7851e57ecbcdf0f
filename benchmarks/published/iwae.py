"""The model of Burda et al. (2016), one layer, k samples: 86.76 / 85.54 / 84.78 nats.

`python benchmarks/published/iwae.py --k 1` (or 5, 50). Stages 1 to 6 of 8 are `--epochs 364`.
"""

import argparse
import sys

import keras
import ladder

import keras_vae
from keras_vae import likelihoods, networks, objectives, posteriors

PUBLISHED = {1: 86.76, 5: 85.54, 50: 84.78}
# Stage i has 3**(i - 1) epochs, at the rate 1e-4 * round(10**(1 - (i - 1) / 7), 1).
STAGES = range(8)
RATES = [1e-4 * round(10 ** (1 - stage / 7), 1) for stage in STAGES]
LENGTHS = [3**stage for stage in STAGES]


def recipe(k):
    return ladder.Recipe(
        name=f"IWAE k={k}, 200-200-z50",
        binarisation="dynamic",
        epochs=sum(LENGTHS),
        batch_size=20,
        samples=5_000,
        published=PUBLISHED[k],
        source="Burda, Grosse and Salakhutdinov (2016), Importance Weighted Autoencoders, "
        "table 1",
        changes="50,000 training images, the epoch chosen by 10,000 others; Adam's first decay "
        "0.9, not 0.99",
    )


def make(k):
    return keras_vae.VAE(
        networks.MLP([200, 200], activation="tanh"),
        networks.MLP([200, 200], activation="tanh"),
        posteriors.DiagonalNormal(50),
        likelihood=likelihoods.Bernoulli(),
        objective=objectives.IWAE(samples=k),
        event_shape=(28, 28, 1),
        seed=ladder.SEED,
    )


def optimizer(steps):
    ends = [sum(LENGTHS[: stage + 1]) * steps for stage in STAGES][:-1]
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay(ends, RATES)
    return keras.optimizers.Adam(schedule, epsilon=1e-4)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--k", type=int, choices=PUBLISHED, default=1)
    chosen, rest = parser.parse_known_args()
    sys.argv[1:] = rest
    ladder.run(recipe(chosen.k), lambda: make(chosen.k), optimizer, f"iwae.py --k {chosen.k}")
