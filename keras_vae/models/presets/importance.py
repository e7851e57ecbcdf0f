"""Models trained by importance-weighted bounds.

Floor 4.
"""

# ruff: noqa: D417, N802 - common arguments are described by the package; names are of models

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras_vae import objectives, posteriors
from keras_vae.likelihoods import Likelihood
from keras_vae.models.vae import VAE

__all__ = ["CIWAE", "IWAE", "MIWAE", "PIWAE", "DReG", "MissingIWAE"]


def CIWAE(
    encoder: Any,
    decoder: Any,
    latent_dim: int,
    *,
    likelihood: Likelihood,
    event_shape: Sequence[int],
    samples: int = 64,
    weight: float = 0.5,
    **kwargs: Any,
) -> VAE:
    """A VAE trained by a mixture of the ELBO and the importance-weighted bound.

    Args:
        samples: Latents drawn per example. Defaults to `64`.
        weight: Share of the ELBO, in [0, 1] (the paper's beta). Defaults to `0.5`.

    Raises:
        ValueError: If `samples < 1` or `weight` is outside [0, 1].

    Example:
    >>> model = keras_vae.presets.CIWAE(
    ...     keras_vae.networks.MLP([32]),
    ...     keras_vae.networks.MLP([32]),
    ...     latent_dim=4,
    ...     likelihood=keras_vae.likelihoods.Bernoulli(),
    ...     event_shape=(8, 8, 1),
    ... )
    >>> model.objective.samples, model.objective.weight
    (64, 0.5)

    Reference: Rainforth et al. (2018), Tighter Variational Bounds are Not Necessarily Better,
    section 4.
    """
    return VAE(
        encoder,
        decoder,
        posteriors.DiagonalNormal(latent_dim),
        likelihood=likelihood,
        objective=objectives.CIWAE(samples, weight),
        event_shape=event_shape,
        **kwargs,
    )


def DReG(
    encoder: Any,
    decoder: Any,
    latent_dim: int,
    *,
    likelihood: Likelihood,
    event_shape: Sequence[int],
    samples: int = 50,
    **kwargs: Any,
) -> VAE:
    """An IWAE whose encoder follows the doubly reparameterised gradient.

    Less noise in the encoder's gradient than `IWAE` has, the more so with many samples.

    Args:
        samples: Latents drawn per example. Defaults to `50`.

    Raises:
        ValueError: If `samples < 1`.

    Example:
    >>> model = keras_vae.presets.DReG(
    ...     keras_vae.networks.MLP([32]),
    ...     keras_vae.networks.MLP([32]),
    ...     latent_dim=4,
    ...     likelihood=keras_vae.likelihoods.Bernoulli(),
    ...     event_shape=(8, 8, 1),
    ... )
    >>> model.objective.samples
    50

    Reference: Tucker et al. (2019), Doubly Reparameterized Gradient Estimators for Monte Carlo
    Objectives, equation 8.
    """
    return VAE(
        encoder,
        decoder,
        posteriors.DiagonalNormal(latent_dim),
        likelihood=likelihood,
        objective=objectives.DReG(samples),
        event_shape=event_shape,
        **kwargs,
    )


def IWAE(
    encoder: Any,
    decoder: Any,
    latent_dim: int,
    *,
    likelihood: Likelihood,
    event_shape: Sequence[int],
    samples: int = 50,
    **kwargs: Any,
) -> VAE:
    """A VAE trained by the importance-weighted bound.

    Args:
        samples: Latents drawn per example. Defaults to `50`; the paper has 1, 5 and 50.

    Raises:
        ValueError: If `samples < 1`.

    Example:
    >>> model = keras_vae.presets.IWAE(
    ...     keras_vae.networks.MLP([32]),
    ...     keras_vae.networks.MLP([32]),
    ...     latent_dim=4,
    ...     likelihood=keras_vae.likelihoods.Bernoulli(),
    ...     event_shape=(8, 8, 1),
    ... )
    >>> model.objective.samples
    50

    Reference: Burda, Grosse and Salakhutdinov (2016), Importance Weighted Autoencoders,
    equation 8.
    """
    return VAE(
        encoder,
        decoder,
        posteriors.DiagonalNormal(latent_dim),
        likelihood=likelihood,
        objective=objectives.IWAE(samples),
        event_shape=event_shape,
        **kwargs,
    )


