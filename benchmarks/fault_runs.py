"""Models and data of `faults.py`, and what is compared of them."""

import hashlib
import re

import keras
import numpy as np

import keras_vae

ROWS, WIDTH = 96, 12
#: Options of `keras-vae train` for the table.
TABLE = ("--kind", "table", "--held-out", "0", "--minutes", "30", "--latent-dim", "2")


def data():
    return (np.random.default_rng(1).random([ROWS, WIDTH]) > 0.5).astype("float32")


def make_model(units=32, seed=1):
    keras.utils.set_random_seed(seed)
    vae = keras_vae.VAE(
        keras_vae.networks.MLP([units]),
        keras_vae.networks.MLP([units]),
        keras_vae.posteriors.DiagonalNormal(latent_dim=2),
        likelihood=keras_vae.likelihoods.Bernoulli(),
        event_shape=(WIDTH,),
        seed=seed,
    )
    vae.compile(keras.optimizers.Adam(1e-2))
    return vae


def state(vae):
    """Hash of all variables, bit for bit."""
    digest = hashlib.sha256()
    for variable in (*vae.variables, *vae.optimizer.variables):
        digest.update(np.ascontiguousarray(variable.numpy()).tobytes())
    return digest.hexdigest()


def loaded(path):
    return state(keras.saving.load_model(path))


def table(home, rows=200, name="table.csv"):
    values = np.random.default_rng(2).normal(size=[rows, 4])
    np.savetxt(home / name, values, delimiter=",", header="a,b,c,d", comments="")


def errors(log):
    return [line for line in log.read_text().splitlines() if re.match("error:|Traceback", line)]
