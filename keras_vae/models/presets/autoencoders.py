"""Autoencoders without noise.

Floor 4.
"""

# ruff: noqa: D417, N802 - common arguments are described by the package; names are of models

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras_vae import objectives, posteriors
from keras_vae.likelihoods import Likelihood
from keras_vae.models.vae import VAE
from keras_vae.schedules import Schedule

__all__ = ["RAE_GP", "RAE_L2", "Autoencoder"]


def Autoencoder(
    encoder: Any,
    decoder: Any,
    latent_dim: int,
    *,
    likelihood: Likelihood,
    event_shape: Sequence[int],
    **kwargs: Any,
) -> VAE:
    """A plain autoencoder: a `VAE` with a deterministic posterior and no KL.

    With `Normal()` the loss is half the squared error, summed over the event, plus a constant.

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
        posteriors.Deterministic(latent_dim),
        likelihood=likelihood,
        objective=objectives.LogLikelihood(),
        event_shape=event_shape,
        **kwargs,
    )


def RAE_L2(
    encoder: Any,
    decoder: Any,
    latent_dim: int,
    *,
    likelihood: Likelihood,
    event_shape: Sequence[int],
    weight: float | Schedule = 1e-4,
    **kwargs: Any,
) -> VAE:
    """A regularised autoencoder, to which a density is fitted after training.

    The L2 of its name is that of the decoder's weights, and belongs to the decoder: give its
    layers a `kernel_regularizer`, as in the example. With `Normal(scale=0.5**0.5)` the
    negative log-density is the paper's squared error plus a constant. To generate, see
    `samplers.fit`.

    Args:
        weight: Weight of half the code's squared length, a number >= 0 or a schedule (the
            paper's beta). Defaults to `1e-4`.

    Raises:
        ValueError: If `weight` is negative.

    Example:
    >>> small = keras.regularizers.L2(1e-7)
    >>> model = keras_vae.presets.RAE_L2(
    ...     keras_vae.networks.MLP([32]),
    ...     keras.Sequential([keras.layers.Dense(32, "relu", kernel_regularizer=small)]),
    ...     latent_dim=4,
    ...     likelihood=keras_vae.likelihoods.Normal(scale=0.5**0.5),
    ...     event_shape=(20,),
    ... )
    >>> len(model.losses)
    1

    Reference: Ghosh et al. (2020), From Variational to Deterministic Autoencoders, equation 8
    with L2 regularisation.
    """
    return VAE(
        encoder,
        decoder,
        posteriors.Deterministic(latent_dim),
        likelihood=likelihood,
        objective=objectives.RAE(weight),
        event_shape=event_shape,
        **kwargs,
    )


def RAE_GP(
    encoder: Any,
    decoder: Any,
    latent_dim: int,
    *,
    likelihood: Likelihood,
    event_shape: Sequence[int],
    weight: float | Schedule = 1e-4,
    gradient_penalty: float = 1e-6,
    **kwargs: Any,
) -> VAE:
    """A regularised autoencoder whose decoder is kept from being steep.

    With `Normal(scale=0.5**0.5)` the negative log-density is the paper's squared error plus a
    constant. To generate, see `samplers.fit`.

    Args:
        weight: Weight of half the code's squared length, a number >= 0 or a schedule (the
            paper's beta). Defaults to `1e-4`.
        gradient_penalty: Weight of the squared slope of the decoder, a number >= 0 (the paper's
            lambda). Defaults to `1e-6`.

    Raises:
        ValueError: If `weight` or `gradient_penalty` is negative.

    Example:
    >>> model = keras_vae.presets.RAE_GP(
    ...     keras_vae.networks.MLP([32]),
    ...     keras_vae.networks.MLP([32]),
    ...     latent_dim=4,
    ...     likelihood=keras_vae.likelihoods.Normal(scale=0.5**0.5),
    ...     event_shape=(20,),
    ... )
    >>> model.objective.gradient_penalty
    1e-06

    Reference: Ghosh et al. (2020), From Variational to Deterministic Autoencoders, equations 8
    and 11.
    """
    return VAE(
        encoder,
        decoder,
        posteriors.Deterministic(latent_dim),
        likelihood=likelihood,
        objective=objectives.RAE(weight, gradient_penalty),
        event_shape=event_shape,
        **kwargs,
    )
