"""The table: one `Case` per concrete class, all that the generic tests need to know.

Adding a part takes two things: its class, registered and exported by its family's package,
and one line in `table/<family>.py`. The tests of this folder then check it like all others
(`test_parts.py`), put it into a model that is trained, evaluated, saved and loaded
(`test_models.py`), and fail if a class has no line here.

    Case(priors.StudentT, {"degrees": 4.0}),

A class with modes that compute different things gets one line for each, told apart by
`variant`. What is particular to a part - a number known in another way, an error message -
is tested in `tests/<family>/`.
"""

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_vae import numerics
from keras_vae.posteriors import DiagonalNormal, Posterior
from keras_vae.terms import Context
from tests.conformance.case import CONDITION_SHAPE, EVENT_SHAPE, LATENT_DIM
from tests.conformance.table import (
    flows,
    likelihoods,
    networks,
    objectives,
    posteriors,
    preprocessors,
    priors,
    schedules,
)

CASES = [
    *posteriors.CASES,
    *priors.CASES,
    *likelihoods.CASES,
    *objectives.CASES,
    *schedules.CASES,
    *networks.CASES,
    *flows.CASES,
    *preprocessors.CASES,
]


def cases_of(*families: str, where: Callable[[Any], bool] = lambda part: True) -> list[Any]:
    """The cases of some families whose parts fulfil a condition, for `parametrize`."""
    chosen = [case for case in CASES if case.family in families and where(case.make())]
    return [pytest.param(case, id=case.name) for case in chosen]


def sampled(parameters: list[Any], one_in: int) -> list[Any]:
    """Mark all but one in so many as thorough: they are run when asked for."""
    return [
        parameter
        if index % one_in == 0
        else pytest.param(*parameter.values, id=parameter.id, marks=pytest.mark.thorough)
        for index, parameter in enumerate(parameters)
    ]


def context(
    training: bool = False, step: int = 3, posterior: Posterior | None = None
) -> Context:
    """A context as a model gives it; its networks are fixed maps.

    One condition stands for the whole batch.
    """
    posterior = posterior or DiagonalNormal(LATENT_DIM)

    def projected(values: Any, width: int) -> tf.Tensor:
        values = numerics.as_density(values)
        flat = tf.reshape(values, (-1, math.prod(values.shape[1:])))
        matrix = np.random.default_rng(1).normal(size=(flat.shape[1], width), scale=0.3)
        return tf.tanh(flat @ numerics.as_density(matrix))

    def decode(z: tf.Tensor) -> tf.Tensor:
        decoded = projected(tf.reshape(z, (-1, LATENT_DIM)), math.prod(EVENT_SHAPE))
        return tf.reshape(decoded, (*z.shape[:-1], *EVENT_SHAPE))

    return Context(
        step=tf.constant(step, tf.int64),
        training=training,
        condition=numerics.as_density(np.linspace(-1.0, 1.0, CONDITION_SHAPE[0])[None]),
        data_size=tf.constant(100, tf.int64),
        encode=lambda x: projected(x, posterior.params_shape[0]),
        decode=decode,
        posterior=posterior,
    )


def noise(part: Any, *leading: int, seed: int = 0) -> dict[str, tf.Tensor]:
    """The noise a posterior or prior asks for."""
    return numerics.draw_noise(part.noise_spec(), leading, numerics.key_from_seed(seed))


def config_of(part: Any) -> dict[str, Any]:
    """The serialised part, without what `build` left in it."""
    serialised = keras.saving.serialize_keras_object(part)
    serialised.pop("build_config", None)
    return serialised
