"""The cases of keras_vae.objectives: one line per class, or per mode of it."""

import keras

from keras_vae import objectives, schedules
from tests.conformance.case import EVENT_SHAPE, Case


def perceptual():
    """A perceptual objective with features of two depths."""
    x = keras.Input(EVENT_SHAPE)
    shallow = keras.layers.Conv2D(3, 3, activation="tanh")(x)
    deep = keras.layers.Conv2D(2, 3, strides=2)(shallow)
    return {
        "base": objectives.CIWAE(3, 0.25),
        "features": keras.Model(x, [shallow, deep]),
        "weight": schedules.LinearWarmup(10),
    }


CASES = [
    Case(objectives.CIWAE, {"samples": 3, "weight": 0.25}),
    Case(objectives.DIPVAE, {"kind": "i", "diagonal": 2.0, "off_diagonal": 3.0}, "i"),
    Case(objectives.DIPVAE, {"kind": "ii", "diagonal": 2.0, "off_diagonal": 3.0}, "ii"),
    Case(objectives.DReG, {"samples": 4}),
    Case(objectives.ELBO, {"beta": 0.5, "samples": 2}, "beta"),
    Case(objectives.ELBO, {"beta": schedules.LinearWarmup(10)}, "schedule"),
    Case(objectives.ELBO, {"beta": 3.0, "capacity": [schedules.LinearWarmup(9)]}, "capacity"),
    Case(objectives.ELBO, {"free_bits": 0.4}, "free_bits_over_batch"),
    Case(
        objectives.ELBO,
        {"free_bits": schedules.LinearWarmup(9), "free_bits_over": "example"},
        "free_bits_over_example",
    ),
    Case(objectives.ELBO, {"kl": "monte_carlo", "samples": 3}, "monte_carlo"),
    Case(objectives.IWAE, {"samples": 4}),
    Case(objectives.InfoVAE, {"alpha": 0.5, "lambda_": 3.0, "kernel": "rbf", "scale": 0.9}),
    Case(objectives.LogLikelihood),
    Case(objectives.MIWAE, {"outer": 2, "inner": 2}),
    Case(objectives.MSSSIM, {"weight": 30.0, "beta": 0.5, "window": 4, "max_value": 2.0}),
    Case(objectives.PIWAE, {"outer": 2, "inner": 2}),
    Case(objectives.Perceptual, perceptual),
    Case(objectives.RAE, {"weight": 0.3}),
    Case(objectives.RAE, {"weight": 0.3, "gradient_penalty": 0.2}, "gradient_penalty"),
    Case(objectives.Renyi, {"alpha": 0.3, "samples": 4}),
    Case(objectives.StickingTheLanding, {"samples": 2}),
    Case(objectives.TCVAE, {"beta": 4.0, "alpha": 0.5, "gamma": 0.8}),
    Case(
        objectives.TCVAE,
        {"beta": schedules.LinearWarmup(9), "estimator": "weighted", "data_size": 50},
        "weighted",
    ),
    Case(objectives.WAE, {"weight": 7.0, "scale": 0.9}),
]
