"""The contract of q(z|x).

Floor 2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from keras_vae.arguments import require_size
from keras_vae.component import Component
from keras_vae.numerics import NoiseSpec
from keras_vae.parameters import tensor_parameters
from keras_vae.schedules import Scheduled
from keras_vae.terms import Context, Draw

__all__ = ["Posterior"]


class Posterior(Scheduled, Component):
    """q(z|x): a family of distributions over latents, and a way to draw from it.

    The encoder emits parameters `[batch, *params_shape]`; the posterior turns them and
    standard noise into latents, deterministically.

    Subclassing: implement `params_shape`, `noise_spec`, `sample_and_log_prob` and
    `distribution` (or, where there is none, `mean` and `log_prob`). Override `entropy` and
    `second_moment` where they are known: priors build their closed-form KL from them.
    Where mean or scale are not known, set `has_moments` to `False` and write `point`.

    Args:
        latent_dim: Number of latent dimensions.
        **kwargs: As in any Keras layer.

    Raises:
        ValueError: If `latent_dim` is not a positive integer.
    """

    #: Whether q(z|x) has a density.
    has_density = True
    #: Whether `log_prob` can be asked about any z, and differentiated with respect to it.
    evaluable = True
    #: Whether `mean` and `scale` are known.
    has_moments = True
    #: Whether log q of a draw is the density of that very draw. It is not where latents are
    #: discrete and relaxed in training.
    reparameterised = True
    #: The set that latents live in, in words; a prior must live in the same one.
    space = "real vectors"
    #: Whether q(z|x) is a product over latent dimensions.
    factorised = False

    def __init__(self, latent_dim: int, **kwargs: Any) -> None:
        require_size("latent_dim", latent_dim)
        super().__init__(**kwargs)
        self.latent_dim = latent_dim

    @property
    def latent_shape(self) -> tuple[int, ...]:
        """Shape of one latent."""
        return (self.latent_dim,)

    @property
    def params_shape(self) -> tuple[int, ...]:
        """Shape of the parameters of one example."""
        raise NotImplementedError

    def noise_spec(self) -> dict[str, NoiseSpec]:
        """The standard noise that one draw needs."""
        raise NotImplementedError

    def sample_and_log_prob(
        self, params: tf.Tensor, noise: Mapping[str, tf.Tensor], context: Context
    ) -> Draw:
        """Draw latents and tell their log-density.

        Args:
            params: `[batch, *params_shape]`.
            noise: By name of `noise_spec()`, each `[sample, batch, *shape]`.
            context: What is known of the step.

        Returns:
            A `Draw`.
        """
        raise NotImplementedError

    def distribution(self, params: tf.Tensor) -> tfp.distributions.Distribution:
        """q(z|x) as a TFP distribution with batch `[batch]` and event `latent_shape`."""
        raise NotImplementedError

    def parameters(self, params: tf.Tensor) -> dict[str, tf.Tensor]:
        """What describes q(z|x), by name, each `[batch, ...]`: what other programs can use.

        Args:
            params: `[batch, *params_shape]`.
        """
        return tensor_parameters(self.distribution(params))

    def log_prob(self, params: tf.Tensor, z: tf.Tensor, context: Context) -> tf.Tensor:
        """Log q(z|x) in nats, `[sample, batch]`, of latents `[sample, batch, ...]`."""
        return self.distribution(params).log_prob(z)

    def log_prob_per_dimension(self, params: tf.Tensor, z: tf.Tensor) -> tf.Tensor:
        """Log q(z_i|x), `[sample, batch, latent_dim]`; only where `factorised`."""
        return self.distribution(params).distribution.log_prob(z)

    def point(self, params: tf.Tensor) -> tf.Tensor:
        """The latent that stands for x where one is wanted, `[batch, *latent_shape]`.

        The mean, unless that is unknown or lies outside of `space`.
        """
        return self.mean(params)

    def mean(self, params: tf.Tensor) -> tf.Tensor:
        """Mean of q(z|x), `[batch, *latent_shape]`."""
        return self.distribution(params).mean()

    def scale(self, params: tf.Tensor) -> tf.Tensor:
        """Standard deviation of each latent dimension, `[batch, *latent_shape]`."""
        return self.distribution(params).stddev()

    def entropy(self, params: tf.Tensor) -> tf.Tensor | None:
        """Entropy in nats by group, `[batch, groups]`; `None` where unknown."""
        return None

    def second_moment(self, params: tf.Tensor) -> tf.Tensor | None:
        """E[z_i**2], `[batch, latent_dim]`; `None` where unknown."""
        return None

    def absolute_moment(self, params: tf.Tensor) -> tf.Tensor | None:
        """E|z_i|, `[batch, latent_dim]`; `None` where unknown."""
        return None

    def log_prob_of_each(self, params: tf.Tensor, z: tf.Tensor, context: Context) -> tf.Tensor:
        """Log q of each of some latents under each of some parameters.

        Args:
            params: `[components, *params_shape]`.
            z: `[examples, *latent_shape]`.
            context: What is known of the step.

        Returns:
            `[examples, components]`, in nats.
        """
        return self.log_prob(params, z[:, None], context)
