"""Models whose latents are no real vectors.

Floor 4.
"""

# ruff: noqa: D417, N802 - common arguments are described by the package; names are of models

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras_vae import posteriors, priors
from keras_vae.likelihoods import Likelihood
from keras_vae.models.vae import VAE
from keras_vae.schedules import Schedule

__all__ = ["SVAE", "CategoricalVAE", "PoincareVAE", "PowerSphericalVAE"]


def CategoricalVAE(
    encoder: Any,
    decoder: Any,
    *,
    likelihood: Likelihood,
    event_shape: Sequence[int],
    categories: int = 10,
    vectors: int = 20,
    temperature: float | Schedule = 0.5,
    **kwargs: Any,
) -> VAE:
    """A VAE of one-hot vectors, relaxed by Gumbel-softmax in training.

    The prior's probabilities are trained. What is evaluated is the bound of the discrete
    model, not of the relaxed one.

    Args:
        categories: Length of a one-hot vector. Defaults to `10`.
        vectors: Number of one-hot vectors. Defaults to `20`.
        temperature: Of the relaxed vectors, a number or a schedule. Defaults to `0.5`, where
            the paper's annealing from 1 ends.

    Raises:
        ValueError: If `categories < 2`, `vectors < 1` or `temperature` is not positive.

    Example:
    >>> model = keras_vae.presets.CategoricalVAE(
    ...     keras_vae.networks.MLP([32]),
    ...     keras_vae.networks.MLP([32]),
    ...     likelihood=keras_vae.likelihoods.Bernoulli(),
    ...     event_shape=(8, 8, 1),
    ... )
    >>> model.posterior.latent_shape
    (200,)

    Reference: Jang, Gu and Poole (2017), Categorical Reparameterization with Gumbel-Softmax,
    section 4.2.
    """
    return VAE(
        encoder,
        decoder,
        posteriors.RelaxedCategorical(categories, vectors, temperature),
        prior=priors.Categorical(categories, vectors, learned=True),
        likelihood=likelihood,
        event_shape=event_shape,
        **kwargs,
    )


def PoincareVAE(
    encoder: Any,
    decoder: Any,
    latent_dim: int,
    *,
    likelihood: Likelihood,
    event_shape: Sequence[int],
    curvature: float = 1.0,
    prior_scale: float = 1.0,
    **kwargs: Any,
) -> VAE:
    """A VAE in hyperbolic space, for data that branches like a tree.

    Args:
        curvature: c > 0; the space has the curvature -c. Defaults to `1.0`.
        prior_scale: Standard deviation of the prior, a distance. Defaults to `1.0`.

    Raises:
        ValueError: If `curvature` or `prior_scale` is not positive.

    Example:
    >>> model = keras_vae.presets.PoincareVAE(
    ...     keras_vae.networks.MLP([32]),
    ...     keras_vae.networks.MLP([32]),
    ...     latent_dim=4,
    ...     likelihood=keras_vae.likelihoods.Bernoulli(),
    ...     event_shape=(8, 8, 1),
    ... )
    >>> model.posterior.curvature
    1.0

    Reference: Mathieu et al. (2019), Continuous Hierarchical Representations with Poincare
    Variational Auto-Encoders, section 3.2 (the wrapped normal).
    """
    return VAE(
        encoder,
        decoder,
        posteriors.PoincareNormal(latent_dim, curvature),
        prior=priors.PoincareNormal(curvature, prior_scale),
        likelihood=likelihood,
        event_shape=event_shape,
        **kwargs,
    )


def PowerSphericalVAE(
    encoder: Any,
    decoder: Any,
    latent_dim: int,
    *,
    likelihood: Likelihood,
    event_shape: Sequence[int],
    **kwargs: Any,
) -> VAE:
    """A VAE on the sphere, with the posterior that is easiest to draw from.

    `latent_dim` is that of the space around the sphere, at least 2.

    Raises:
        ValueError: If `latent_dim < 2`.

    Example:
    >>> model = keras_vae.presets.PowerSphericalVAE(
    ...     keras_vae.networks.MLP([32]),
    ...     keras_vae.networks.MLP([32]),
    ...     latent_dim=4,
    ...     likelihood=keras_vae.likelihoods.Bernoulli(),
    ...     event_shape=(8, 8, 1),
    ... )
    >>> type(model.prior).__name__
    'SphericalUniform'

    Reference: De Cao and Aziz (2020), The Power Spherical Distribution, equations 5 to 12.
    """
    return VAE(
        encoder,
        decoder,
        posteriors.PowerSpherical(latent_dim),
        prior=priors.SphericalUniform(),
        likelihood=likelihood,
        event_shape=event_shape,
        **kwargs,
    )


def SVAE(
    encoder: Any,
    decoder: Any,
    latent_dim: int,
    *,
    likelihood: Likelihood,
    event_shape: Sequence[int],
    **kwargs: Any,
) -> VAE:
    """A VAE on the sphere: von Mises-Fisher posterior, uniform prior.

    `latent_dim` is that of the space around the sphere, at least 2.

    Raises:
        ValueError: If `latent_dim < 2`.

    Example:
    >>> model = keras_vae.presets.SVAE(
    ...     keras_vae.networks.MLP([32]),
    ...     keras_vae.networks.MLP([32]),
    ...     latent_dim=4,
    ...     likelihood=keras_vae.likelihoods.Bernoulli(),
    ...     event_shape=(8, 8, 1),
    ... )
    >>> z = model.encode(np.zeros([1, 8, 8, 1]))
    >>> round(float(np.linalg.norm(z)), 4)
    1.0

    Reference: Davidson et al. (2018), Hyperspherical Variational Auto-Encoders, equations 8 and
    14.
    """
    return VAE(
        encoder,
        decoder,
        posteriors.VonMisesFisher(latent_dim),
        prior=priors.SphericalUniform(),
        likelihood=likelihood,
        event_shape=event_shape,
        **kwargs,
    )
