"""Bounds that are maximised, in nats per example, and other things worth maximising."""

from keras_vae.objectives.base import Objective
from keras_vae.objectives.dip import DIPVAE
from keras_vae.objectives.discrepancy import WAE, InfoVAE
from keras_vae.objectives.elbo import ELBO, LogLikelihood
from keras_vae.objectives.images import MSSSIM, Perceptual
from keras_vae.objectives.importance import CIWAE, IWAE, MIWAE, Renyi
from keras_vae.objectives.rae import RAE
from keras_vae.objectives.reparameterised import PIWAE, DReG, StickingTheLanding
from keras_vae.objectives.total_correlation import TCVAE

__all__ = [
    "CIWAE",
    "DIPVAE",
    "ELBO",
    "IWAE",
    "MIWAE",
    "MSSSIM",
    "PIWAE",
    "RAE",
    "TCVAE",
    "WAE",
    "DReG",
    "InfoVAE",
    "LogLikelihood",
    "Objective",
    "Perceptual",
    "Renyi",
    "StickingTheLanding",
]
