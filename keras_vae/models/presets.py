"""Published models as compositions of parts.

Floor 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras_vae.likelihoods import Likelihood
from keras_vae.models.vae import VAE
from keras_vae.objectives import LogLikelihood
from keras_vae.posteriors import Deterministic

__all__ = ["Autoencoder"]


def Autoencoder(  # noqa: N802
    encoder: Any,
    decoder: Any,
    latent_dim: int,
    *,
    likelihood: Likelihood,
    event_shape: Sequence[int],
    **kwargs: Any,
) -> VAE:
    """A plain autoencoder: a `VAE` with a deterministic posterior and no KL.

    Args:
        encoder: As in `VAE`.
        decoder: As in `VAE`.
        latent_dim: Size of the code.
        likelihood: As in `VAE`; `Normal()` makes the loss half the squared error, summed
            over the event, plus a constant.
        event_shape: As in `VAE`.
        **kwargs: As in `VAE`.

    Example:
    >>> model = keras_vae.presets.Autoencoder(
    ...     keras_vae.networks.MLP([32]),
    ...     keras_vae.networks.MLP([32]),
    ...     latent_dim=4,
    ...     likelihood=keras_vae.likelihoods.Normal(),
    ...     event_shape=(20,),
    ... )
    >>> type(model.posterior).__name__
    'Deterministic'

    Reference: Hinton and Salakhutdinov (2006), Reducing the Dimensionality of Data with
    Neural Networks.
    """
    return VAE(
        encoder,
        decoder,
        Deterministic(latent_dim),
        likelihood=likelihood,
        objective=LogLikelihood(),
        event_shape=event_shape,
        **kwargs,
    )
