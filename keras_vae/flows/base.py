"""The contract of a flow, and how several are run one after the other.

Floor 1. Rezende and Mohamed (2015), Variational Inference with Normalizing Flows, section 3.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from keras_vae.component import Component

__all__ = ["Bijection", "as_tfp", "require_flows", "run_forward", "run_inverse", "split_params"]


class Bijection(Component):
    """One step of a flow: an invertible map of vectors whose log-determinant is known.

    `forward` leads from noise to latents, `inverse` back. All arguments are `[*leading, n]`;
    leading axes broadcast, so that parameters `[batch, n]` go with vectors
    `[sample, batch, dim]`.

    Subclassing: make weights in `build`, after `super().build(shape)`; implement `forward`
    and `inverse`, or set `has_inverse` to `False`. A flow that wants numbers from the encoder
    for each example says how many in `params_size`. Flows begin as the identity, or close to
    it, and bound their scales: several of them multiply.

    Args:
        **kwargs: As in any Keras layer.
    """

    #: Whether `inverse` can be computed.
    has_inverse = True
    #: The direction that takes one pass for each dimension: `"forward"`, `"inverse"` or none.
    sequential: str | None = None

    def build(self, shape: tuple[int, ...]) -> None:
        """Remember the number of dimensions, `shape[-1]`, and make weights."""
        if not self.built:
            self.dim = shape[-1]
            self.built = True

    def params_size(self, dim: int) -> int:
        """How many numbers for each example the encoder must emit, for `dim` dimensions."""
        return 0

    def forward(self, z: tf.Tensor, params: tf.Tensor | None) -> tuple[tf.Tensor, tf.Tensor]:
        """Map z to y.

        Args:
            z: `[*leading, dim]`.
            params: `[..., params_size(dim)]`; not looked at where that is 0.

        Returns:
            y `[*leading, dim]`, and log |det dy/dz| `[*leading]`.
        """
        raise NotImplementedError

    def call(self, z: tf.Tensor, params: tf.Tensor | None = None) -> tf.Tensor:
        """`forward` without its log-determinant, for graphs of Keras layers."""
        return self.forward(z, params)[0]

    def inverse(self, y: tf.Tensor, params: tf.Tensor | None) -> tuple[tf.Tensor, tf.Tensor]:
        """Map y back to z; return z and log |det dz/dy|.

        Raises:
            NotImplementedError: If `has_inverse` is `False`.
        """
        raise NotImplementedError(
            f"{type(self).__name__} has no inverse in closed form, so the density at a given "
            f"latent is not known. Use a flow with an inverse, such as flows.AffineCoupling."
        )


Flows = Sequence[Bijection]


def run_forward(
    flows: Flows, z: tf.Tensor, params: tf.Tensor | None = None
) -> tuple[tf.Tensor, tf.Tensor]:
    """Map z through all flows, the first one first.

    Args:
        flows: Built ones; none at all is the identity.
        z: `[*leading, dim]`.
        params: Those of all flows, one after the other, `[..., sum of params_size]`.

    Returns:
        The vectors, and the log-determinant of the whole.
    """
    total = tf.zeros_like(z[..., 0])
    for flow, own in zip(flows, split_params(flows, z, params)):
        z, log_det = flow.forward(z, own)
        total = total + log_det
    return z, total


def run_inverse(
    flows: Flows, y: tf.Tensor, params: tf.Tensor | None = None
) -> tuple[tf.Tensor, tf.Tensor]:
    """Map y back through all flows, the last one first; arguments as in `run_forward`."""
    total = tf.zeros_like(y[..., 0])
    for flow, own in reversed(list(zip(flows, split_params(flows, y, params)))):
        y, log_det = flow.inverse(y, own)
        total = total + log_det
    return y, total


def split_params(
    flows: Flows, z: tf.Tensor, params: tf.Tensor | None
) -> list[tf.Tensor | None]:
    """The parameters of each flow, for z `[..., dim]`."""
    if params is None:
        return [None] * len(flows)
    ends = list(itertools.accumulate(flow.params_size(z.shape[-1]) for flow in flows))
    return [params[..., start:end] for start, end in zip([0, *ends], ends)]


def as_tfp(flows: Flows, params: tf.Tensor | None = None) -> tfp.bijectors.Bijector:
    """The flows as one TFP bijector; make it at each call, do not keep it."""
    return tfp.bijectors.Inline(
        forward_fn=lambda z: run_forward(flows, z, params)[0],
        inverse_fn=lambda y: run_inverse(flows, y, params)[0],
        forward_log_det_jacobian_fn=lambda z: run_forward(flows, z, params)[1],
        inverse_log_det_jacobian_fn=lambda y: run_inverse(flows, y, params)[1],
        forward_min_event_ndims=1,
        name="flows",
    )


def require_flows(flows: Any) -> None:
    """Raise a TypeError unless `flows` is a list of flows."""
    good = isinstance(flows, (list, tuple))
    if not good or not all(isinstance(flow, Bijection) for flow in flows):
        raise TypeError(
            f"`flows` must be a list of keras_vae.flows, such as [flows.MAF()]. "
            f"Received: flows={flows!r}."
        )
