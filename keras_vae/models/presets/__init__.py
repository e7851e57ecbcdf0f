"""Published models as compositions of parts.

Each is a function that returns a `VAE`, with the defaults of its paper: nothing that could not
be written out, and nothing that a saved file needs. The plain model needs no preset: it is
`keras_vae.VAE`. `for_source` is none of a paper: it suits a model to loaded data.

All others take, besides what their docstrings list:

- `encoder`, `decoder`: as in `VAE`.
- `latent_dim`: the number of latent dimensions.
- `likelihood`: as in `VAE`.
- `event_shape`: as in `VAE`.
- `**kwargs`: what else `VAE` takes, such as `prior`, `objective`, `condition_shape`, `missing`
  or `seed`. A part that the preset itself chooses cannot be given: that is a TypeError.
"""

from keras_vae.models.presets.autoencoders import RAE_GP, RAE_L2, Autoencoder
from keras_vae.models.presets.densities import IAFVAE, PlanarVAE, RadialVAE, VampVAE
from keras_vae.models.presets.discrepancy import WAE, InfoVAE
from keras_vae.models.presets.disentangling import (
    DIPVAE1,
    DIPVAE2,
    AnnealedVAE,
    BetaTCVAE,
    BetaVAE,
    JointVAE,
)
from keras_vae.models.presets.importance import CIWAE, IWAE, MIWAE, PIWAE, DReG, MissingIWAE
from keras_vae.models.presets.observations import MSSSIMVAE, ConditionalVAE, SigmaVAE
from keras_vae.models.presets.spaces import (
    SVAE,
    CategoricalVAE,
    PoincareVAE,
    PowerSphericalVAE,
)
from keras_vae.models.presets.suggested import for_source

__all__ = [
    "CIWAE",
    "DIPVAE1",
    "DIPVAE2",
    "IAFVAE",
    "IWAE",
    "MIWAE",
    "MSSSIMVAE",
    "PIWAE",
    "RAE_GP",
    "RAE_L2",
    "SVAE",
    "WAE",
    "AnnealedVAE",
    "Autoencoder",
    "BetaTCVAE",
    "BetaVAE",
    "CategoricalVAE",
    "ConditionalVAE",
    "DReG",
    "InfoVAE",
    "JointVAE",
    "MissingIWAE",
    "PlanarVAE",
    "PoincareVAE",
    "PowerSphericalVAE",
    "RadialVAE",
    "SigmaVAE",
    "VampVAE",
    "for_source",
]
