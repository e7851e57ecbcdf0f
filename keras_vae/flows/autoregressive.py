"""Flows in which each dimension depends on those before it.

Floor 1. Kingma et al. (2016), Improved Variational Inference with Inverse Autoregressive
Flow; Papamakarios et al. (2017), Masked Autoregressive Flow for Density Estimation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from keras_vae.component import register
from keras_vae.flows.conditioner import Conditioned
from keras_vae.flows.elementwise import Affine, Elementwise, Gated, Spline, require_spline

__all__ = ["IAF", "MAF", "SplineAutoregressive"]

Pair = tuple[tf.Tensor, tf.Tensor]


class _Autoregressive(Conditioned):
    """A map of each dimension, steered by the dimensions before it."""

    def elementwise(self) -> Elementwise:
        """The map of one dimension."""
        raise NotImplementedError

    def build(self, shape: tuple[int, ...]) -> None:
        if self.built:
            return
        super().build(shape)
        degrees = list(range(1, self.dim + 1))
        numbers = self.elementwise().numbers
        self.conditioner = self.make_conditioner(degrees, degrees, numbers)

    def _in_parallel(
        self, function: Callable[..., Pair], x: tf.Tensor, params: tf.Tensor | None
    ) -> Pair:
        """One pass: x steers its own map."""
        result, log_slope = function(x, self.conditioner.call(x, params))
        return result, tf.reduce_sum(log_slope, axis=-1)

    def _in_sequence(
        self, function: Callable[..., Pair], x: tf.Tensor, params: tf.Tensor | None
    ) -> Pair:
        """One pass for each dimension: the result steers its own map.

        After n passes the first n dimensions are exact, whatever the others were.
        """
        x = self.broadcast(x, params)  # the loop keeps the shape it begins with

        def once(count: tf.Tensor, result: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            better, _ = function(x, self.conditioner.call(result, params))
            better.set_shape(result.shape)
            return count + 1, better

        _, result = tf.while_loop(
            lambda count, _: count < self.dim - 1,
            once,
            (tf.constant(0), tf.zeros_like(x)),
            maximum_iterations=self.dim - 1,  # XLA asks for it to differentiate
        )
        result, log_slope = function(x, self.conditioner.call(result, params))
        return result, tf.reduce_sum(log_slope, axis=-1)


@register("flows")
class IAF(_Autoregressive):
    """Inverse autoregressive flow, with gates: fast to draw from, for posteriors.

    `y_i = g_i z_i + (1 - g_i) m_i`; gate g in (0.047, 1) and m come from a masked network of
    z_1 ... z_(i-1) and of the context. It begins at g = 0.88 and m = 0. Put a `Permutation`
    between two of them.

    Args:
        hidden: Width of each hidden layer of the network. Defaults to `(64, 64)`.
        activation: Of the hidden layers; a smooth one. Defaults to `"elu"`.
        context_size: How many numbers for each example the network takes from the encoder
            (the paper's h). Defaults to `0`.
        **kwargs: As in any Keras layer.

    Raises:
        ValueError: If `hidden` is not a list of positive integers, or `context_size` is not
            an integer >= 0.

    Example:
    >>> flow = keras_vae.flows.IAF(hidden=[32], context_size=4)
    >>> flow.build((3,))
    >>> y, log_det = flow.forward(tf.ones([5, 3]), tf.ones([5, 4]))
    >>> y.shape, log_det.shape
    (TensorShape([5, 3]), TensorShape([5]))

    Reference: Kingma et al. (2016), equations 10 to 14.
    """

    sequential = "inverse"

    def elementwise(self) -> Elementwise:
        return Gated()

    def forward(self, z: tf.Tensor, params: tf.Tensor | None) -> Pair:
        return self._in_parallel(self.elementwise().forward, z, params)

    def inverse(self, y: tf.Tensor, params: tf.Tensor | None) -> Pair:
        return self._in_sequence(self.elementwise().inverse, y, params)


@register("flows")
class MAF(_Autoregressive):
    """Masked autoregressive flow: fast to evaluate, for priors.

    `y_i = exp(s_i) z_i + t_i`; s in (-3, 3) and t come from a masked network of
    y_1 ... y_(i-1) and of the context. It begins as the identity. Put a `Permutation` between
    two of them.

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
    >>> flow = keras_vae.flows.MAF(hidden=[32])
    >>> flow.build((3,))
    >>> z, log_det = flow.inverse(tf.ones([5, 3]), None)
    >>> z.shape, log_det.shape
    (TensorShape([5, 3]), TensorShape([5]))

    Reference: Papamakarios et al. (2017), equations 3 to 5.
    """

    sequential = "forward"

    def elementwise(self) -> Elementwise:
        return Affine()

    def forward(self, z: tf.Tensor, params: tf.Tensor | None) -> Pair:
        return self._in_sequence(self.elementwise().forward, z, params)

    def inverse(self, y: tf.Tensor, params: tf.Tensor | None) -> Pair:
        return self._in_parallel(self.elementwise().inverse, y, params)


@register("flows")
class SplineAutoregressive(MAF):
    """A masked autoregressive flow of splines: each dimension may get several modes.

    As `MAF`, with a monotone rational-quadratic spline in place of the affine map. It is the
    identity outside of `[-limit, limit]`, and begins as the identity.

    Args:
        bins: Pieces of each spline. Defaults to `8`.
        limit: Half the width of the interval that is bent. Defaults to `5.0`.
        **kwargs: `hidden`, `activation` and `context_size` as in `MAF`; and as in any Keras
            layer.

    Raises:
        ValueError: If `bins` is not an integer from 2 to 50, `limit` is not positive, or as
            in `MAF`.

    Example:
    >>> flow = keras_vae.flows.SplineAutoregressive(bins=4, hidden=[32])
    >>> flow.build((3,))
    >>> flow.inverse(tf.ones([5, 3]), None)[0].shape
    TensorShape([5, 3])

    Reference: Durkan et al. (2019), Neural Spline Flows, section 3.2, "RQ-NSF (AR)".
    """

    def __init__(self, bins: int = 8, limit: float = 5.0, **kwargs: Any) -> None:
        require_spline(bins, limit)
        super().__init__(**kwargs)
        self.bins = bins
        self.limit = limit

    def elementwise(self) -> Elementwise:
        return Spline(self.bins, self.limit)
