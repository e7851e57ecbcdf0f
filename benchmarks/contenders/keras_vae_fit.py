"""`fit` as shipped.

Words: `bfloat16`, a policy; `dynamic`, new bits at each use; `onednn`, TensorFlow's faster
kernels where it does not use them by itself (`docs/performance.md`).
"""

import os
import sys

if "onednn" in sys.argv:
    os.environ["TF_ENABLE_ONEDNN_OPTS"] = "1"  # read when TensorFlow is imported

import keras
import numpy as np
import tensorflow as tf
from workload import (
    ALL_EPOCHS,
    BATCH,
    EXAMPLES,
    HIDDEN,
    LATENT,
    NAME,
    SHAPE,
    WORDS,
    Turns,
    bits,
)

import keras_vae

if "bfloat16" in WORDS:
    keras.config.set_dtype_policy("mixed_bfloat16")


class Ends(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        turns.step_ended()

    def on_epoch_end(self, epoch, logs=None):
        turns.epoch_ended()
        self.model.stop_training = turns.over


def networks():
    if NAME == "conv":
        return keras_vae.networks.ConvEncoder(HIDDEN), keras_vae.networks.ConvDecoder(
            HIDDEN[::-1]
        )
    activation = "tanh" if NAME == "burda" else "relu"
    return (
        keras_vae.networks.MLP(HIDDEN, activation),
        keras_vae.networks.MLP(HIDDEN[::-1], activation),
    )


vae = keras_vae.VAE(
    *networks(),
    keras_vae.posteriors.DiagonalNormal(LATENT),
    likelihood=keras_vae.likelihoods.Bernoulli(),
    event_shape=SHAPE,
)
vae.compile(keras.optimizers.Adam(1e-3))
x = bits()
data = {"x": x, "batch_size": BATCH}
if "dynamic" in WORDS:
    data = {"x": keras_vae.data.dynamic_binarization(x, BATCH, seed=0, drop_remainder=True)}
turns = Turns(keras_vae=keras_vae.__version__, tensorflow=tf.__version__)
# As many epochs as a user trains, for what `fit` chooses; stopped when all turns were taken.
epochs = max(ALL_EPOCHS, 3000 * BATCH // EXAMPLES)
history = vae.fit(**data, epochs=epochs, verbose=0, callbacks=[Ends()]).history
assert np.isfinite(history["loss"]).all()
