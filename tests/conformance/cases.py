"""One `Case` per concrete class: all that the generic tests need to know about it.

Adding a part takes two things: its class, registered and exported by its family's package,
and one line in `CASES` below. The tests of this folder then check it like all others
(`test_parts.py`), put it into a model that is trained, evaluated, saved and loaded
(`test_models.py`), and fail if a class has no line here.

    Case(priors.StudentT, {"degrees": 4.0}),

A class with modes that compute different things gets one line for each, told apart by
`variant`. What is particular to a part - a number known in another way, an error message -
is tested in `tests/<family>/`.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_vae import likelihoods, networks, numerics, objectives, posteriors, priors, schedules
from keras_vae.likelihoods import Likelihood
from keras_vae.networks import Network
from keras_vae.objectives import Objective
from keras_vae.posteriors import Posterior
from keras_vae.priors import Prior
from keras_vae.schedules import Schedule
from keras_vae.terms import Context

#: Base classes, by the module that holds their family.
FAMILIES = {
    "posteriors": Posterior,
    "priors": Prior,
    "likelihoods": Likelihood,
    "objectives": Objective,
    "schedules": Schedule,
    "networks": Network,
}

#: Two dimensions: enough to depend on each other, few enough for Monte Carlo to be exact.
LATENT_DIM = 2
#: Events are small images, which every network and likelihood can take.
EVENT_SHAPE = (8, 8, 1)


def reals(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Data of a likelihood whose support is the real line."""
    return rng.normal(size=shape)


def bits(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Data of a likelihood of 0 and 1."""
    return rng.integers(0, 2, size=shape).astype("float64")


@dataclasses.dataclass(frozen=True)
class Case:
    """One line of the table.

    Attributes:
        cls: The class.
        arguments: For its constructor; or a function that returns them, for arguments that
            own weights and may not be shared. Each test makes a fresh part from them.
        variant: Tells several cases of one class apart.
        data: Likelihoods: draws x `[*shape]` from the support.
        input_shape: Networks: shape of one input, `EVENT_SHAPE` for an encoder and
            `(LATENT_DIM,)` for a decoder.
        output_shape: Networks: shape of one example's features.
    """

    cls: type
    arguments: Mapping[str, Any] | Callable[[], Mapping[str, Any]] = dataclasses.field(
        default_factory=dict
    )
    variant: str = ""
    data: Callable[[np.random.Generator, tuple[int, ...]], np.ndarray] = reals
    input_shape: tuple[int, ...] = EVENT_SHAPE
    output_shape: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """Its name in test reports."""
        return "-".join(filter(None, (self.cls.__name__, self.variant)))

    @property
    def family(self) -> str:
        """Name of its family's module."""
        return next(name for name, base in FAMILIES.items() if issubclass(self.cls, base))

    def given(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        return dict(self.arguments() if callable(self.arguments) else self.arguments)

    def make(self) -> Any:
        """A fresh part."""
        return self.cls(**self.given())

    def make_built(self, event_shape: tuple[int, ...] = EVENT_SHAPE) -> Any:
        """A fresh part, built as a model does, with weights as if trained.

        At their initial values - equal, zero, one - mistakes could hide.
        """
        part = build(self.make(), self, event_shape)
        rng = np.random.default_rng(6)
        for variable in getattr(part, "trainable_variables", []):
            variable.assign_add(0.3 * rng.normal(size=variable.shape))
        return part


CASES = [
    Case(posteriors.Deterministic, {"latent_dim": LATENT_DIM}),
    Case(posteriors.DiagonalNormal, {"latent_dim": LATENT_DIM}),
    Case(posteriors.FullCovarianceNormal, {"latent_dim": LATENT_DIM}),
    Case(priors.NormalMixture, {"components": 3, "spread": 2.0}),
    Case(priors.StandardNormal),
    Case(likelihoods.Bernoulli, data=bits),
    Case(likelihoods.Normal, {"scale": 0.7}, "fixed"),
    Case(likelihoods.Normal, {"scale": "learned"}, "learned"),
    Case(likelihoods.Normal, {"scale": "predicted", "min_scale": 0.01}, "predicted"),
    Case(likelihoods.Normal, {"scale": "optimal"}, "optimal"),
    Case(objectives.ELBO, {"beta": 0.5, "samples": 2}, "beta"),
    Case(objectives.ELBO, {"beta": schedules.LinearWarmup(10)}, "schedule"),
    Case(objectives.IWAE, {"samples": 4}),
    Case(objectives.LogLikelihood),
    Case(schedules.Constant, {"value": 0.25}),
    Case(schedules.Cyclical, {"period": 8, "rise": 0.25, "cycles": 3, "end": 2.0}),
    Case(schedules.LinearWarmup, {"steps": 10, "start": 0.1}),
    Case(schedules.Sigmoid, {"midpoint": 12.0, "width": 3.0}),
    Case(
        networks.MLP,
        {"units": [6, 5], "activation": "tanh", "dropout": 0.1},
        "encoder",
        output_shape=(5,),
    ),
    Case(
        networks.MLP,
        {"units": (7,)},
        "decoder",
        input_shape=(LATENT_DIM,),
        output_shape=(7,),
    ),
    Case(
        networks.ConvEncoder,
        {"filters": (3, 4), "batch_normalization": True},
        output_shape=(2, 2, 4),
    ),
    Case(
        networks.ConvDecoder,
        {"filters": [4, 3], "kernel_size": 5},
        input_shape=(LATENT_DIM,),
        output_shape=(8, 8, 3),
    ),
]


def cases_of(*families: str, where: Callable[[type], bool] = lambda cls: True) -> list[Any]:
    """The cases of some families whose classes fulfil a condition, for `parametrize`."""
    chosen = [case for case in CASES if case.family in families and where(case.cls)]
    return [pytest.param(case, id=case.name) for case in chosen]


def build(part: Any, case: Case, event_shape: tuple[int, ...] = EVENT_SHAPE) -> Any:
    """Build a part as a model does; schedules have nothing to build."""
    if hasattr(part, "bind"):
        part.bind(event_shape)
    shapes = {
        "priors": (LATENT_DIM,),
        "likelihoods": event_shape,
        "networks": (None, *case.input_shape),
    }
    if case.family != "schedules":
        part.build(shapes.get(case.family))
    return part


def context(training: bool = False, step: int = 3) -> Context:
    """A context as a model gives it; its networks are fixed maps."""

    def projected(values: Any, width: int) -> tf.Tensor:
        values = numerics.as_density(values)
        flat = tf.reshape(values, (-1, math.prod(values.shape[1:])))
        matrix = np.random.default_rng(1).normal(size=(flat.shape[1], width), scale=0.3)
        return tf.tanh(flat @ numerics.as_density(matrix))

    return Context(
        step=tf.constant(step, tf.int64),
        training=training,
        data_size=tf.constant(100, tf.int64),
        encode=lambda x: projected(x, 2 * LATENT_DIM),
        decode=lambda z: tf.reshape(projected(z, math.prod(EVENT_SHAPE)), (-1, *EVENT_SHAPE)),
    )


def noise(part: Any, *leading: int, seed: int = 0) -> dict[str, tf.Tensor]:
    """The noise a posterior or prior asks for."""
    return numerics.draw_noise(part.noise_spec(), leading, numerics.key_from_seed(seed))


def config_of(part: Any) -> dict[str, Any]:
    """The serialised part, without what `build` left in it."""
    serialised = keras.saving.serialize_keras_object(part)
    serialised.pop("build_config", None)
    return serialised
