"""p(z): distributions that latents are generated from."""

from keras_vae.priors.base import Prior
from keras_vae.priors.mixture import NormalMixture
from keras_vae.priors.normal import StandardNormal

__all__ = ["NormalMixture", "Prior", "StandardNormal"]
