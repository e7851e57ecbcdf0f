"""Posteriors that are pushed through a flow.

Floor 2. Rezende and Mohamed (2015), Variational Inference with Normalizing Flows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from keras_vae.component import register
from keras_vae.flows.base import (
    Bijection,
    as_tfp,
    require_flows,
    run_forward,
    run_inverse,
    split_params,
)
from keras_vae.numerics import NoiseSpec
from keras_vae.posteriors.base import Posterior
from keras_vae.terms import Context, Draw

__all__ = ["Flow"]


@register("posteriors")
class Flow(Posterior):
    """A simple posterior whose draws are pushed through a flow, so that it takes any form.

    Parameters `[batch, n]`: those of the base, then those that the flows want, in order. A
    flow's own weights are trained with the model.

    `evaluable` is true where all flows have an inverse; without it objectives that ask for
    the density at a given latent are refused. Mean and scale are not known; `point` is the
    base's point, pushed forward.

    Args:
        base: A posterior of real vectors with a density, such as
            `DiagonalNormal(latent_dim=8)`; it says how many dimensions there are.
        flows: A list of `keras_vae.flows`, the one next to the base first. An empty one
            leaves the base.
        **kwargs: As in any Keras layer.

    Raises:
        TypeError: If `base` is no posterior or `flows` no list of flows.
        ValueError: If the base has no density, or its latents are not real vectors.

    Example:
    >>> q = keras_vae.posteriors.Flow(
    ...     base=keras_vae.posteriors.DiagonalNormal(latent_dim=2),
    ...     flows=[keras_vae.flows.IAF(context_size=3), keras_vae.flows.Permutation()],
    ... )
    >>> q.params_shape, q.evaluable
    ((7,), True)

    Reference: Rezende and Mohamed (2015), equations 5 to 7; Kingma et al. (2016), section 3.
    """

    has_moments = False
    derived_arguments = ("latent_dim",)

    def __init__(self, base: Posterior, flows: Sequence[Bijection], **kwargs: Any) -> None:
        if not isinstance(base, Posterior):
            raise TypeError(f"`base` must be a keras_vae posterior. Received: base={base!r}.")
        require_flows(flows)
        if not base.has_density or not base.reparameterised or base.space != "real vectors":
            raise ValueError(
                f"`base` must have a density over real vectors. Received: base={base!r}. Use "
                f"one such as posteriors.DiagonalNormal."
            )
        super().__init__(latent_dim=base.latent_dim, **kwargs)
        self.base = base
        self.flows = flows
        self.evaluable = base.evaluable and all(flow.has_inverse for flow in flows)

    def build(self, input_shape: Any = None) -> None:
        """Build base and flows."""
        if self.built:
            return
        self.base.build(input_shape)
        for flow in self.flows:
            flow.build(self.latent_shape)
        self.built = True

    @property
    def params_shape(self) -> tuple[int, ...]:
        wanted = sum(flow.params_size(self.latent_dim) for flow in self.flows)
        return (self.base.params_shape[0] + wanted,)

    def noise_spec(self) -> dict[str, NoiseSpec]:
        return self.base.noise_spec()

    def sample_and_log_prob(
        self, params: tf.Tensor, noise: Mapping[str, tf.Tensor], context: Context
    ) -> Draw:
        of_base, of_flows = self._split(params)
        draw = self.base.sample_and_log_prob(of_base, noise, context)
        latents, log_det = run_forward(self.flows, draw.latents, of_flows)
        return Draw(latents, draw.log_prob - log_det)

    def log_prob(self, params: tf.Tensor, z: tf.Tensor, context: Context) -> tf.Tensor:
        of_base, of_flows = self._split(params)
        origin, log_det = run_inverse(self.flows, z, of_flows)
        return self.base.log_prob(of_base, origin, context) + log_det

    def distribution(self, params: tf.Tensor) -> tfp.distributions.Distribution:
        """q(z|x) as a TFP distribution; it has a density where `evaluable`, else only draws."""
        of_base, of_flows = self._split(params)
        return tfp.distributions.TransformedDistribution(
            self.base.distribution(of_base), as_tfp(self.flows, of_flows)
        )

    def point(self, params: tf.Tensor) -> tf.Tensor:
        of_base, of_flows = self._split(params)
        z = self.base.point(of_base)
        # Called as Keras layers, so that an encoder with flows is a Keras model.
        for flow, own in zip(self.flows, split_params(self.flows, z, of_flows)):
            z = flow(z, own)
        return z

    def _split(self, params: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        size = self.base.params_shape[0]
        return params[..., :size], params[..., size:]
