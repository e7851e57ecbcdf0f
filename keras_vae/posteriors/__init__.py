"""q(z|x): distributions over latents, given x."""

from keras_vae.posteriors.base import Posterior
from keras_vae.posteriors.deterministic import Deterministic
from keras_vae.posteriors.discrete import RelaxedBernoulli, RelaxedCategorical
from keras_vae.posteriors.flow import Flow
from keras_vae.posteriors.hyperbolic import PoincareNormal
from keras_vae.posteriors.joint import Joint
from keras_vae.posteriors.laplace import Laplace
from keras_vae.posteriors.normal import DiagonalNormal, FullCovarianceNormal
from keras_vae.posteriors.simplex import LogisticNormal
from keras_vae.posteriors.spherical import PowerSpherical, VonMisesFisher

__all__ = [
    "Deterministic",
    "DiagonalNormal",
    "Flow",
    "FullCovarianceNormal",
    "Joint",
    "Laplace",
    "LogisticNormal",
    "PoincareNormal",
    "Posterior",
    "PowerSpherical",
    "RelaxedBernoulli",
    "RelaxedCategorical",
    "VonMisesFisher",
]
