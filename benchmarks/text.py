"""Text: what a VAE of lines is worth beside a language model, and whether its latents are used.

    python benchmarks/text.py names
    python benchmarks/text.py molecules       needs RDKit
    python benchmarks/text.py sentences

All models write with the same decoder, one GRU of 128 units over embeddings of 128, trained for
the same number of updates on batches of 128 by Adam, whose rate falls from 3e-3 to 0 along a
cosine. The language model is that decoder at z = 0. A VAE adds a GRU of 64 units each way and
16 latents. One seed.

- `names`: 32,033 names, characters; 1,500 updates.
- `molecules`: 50,000 SMILES of MOSES, characters; 1,000 updates.
- `sentences`: lines of Shakespeare, at most 24 of 1,000 subwords; 700 updates.

A tenth of the lines is held out. Of names and molecules, `VAE` hides a quarter of the decoder's
input, warms the KL up over a third of the updates and leaves 0.25 nats a latent free. Of
sentences, `plain` is the bound alone; `free bits` warms up, leaves 0.25 nats a latent free and
hides a quarter; `cyclical` repeats the warm-up of beta four times and hides half of the input.

Figures: nats of each token of held-out lines, the end among them: exact for the language model;
of a VAE at most the bound `elbo`, and `iwae` of 50 samples for the first 500 lines, beside the
language model's for the same lines. KL in nats of each line. Of 2,000 draws from the prior at
temperature 1: the share that is valid (RDKit reads them), the share of those that are distinct,
the share of the distinct that is not among the lines trained on, and the number of held-out
lines among them.

Cells that `results/text.json` has already are left as they are. Needs the folder of data sets
named by KERAS_VAE_DATA.
"""

import argparse
import gzip
import json
import math
import os
import pathlib
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import smoke
import tensorflow as tf
from facts import machine, sha256, versions

import keras_vae
from keras_vae import data, evaluation, likelihoods, networks, numerics, posteriors, tasks
from keras_vae.models.sequences import write_sequence
from keras_vae.objectives import ELBO
from keras_vae.schedules import Cyclical, LinearWarmup

DATA = pathlib.Path(os.environ.get("KERAS_VAE_DATA", ""))
RESULTS = smoke.RESULTS / "text.json"
UNITS, LATENTS, BATCH, RATE, SEED = 128, 16, 128, 3e-3, 0
DRAWS, SCORED, SAMPLES = smoke.pick((2_000, 500, 50), (50, 6, 2))
FILES = {
    "names": "names.txt",
    "molecules": "moses_smiles/train.smi.gz",
    "sentences": "tinyshakespeare.txt",
}
UPDATES = {"names": 1_500, "molecules": 1_000, "sentences": 700}
UPDATES = smoke.pick(UPDATES, dict.fromkeys(UPDATES, 8))


def load(study):
    path = DATA / FILES[study]
    if study == "molecules":
        lines = gzip.decompress(path.read_bytes()).decode().splitlines()[:50_000]
        return data.from_text(lines, seed=SEED)
    if study == "sentences":
        options = {"length": 24, "vocabulary_size": 1_000, "skip_bad": True}
        return data.from_text(path, "subword", seed=SEED, **options)
    return data.from_text(smoke.pick(path, path.read_text().splitlines()[:200]), seed=SEED)


def decoder_of(source, word_dropout):
    tokens = len(source.schema.vocabulary)
    return networks.RecurrentDecoder(
        [UNITS], autoregressive=True, vocabulary=tokens, word_dropout=word_dropout
    )


def likelihood_of(source):
    return likelihoods.Categorical(len(source.schema.vocabulary), end_token=0)


class LanguageModel(keras.Model):
    """The decoder of a VAE at z = 0."""

    def __init__(self, source):
        super().__init__()
        self.decoder, self.likelihood = decoder_of(source, 0.0), likelihood_of(source)
        self.decoder.bind(source.event_shape)
        self.likelihood.build(source.event_shape)
        self.head = keras.Sequential([keras.layers.Dense(len(source.schema.vocabulary))])
        self(source.x_train[:1])

    def call(self, x, training=False):
        x = tf.cast(x, "float32")
        shifted = tf.concat([tf.zeros_like(x[:, :1]), x[:, :-1]], axis=1)
        z = tf.zeros([tf.shape(x)[0], LATENTS])
        return self.head(self.decoder(z, target=shifted, training=training))

    def negative_log_p(self, x, params):
        return -self.likelihood.log_prob(params, tf.cast(x, params.dtype))

    def log_p(self, x):
        score = tf.function(lambda rows: -self.negative_log_p(rows, self(rows)))
        return np.concatenate([score(x[row : row + 512]) for row in range(0, len(x), 512)])

    def draw(self, count):
        write = tf.function(
            lambda key: write_sequence(
                self.decoder, self.head, self.likelihood, tf.zeros([count, LATENTS]), key, {}
            )
        )
        return write(numerics.key_from_seed(SEED)).numpy()


