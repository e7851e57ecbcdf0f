"""What a model does with its latents.

Floor 5.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_vae.models import VAE

__all__ = ["active_units"]


def active_units(
    model: VAE, x: Any, *, condition: Any = None, threshold: float = 0.01
) -> np.ndarray:
    """Which latent dimensions tell examples apart.

    A dimension is active if the posterior's mean varies over the data: its variance is above
    the threshold. The decoder can do nothing with one that is not.

    Args:
        model: Any model that encodes.
        x: `[examples, *event_shape]`; at least two examples.
        condition: Of a conditional model, one for each example. Defaults to `None`.
        threshold: Least variance of an active dimension. Defaults to `0.01`.

    Returns:
        Booleans, `[latent_dim]`; their sum is the number of active units.

    Raises:
        ValueError: If x has the wrong shape or fewer than two examples, or `threshold` is
            negative.

    Example:
    >>> model = keras_vae.presets.Autoencoder(
    ...     keras_vae.networks.MLP([8]),
    ...     keras_vae.networks.MLP([8]),
    ...     latent_dim=3,
    ...     likelihood=keras_vae.likelihoods.Normal(),
    ...     event_shape=(4,),
    ... )
    >>> keras_vae.evaluation.active_units(model, np.zeros([5, 4])).tolist()
    [False, False, False]

    Reference: Burda, Grosse and Salakhutdinov (2016), Importance Weighted Autoencoders,
    section 5.2.
    """
    if not threshold >= 0:
        raise ValueError(f"`threshold` must be >= 0. Received: threshold={threshold}.")
    if len(x) < 2:
        raise ValueError(f"`x` must have at least two examples. Received: {len(x)}.")
    means = np.asarray(model.encode(x, condition=condition), dtype="float64")
    return np.asarray(means.var(axis=0) > threshold)
