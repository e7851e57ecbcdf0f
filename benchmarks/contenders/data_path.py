"""`fit` on MNIST from one place: `SCRIPT WHERE PATH`.

| where | path |
|---|---|
| `memory` | `.npy` of bytes, loaded |
| `tf.data` | the same, as a shuffled, batched and prefetched data set |
| `folder` | a folder of PNG files, read by `data.from_images` |
| `file` | a `.npy` file of bytes, memory-mapped |

784-512-10-512-784, batches of 128, bytes divided by 255 in the model. Five passes of 60,000
examples, of which the last four are timed; reading a folder counts to the first.
"""

import json
import os
import sys
import threading
import time

import keras
import numpy as np
import tensorflow as tf
from resident import own_mb

import keras_vae
from keras_vae import data, likelihoods, networks, posteriors, preprocessors

SMOKE = bool(os.environ.get("KERAS_VAE_SMOKE"))
BATCH, PASS, PASSES = 128, 256 if SMOKE else 60_000, 3 if SMOKE else 5
where, path = sys.argv[1:]


class Passes(keras.callbacks.Callback):
    """When each 60,000 examples were done."""

    def __init__(self):
        super().__init__()
        self.ends = []

    def on_train_batch_end(self, batch, logs=None):
        done = int(self.model.optimizer.iterations) * BATCH
        if done >= PASS * (len(self.ends) + 1):
            self.ends.append((time.perf_counter(), done))
        if len(self.ends) == PASSES:
            self.model.stop_training = True


levels = [own_mb()]
finished = threading.Event()


def watch():
    while not finished.wait(0.05):
        levels.append(own_mb())


threading.Thread(target=watch, daemon=True).start()
start = time.perf_counter()
given = {"batch_size": BATCH}
if where == "folder":
    x = data.from_images(path, held_out=0.0).x_train
elif where == "file":
    x = np.load(path, mmap_mode="r")
else:
    x = np.load(path)
if where == "tf.data":
    rows = tf.data.Dataset.from_tensor_slices(x).shuffle(len(x), 0)
    x, given = rows.batch(BATCH, drop_remainder=True).prefetch(2), {}
vae = keras_vae.VAE(
    networks.MLP([512], activation="relu"),
    networks.MLP([512], activation="relu"),
    posteriors.DiagonalNormal(10),
    likelihood=likelihoods.Bernoulli(),
    event_shape=(28, 28, 1),
    preprocessor=preprocessors.Rescaling(raw_dtype="uint8"),
    seed=0,
)
vae.compile(keras.optimizers.Adam(1e-3), jit_compile=True)
passes = Passes()
vae.fit(x, **given, epochs=10_000, verbose=0, callbacks=[passes])
finished.set()
times, done = np.array(passes.ends).T
result = {
    "examples_per_second": float(np.median(np.diff(done) / np.diff(times))),
    "seconds_of_the_first_pass": float(times[0] - start),
    "memory_mb": {"before": levels[0], "peak": max(levels)},
    "versions": {"keras_vae": keras_vae.__version__, "tensorflow": tf.__version__},
}
json.dump(result, sys.stdout)
print()
