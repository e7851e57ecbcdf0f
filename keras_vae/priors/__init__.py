"""p(z): distributions that latents are generated from."""

from keras_vae.priors.base import Prior
from keras_vae.priors.discrete import Bernoulli, Categorical
from keras_vae.priors.flow import Flow
from keras_vae.priors.hyperbolic import PoincareNormal
from keras_vae.priors.joint import Joint
from keras_vae.priors.laplace import Laplace
from keras_vae.priors.mixture import NormalMixture
from keras_vae.priors.normal import ConditionalNormal, StandardNormal
from keras_vae.priors.simplex import Dirichlet
from keras_vae.priors.spherical import SphericalUniform
from keras_vae.priors.vamp import VampPrior

__all__ = [
    "Bernoulli",
    "Categorical",
    "ConditionalNormal",
    "Dirichlet",
    "Flow",
    "Joint",
    "Laplace",
    "NormalMixture",
    "PoincareNormal",
    "Prior",
    "SphericalUniform",
    "StandardNormal",
    "VampPrior",
]
