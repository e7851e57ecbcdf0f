"""`evaluation.log_marginal`: `SCRIPT BITS.npy EXAMPLES SAMPLES`."""

import json
import sys
import time

import keras
import numpy as np
import tensorflow as tf
from resident import peak_mb

import keras_vae
from keras_vae import evaluation, likelihoods, networks, posteriors

path, count, samples = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
x = np.load(path)[:count]
model = keras_vae.VAE(
    networks.MLP([512], activation="relu"),
    networks.MLP([512], activation="relu"),
    posteriors.DiagonalNormal(10),
    likelihood=likelihoods.Bernoulli(),
    event_shape=x.shape[1:],
    seed=0,
)
options = {"samples": samples, "seed": 0, "progress": False}
evaluation.log_marginal(model, x[:200], **options)
before = peak_mb()
start = time.perf_counter()
evaluation.log_marginal(model, x, **options)
seconds = time.perf_counter() - start
peak = peak_mb()
result = {
    "samples_per_second": count * samples / seconds,
    "seconds": seconds,
    "peak_memory_mb": peak,
    "memory_beyond_200_examples_mb": peak - before,
    "versions": {
        "keras_vae": keras_vae.__version__,
        "keras": keras.__version__,
        "tensorflow": tf.__version__,
    },
}
json.dump(result, sys.stdout)
print()
