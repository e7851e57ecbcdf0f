"""Models that look for the factors of the data.

Floor 4.
"""

# ruff: noqa: D417, N802 - common arguments are described by the package; names are of models

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from keras_vae import objectives, posteriors, priors
from keras_vae.likelihoods import Likelihood
from keras_vae.models.vae import VAE
from keras_vae.objectives.base import require_weight
from keras_vae.schedules import LinearWarmup, Schedule

__all__ = ["DIPVAE1", "DIPVAE2", "AnnealedVAE", "BetaTCVAE", "BetaVAE", "JointVAE"]


def AnnealedVAE(
    encoder: Any,
    decoder: Any,
    latent_dim: int,
    *,
    likelihood: Likelihood,
    event_shape: Sequence[int],
    capacity: float = 25.0,
    steps: int = 100_000,
    gamma: float = 1000.0,
    **kwargs: Any,
) -> VAE:
    """A VAE whose KL is held at a capacity that rises in training.

    Args:
        capacity: Nats of KL in the end (the paper's C). Defaults to `25.0`.
        steps: Updates until then; it rises from 0 along a line. Defaults to `100_000`.
        gamma: Weight of the KL's distance from the capacity. Defaults to `1000.0`.

    Raises:
        ValueError: If `steps < 1`, or `capacity` or `gamma` is negative.

    Example:
    >>> model = keras_vae.presets.AnnealedVAE(
    ...     keras_vae.networks.MLP([32]),
    ...     keras_vae.networks.MLP([32]),
    ...     latent_dim=4,
    ...     likelihood=keras_vae.likelihoods.Bernoulli(),
    ...     event_shape=(8, 8, 1),
    ... )
    >>> model.objective.capacity.end
    25.0

    Reference: Burgess et al. (2018), Understanding Disentangling in beta-VAE, equation 8 and
    section 5.
    """
    require_weight("capacity", capacity, scheduled=False)
    return VAE(
        encoder,
        decoder,
        posteriors.DiagonalNormal(latent_dim),
        likelihood=likelihood,
        objective=objectives.ELBO(gamma, capacity=LinearWarmup(steps, end=capacity)),
        event_shape=event_shape,
        **kwargs,
    )


def BetaTCVAE(
    encoder: Any,
    decoder: Any,
    latent_dim: int,
    *,
    likelihood: Likelihood,
    event_shape: Sequence[int],
    beta: float | Schedule = 6.0,
    estimator: str = "stratified",
    data_size: int | None = None,
    **kwargs: Any,
) -> VAE:
    """A VAE in which the total correlation of the codes has a weight of its own.

    The other two parts of the KL have weight 1. It needs to know the size of the data.

    Args:
        beta: Weight of the total correlation, a number >= 0 or a schedule. Defaults to `6.0`.
        estimator: Of the density of all codes: `"stratified"` or `"weighted"`. Defaults to
            `"stratified"`.
        data_size: Number of training examples. Defaults to `None`: what `fit` is given.

    Raises:
        ValueError: If `beta` is negative, `estimator` unknown or `data_size < 1`.

    Example:
    >>> model = keras_vae.presets.BetaTCVAE(
    ...     keras_vae.networks.MLP([32]),
    ...     keras_vae.networks.MLP([32]),
    ...     latent_dim=4,
    ...     likelihood=keras_vae.likelihoods.Bernoulli(),
    ...     event_shape=(8, 8, 1),
    ... )
    >>> model.objective.beta, model.objective.alpha, model.objective.gamma
    (6.0, 1.0, 1.0)

    Reference: Chen et al. (2018), Isolating Sources of Disentanglement in Variational
    Autoencoders, equation 4.
    """
    return VAE(
        encoder,
        decoder,
        posteriors.DiagonalNormal(latent_dim),
        likelihood=likelihood,
        objective=objectives.TCVAE(beta, estimator=estimator, data_size=data_size),
        event_shape=event_shape,
        **kwargs,
    )


def BetaVAE(
    encoder: Any,
    decoder: Any,
    latent_dim: int,
    *,
    likelihood: Likelihood,
    event_shape: Sequence[int],
    beta: float | Schedule = 4.0,
    **kwargs: Any,
) -> VAE:
    """A VAE in which the KL has the weight beta.

    Args:
        beta: Weight of the KL, a number >= 0 or a schedule. Defaults to `4.0`, as for the
            sprites of the paper.

    Raises:
        ValueError: If `beta` is negative.

    Example:
    >>> model = keras_vae.presets.BetaVAE(
    ...     keras_vae.networks.MLP([32]),
    ...     keras_vae.networks.MLP([32]),
    ...     latent_dim=4,
    ...     likelihood=keras_vae.likelihoods.Bernoulli(),
    ...     event_shape=(8, 8, 1),
    ... )
    >>> model.objective.beta
    4.0

    Reference: Higgins et al. (2017), beta-VAE, equation 4.
    """
    return VAE(
        encoder,
        decoder,
        posteriors.DiagonalNormal(latent_dim),
        likelihood=likelihood,
        objective=objectives.ELBO(beta),
        event_shape=event_shape,
        **kwargs,
    )


