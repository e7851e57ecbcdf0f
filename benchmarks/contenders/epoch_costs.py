"""Seconds of an epoch against one size: `SCRIPT examples|latents|samples SIZE`.

784-512-10-512-784, batches of 128, XLA; 7,680 examples, ELBO. One size is varied: the number of
examples, of latents, or of importance samples (of 1,920 examples).
"""

import json
import sys
import time

import keras
import numpy as np

import keras_vae
from keras_vae import likelihoods, networks, objectives, posteriors

what, size = sys.argv[1], int(sys.argv[2])
count = {"examples": size, "latents": 7_680, "samples": 1_920}[what]
x = (np.random.default_rng(0).random((count, 784)) < 0.13).astype("float32")
vae = keras_vae.VAE(
    networks.MLP([512], activation="relu"),
    networks.MLP([512], activation="relu"),
    posteriors.DiagonalNormal(size if what == "latents" else 10),
    likelihood=likelihoods.Bernoulli(),
    objective=objectives.IWAE(size) if what == "samples" else objectives.ELBO(),
    event_shape=(784,),
    seed=0,
)
vae.compile(keras.optimizers.Adam(1e-3), jit_compile=True)
ends = []
end = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: ends.append(time.perf_counter()))
vae.fit(x, batch_size=128, epochs=6, verbose=0, callbacks=[end])
json.dump({"seconds": float(np.median(np.diff(ends)))}, sys.stdout)
print()
