"""Bounds that are maximised, in nats per example."""

from keras_vae.objectives.base import Objective
from keras_vae.objectives.elbo import ELBO, LogLikelihood
from keras_vae.objectives.importance import IWAE

__all__ = ["ELBO", "IWAE", "LogLikelihood", "Objective"]
