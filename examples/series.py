"""Series: what does not belong, and where.

    python examples/series.py          profiles of a mountain that Matplotlib ships: a minute
    python examples/series.py taxi     taxi passengers of New York, half-hourly, whose holidays
                                       and storms are labelled, if KERAS_VAE_DATA has them

Trains on windows of the first profiles, or of the first months. Prints how well anomaly scores
tell windows with an anomaly from those without, as ROC-AUC, beside the largest distance of a
window's values from their mean in standard deviations. In the profiles every fourth window of
those held out gets a fault: a sensor that sticks for eight steps, which no single value gives
away. Of the taxis, the labels are those of the benchmark NAB.

Expect 0.8 against 0.6 for the profiles, and 0.7 against 0.55 for the taxis.
Writes scores.png, windows and their scores, and model.keras into output/series. From the
shell, for a .csv with a line of names:

    keras-vae train series.csv --kind series --window 64 --out model.keras
    keras-vae score series.csv --model model.keras --out scores.csv
"""

import io
import json
import os
import pathlib
import sys
import tarfile
from typing import NamedTuple

import keras
import matplotlib
import matplotlib.cbook
import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

import keras_vae
from keras_vae import data, presets, tasks

matplotlib.use("Agg")
import matplotlib.pyplot as plt

SMOKE = os.environ.get("KERAS_VAE_SMOKE") == "1"
SEED = 0
EPOCHS = 2 if SMOKE else 300
STUCK = 8
TAXI = "realKnownCause/nyc_taxi.csv"


class Series(NamedTuple):
    """Series to train on, and later windows with whether each has an anomaly."""

    train: list[np.ndarray]
    windows: np.ndarray
    odd: np.ndarray


def mountain(window: int = 32) -> Series:
    file = matplotlib.cbook.get_sample_data("jacksboro_fault_dem.npz")
    profiles = file["elevation"].astype("float32")
    count = int(0.8 * len(profiles))
    columns = profiles.shape[1] // window * window
    windows = profiles[count:, :columns].reshape(-1, window, 1).copy()
    odd = np.arange(len(windows)) % 4 == 1
    starts = np.random.default_rng(SEED).integers(0, window - STUCK, len(windows))
    for index in np.flatnonzero(odd):
        here = slice(starts[index], starts[index] + STUCK)
        windows[index, here] = windows[index, starts[index]]
    return Series(list(profiles[:count]), windows, odd)


def taxi(window: int = 48) -> Series:
    path = pathlib.Path(os.environ["KERAS_VAE_DATA"]) / "nab.tar.gz"
    with tarfile.open(path) as archive:
        files = {member.name: archive.extractfile(member) for member in archive}
        table = next(file for name, file in files.items() if name.endswith(TAXI))
        labels = next(file for name, file in files.items() if name.endswith("windows.json"))
        frame = pd.read_csv(io.BytesIO(table.read()))
        labelled = json.loads(labels.read())[TAXI]
    times, values = pd.to_datetime(frame["timestamp"]), frame[["value"]].to_numpy("float32")
    odd = np.zeros(len(frame), bool)
    for first, last in labelled:
        odd |= ((times >= first) & (times <= last)).to_numpy()
    begin = int(0.45 * len(frame))
    end = begin + (len(frame) - begin) // window * window
    later = odd[begin:end].reshape(-1, window).any(1)
    return Series([values[:begin]], values[begin:end].reshape(-1, window, 1), later)


def main() -> None:
    if sys.argv[1:] not in ([], ["taxi"]):
        sys.exit("usage: python examples/series.py [taxi]")
    keras.utils.set_random_seed(SEED)
    series = taxi() if sys.argv[1:] else mountain()
    window = series.windows.shape[1]

    stride = 1 if sys.argv[1:] else window // 4
    source = data.from_series(series.train, window=window, stride=stride, held_out=0.15)
    print(source)
    vae = presets.for_source(source, seed=SEED)
    vae.compile(keras.optimizers.Adam(1e-3))
    vae.fit(
        source.x_train,
        validation_data=source.x_test,
        batch_size=64,
        epochs=EPOCHS,
        callbacks=keras_vae.callbacks.EarlyStopping(patience=20),
        verbose=0,
    )
    print(f"test elbo      {vae.elbo(source.x_test, seed=0).mean():8.2f} nats")

    scores = tasks.anomaly_score(vae, series.windows, seed=SEED)
    seen = np.concatenate(series.train)
    largest = np.abs((series.windows - seen.mean()) / seen.std()).max((1, 2))
    print(f"anomaly score  {roc_auc_score(series.odd, scores):8.3f} ROC-AUC")
    print(f"largest value  {roc_auc_score(series.odd, largest):8.3f} ROC-AUC")

    output = pathlib.Path("output", "series")
    output.mkdir(parents=True, exist_ok=True)
    shown = np.arange(min(120, len(scores)))
    figure, (above, below) = plt.subplots(2, sharex=True, figsize=(10, 5))
    steps = np.arange(len(shown) * window) / window
    above.plot(steps, series.windows[shown].ravel(), lw=0.7)
    colours = np.where(series.odd[shown], "C3", "C0")
    below.bar(shown, scores[shown], 1, align="edge", color=colours)
    below.set(ylabel="anomaly score in nats", xlabel="window; red: with an anomaly")
    figure.savefig(output / "scores.png", dpi=100)
    vae.save(output / "model.keras")
    print(f"written: {output}/scores.png, model.keras")


if __name__ == "__main__":
    main()
