"""Models to be exported, and likelihoods whose export must fail."""

import hashlib
import os
import pathlib
import subprocess
import sys

import numpy as np
import onnxruntime
import tensorflow as tf

import keras_vae
from keras_vae import likelihoods


def make_model(**changes):
    """A small model with random weights everywhere: zero biases would hide mistakes."""
    parts = {
        "encoder": keras_vae.networks.MLP([16]),
        "decoder": keras_vae.networks.MLP([16]),
        "posterior": keras_vae.posteriors.DiagonalNormal(latent_dim=3),
        "likelihood": likelihoods.Bernoulli(),
        "event_shape": (8, 8, 1),
        "seed": 1,
    }
    model = keras_vae.VAE(**{**parts, **changes})
    rng = np.random.default_rng(0)
    for variable in model.trainable_variables:
        variable.assign(0.3 * rng.normal(size=variable.shape))
    return model


def latents(rows, seed=0):
    return np.random.default_rng(seed).normal(size=[rows, 3]).astype("float32")


def onnx_session(source):
    """A file's path, or its bytes, opened by ONNX Runtime."""
    return onnxruntime.InferenceSession(source, providers=["CPUExecutionProvider"])


def onnx_decode(path, z):
    return onnx_session(path).run(["x"], {"z": z})[0]


def contents(folder):
    """Every path below a folder, with a hash of each file."""
    folder = pathlib.Path(folder)
    return {
        path.relative_to(folder).as_posix(): (
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
        )
        for path in folder.rglob("*")
    }


def shown_by(manifest, folder):
    """What the command in a manifest prints."""
    path = f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"
    done = subprocess.run(
        ["/bin/sh", "-c", manifest.run],
        cwd=folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


class Untrue(likelihoods.Normal):
    """Computes something else in a graph than eagerly: an export of it is wrong."""

    def mean(self, params):
        mean = super().mean(params)
        return mean if tf.executing_eagerly() else 1.001 * mean


class Fixed(likelihoods.Normal):
    """Returns three rows in a graph, whatever it is given."""

    def mean(self, params):
        mean = super().mean(params)
        return mean if tf.executing_eagerly() else mean[:1] * tf.ones([3, 1, 1, 1])


class Infinite(likelihoods.Normal):
    """Overflows in a graph only."""

    def mean(self, params):
        mean = super().mean(params)
        return mean if tf.executing_eagerly() else mean / tf.zeros_like(mean)


class LogGamma(likelihoods.Normal):
    """Uses an op that not all targets have."""

    def mean(self, params):
        return tf.math.lgamma(2.0 + super().mean(params) ** 2)


class Bessel(likelihoods.Normal):
    """Uses an op that ONNX lacks."""

    def mean(self, params):
        return tf.math.bessel_i0e(super().mean(params))


class BesselInLoop(likelihoods.Normal):
    """Uses an op that ONNX lacks, in the body of a loop."""

    def mean(self, params):
        mean = super().mean(params)
        return tf.while_loop(
            lambda index, total: index < 3,
            lambda index, total: (index + 1, tf.math.bessel_i0e(total)),
            (tf.constant(0), mean),
            shape_invariants=(tf.TensorShape([]), mean.shape),
        )[1]


class PythonCode(likelihoods.Normal):
    """Calls back into Python, which no file can hold."""

    def mean(self, params):
        mean = super().mean(params)
        doubled = tf.py_function(lambda x: 2.0 * x, [mean], mean.dtype)
        return tf.ensure_shape(doubled, mean.shape)


class Table(likelihoods.Normal):
    """Looks something up in a table."""

    def mean(self, params):
        if not hasattr(self, "table"):
            with tf.init_scope():
                keys, values = tf.constant([0]), tf.constant([1.5])
                pairs = tf.lookup.KeyValueTensorInitializer(keys, values)
                self.table = tf.lookup.StaticHashTable(pairs, 0.0)
        return super().mean(params) + self.table.lookup(tf.constant([0]))
