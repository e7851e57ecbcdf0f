"""Models whose codes are compared, as a whole, with draws of the prior.

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

__all__ = ["WAE", "InfoVAE"]


def InfoVAE(
    encoder: Any,
    decoder: Any,
    latent_dim: int,
    *,
    likelihood: Likelihood,
    event_shape: Sequence[int],
    alpha: float = 0.0,
    lambda_: float = 1000.0,
    kernel: str = "rbf",
    **kwargs: Any,
) -> VAE:
    """A VAE with less or no KL, and the MMD of all codes to the prior in exchange.

    Batches of about 100 examples or more are wanted: the MMD is taken over a batch.

    Args:
        alpha: At most 1; the KL has the weight `1 - alpha`. At 1 it is gone (MMD-VAE).
            Defaults to `0.0`.
        lambda_: At least `1 - alpha`; the MMD has the weight `alpha + lambda_ - 1`. Defaults
            to `1000.0`: MMDs are well below 1, and densities are summed over the event.
        kernel: `"imq"` or `"rbf"`. Defaults to `"rbf"`.

    Raises:
        ValueError: If a weight would be negative or `kernel` is unknown.

    Example:
    >>> model = keras_vae.presets.InfoVAE(
    ...     keras_vae.networks.MLP([32]),
    ...     keras_vae.networks.MLP([32]),
    ...     latent_dim=4,
    ...     likelihood=keras_vae.likelihoods.Bernoulli(),
    ...     event_shape=(8, 8, 1),
    ... )
    >>> model.objective.lambda_
    1000.0

    Reference: Zhao, Song and Ermon (2019), InfoVAE, equation 6 and section 3.4.
    """
    return VAE(
        encoder,
        decoder,
        posteriors.DiagonalNormal(latent_dim),
        likelihood=likelihood,
        objective=objectives.InfoVAE(alpha, lambda_, kernel=kernel),
        event_shape=event_shape,
        **kwargs,
    )


def WAE(
    encoder: Any,
    decoder: Any,
    latent_dim: int,
    *,
    likelihood: Likelihood,
    event_shape: Sequence[int],
    weight: float | Schedule = 10.0,
    kernel: str = "imq",
    **kwargs: Any,
) -> VAE:
    """A Wasserstein autoencoder (WAE-MMD), deterministic.

    With `Normal(scale=0.5**0.5)` the negative log-density is the paper's squared error plus a
    constant. Batches of about 100 examples or more are wanted: the MMD is taken over a batch.

    Args:
        weight: Weight of the MMD, a number >= 0 or a schedule (the paper's lambda). Defaults to
            `10.0`, the paper's for digits; for faces it has 100.
        kernel: `"imq"` or `"rbf"`. Defaults to `"imq"`.

    Raises:
        ValueError: If `weight` is negative or `kernel` unknown.

    Example:
    >>> model = keras_vae.presets.WAE(
    ...     keras_vae.networks.MLP([32]),
    ...     keras_vae.networks.MLP([32]),
    ...     latent_dim=4,
    ...     likelihood=keras_vae.likelihoods.Normal(scale=0.5**0.5),
    ...     event_shape=(20,),
    ... )
    >>> model.objective.weight
    10.0

    Reference: Tolstikhin et al. (2018), Wasserstein Auto-Encoders, algorithm 2 and section 4.
    """
    return VAE(
        encoder,
        decoder,
        posteriors.Deterministic(latent_dim),
        likelihood=likelihood,
        objective=objectives.WAE(weight, kernel),
        event_shape=event_shape,
        **kwargs,
    )
