"""The model of Burda et al. (2016), one layer, under the bounds that are compared on it.

`python benchmarks/published/iwae.py --row iwae-5`, or another of `ROWS`. Stages 1 to 6 of 8 are
`--epochs 364`. With `--begin iwae-5` a row begins at the best weights of that one, which must
have been trained: bounds of 50 samples cost ten times as much as those of 5.
"""

import argparse
import dataclasses

import keras
import ladder

import keras_vae
from keras_vae import likelihoods, networks, objectives, posteriors

BURDA = "Burda, Grosse and Salakhutdinov (2016), Importance Weighted Autoencoders, table 1"
DREG = "Bind (2021), github.com/nbip/IWAE, of Tucker et al. (2019), Doubly Reparameterized"
RAINFORTH = "Rainforth et al. (2018), Tighter Variational Bounds Are Not Necessarily Better"
#: Row -> name in the ladder, published nats, of pythae, source, objective.
ROWS = {
    "iwae-1": ("IWAE k=1", 86.76, None, BURDA, lambda: objectives.IWAE(1)),
    "iwae-5": ("IWAE k=5", 85.54, None, BURDA, lambda: objectives.IWAE(5)),
    "iwae-50": ("IWAE k=50", 84.78, None, BURDA, lambda: objectives.IWAE(50)),
    "dreg-1": ("DReG k=1", 86.08, None, DREG, lambda: objectives.DReG(1)),
    "dreg-5": ("DReG k=5", 84.90, None, DREG, lambda: objectives.DReG(5)),
    "dreg-50": ("DReG k=50", 84.32, None, DREG, lambda: objectives.DReG(50)),
    "miwae": ("MIWAE 8x8", 84.97, 85.09, RAINFORTH, lambda: objectives.MIWAE(8, 8)),
    "piwae": ("PIWAE 8x8", 84.46, 84.58, RAINFORTH, lambda: objectives.PIWAE(8, 8)),
    "ciwae": (
        "CIWAE 64, weight 0.5",
        84.57,
        84.74,
        f"{RAINFORTH}; pythae's list of reproductions gives both figures for weight 0.05",
        lambda: objectives.CIWAE(64, 0.5),
    ),
}
# Stage i has 3**(i - 1) epochs, at the rate 1e-4 * round(10**(1 - (i - 1) / 7), 1).
STAGES = range(8)
RATES = [1e-4 * round(10 ** (1 - stage / 7), 1) for stage in STAGES]
LENGTHS = [3**stage for stage in STAGES]


def recipe(row):
    name, published, pythae, source, _ = ROWS[row]
    return ladder.Recipe(
        name=f"{name}, 200-200-z50",
        binarisation="dynamic",
        epochs=sum(LENGTHS),
        batch_size=20,
        samples=5_000,
        published=published,
        pythae=pythae,
        source=source,
        changes="50,000 training images, the epoch chosen by 10,000 others; Adam's first decay "
        "0.9, not 0.99",
        chosen_by="val_loss",
    )


def trained(row):
    """The recipe of a row that was trained, with the short schedule if with that."""
    whole = recipe(row)
    short = dataclasses.replace(whole, name=whole.name + ladder.SHORT)
    return short if ladder.folder_of(short).exists() else whole


def make(row):
    return keras_vae.VAE(
        networks.MLP([200, 200], activation="tanh"),
        networks.MLP([200, 200], activation="tanh"),
        posteriors.DiagonalNormal(50),
        likelihood=likelihoods.Bernoulli(),
        objective=ROWS[row][-1](),
        event_shape=(28, 28, 1),
        seed=ladder.SEED,
    )


def optimizer(steps):
    ends = [sum(LENGTHS[: stage + 1]) * steps for stage in STAGES][:-1]
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay(ends, RATES)
    return keras.optimizers.Adam(schedule, epsilon=1e-4)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--row", choices=ROWS, default="iwae-1")
    parser.add_argument("--begin", choices=ROWS)
    given = parser.parse_known_args()[0]
    ladder.run(
        recipe(given.row),
        lambda updates: make(given.row),
        optimizer,
        begin=given.begin and trained(given.begin),
    )
