"""Flows that change one half of the dimensions, steered by the other.

Floor 1. Dinh et al. (2017), Density Estimation Using Real NVP; Durkan et al. (2019), Neural
Spline Flows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from keras_vae.component import register
from keras_vae.flows.conditioner import Conditioned
from keras_vae.flows.elementwise import Affine, Elementwise, Spline, require_spline

__all__ = ["AffineCoupling", "SplineCoupling"]

Pair = tuple[tf.Tensor, tf.Tensor]


@register("flows")
class AffineCoupling(Conditioned):
    """Real NVP: the second half is scaled and shifted, as the first half says.

    Both directions take one pass. Log-scales are in (-3, 3). It begins as the identity. Put a
    `Permutation` between two of them, or the first half never changes.

    Args:
        hidden: Width of each hidden layer of the network. Defaults to `(64, 64)`.
        activation: Of the hidden layers; a smooth one. Defaults to `"elu"`.
        context_size: How many numbers for each example the network takes from the encoder.
            Defaults to `0`.
        **kwargs: As in any Keras layer.

    Raises:
        ValueError: If `hidden` is not a list of positive integers, or `context_size` is not
            an integer >= 0.

    Example:
    >>> flow = keras_vae.flows.AffineCoupling(hidden=[32])
    >>> flow.build((4,))
    >>> y, log_det = flow.forward(tf.ones([5, 4]), None)
    >>> y.shape, log_det.shape
    (TensorShape([5, 4]), TensorShape([5]))

    Reference: Dinh et al. (2017), equations 4 to 8.
    """

    def elementwise(self) -> Elementwise:
        """The map of one dimension."""
        return Affine()

    def build(self, shape: tuple[int, ...]) -> None:
        if self.built:
            return
        super().build(shape)
        self._kept = self.dim // 2
        inputs, outputs = [0] * max(self._kept, 1), [1] * (self.dim - self._kept)
        self.conditioner = self.make_conditioner(inputs, outputs, self.elementwise().numbers)

    def forward(self, z: tf.Tensor, params: tf.Tensor | None) -> Pair:
        return self._apply(self.elementwise().forward, z, params)

    def inverse(self, y: tf.Tensor, params: tf.Tensor | None) -> Pair:
        return self._apply(self.elementwise().inverse, y, params)

    def _apply(
        self, function: Callable[..., Pair], x: tf.Tensor, params: tf.Tensor | None
    ) -> Pair:
        x = self.broadcast(x, params)
        kept, changed = x[..., : self._kept], x[..., self._kept :]
        # A single dimension has none to be steered by: its map is the same everywhere.
        steering = kept if self._kept else tf.zeros_like(x)
        result, log_slope = function(changed, self.conditioner.call(steering, params))
        return tf.concat([kept, result], axis=-1), tf.reduce_sum(log_slope, axis=-1)


@register("flows")
class SplineCoupling(AffineCoupling):
    """A coupling of splines: the second half is bent, as the first half says.

    As `AffineCoupling`, with a monotone rational-quadratic spline in place of the affine map.
    It is the identity outside of `[-limit, limit]`, and begins as the identity.

    Args:
        bins: Pieces of each spline. Defaults to `8`.
        limit: Half the width of the interval that is bent. Defaults to `5.0`.
        **kwargs: `hidden`, `activation` and `context_size` as in `AffineCoupling`; and as in
            any Keras layer.

    Raises:
        ValueError: If `bins` is not an integer from 2 to 50, `limit` is not positive, or as
            in `AffineCoupling`.

    Example:
    >>> flow = keras_vae.flows.SplineCoupling(bins=4, hidden=[32])
    >>> flow.build((4,))
    >>> flow.forward(tf.ones([5, 4]), None)[0].shape
    TensorShape([5, 4])

    Reference: Durkan et al. (2019), section 3.2, "RQ-NSF (C)".
    """

    def __init__(self, bins: int = 8, limit: float = 5.0, **kwargs: Any) -> None:
        require_spline(bins, limit)
        super().__init__(**kwargs)
        self.bins = bins
        self.limit = limit

    def elementwise(self) -> Elementwise:
        return Spline(self.bins, self.limit)
