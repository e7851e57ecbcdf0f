"""Names: written by a model that learned them, and ways from one to another.

    python examples/names.py           names of pictographs, such as "cat face", which Python
                                       itself knows: two minutes
    python examples/names.py people    32,033 first names, if KERAS_VAE_DATA has names.txt:
                                       some minutes

Names of pictographs are split into 300 subwords, those of people into letters. Prints nats of
each token of names that were held out, the end among them: of the evidence lower bound, of the
importance-weighted estimate of log p(x), and of a model that knows how frequent tokens are and
nothing else. Then names that were drawn, the more daring ones at a higher temperature, and
names on the way from one to another.

Writes drawn.txt and model.keras into output/names. From the shell, for a .txt with a name in
each line:

    keras-vae train names.txt --kind text --out model.keras
    keras-vae generate --model model.keras --out drawn.txt --count 20
"""

import os
import pathlib
import sys
import unicodedata

import keras
import numpy as np

import keras_vae
from keras_vae import data, objectives, presets, schedules, tasks

SMOKE = os.environ.get("KERAS_VAE_SMOKE") == "1"
SEED = 0
PICTOGRAPHS = (*range(0x2600, 0x27C0), *range(0x1F300, 0x1FB00))
SAMPLES = 5 if SMOKE else 50
EPOCHS = {"pictographs": 30, "people": 4}
ENDS = {"pictographs": ("cat face", "wrapped present"), "people": ("anna", "christopher")}


def pictographs() -> data.Source:
    names = [unicodedata.name(chr(point), "").lower() for point in PICTOGRAPHS]
    return data.from_text(names, "subword", vocabulary_size=300, seed=SEED)


def people() -> data.Source:
    path = pathlib.Path(os.environ["KERAS_VAE_DATA"]) / "names.txt"
    return data.from_text(path, seed=SEED)


def main() -> None:
    if sys.argv[1:] not in ([], ["people"]):
        sys.exit("usage: python examples/names.py [people]")
    keras.utils.set_random_seed(SEED)
    kind = "people" if sys.argv[1:] else "pictographs"
    source = people() if sys.argv[1:] else pictographs()
    print(source)
    epochs = 1 if SMOKE else EPOCHS[kind]
    updates = epochs * -(-len(source.x_train) // 64)
    vae = presets.for_source(
        source,
        latent_dim=16,
        objective=objectives.ELBO(schedules.LinearWarmup(updates // 3), free_bits=0.25),
        seed=SEED,
    )
    rate = keras.optimizers.schedules.CosineDecay(3e-3, updates)
    vae.compile(keras.optimizers.Adam(rate, clipnorm=10.0))
    vae.fit(source.x_train, batch_size=64, epochs=epochs, verbose=0)
    measure(vae, source)

    decode = source.schema.decode
    for temperature in (0.5, 1.0):
        drawn = vae.generate(8, sample=True, temperature=temperature, top_p=0.95, seed=SEED)
        print(f"\ndrawn at temperature {temperature}: {', '.join(decode(drawn))}")
    start, end = source.schema.encode(ENDS[kind])
    (way,) = tasks.interpolate(vae, start[None], end[None], steps=6)
    print(f"\nfrom {' to '.join(ENDS[kind])}: {' - '.join(decode(way))}")

    output = pathlib.Path("output", "names")
    output.mkdir(parents=True, exist_ok=True)
    drawn = vae.generate(100, sample=True, temperature=0.7, seed=SEED)
    source.schema.write(drawn, output / "drawn.txt")
    vae.save(output / "model.keras")
    print(f"\nwritten: {output}/drawn.txt, model.keras")


def measure(vae: keras_vae.VAE, source: data.Source) -> None:
    """Print nats of each token of names that were held out."""
    x = source.x_test[:1_000]
    tokens = tokens_of(x)
    elbo = vae.elbo(x, samples=10, seed=SEED).sum()
    log_p = vae.log_marginal(x, samples=SAMPLES, seed=SEED).sum()
    known = np.bincount(tokens_of(source.x_train), minlength=len(source.schema.vocabulary)) + 1
    alone = np.log(known / known.sum())[tokens].sum()
    for name, total in {"elbo": elbo, "log p(x)": log_p, "frequency": alone}.items():
        print(f"{name:12}{total / len(tokens):8.2f} nats a token")


def tokens_of(x: np.ndarray) -> np.ndarray:
    """Tokens of all names, one end for each, if there is room for it."""
    return np.concatenate([name[: np.count_nonzero(name) + 1] for name in x[..., 0]])


if __name__ == "__main__":
    main()
