"""Time series: what does not belong, and where.

    python examples/series.py          electroencephalogram that Matplotlib ships: a minute
    python examples/series.py taxi     taxi passengers of New York, half-hourly, whose holidays
                                       and storms are labelled, if KERAS_VAE_DATA has them

Trains on windows of the first part of the series. Prints how well anomaly scores tell windows
with an anomaly from those without, as ROC-AUC, beside the largest distance of a window's
values from their mean in standard deviations. Of the electroencephalogram, nobody labelled
anything: every eighth held-out window gets a fault, one channel that repeats another's values,
which no single value gives away. Of the taxis, the labels are those of the benchmark NAB.

Writes scores.png, the series and its scores, and model.keras into output/series. From the
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
EPOCHS = 2 if SMOKE else 600
WINDOW = {"eeg": 16, "taxi": 48}
TAXI = "realKnownCause/nyc_taxi.csv"


def eeg() -> tuple[np.ndarray, np.ndarray]:
    """Four channels, and whether a fault was put there: from the middle on."""
    with matplotlib.cbook.get_sample_data("eeg.dat") as file:
        series = np.frombuffer(file.read(), float).reshape(4, 800).T.astype("float32").copy()
    odd = np.zeros(len(series), bool)
    for number, start in enumerate(range(480, 800, WINDOW["eeg"])):
        if number % 4 == 1:
            here = slice(start, start + WINDOW["eeg"])
            channel = number % 3
            series[here, channel] = series[here, channel + 1]
            odd[here] = True
    return series, odd


def taxi() -> tuple[np.ndarray, np.ndarray]:
    path = pathlib.Path(os.environ["KERAS_VAE_DATA"]) / "nab.tar.gz"
    with tarfile.open(path) as archive:
        members = {m.name.split("/", 1)[-1]: m for m in archive.getmembers()}
        table = next(m for name, m in members.items() if name.endswith(TAXI))
        windows = next(m for name, m in members.items() if name.endswith("windows.json"))
        frame = pd.read_csv(io.BytesIO(archive.extractfile(table).read()))
        labelled = json.loads(archive.extractfile(windows).read())[TAXI]
    times = pd.to_datetime(frame["timestamp"])
    odd = np.zeros(len(frame), bool)
    for first, last in labelled:
        odd |= ((times >= first) & (times <= last)).to_numpy()
    return frame[["value"]].to_numpy("float32"), odd


def main() -> None:
    if sys.argv[1:] not in ([], ["taxi"]):
        sys.exit("usage: python examples/series.py [taxi]")
    keras.utils.set_random_seed(SEED)
    name = "taxi" if sys.argv[1:] else "eeg"
    series, odd = taxi() if name == "taxi" else eeg()
    begin = int(0.6 * len(series)) if name == "eeg" else int(0.45 * len(series))

    source = data.from_series(series[:begin], window=WINDOW[name], stride=1, held_out=0.15)
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

    later = data.SeriesSchema(source.schema.names, WINDOW[name], WINDOW[name])
    read = later.read(series[begin:])
    starts = begin + np.array([int(start) for start in read.names])
    windows = read.x
    wrong = np.array([odd[start : start + WINDOW[name]].any() for start in starts])
    scores = tasks.anomaly_score(vae, windows, seed=SEED)
    mean, spread = series[:begin].mean(0), series[:begin].std(0)
    largest = np.abs((windows - mean) / spread).max((1, 2))
    print(f"anomaly score  {roc_auc_score(wrong, scores):8.3f} ROC-AUC")
    print(f"largest value  {roc_auc_score(wrong, largest):8.3f} ROC-AUC")

    output = pathlib.Path("output", "series")
    output.mkdir(parents=True, exist_ok=True)
    figure, (above, below) = plt.subplots(2, sharex=True, figsize=(9, 5))
    above.plot(np.arange(begin, len(series)), series[begin:], lw=0.7)
    below.bar(starts, scores, WINDOW[name], align="edge", color=np.where(wrong, "C3", "C0"))
    below.set(ylabel="anomaly score in nats", xlabel="step; red where there is an anomaly")
    figure.savefig(output / "scores.png", dpi=100)
    vae.save(output / "model.keras")
    print(f"written: {output}/scores.png, model.keras")


if __name__ == "__main__":
    main()
