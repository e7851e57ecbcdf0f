"""Models set apart by how data is observed, judged or conditioned on.

Floor 4.
"""

# ruff: noqa: D417, N802 - common arguments are described by the package; names are of models

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras_vae import objectives, posteriors, priors
from keras_vae.likelihoods import Likelihood, Normal
from keras_vae.models.vae import VAE
from keras_vae.schedules import Schedule

__all__ = ["MSSSIMVAE", "ConditionalVAE", "SigmaVAE"]


def ConditionalVAE(
    encoder: Any,
    decoder: Any,
    latent_dim: int,
    *,
    likelihood: Likelihood,
    event_shape: Sequence[int],
    condition_shape: Sequence[int],
    **kwargs: Any,
) -> VAE:
    """A VAE given a condition, such as a label, with a prior that depends on it.

    Train it with `fit({"x": x, "condition": labels})`. For a prior that does not depend on the
    condition, pass `condition_shape` to any other preset.

    Args:
        condition_shape: Shape of a condition, such as `(10,)` for one of ten labels.

    Raises:
        ValueError: If `condition_shape` is bad.

    Example:
    >>> model = keras_vae.presets.ConditionalVAE(
    ...     keras_vae.networks.MLP([32]),
    ...     keras_vae.networks.MLP([32]),
    ...     latent_dim=4,
    ...     likelihood=keras_vae.likelihoods.Bernoulli(),
    ...     event_shape=(8, 8, 1),
    ...     condition_shape=(10,),
    ... )
    >>> model.generate(5, condition=3).shape
    (5, 8, 8, 1)

    Reference: Sohn, Lee and Yan (2015), Learning Structured Output Representation using Deep
    Conditional Generative Models, equation 4.
    """
    return VAE(
        encoder,
        decoder,
        posteriors.DiagonalNormal(latent_dim),
        prior=priors.ConditionalNormal(),
        likelihood=likelihood,
        event_shape=event_shape,
        condition_shape=condition_shape,
        **kwargs,
    )


def MSSSIMVAE(
    encoder: Any,
    decoder: Any,
    latent_dim: int,
    *,
    likelihood: Likelihood,
    event_shape: Sequence[int],
    weight: float | Schedule,
    beta: float | Schedule = 1.0,
    window: int = 11,
    max_value: float = 1.0,
    **kwargs: Any,
) -> VAE:
    """A VAE of images that judges reconstructions by MS-SSIM.

    The objective is no bound and no number of nats. The likelihood serves for its mean alone.

    Args:
        weight: What a similarity of 1 is worth against a nat of KL, a number >= 0 or a
            schedule.
        beta: Weight of the KL, likewise. Defaults to `1.0`.
        window: Side of the windows that are compared, in pixels. Defaults to `11`.
        max_value: Difference of the largest and smallest value of a pixel. Defaults to `1.0`.

    Raises:
        ValueError: If a weight is negative, `max_value` is not positive or images are smaller
            than a window.

    Example:
    >>> model = keras_vae.presets.MSSSIMVAE(
    ...     keras_vae.networks.MLP([32]),
    ...     keras_vae.networks.MLP([32]),
    ...     latent_dim=4,
    ...     likelihood=keras_vae.likelihoods.Bernoulli(),
    ...     event_shape=(16, 16, 1),
    ...     weight=1000.0,
    ... )
    >>> model.objective.scales
    1

    Reference: Snell et al. (2017), Learning to Generate Images with Perceptual Similarity
    Metrics, section 3.
    """
    return VAE(
        encoder,
        decoder,
        posteriors.DiagonalNormal(latent_dim),
        likelihood=likelihood,
        objective=objectives.MSSSIM(weight, beta, max_value=max_value, window=window),
        event_shape=event_shape,
        **kwargs,
    )


def SigmaVAE(
    encoder: Any,
    decoder: Any,
    latent_dim: int,
    *,
    event_shape: Sequence[int],
    scale: float | str = "optimal",
    **kwargs: Any,
) -> VAE:
    """A VAE of real values whose scale is the best one, so that no beta is tuned.

    Args:
        scale: `"optimal"`, the root mean squared error of the batch; `"learned"`, one weight;
            `"predicted"`, by the decoder; or a fixed number. Defaults to `"optimal"`.

    Raises:
        ValueError: If `scale` is neither positive nor one of the names.

    Example:
    >>> model = keras_vae.presets.SigmaVAE(
    ...     keras_vae.networks.MLP([32]),
    ...     keras_vae.networks.MLP([32]),
    ...     latent_dim=4,
    ...     event_shape=(8, 8, 1),
    ... )
    >>> model.likelihood.scale
    'optimal'

    Reference: Rybkin, Daniilidis and Levine (2021), Simple and Effective VAE Training with
    Calibrated Decoders, equation 6.
    """
    return VAE(
        encoder,
        decoder,
        posteriors.DiagonalNormal(latent_dim),
        likelihood=Normal(scale),
        event_shape=event_shape,
        **kwargs,
    )
