"""What a line of the conformance table holds, and how a part is made from it."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from keras_vae.flows import Bijection
from keras_vae.likelihoods import Likelihood
from keras_vae.networks import Network
from keras_vae.objectives import Objective
from keras_vae.posteriors import DiagonalNormal, Posterior
from keras_vae.preprocessors import Preprocessor
from keras_vae.priors import Prior
from keras_vae.schedules import Schedule
from keras_vae.terms import Support

#: Base classes, by the module that holds their family.
FAMILIES = {
    "posteriors": Posterior,
    "priors": Prior,
    "likelihoods": Likelihood,
    "objectives": Objective,
    "schedules": Schedule,
    "networks": Network,
    "flows": Bijection,
    "preprocessors": Preprocessor,
}

#: Two dimensions: enough to depend on each other, few enough for Monte Carlo to be exact.
LATENT_DIM = 2
#: Events are small images, which every network and likelihood can take.
EVENT_SHAPE = (8, 8, 1)
#: Conditions are vectors, for parts that need them.
CONDITION_SHAPE = (3,)


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
        data: Likelihoods: draws x `[*shape]` from the support. Preprocessors: draws raw data.
            Autoregressive networks: draws the sequence so far.
        latents: Priors: draws z `[..., latent_dim]`, some points of the prior's space.
        posterior: Priors: a posterior that they go with.
        flat: Priors: whether all latents are as probable, so that they have no influence.
        input_shape: Networks: shape of one input, `EVENT_SHAPE` for an encoder and
            `(LATENT_DIM,)` for a decoder.
        output_shape: Networks: shape of one example's features.
        event_shape: Networks and likelihoods: shape of the events they are made for.
    """

    cls: type
    arguments: Mapping[str, Any] | Callable[[], Mapping[str, Any]] = dataclasses.field(
        default_factory=dict
    )
    variant: str = ""
    data: Callable[[np.random.Generator, tuple[int, ...]], np.ndarray] = reals
    latents: Callable[[np.random.Generator, tuple[int, ...]], np.ndarray] = reals
    posterior: Callable[[], Posterior] = lambda: DiagonalNormal(LATENT_DIM)
    flat: bool = False
    input_shape: tuple[int, ...] = EVENT_SHAPE
    output_shape: tuple[int, ...] = ()
    event_shape: tuple[int, ...] = EVENT_SHAPE

    @functools.cached_property
    def name(self) -> str:
        """Its name in test reports."""
        return "-".join(filter(None, (self.cls.__name__, self.variant)))

    @functools.cached_property
    def family(self) -> str:
        """Name of its family's module."""
        return next(name for name, base in FAMILIES.items() if issubclass(self.cls, base))

    @functools.cached_property
    def key(self) -> tuple[str, str]:
        """Its family and name: posteriors and priors may share a name."""
        return (self.family, self.name)

    def given(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        return dict(self.arguments() if callable(self.arguments) else self.arguments)

    def make(self) -> Any:
        """A fresh part."""
        return self.cls(**self.given())

    def make_built(
        self, event_shape: tuple[int, ...] | None = None, posterior: Posterior | None = None
    ) -> Any:
        """A fresh part, built as a model does, with weights as if trained.

        At their initial values - equal, zero, one - mistakes could hide.
        """
        part = build(self.make(), self, event_shape, posterior)
        rng = np.random.default_rng(6)
        for variable in getattr(part, "trainable_variables", []):
            variable.assign_add(0.3 * rng.normal(size=variable.shape))
        return part


def build(
    part: Any,
    case: Case,
    event_shape: tuple[int, ...] | None = None,
    posterior: Posterior | None = None,
) -> Any:
    """Build a part as a model does; schedules have nothing to build."""
    event_shape = event_shape or case.event_shape
    if case.family == "priors":
        condition_shape = CONDITION_SHAPE if part.needs_condition else None
        posterior = posterior or case.posterior()
        part.bind(event_shape, Support(), condition_shape, posterior=posterior)
    elif hasattr(part, "bind"):
        part.bind(event_shape)
    shapes = {
        "priors": (LATENT_DIM,),
        "flows": (LATENT_DIM,),
        "likelihoods": event_shape,
        "objectives": event_shape,
        "networks": (None, *case.input_shape),
        "preprocessors": event_shape,
    }
    if case.family != "schedules":
        part.build(shapes.get(case.family))
    return part