def MIWAE(
    encoder: Any,
    decoder: Any,
    latent_dim: int,
    *,
    likelihood: Likelihood,
    event_shape: Sequence[int],
    outer: int = 8,
    inner: int = 8,
    **kwargs: Any,
) -> VAE:
    """A VAE trained by a mean of importance-weighted bounds.

    For data with missing values, a model of the same name, see `MissingIWAE`.

    Args:
        outer: Number of bounds. Defaults to `8`.
        inner: Latents of each. Defaults to `8`.

    Raises:
        ValueError: If `outer < 1` or `inner < 1`.

    Example:
    >>> model = keras_vae.presets.MIWAE(
    ...     keras_vae.networks.MLP([32]),
    ...     keras_vae.networks.MLP([32]),
    ...     latent_dim=4,
    ...     likelihood=keras_vae.likelihoods.Bernoulli(),
    ...     event_shape=(8, 8, 1),
    ... )
    >>> model.objective.samples
    64

    Reference: Rainforth et al. (2018), Tighter Variational Bounds are Not Necessarily Better,
    section 4.
    """
    return VAE(
        encoder,
        decoder,
        posteriors.DiagonalNormal(latent_dim),
        likelihood=likelihood,
        objective=objectives.MIWAE(outer, inner),
        event_shape=event_shape,
        **kwargs,
    )


def PIWAE(
    encoder: Any,
    decoder: Any,
    latent_dim: int,
    *,
    likelihood: Likelihood,
    event_shape: Sequence[int],
    outer: int = 8,
    inner: int = 8,
    **kwargs: Any,
) -> VAE:
    """A VAE whose decoder is trained by the IWAE bound, its encoder by that of MIWAE.

    Args:
        outer: Number of bounds for the encoder. Defaults to `8`.
        inner: Latents of each. Defaults to `8`.

    Raises:
        ValueError: If `outer < 1` or `inner < 1`.

    Example:
    >>> model = keras_vae.presets.PIWAE(
    ...     keras_vae.networks.MLP([32]),
    ...     keras_vae.networks.MLP([32]),
    ...     latent_dim=4,
    ...     likelihood=keras_vae.likelihoods.Bernoulli(),
    ...     event_shape=(8, 8, 1),
    ... )
    >>> model.objective.samples
    64

    Reference: Rainforth et al. (2018), Tighter Variational Bounds are Not Necessarily Better,
    section 4.
    """
    return VAE(
        encoder,
        decoder,
        posteriors.DiagonalNormal(latent_dim),
        likelihood=likelihood,
        objective=objectives.PIWAE(outer, inner),
        event_shape=event_shape,
        **kwargs,
    )


def MissingIWAE(
    encoder: Any,
    decoder: Any,
    latent_dim: int,
    *,
    likelihood: Likelihood,
    event_shape: Sequence[int],
    samples: int = 20,
    **kwargs: Any,
) -> VAE:
    """An IWAE of data with missing values, which it can fill in: `model.impute(x)`.

    What is missing is NaN in x. It does not count in the bound, on the assumption that it is
    missing at random. (The authors call it MIWAE, as others do theirs.)

    Args:
        samples: Latents drawn per example. Defaults to `20`.

    Raises:
        ValueError: If `samples < 1` or the likelihood cannot leave values out.

    Example:
    >>> model = keras_vae.presets.MissingIWAE(
    ...     keras_vae.networks.MLP([32]),
    ...     keras_vae.networks.MLP([32]),
    ...     latent_dim=4,
    ...     likelihood=keras_vae.likelihoods.Bernoulli(),
    ...     event_shape=(6,),
    ... )
    >>> x = np.array([[0.0, 1.0, np.nan, 1.0, 0.0, np.nan]])
    >>> bool(np.isnan(model.impute(x, seed=0)).any())
    False

    Reference: Mattei and Frellsen (2019), MIWAE: Deep Generative Modelling and Imputation of
    Incomplete Data Sets, equation 3.
    """
    return VAE(
        encoder,
        decoder,
        posteriors.DiagonalNormal(latent_dim),
        likelihood=likelihood,
        objective=objectives.IWAE(samples),
        event_shape=event_shape,
        missing="nan",
        **kwargs,
    )
