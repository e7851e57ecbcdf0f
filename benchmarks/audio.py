"""Spoken digits as spectrograms and as waveforms: `python benchmarks/audio.py --out FOLDER`.

The Free Spoken Digit Dataset: 3,000 recordings at 8 kHz, six speakers, cut or filled up with
silence to 0.75 s; the official test set is recordings 0 to 4 of each speaker and digit, 300.
32 latents for all. Models:

- `dense`: mel spectrograms, 97 frames of 64 bands, two layers of 512; `Normal`, optimal scale.
- `convolutions`: the same, with three strided convolutions.
- `PCA`: the same, 32 principal components of standardised bands.
- `waveform`: 6,000 samples after the mu-law, strided convolutions along time,
  `DiscretizedLogistic(2)`.

Measures, of the test set:

- `elbo`: nats per clip, 10 samples; of spectrograms a density of standardised decibels, so that
  those of waveforms cannot be compared with it. `bits_per_sample`: of waveforms, of 16 bits.
- `distance`: log-spectral distance in dB: the root mean square over the bands of a frame of the
  difference in level, averaged over frames that are not silent in the original. As
  reconstructed; and as heard, of the WAV file, where phases were made up. `floor`: that of the
  original's spectrogram made sound by Griffin and Lim's method, no model between. Of waveforms
  also that of draws from p(x|z): their mean is nearly silent, for z has no phases.
- `digit` and `speaker`: accuracy of a logistic regression on codes, trained on those of the
  training set.

Needs fsdd.npz in the folder named by KERAS_VAE_DATA. Writes 8 reconstructions and 8 samples of
each model as WAV, and a picture of spectrograms, to --out; results to `results/audio.json`.
"""

import argparse
import itertools
import json
import os
import pathlib
import time

import keras
import numpy as np
import sklearn
import sklearn.decomposition
import smoke
import tensorflow as tf
from facts import machine, sha256, versions

import keras_vae
from keras_vae import evaluation, likelihoods, networks, plots, posteriors, preprocessors
from keras_vae.data import AudioSchema

DATA = pathlib.Path(os.environ.get("KERAS_VAE_DATA", "")) / "fsdd.npz"
RESULTS = smoke.RESULTS / "audio.json"
SEED, LATENTS, SECONDS, TEST_INDEX, SHOWN = 0, 32, 0.75, 5, 8
# So that all of it takes a quarter of an hour on two cores.
EPOCHS = {
    n: smoke.pick(e, 1) for n, e in (("dense", 30), ("convolutions", 20), ("waveform", 12))
}
BATCH = {"dense": 32, "convolutions": 32, "waveform": 32}


def recordings():
    """Clips, digits and speakers: of training, and of test."""
    with np.load(DATA) as file:
        audio, offset, index = file["audio"], file["offset"], file["index"]
        digit, speaker, rate = file["digit"], file["speaker"], int(file["sample_rate"])
    samples = round(SECONDS * rate)
    clips = np.zeros((len(digit), samples), "int16")
    for row, (start, end) in enumerate(itertools.pairwise(offset)):
        clip = audio[start:end][:samples]
        clips[row, : len(clip)] = clip
    kept = slice(None, None, smoke.pick(1, 47))
    clips, digit, speaker, index = (each[kept] for each in (clips, digit, speaker, index))
    test = index < TEST_INDEX
    sides = [(clips[side], digit[side], speaker[side]) for side in (~test, test)]
    return *sides, rate, samples


def dense(schema):
    return {
        "encoder": networks.MLP([512, 512]),
        "decoder": networks.MLP([512, 512]),
        "likelihood": likelihoods.Normal("optimal"),
        "event_shape": schema.event_shape,
        "preprocessor": preprocessors.Standardization(schema=schema),
    }


def convolutions(schema):
    standard = preprocessors.Standardization(schema=schema)
    channel = preprocessors.Reshape(schema.event_shape)
    return {
        "encoder": networks.ConvEncoder([16, 32, 64]),
        "decoder": networks.ConvDecoder([64, 32, 16]),
        "likelihood": likelihoods.Normal("optimal"),
        "event_shape": (*schema.event_shape, 1),
        "preprocessor": preprocessors.Chain([standard, channel]),
    }


