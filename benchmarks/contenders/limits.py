"""Three times, each beside that of its matrix products alone, in one process and in turn.

- `step`: a training step of 784-512-10-512-784 at batches of 128, beside the products of its
  layers forward and backward.
- `iwae`: a step of IWAE(50) of 784-200-200-50 at batches of 20, beside those of its decoder on
  50 latents per example.
- `nll`: `log_marginal` of that model with 5,000 samples, beside the decoder's products forward.

Products are run in a loop inside one graph, by TensorFlow and by XLA; the faster counts.
"""

import itertools
import json
import os
import statistics
import sys
import time

import keras
import numpy as np
import tensorflow as tf

import keras_vae

SMOKE = bool(os.environ.get("KERAS_VAE_SMOKE"))
ROUNDS, SECONDS, STEPS = (1, 0.01, 2) if SMOKE else (5, 0.5, 469)
SAMPLES = 50 if SMOKE else 5_000


def products(sizes, rows, *, backward, data=False):
    """Seconds that the products of dense layers take; `data`: the first has no gradient."""
    kernels = [tf.random.normal([a, b]) / a for a, b in itertools.pairwise(sizes)]
    x = tf.random.normal([rows, sizes[0]])

    def once(x):
        inputs, results = [x], []
        for kernel in kernels:
            inputs.append(tf.matmul(inputs[-1], kernel))
        results.append(inputs.pop())
        if backward:
            gradient = results[0]
            for index, (value, kernel) in enumerate(zip(inputs[::-1], kernels[::-1])):
                results.append(tf.matmul(value, gradient, transpose_a=True))
                if index + 1 < len(kernels) or not data:
                    gradient = tf.matmul(gradient, kernel, transpose_b=True)
            results.append(gradient)
        return tf.add_n([r[0, 0] for r in results])

    def loop(count):
        # Each pass depends on the one before, so that none can be left out.
        return tf.while_loop(
            lambda step, _: step < count,
            lambda step, total: (step + 1, total + once(x + 0 * total)),
            [0, 0.0],
            parallel_iterations=1,
        )[1]

    count = max(
        3, int(SECONDS / (2e-11 * rows * sum(a * b for a, b in itertools.pairwise(sizes))))
    )
    both = [tf.function(loop, jit_compile=xla, autograph=False) for xla in (False, True)]
    for function in both:
        function(tf.constant(2))

    def seconds():
        times = []
        for function in both:
            start = time.perf_counter()
            function(tf.constant(count)).numpy()
            times.append((time.perf_counter() - start) / count)
        return times

    return seconds


class Epochs(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.seconds = time.perf_counter() - self.start


def model(hidden, latent, objective=None):
    keras.utils.set_random_seed(0)
    activation = "relu" if len(hidden) == 1 else "tanh"
    vae = keras_vae.VAE(
        keras_vae.networks.MLP(hidden, activation),
        keras_vae.networks.MLP(hidden[::-1], activation),
        keras_vae.posteriors.DiagonalNormal(latent),
        likelihood=keras_vae.likelihoods.Bernoulli(),
        objective=objective,
        event_shape=(784,),
    )
    vae.compile("adam", jit_compile=True)  # as `fit` chooses for trainings of any length
    return vae


def steps_of(vae, batch, steps):
    x = (np.random.default_rng(0).random((batch * steps, 784)) < 0.13).astype("float32")
    vae.fit(x, batch_size=batch, verbose=0)

    def seconds():
        epochs = Epochs()
        vae.fit(x, batch_size=batch, epochs=2, verbose=0, callbacks=[epochs])
        return epochs.seconds / steps

    return seconds


def samples_of(vae, examples, samples):
    x = (np.random.default_rng(0).random((examples, 784)) < 0.13).astype("float32")
    vae.log_marginal(x, samples=samples, seed=0)

    def seconds():
        start = time.perf_counter()
        vae.log_marginal(x, samples=samples, seed=0)
        return (time.perf_counter() - start) / (examples * samples)

    return seconds


def added(*parts):
    """The products of several networks."""

    def seconds():
        return [sum(times) for times in zip(*(part() for part in parts))]

    return seconds


def compared(ours, alone, scale=1.0):
    """Medians over rounds; `scale`: how many of ours one pass of the products stands for."""
    own, tensorflow, xla, ratios = [], [], [], []
    for _ in range(ROUNDS):
        own.append(ours())
        times = [t / scale for t in alone()]
        tensorflow.append(times[0])
        xla.append(times[1])
        ratios.append(min(times) / own[-1])
    return {
        "seconds": statistics.median(own),
        "products_by_tensorflow": statistics.median(tensorflow),
        "products_by_xla": statistics.median(xla),
        "products_over_ours": statistics.median(ratios),
        "lowest": min(ratios),
        "highest": max(ratios),
        "rounds": ROUNDS,
    }


def step():
    of_encoder = products([784, 512, 20], 128, backward=True, data=True)
    of_decoder = products([10, 512, 784], 128, backward=True)
    # As many steps as an epoch of MNIST has.
    return compared(steps_of(model([512], 10), 128, STEPS), added(of_encoder, of_decoder))


def iwae():
    objective = keras_vae.objectives.IWAE(samples=50)
    of_decoder = products([50, 200, 200, 784], 20 * 50, backward=True)
    return compared(steps_of(model([200, 200], 50, objective), 20, min(STEPS, 40)), of_decoder)


def nll():
    of_decoder = products([50, 200, 200, 784], 4096, backward=False)
    return compared(samples_of(model([200, 200], 50), 128, SAMPLES), of_decoder, scale=4096)


if __name__ == "__main__":
    print(json.dumps({name: globals()[name]() for name in sys.argv[1:]}))
