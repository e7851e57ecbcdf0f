"""The cases of keras_vae.posteriors: one line per class, or per mode of it."""

from keras_vae import posteriors
from tests.conformance.case import LATENT_DIM, Case

CASES = [
    Case(posteriors.Deterministic, {"latent_dim": LATENT_DIM}),
    Case(posteriors.DiagonalNormal, {"latent_dim": LATENT_DIM}),
    Case(posteriors.FullCovarianceNormal, {"latent_dim": LATENT_DIM}),
]