def vae_of(source, objective, word_dropout):
    return keras_vae.VAE(
        networks.RecurrentEncoder([UNITS // 2], end_token=0),
        decoder_of(source, word_dropout),
        posteriors.DiagonalNormal(LATENTS),
        likelihood=likelihood_of(source),
        objective=objective,
        event_shape=source.event_shape,
        preprocessor=source.preprocessor,
        seed=SEED,
    )


def objectives(updates):
    """Objective of each VAE, and the share of the decoder's input that is hidden."""
    warm_up = LinearWarmup(updates // 3)
    return {
        "VAE": (ELBO(warm_up, free_bits=0.25), 0.25),
        "plain": (ELBO(), 0.0),
        "free bits": (ELBO(warm_up, free_bits=0.25), 0.25),
        "cyclical": (ELBO(Cyclical(updates // 4)), 0.5),
    }


def train(model, source, updates, **options):
    rate = keras.optimizers.schedules.CosineDecay(RATE, updates)
    model.compile(keras.optimizers.Adam(rate, clipnorm=10.0), **options)
    x = source.x_train if isinstance(model, keras_vae.VAE) else (source.x_train,) * 2
    rows = tf.data.Dataset.from_tensor_slices(x)
    rows = rows.shuffle(len(source.x_train), SEED).repeat().batch(BATCH).prefetch(2)
    model.fit(rows, steps_per_epoch=updates, verbose=0)


def valid(study, lines):
    if study != "molecules":
        return [line for line in lines if line.strip()]
    from rdkit import Chem, RDLogger

    RDLogger.DisableLog("rdApp.*")
    return [line for line in lines if line and Chem.MolFromSmiles(line) is not None]


def quality(study, source, drawn):
    """What draws are worth, in shares."""
    decode = source.schema.decode
    good = valid(study, decode(drawn))
    distinct = set(good)
    new = distinct - set(decode(source.x_train))
    return {
        "valid": len(good) / len(drawn),
        "distinct": len(distinct) / len(good),
        "new": len(new) / len(distinct),
        "held out": len(new & set(decode(source.x_test))),
        "examples": decode(drawn[:8]),
    }


def per_token(x, log_p):
    """Nats of a token: the end counts where there is room for it."""
    tokens = np.minimum((x != 0).sum((1, 2)) + 1, x.shape[1])
    return -float(np.sum(log_p)) / int(tokens.sum())


def language_model(study, source, updates):
    model = LanguageModel(source)
    start = time.process_time()
    train(model, source, updates, loss=model.negative_log_p)
    seconds = time.process_time() - start
    scored = source.x_test[:SCORED]
    return {
        "nats": per_token(source.x_test, model.log_p(source.x_test)),
        "nats of the first": per_token(scored, model.log_p(scored)),
        **quality(study, source, model.draw(DRAWS)),
        "seconds of CPU": seconds,
    }


def vae(study, source, updates, objective, word_dropout):
    model = vae_of(source, objective, word_dropout)
    start = time.process_time()
    train(model, source, updates)
    seconds = time.process_time() - start
    x, scored = source.x_test, source.x_test[:SCORED]
    bound, kl = model.elbo(x, seed=SEED, return_kl=True)
    tighter = model.log_marginal(scored, samples=SAMPLES, seed=SEED)
    ways = tasks.interpolate(model, x[:3], x[3:6], steps=5)
    return {
        "elbo": per_token(x, bound),
        "elbo of the first": per_token(scored, bound[:SCORED]),
        "iwae of the first": per_token(scored, tighter),
        "kl": float(kl.mean()),
        "active units": int(evaluation.active_units(model, x).sum()),
        **quality(study, source, model.generate(DRAWS, sample=True, seed=SEED)),
        "ways": [source.schema.decode(way) for way in ways],
        "seconds of CPU": seconds,
    }


def rounded(value):
    return float(f"{value:.4g}") if isinstance(value, float) else value


def store(study, name, cell):
    """Add a cell to the file, whatever else was written meanwhile."""
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    path = DATA / FILES[study]
    packages = ["rdkit"] if study == "molecules" else []
    entry = results.setdefault(study, {})
    cells = {**entry.get("results", {}), name: {k: rounded(v) for k, v in cell.items()}}
    entry.update(
        {
            "command": f"python benchmarks/text.py {study}",
            "protocol": __doc__,
            "seed": SEED,
            "data": {FILES[study]: sha256(path)},
            "machine": machine(),
            "versions": versions(*packages),
            "results": cells,
        }
    )
    smoke.write(RESULTS, results)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", choices=FILES)
    smoke.add_argument(parser)
    study = parser.parse_args().study
    source, updates = load(study), UPDATES[study]
    print(source, f"{len(source.schema.vocabulary)} tokens", flush=True)
    kinds = ["plain", "free bits", "cyclical"] if study == "sentences" else ["VAE"]
    for name in ["language model", *kinds]:
        known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        if name in known.get(study, {}).get("results", {}):
            continue
        keras.utils.set_random_seed(SEED)
        if name == "language model":
            cell = language_model(study, source, updates)
        else:
            cell = vae(study, source, updates, *objectives(updates)[name])
        assert all(math.isfinite(v) for v in cell.values() if isinstance(v, float)), cell
        store(study, name, cell)
        print(name, json.dumps(cell, indent=2, ensure_ascii=False), flush=True)


if __name__ == "__main__":
    main()