def waveform(schema):
    filters, size, factor = [32, 64, 128, 128], 9, 4
    grid = -(-schema.samples // factor ** len(filters))
    surplus = grid * factor ** len(filters) - schema.samples
    options = {"strides": factor, "padding": "same", "activation": "relu"}
    layers = keras.layers
    return {
        "encoder": keras.Sequential([layers.Conv1D(f, size, **options) for f in filters]),
        "decoder": keras.Sequential(
            [
                layers.Dense(grid * filters[-1], "relu"),
                layers.Reshape((grid, filters[-1])),
                *[layers.Conv1DTranspose(f, size, **options) for f in (128, 64, 32, 16)],
                layers.Cropping1D((0, surplus)),
            ]
        ),
        "likelihood": likelihoods.DiscretizedLogistic(2),
        "event_shape": schema.event_shape,
        "preprocessor": preprocessors.MuLaw(raw_dtype="int16", schema=schema),
    }


def trained(name, parts, x, rate=1e-3):
    keras.utils.set_random_seed(SEED)
    vae = keras_vae.VAE(posterior=posteriors.DiagonalNormal(LATENTS), **parts)
    steps = EPOCHS[name] * -(-len(x) // BATCH[name])
    decay = keras.optimizers.schedules.CosineDecay(rate, steps)
    vae.compile(keras.optimizers.Adam(decay))
    start = time.perf_counter()
    vae.fit(x, epochs=EPOCHS[name], batch_size=BATCH[name], verbose=2)
    return vae, round(time.perf_counter() - start, 1)


def distance(true, found):
    """Log-spectral distance, and its standard error over clips."""
    per_frame = np.sqrt(np.mean((true - found) ** 2, axis=-1))
    heard = (true > true.min()).any(-1)
    per_clip = np.array([values[of].mean() for values, of in zip(per_frame, heard)])
    error = per_clip.std() / np.sqrt(len(per_clip))
    return {"dB": round(float(per_clip.mean()), 2), "standard_error": round(float(error), 2)}


def probed(codes, labels):
    """Accuracies by name; codes and labels: of training, of test."""
    found = {}
    for name in labels[0]:
        score = evaluation.probe(codes[0], labels[0][name], codes[1], labels[1][name])
        found[name] = round(score.linear, 4)
    return found


def measured(vae, seconds, x, codes, labels):
    elbo = vae.elbo(x, samples=10, seed=SEED, batch_size=50)
    error = elbo.std() / np.sqrt(len(elbo))
    active = evaluation.active_units(vae, x)
    return {
        "elbo": {
            "nats": round(float(elbo.mean()), 1),
            "standard_error": round(float(error), 1),
        },
        "active_units": int(active.sum()),
        **probed(codes, labels),
        "training_seconds": seconds,
    }


def drawn_from(vae, codes):
    """Raw waveforms drawn from p(x|z); some at a time, for all levels have probabilities."""
    blocks = np.array_split(codes, -(-len(codes) // 10))
    found = [vae.likelihood_of(z).sample(seed=SEED) for z in blocks]
    return vae.preprocessor.inverse(tf.concat(found, 0)).numpy()


def bits_per_sample(vae, x):
    """Of 16-bit samples: a level of DiscretizedLogistic stands for several of them."""
    raw = vae.elbo(x, samples=10, seed=SEED, batch_size=50, raw=True)
    return round(float(-raw.mean() / x[0].size / np.log(2)), 3)


def study(out):
    (train, *train_names), (test, *test_names), rate, samples = recordings()
    names = ("digit", "speaker")
    labels = dict(zip(names, train_names)), dict(zip(names, test_names))
    mel = AudioSchema(rate, samples)
    wave = AudioSchema(rate, samples, "waveform")
    x, held_out = mel.examples(train), mel.examples(test)
    # One of each digit, of speakers in turn.
    shown = np.linspace(0, len(test) - 1, SHOWN).astype(int)
    rows = {"original": held_out[shown]}
    again = mel.examples(mel.waveforms(held_out))
    table = {"floor": {"distance_as_heard": distance(held_out, again)}}
    rows["original, Griffin-Lim"] = again[shown]
    mel.write(held_out[shown], out / "originals_griffin_lim")
    wave.write(wave.examples(test[shown]), out / "originals")

    standard = preprocessors.Standardization()
    standard.build(mel.event_shape)
    standard.adapt(x)
    flat, flat_held_out = (
        standard.forward(values).numpy().reshape(len(values), -1) for values in (x, held_out)
    )
    pca = sklearn.decomposition.PCA(LATENTS, random_state=SEED).fit(flat)
    codes = pca.transform(flat), pca.transform(flat_held_out)
    found = standard.inverse(pca.inverse_transform(codes[1]).reshape(held_out.shape)).numpy()
    table["PCA"] = {
        "distance": distance(held_out, found),
        "distance_as_heard": distance(held_out, mel.examples(mel.waveforms(found))),
        **probed(codes, labels),
    }
    smoke.write(RESULTS, table, complete=False)
    rows["PCA"] = found[shown]

    samples_of = {}
    for name, parts in (("dense", dense), ("convolutions", convolutions)):
        vae, seconds = trained(name, parts(mel), x)
        codes = vae.encode(x), vae.encode(held_out)
        found = vae.reconstruct(held_out)
        heard = mel.examples(mel.waveforms(found))
        table[name] = {
            **measured(vae, seconds, held_out, codes, labels),
            "distance": distance(held_out, found),
            "distance_as_heard": distance(held_out, heard),
        }
        smoke.write(RESULTS, table, complete=False)
        rows[name] = heard[shown]
        new = vae.generate(SHOWN, seed=SEED)
        samples_of[name] = new
        mel.write(found[shown], out / f"{name}_reconstructions")
        mel.write(new, out / f"{name}_samples")

    x, held_out_wave = wave.examples(train), wave.examples(test)
    vae, seconds = trained("waveform", waveform(wave), x)
    codes = vae.encode(x), vae.encode(held_out_wave)
    found = wave.waveforms(vae.reconstruct(held_out_wave))
    table["waveform"] = {
        **measured(vae, seconds, held_out_wave, codes, labels),
        "bits_per_sample": bits_per_sample(vae, held_out_wave),
        "distance_as_heard": distance(held_out, mel.examples(found)),
    }
    drawn = wave.waveforms(drawn_from(vae, codes[1]))
    table["waveform"]["distance_as_heard_of_draws"] = distance(held_out, mel.examples(drawn))
    rows["waveform, mean"] = mel.examples(found[shown])
    rows["waveform, drawn"] = mel.examples(drawn[shown])
    new = wave.waveforms(vae.generate(SHOWN, sample=True, seed=SEED))
    samples_of["waveform"] = mel.examples(new)
    wave.write(wave.examples(drawn[shown]), out / "waveform_reconstructions")
    wave.write(wave.examples(new), out / "waveform_samples")
    rows |= {f"{name}, samples": spectrograms for name, spectrograms in samples_of.items()}
    plots.spectrograms(rows, path=out / "spectrograms.png")
    return table


def main():
    parser = argparse.ArgumentParser(description="Spoken digits.")
    parser.add_argument(
        "--out",
        type=pathlib.Path,
        help="a new folder",
        required=not smoke.SMOKE,
        default=smoke.OUTPUT / "audio",
    )
    smoke.add_argument(parser)
    out = parser.parse_args().out
    if not DATA.exists():
        parser.error("there is no fsdd.npz in the folder named by KERAS_VAE_DATA")
    out.mkdir(parents=True)
    start = time.perf_counter()
    results = study(out)
    report = {
        "command": "python benchmarks/audio.py --out audio",
        "protocol": __doc__,
        "seed": SEED,
        "epochs": EPOCHS,
        "batch": BATCH,
        "data": {DATA.name: sha256(DATA)},
        "machine": {**machine(), "shared": "with other work"},
        "versions": versions("scikit-learn"),
        "total_seconds": round(time.perf_counter() - start, 1),
        "results": results,
    }
    smoke.write(RESULTS, report)
    print(json.dumps(report["results"], indent=2))


if __name__ == "__main__":
    main()
