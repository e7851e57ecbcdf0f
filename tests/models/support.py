"""Models whose noise is a fixed function of the data: the same example gets the same noise
on whichever replica, in whichever batch and at whichever step it is seen.
"""

import contextlib
from unittest import mock

import keras
import numpy as np
import tensorflow as tf

import keras_vae
from keras_vae.component import register
from keras_vae.models.training import BoundModel
from keras_vae.objectives import Objective
from keras_vae.terms import Bound

LOOPS = ("keras", "tensorflow", "xla")


def compile_for(vae, loop, **options):
    """Compile for one of `LOOPS`: Keras's, or the one in one program."""
    vae.compile("adam", jit_compile=loop == "xla", **options)


def steps_by(loop):
    """Where `fit` has that of `LOOPS`: Keras's is for models with a step of their own."""
    if loop == "keras":
        return mock.patch.object(BoundModel, "repeats_its_step", False)
    return contextlib.nullcontext()


@register("tests")
class HandedNoiseVAE(keras_vae.VAE):
    """A VAE whose noise depends on x alone."""

    def draw_noise(self, x, key, samples=None):
        samples = self.objective.samples if samples is None else samples
        specs = {"posterior": self.posterior.noise_spec(), "prior": self.prior.noise_spec()}
        return {
            part: {name: handed(x, spec, samples) for name, spec in of_part.items()}
            for part, of_part in specs.items()
        }


def handed(x, spec, samples):
    """Noise `[samples, batch, *shape]` as a function of x."""
    flat = tf.reshape(x, [tf.shape(x)[0], -1])
    sizes = (int(np.prod(x.shape[1:])), samples * int(np.prod(spec.shape)))
    weights = np.random.default_rng(0).normal(size=sizes)
    noise = tf.sin(10.0 * flat @ tf.constant(weights, flat.dtype))
    noise = 1.5 * noise if spec.kind == "normal" else 0.5 + 0.499 * noise
    noise = tf.reshape(noise, [-1, samples, *spec.shape])
    return tf.transpose(noise, [1, 0, *range(2, 2 + len(spec.shape))])


@register("tests")
class SpreadLatents(Objective):
    """A coupled objective: rewards codes far from the mean code of the whole batch."""

    requires = frozenset({"density", "posterior_params"})
    coupled = True

    def bound(self, terms, context):
        center = tf.reduce_mean(terms.posterior_params, axis=0)
        spread = tf.reduce_sum(tf.abs(terms.posterior_params - center), axis=-1)
        elbo = terms.log_likelihood[0] - tf.reduce_sum(terms.kl, axis=-1)
        return Bound(elbo + spread**2)


def weights_of(model):
    return [w.numpy() for w in model.trainable_weights]


def largest_difference(first, second):
    return max(np.abs(a - b).max() for a, b in zip(first, second, strict=True))


def sgd():
    return keras.optimizers.SGD(1e-3)
