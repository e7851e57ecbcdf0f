"""q(z|x): distributions over latents, given x."""

from keras_vae.posteriors.base import Posterior
from keras_vae.posteriors.deterministic import Deterministic
from keras_vae.posteriors.normal import DiagonalNormal, FullCovarianceNormal

__all__ = ["Deterministic", "DiagonalNormal", "FullCovarianceNormal", "Posterior"]
