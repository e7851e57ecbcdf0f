"""Variational autoencoders for Keras 3 on TensorFlow.

A model is two networks and four parts: a posterior q(z|x), a prior p(z), a likelihood
p(x|z) and an objective. See `keras_vae.VAE`.
"""

import keras as _keras

if _keras.backend.backend() != "tensorflow":
    raise ImportError(
        "keras_vae needs the TensorFlow backend of Keras. "
        f"Received: {_keras.backend.backend()!r}. Set KERAS_BACKEND=tensorflow before Keras "
        "is imported."
    )

from keras_vae import (
    callbacks,
    data,
    evaluation,
    exporters,
    flows,
    likelihoods,
    networks,
    objectives,
    plots,
    posteriors,
    preprocessors,
    priors,
    samplers,
    schedules,
    tables,
    tasks,
)
from keras_vae.models import VAE, presets

__version__ = "0.1.0"

__all__ = [
    "VAE",
    "callbacks",
    "data",
    "evaluation",
    "exporters",
    "flows",
    "likelihoods",
    "networks",
    "objectives",
    "plots",
    "posteriors",
    "preprocessors",
    "presets",
    "priors",
    "samplers",
    "schedules",
    "tables",
    "tasks",
]
