"""keras_vae for so much time of the processor: `SCRIPT DATA.npz MINUTES SAMPLES`."""

import json
import sys
import time

import keras
import numpy as np
import tensorflow as tf

import keras_vae
from keras_vae import data, likelihoods, networks, posteriors

path, minutes, samples = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
with np.load(path) as arrays:
    train, test = arrays["train"], arrays["test"]


class Budget(keras.callbacks.Callback):
    updates = 0

    def on_train_begin(self, logs=None):
        self.start, self.clock = time.process_time(), time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        self.used = time.process_time() - self.start
        if self.used >= 60 * minutes:
            self.model.stop_training = True

    def on_train_end(self, logs=None):
        self.wall = time.perf_counter() - self.clock
        self.updates = int(self.model.optimizer.iterations)


keras.utils.set_random_seed(0)
vae = keras_vae.VAE(
    networks.MLP([512], activation="relu"),
    networks.MLP([512], activation="relu"),
    posteriors.DiagonalNormal(50),
    likelihood=likelihoods.Bernoulli(),
    event_shape=train.shape[1:],
    seed=0,
)
vae.compile(keras.optimizers.Adam(1e-3))
budget = Budget()
vae.fit(data.dynamic_binarization(train, 128, 0), epochs=10_000, verbose=0, callbacks=[budget])
log_p = vae.log_marginal(test, samples=samples, seed=0)
result = {
    "nats": float(-log_p.mean()),
    "standard_error": float(log_p.std() / len(test) ** 0.5),
    "epochs": budget.updates * 128 / len(train),
    "updates": budget.updates,
    "processor_seconds": budget.used,
    "seconds": budget.wall,
    "versions": {"keras_vae": keras_vae.__version__, "tensorflow": tf.__version__},
}
json.dump(result, sys.stdout)
print()
