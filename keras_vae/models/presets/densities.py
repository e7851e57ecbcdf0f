"""Models with richer densities: priors and posteriors of real vectors.

Floor 4.
"""

# ruff: noqa: D417, N802 - common arguments are described by the package; names are of models

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras_vae import flows, posteriors, priors
from keras_vae.arguments import require_integer
from keras_vae.likelihoods import Likelihood
from keras_vae.models.vae import VAE

__all__ = ["IAFVAE", "PlanarVAE", "RadialVAE", "VampVAE"]


def IAFVAE(
    encoder: Any,
    decoder: Any,
    latent_dim: int,
    *,
    likelihood: Likelihood,
    event_shape: Sequence[int],
    length: int = 2,
    hidden: Sequence[int] = (64, 64),
    context_size: int = 16,
    **kwargs: Any,
) -> VAE:
    """A VAE whose posterior is pushed through inverse autoregressive flows.

    Between two of them the order of the dimensions is reversed. The paper trains with free
    bits: pass `objective=objectives.ELBO(free_bits=...)`.

    Args:
        length: Number of flows. Defaults to `2`.
        hidden: Widths of the hidden layers in each. Defaults to `(64, 64)`.
        context_size: How many numbers of the encoder's each takes (the paper's h). Defaults to
            `16`.

    Raises:
        ValueError: If `length < 1`, or `hidden` or `context_size` is bad.

    Example:
    >>> model = keras_vae.presets.IAFVAE(
    ...     keras_vae.networks.MLP([32]),
    ...     keras_vae.networks.MLP([32]),
    ...     latent_dim=4,
    ...     likelihood=keras_vae.likelihoods.Bernoulli(),
    ...     event_shape=(8, 8, 1),
    ... )
    >>> len(model.posterior.flows)  # and a permutation between them
    3

    Reference: Kingma et al. (2016), Improved Variational Inference with Inverse Autoregressive
    Flow, equations 10 to 14.
    """
    require_integer("length", length)
    steps: list[flows.Bijection] = []
    for _ in range(length):
        steps += [flows.IAF(hidden, context_size=context_size), flows.Permutation()]
    return VAE(
        encoder,
        decoder,
        posteriors.Flow(posteriors.DiagonalNormal(latent_dim), steps[:-1]),
        likelihood=likelihood,
        event_shape=event_shape,
        **kwargs,
    )


def PlanarVAE(
    encoder: Any,
    decoder: Any,
    latent_dim: int,
    *,
    likelihood: Likelihood,
    event_shape: Sequence[int],
    length: int = 10,
    **kwargs: Any,
) -> VAE:
    """A VAE whose posterior is pushed through planar flows, told by the encoder.

    Its density is known at its own draws alone, since the flows have no inverse.

    Args:
        length: Number of flows (the paper's K). Defaults to `10`.

    Raises:
        ValueError: If `length < 1`.

    Example:
    >>> model = keras_vae.presets.PlanarVAE(
    ...     keras_vae.networks.MLP([32]),
    ...     keras_vae.networks.MLP([32]),
    ...     latent_dim=4,
    ...     likelihood=keras_vae.likelihoods.Bernoulli(),
    ...     event_shape=(8, 8, 1),
    ... )
    >>> model.posterior.params_shape  # of a normal, and u, w and b of each flow
    (98,)

    Reference: Rezende and Mohamed (2015), Variational Inference with Normalizing Flows,
    equations 10 to 13.
    """
    require_integer("length", length)
    steps = [flows.Planar(amortised=True) for _ in range(length)]
    return VAE(
        encoder,
        decoder,
        posteriors.Flow(posteriors.DiagonalNormal(latent_dim), steps),
        likelihood=likelihood,
        event_shape=event_shape,
        **kwargs,
    )


def RadialVAE(
    encoder: Any,
    decoder: Any,
    latent_dim: int,
    *,
    likelihood: Likelihood,
    event_shape: Sequence[int],
    length: int = 10,
    **kwargs: Any,
) -> VAE:
    """A VAE whose posterior is pushed through radial flows, told by the encoder.

    Args:
        length: Number of flows (the paper's K). Defaults to `10`.

    Raises:
        ValueError: If `length < 1`.

    Example:
    >>> model = keras_vae.presets.RadialVAE(
    ...     keras_vae.networks.MLP([32]),
    ...     keras_vae.networks.MLP([32]),
    ...     latent_dim=4,
    ...     likelihood=keras_vae.likelihoods.Bernoulli(),
    ...     event_shape=(8, 8, 1),
    ... )
    >>> model.posterior.params_shape  # of a normal, and centre, a and b of each flow
    (68,)

    Reference: Rezende and Mohamed (2015), Variational Inference with Normalizing Flows,
    equation 14.
    """
    require_integer("length", length)
    steps = [flows.Radial(amortised=True) for _ in range(length)]
    return VAE(
        encoder,
        decoder,
        posteriors.Flow(posteriors.DiagonalNormal(latent_dim), steps),
        likelihood=likelihood,
        event_shape=event_shape,
        **kwargs,
    )


def VampVAE(
    encoder: Any,
    decoder: Any,
    latent_dim: int,
    *,
    likelihood: Likelihood,
    event_shape: Sequence[int],
    components: int = 500,
    **kwargs: Any,
) -> VAE:
    """A VAE whose prior is the average posterior of trained pseudo-inputs.

    The pseudo-inputs start as training examples. The paper warms beta up over 100 epochs: pass
    `objective=objectives.ELBO(beta=schedules.LinearWarmup(...))`.

    Args:
        components: Number of pseudo-inputs. Defaults to `500`.

    Raises:
        ValueError: If `components < 1`.

    Example:
    >>> model = keras_vae.presets.VampVAE(
    ...     keras_vae.networks.MLP([32]),
    ...     keras_vae.networks.MLP([32]),
    ...     latent_dim=4,
    ...     likelihood=keras_vae.likelihoods.Bernoulli(),
    ...     event_shape=(8, 8, 1),
    ... )
    >>> tuple(model.prior.pseudo_inputs.shape)
    (500, 8, 8, 1)

    Reference: Tomczak and Welling (2018), VAE with a VampPrior, equation 9.
    """
    return VAE(
        encoder,
        decoder,
        posteriors.DiagonalNormal(latent_dim),
        prior=priors.VampPrior(components),
        likelihood=likelihood,
        event_shape=event_shape,
        **kwargs,
    )
