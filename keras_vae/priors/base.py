"""The contract of p(z).

Floor 2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from keras_vae.component import Component
from keras_vae.numerics import NoiseSpec
from keras_vae.terms import Context, Draw, Support

__all__ = ["Prior"]


class Prior(Component):
    """p(z): the distribution that latents are generated from.

    A prior is built by the model with the shape of a latent; weights, if it has any, are
    made in `build`. It draws latents as a function of standard noise.

    Subclassing: implement `noise_spec`, `sample` and `distribution` (or, where there is
    none, `log_prob`). Override `closed_form_kl` where one is known, `adapt` to look at
    the data before training, and `fit_to` where latents that are known can be fitted.
    """

    #: Whether p(z) is a product over latent dimensions.
    factorised = False
    #: The set that latents live in, in words; the posterior must live in the same one.
    space = "real vectors"
    #: Whether it reads `context.condition`, so that the model must have one.
    needs_condition = False
    #: Number of training examples that `adapt` wants to see.
    adapt_rows = 0
    #: Shape of an event of the model, and where its values may lie; set by `bind`.
    event_shape: tuple[int, ...] | None = None
    support: Support | None = None
    condition_shape: tuple[int, ...] | None = None

    def bind(
        self,
        event_shape: tuple[int, ...],
        support: Support,
        condition_shape: tuple[int, ...] | None = None,
        posterior: Any = None,
    ) -> None:
        """Learn of the model, before `build`.

        Args:
            event_shape: Shape of one example of the data.
            support: Where its values may lie.
            condition_shape: Shape of one condition; `None` for a model without.
            posterior: The model's, built. A prior keeps what it needs to know of it, not the
                posterior itself, whose weights are the model's: it meets it again as
                `context.posterior`.
        """
        self.event_shape = tuple(event_shape)
        self.support = support
        self.condition_shape = condition_shape

    def bind_view(self, likelihood: Any) -> None:
        """Learn what the model's encoder sees of x, after `bind` and before `build`.

        Args:
            likelihood: The model's, built. A prior keeps what it needs to know of it, not the
                likelihood itself, whose weights are the model's.
        """

    def why_not(self, posterior: Any) -> str | None:
        """Say why the prior does not go with a posterior; `None` if it does.

        Called with parts that are neither bound nor built.
        """
        if posterior.space == self.space:
            return None
        return (
            f"latents of a {type(posterior).__name__} posterior are {posterior.space}, those "
            f"of a {type(self).__name__} prior are {self.space}; choose a prior of the "
            f"posterior's space"
        )

    def build(self, latent_shape: tuple[int, ...]) -> None:
        """Remember the shape of a latent and make weights."""
        if not self.built:
            self.latent_shape = tuple(latent_shape)
            self.built = True

    def adapt(self, x: np.ndarray, context: Context) -> None:
        """Prepare for the data: called once, before the first step of the first `fit`.

        Args:
            x: Training examples `[rows, *event_shape]`, at random from all where they are an
                array, else the first; `adapt_rows` of them, or fewer where there are fewer.
            context: Its `encode`, `decode` and `view` may be used.
        """

    def fit_to(self, latents: np.ndarray) -> None:
        """Fit the prior to known latents by maximum likelihood, after training.

        Args:
            latents: `[examples, *latent_shape]`.

        Raises:
            NotImplementedError: If the prior has nothing to fit, or no way to.
        """
        raise NotImplementedError(
            f"{type(self).__name__} cannot be fitted to latents. Use a prior that can, such "
            f"as priors.NormalMixture."
        )

    def noise_spec(self) -> dict[str, NoiseSpec]:
        """The standard noise that one draw needs."""
        raise NotImplementedError

    def sample(self, noise: Mapping[str, tf.Tensor], context: Context) -> tf.Tensor:
        """Draw latents.

        Args:
            noise: By name of `noise_spec()`, each `[*leading, *shape]`.
            context: What is known of the step.

        Returns:
            `[*leading, *latent_shape]`.
        """
        raise NotImplementedError

    def distribution(self, context: Context) -> tfp.distributions.Distribution:
        """p(z) as a TFP distribution with event `latent_shape`."""
        raise NotImplementedError

    def log_prob(self, z: tf.Tensor, context: Context) -> tf.Tensor:
        """Log p(z) in nats, `[sample, batch]`, of latents `[sample, batch, ...]`."""
        return self.distribution(context).log_prob(z)

    def log_prob_per_dimension(self, z: tf.Tensor, context: Context | None = None) -> tf.Tensor:
        """Log p(z_i), `[sample, batch, latent_dim]`; only where `factorised`."""
        p = self.distribution(Context() if context is None else context)
        return p.distribution.log_prob(z)

    def closed_form_kl(self, posterior: Any, params: tf.Tensor) -> tf.Tensor | None:
        """KL(q || p) by group, `[batch, groups]`, or `None` where no closed form is known.

        Args:
            posterior: The `Posterior`; ask its `entropy` and moments.
            params: `[batch, *params_shape]`.
        """
        return None

    def kl(self, posterior: Any, params: tf.Tensor, draw: Draw, context: Context) -> tf.Tensor:
        """KL(q(z|x) || p(z)) in nats by group, `[batch, groups]`.

        The closed form where one is known, else the average of log q - log p over the draw:
        per dimension where both are factorised, else in one group.
        """
        closed = self.closed_form_kl(posterior, params)
        if closed is not None:
            return closed
        return self.monte_carlo_kl(posterior, params, draw, context)

    def kl_groups(self, posterior: Any) -> int:
        """How many groups `kl` has."""
        return posterior.latent_dim if posterior.factorised and self.factorised else 1

    def kl_blocks(self, posterior: Any) -> tuple[int, ...]:
        """How many groups of `kl` belong to each block; empty if there is but one block."""
        return ()

    def monte_carlo_kl(
        self, posterior: Any, params: tf.Tensor, draw: Draw, context: Context
    ) -> tf.Tensor:
        """Average of log q - log p over the draw, `[batch, groups]`."""
        if posterior.factorised and self.factorised:
            log_q = posterior.log_prob_per_dimension(params, draw.latents)
            log_p = self.log_prob_per_dimension(draw.latents, context)
            return tf.reduce_mean(log_q - log_p, axis=0)
        log_prior = draw.log_prior
        if log_prior is None:
            log_prior = self.log_prob(draw.latents, context)
        log_ratio = draw.log_prob - log_prior
        return tf.reduce_mean(log_ratio, axis=0)[:, None]