def DIPVAE1(
    encoder: Any,
    decoder: Any,
    latent_dim: int,
    *,
    likelihood: Likelihood,
    event_shape: Sequence[int],
    off_diagonal: float | Schedule = 10.0,
    diagonal: float | Schedule = 100.0,
    **kwargs: Any,
) -> VAE:
    """A VAE whose posterior means are to be uncorrelated, with variance 1 (DIP-VAE-I).

    Args:
        off_diagonal: Weight of the squared covariances, a number >= 0 or a schedule. Defaults
            to `10.0`.
        diagonal: Weight of the squared distances of variances from 1, likewise. Defaults to
            `100.0`: in the paper ten times the former.

    Raises:
        ValueError: If a weight is negative.

    Example:
    >>> model = keras_vae.presets.DIPVAE1(
    ...     keras_vae.networks.MLP([32]),
    ...     keras_vae.networks.MLP([32]),
    ...     latent_dim=4,
    ...     likelihood=keras_vae.likelihoods.Bernoulli(),
    ...     event_shape=(8, 8, 1),
    ... )
    >>> model.objective.kind, model.objective.diagonal
    ('i', 100.0)

    Reference: Kumar, Sattigeri and Balakrishnan (2018), Variational Inference of Disentangled
    Latent Concepts from Unlabeled Observations, equation 6.
    """
    return VAE(
        encoder,
        decoder,
        posteriors.DiagonalNormal(latent_dim),
        likelihood=likelihood,
        objective=objectives.DIPVAE("i", diagonal, off_diagonal),
        event_shape=event_shape,
        **kwargs,
    )


def DIPVAE2(
    encoder: Any,
    decoder: Any,
    latent_dim: int,
    *,
    likelihood: Likelihood,
    event_shape: Sequence[int],
    off_diagonal: float | Schedule = 10.0,
    diagonal: float | Schedule = 10.0,
    **kwargs: Any,
) -> VAE:
    """A VAE whose codes are to be uncorrelated, with variance 1 (DIP-VAE-II).

    Args:
        off_diagonal: Weight of the squared covariances, a number >= 0 or a schedule. Defaults
            to `10.0`.
        diagonal: Weight of the squared distances of variances from 1, likewise. Defaults to
            `10.0`: in the paper equal to the former.

    Raises:
        ValueError: If a weight is negative.

    Example:
    >>> model = keras_vae.presets.DIPVAE2(
    ...     keras_vae.networks.MLP([32]),
    ...     keras_vae.networks.MLP([32]),
    ...     latent_dim=4,
    ...     likelihood=keras_vae.likelihoods.Bernoulli(),
    ...     event_shape=(8, 8, 1),
    ... )
    >>> model.objective.kind, model.objective.diagonal
    ('ii', 10.0)

    Reference: Kumar, Sattigeri and Balakrishnan (2018), Variational Inference of Disentangled
    Latent Concepts from Unlabeled Observations, equation 7.
    """
    return VAE(
        encoder,
        decoder,
        posteriors.DiagonalNormal(latent_dim),
        likelihood=likelihood,
        objective=objectives.DIPVAE("ii", diagonal, off_diagonal),
        event_shape=event_shape,
        **kwargs,
    )


def JointVAE(
    encoder: Any,
    decoder: Any,
    latent_dim: int,
    *,
    likelihood: Likelihood,
    event_shape: Sequence[int],
    categories: int = 10,
    vectors: int = 1,
    capacity: float = 5.0,
    discrete_capacity: float = 5.0,
    steps: int = 25_000,
    gamma: float = 30.0,
    temperature: float | Schedule = 0.67,
    **kwargs: Any,
) -> VAE:
    """Normal latents and one-hot vectors side by side, each held at a rising capacity.

    `latent_dim` counts the normal ones; 10 in the paper, for digits.

    Args:
        categories: Length of a one-hot vector. Defaults to `10`.
        vectors: Number of one-hot vectors. Defaults to `1`.
        capacity: Nats of KL of the normal latents in the end. Defaults to `5.0`.
        discrete_capacity: The same for the one-hot vectors; it ends its rise where it reaches
            `vectors * log(categories)`, the most they can hold. Defaults to `5.0`.
        steps: Updates until capacities are reached. Defaults to `25_000`.
        gamma: Weight of the distances from the capacities. Defaults to `30.0`.
        temperature: Of the relaxed vectors, a number or a schedule. Defaults to `0.67`.

    Raises:
        ValueError: If `categories < 2`, `vectors < 1`, `steps < 1`, a capacity or `gamma` is
            negative or `temperature` is not positive.

    Example:
    >>> model = keras_vae.presets.JointVAE(
    ...     keras_vae.networks.MLP([32]),
    ...     keras_vae.networks.MLP([32]),
    ...     latent_dim=4,
    ...     likelihood=keras_vae.likelihoods.Bernoulli(),
    ...     event_shape=(8, 8, 1),
    ... )
    >>> model.posterior.latent_shape
    (14,)

    Reference: Dupont (2018), Learning Disentangled Joint Continuous and Discrete
    Representations, equation 7.
    """
    require_weight("capacity", capacity, scheduled=False)
    require_weight("discrete_capacity", discrete_capacity, scheduled=False)
    discrete = posteriors.RelaxedCategorical(categories, vectors, temperature)
    # On the line from 0 to `discrete_capacity`, but not beyond what one-hot vectors can hold.
    held = min(discrete_capacity, vectors * math.log(categories))
    until = max(1, round(steps * held / discrete_capacity)) if held else steps
    return VAE(
        encoder,
        decoder,
        posteriors.Joint([posteriors.DiagonalNormal(latent_dim), discrete]),
        prior=priors.Joint([priors.StandardNormal(), priors.Categorical(categories, vectors)]),
        likelihood=likelihood,
        objective=objectives.ELBO(
            gamma,
            capacity=[LinearWarmup(steps, end=capacity), LinearWarmup(until, end=held)],
        ),
        event_shape=event_shape,
        **kwargs,
    )
