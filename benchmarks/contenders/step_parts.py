"""Where a training step of 784-512-10-512-784 at batches of 128 goes: `SCRIPT`, milliseconds.

Medians of rounds in turn, in one process: the matrix products alone; 50 steps in one program on
batches that are there, with an optimizer that does next to nothing and with Adam; `fit` on
60,000 examples in memory, which adds their order, batches and noise; and `fit` without XLA.
"""

import json
import statistics
import time

import keras
import numpy as np
import tensorflow as tf
from limits import ROUNDS, STEPS, model, products, steps_of

from keras_vae.models.loop import Loop

BATCH = 128


def loop_alone(optimizer):
    """Milliseconds of a step of the program that `fit` compiles, run on its first batches."""
    vae = model([512], 10)
    vae.compile(optimizer, jit_compile=True)
    taken = []
    execute = Loop._execute

    def keep(loop, batches, noise, count):
        taken.append((loop, batches, noise, count))
        return execute(loop, batches, noise, count)

    Loop._execute = keep
    x = (np.random.default_rng(0).random((BATCH * 100, 784)) < 0.13).astype("float32")
    vae.fit(x, batch_size=BATCH, verbose=0)
    Loop._execute = execute
    loop, batches, noise, count = taken[0]

    def milliseconds():
        start = time.perf_counter()
        bad, _ = loop.program(batches, noise, tf.constant(0), tf.constant(count))
        bad.numpy()
        return 1e3 * (time.perf_counter() - start) / count

    return milliseconds


def whole(*, xla):
    vae = model([512], 10)
    vae.compile("adam", jit_compile=xla)
    seconds = steps_of(vae, BATCH, STEPS)
    return lambda: 1e3 * seconds()


def main():
    of_encoder = products([784, 512, 20], BATCH, backward=True, data=True)
    of_decoder = products([10, 512, 784], BATCH, backward=True)

    def alone(index):
        return lambda: 1e3 * (of_encoder()[index] + of_decoder()[index])

    parts = {
        "products by TensorFlow": alone(0),
        "products by XLA": alone(1),
        "program without Adam": loop_alone(keras.optimizers.SGD(1e-6)),
        "program": loop_alone("adam"),
        "fit": whole(xla=True),
        "fit without XLA": whole(xla=False),
    }
    found = {name: [] for name in parts}
    for _ in range(ROUNDS):
        for name, milliseconds in parts.items():
            found[name].append(milliseconds())
    print(json.dumps({name: round(statistics.median(v), 3) for name, v in found.items()}))


if __name__ == "__main__":
    main()
