"""The subclass that the Keras documentation teaches: a layer that samples, own train_step."""

import keras
import tensorflow as tf
from keras import ops
from workload import ALL_EPOCHS, BATCH, HIDDEN, LATENT, SHAPE, Turns, bits

(PIXELS,), (WIDTH,) = SHAPE, HIDDEN


class Ends(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        turns.step_ended()

    def on_epoch_end(self, epoch, logs=None):
        turns.epoch_ended()


class Sampling(keras.layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.seed_generator = keras.random.SeedGenerator(0)

    def call(self, inputs):
        mean, log_var = inputs
        epsilon = keras.random.normal(ops.shape(mean), seed=self.seed_generator)
        return mean + ops.exp(0.5 * log_var) * epsilon


class SubclassedVAE(keras.Model):
    def __init__(self, encoder, decoder):
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.trackers = [keras.metrics.Mean(name=n) for n in ("loss", "reconstruction", "kl")]

    def train_step(self, data):
        with tf.GradientTape() as tape:
            mean, log_var, z = self.encoder(data)
            x = self.decoder(z)
            each = keras.losses.binary_crossentropy(data[..., None], x[..., None])
            reconstruction = ops.mean(ops.sum(each, axis=1))
            kl = -0.5 * (1 + log_var - ops.square(mean) - ops.exp(log_var))
            kl = ops.mean(ops.sum(kl, axis=1))
            loss = reconstruction + kl
        gradients = tape.gradient(loss, self.trainable_weights)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_weights, strict=True))
        for tracker, value in zip(self.trackers, (loss, reconstruction, kl), strict=True):
            tracker.update_state(value)
        return {tracker.name: tracker.result() for tracker in self.trackers}


x = keras.Input((PIXELS,))
h = keras.layers.Dense(WIDTH, activation="relu")(x)
mean, log_var = keras.layers.Dense(LATENT)(h), keras.layers.Dense(LATENT)(h)
encoder = keras.Model(x, [mean, log_var, Sampling()([mean, log_var])])
z = keras.Input((LATENT,))
h = keras.layers.Dense(WIDTH, activation="relu")(z)
decoder = keras.Model(z, keras.layers.Dense(PIXELS, activation="sigmoid")(h))
vae = SubclassedVAE(encoder, decoder)
vae.compile(keras.optimizers.Adam(1e-3))
turns = Turns(keras=keras.__version__, tensorflow=tf.__version__)
vae.fit(bits(), batch_size=BATCH, epochs=ALL_EPOCHS, verbose=0, callbacks=[Ends()])
