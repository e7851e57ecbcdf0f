"""`fit` as shipped."""

import time

import keras
import numpy as np
import tensorflow as tf
from workload import BATCH, EPOCHS, HIDDEN, LATENT, PIXELS, WARM_UP, bits, report

import keras_vae


class Ends(keras.callbacks.Callback):
    times: list[float] = []

    def on_epoch_end(self, epoch, logs=None):
        self.times.append(time.perf_counter())


vae = keras_vae.VAE(
    encoder=keras_vae.networks.MLP([HIDDEN]),
    decoder=keras_vae.networks.MLP([HIDDEN]),
    posterior=keras_vae.posteriors.DiagonalNormal(LATENT),
    likelihood=keras_vae.likelihoods.Bernoulli(),
    event_shape=(PIXELS,),
)
vae.compile(keras.optimizers.Adam(1e-3))
vae.fit(bits(), batch_size=BATCH, epochs=WARM_UP + EPOCHS, verbose=0, callbacks=[Ends()])
assert np.isfinite(vae.evaluate(bits()[:BATCH], verbose=0)[0])
report(Ends.times, keras_vae=keras_vae.__version__, tensorflow=tf.__version__)
