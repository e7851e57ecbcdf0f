"""One worker of `test_workers.py`: trains, and writes what came of it.

Run as `python -m tests.models.worker FILE`, with `TF_CONFIG` set for several workers.
"""

import json
import os
import pathlib
import sys

import keras
import numpy as np
import tensorflow as tf

import keras_vae
from tests.models.support import HandedNoiseVAE

EXAMPLES, ROWS = 80, 20


def data():
    """Noise around shared values, the same in each process."""
    rng = np.random.default_rng(5)
    return (rng.normal(size=(EXAMPLES, 6)) * [1, 2, 3, 4, 5, 6] + 10).astype("float32")


def make(kind, strategy):
    with strategy.scope():
        vae = kind(
            encoder=keras_vae.networks.MLP([8]),
            decoder=keras_vae.networks.MLP([8]),
            posterior=keras_vae.posteriors.DiagonalNormal(latent_dim=2),
            prior=keras_vae.priors.VampPrior(5),
            likelihood=keras_vae.likelihoods.Normal(),
            preprocessor=keras_vae.preprocessors.Standardization(),
            event_shape=(6,),
        )
        vae.compile(keras.optimizers.SGD(1e-3))
    return vae


def train(strategy, index, workers):
    """Logs and weights of models trained on the same data, and on a share of them each."""
    x = data()
    keras.utils.set_random_seed(3)
    same = make(HandedNoiseVAE, strategy)
    history = same.fit(x, batch_size=ROWS, epochs=2, verbose=0, shuffle=False).history
    logs = same.evaluate(x, batch_size=ROWS, verbose=0, return_dict=True)
    results = {f"same/{i}": w.numpy() for i, w in enumerate(same.weights)}
    results |= {f"history/{name}": np.array(values) for name, values in history.items()}
    results |= {f"logs/{name}": np.array(value) for name, value in logs.items()}
    if workers > 1:
        keras.utils.set_random_seed(index)  # and different numbers to start with
        own = make(keras_vae.VAE, strategy)
        batches = tf.data.Dataset.from_tensor_slices(x[index::workers]).batch(ROWS)
        options = tf.data.Options()
        options.experimental_distribute.auto_shard_policy = (
            tf.data.experimental.AutoShardPolicy.OFF
        )
        own.fit(batches.with_options(options), epochs=2, verbose=0)
        results |= {f"own/{i}": w.numpy() for i, w in enumerate(own.weights)}
        results["pseudo_inputs"] = own.prior.pseudo_inputs.numpy()
    return results


def main():
    config = json.loads(os.environ.get("TF_CONFIG", "{}"))
    strategy = tf.distribute.get_strategy()
    if config:
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
    index = config.get("task", {}).get("index", 0)
    workers = len(config.get("cluster", {}).get("worker", [0]))
    results = train(strategy, index, workers)
    pathlib.Path(sys.argv[1]).parent.mkdir(exist_ok=True)
    np.savez(sys.argv[1], **results)


if __name__ == "__main__":
    main()
