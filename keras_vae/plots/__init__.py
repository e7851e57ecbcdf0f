"""Pictures of a trained model. The one package that uses Matplotlib.

Floor 5.
"""

from keras_vae.plots.audio import spectrograms
from keras_vae.plots.curves import (
    kl_spectrum,
    learning_curves,
    rank_histogram,
    rate_distortion,
)
from keras_vae.plots.images import reconstructions, samples
from keras_vae.plots.latents import latent_map
from keras_vae.plots.overview import overview
from keras_vae.plots.traversals import traversals

__all__ = [
    "kl_spectrum",
    "latent_map",
    "learning_curves",
    "overview",
    "rank_histogram",
    "rate_distortion",
    "reconstructions",
    "samples",
    "spectrograms",
    "traversals",
]
