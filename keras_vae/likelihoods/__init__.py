"""p(x|z): distributions over data, given latents."""

from keras_vae.likelihoods.base import Likelihood, Support
from keras_vae.likelihoods.continuous import Normal
from keras_vae.likelihoods.discrete import Bernoulli

__all__ = ["Bernoulli", "Likelihood", "Normal", "Support"]
