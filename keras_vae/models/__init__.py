"""Models: networks and parts put together, and trained."""

from keras_vae.models.vae import VAE

__all__ = ["VAE"]
