"""Monotone maps of single numbers, which couplings and autoregressive flows apply.

Each has `numbers`, how many raw ones steer it, and `forward` and `inverse`: of z `[..., dim]`
and the raw numbers `[..., dim, numbers]`, they return the result and the log-derivative, both
`[..., dim]`. Floor 1.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import tensorflow as tf

from keras_vae.arguments import require_integer, require_positive

__all__ = ["Affine", "Elementwise", "Gated", "Spline"]

Pair = tuple[tf.Tensor, tf.Tensor]

# Largest log-scale of one affine step: a factor of 20 either way.
_LOG_SCALE = 3.0
# A gate is sigmoid(2 + bounded), 0.88 at first (Kingma et al. 2016, section 4: "1 or 2") and
# never below 0.047: a factor of 21.
_GATE_START, _GATE = 2.0, 5.0
# Of a spline's bins, as a share of the interval: its slopes stay below 100, and a single
# precision inverse exact to some five digits (Durkan et al. 2019 take 0.001).
_SMALLEST_BIN = 1e-2


def _bounded(x: tf.Tensor, limit: float) -> tf.Tensor:
    """Map any real number into (-limit, limit); near 0 it is the identity."""
    return limit * tf.tanh(x / limit)


class Elementwise:
    """The contract of these maps."""

    numbers: int

    def forward(self, z: tf.Tensor, raw: tf.Tensor) -> Pair:
        """Map z to y; return y and log dy/dz."""
        raise NotImplementedError

    def inverse(self, y: tf.Tensor, raw: tf.Tensor) -> Pair:
        """Map y back to z; return z and log dz/dy."""
        raise NotImplementedError


class Affine(Elementwise):
    """Y = exp(s) z + t, with |s| < 3."""

    numbers = 2

    def forward(self, z: tf.Tensor, raw: tf.Tensor) -> Pair:
        log_scale, shift = self._steered(raw)
        return tf.exp(log_scale) * z + shift, log_scale

    def inverse(self, y: tf.Tensor, raw: tf.Tensor) -> Pair:
        log_scale, shift = self._steered(raw)
        return tf.exp(-log_scale) * (y - shift), -log_scale

    def _steered(self, raw: tf.Tensor) -> Pair:
        return _bounded(raw[..., 0], _LOG_SCALE), raw[..., 1]


class Gated(Elementwise):
    """Y = g z + (1 - g) m, with a gate g in (0.047, 1)."""

    numbers = 2

    def forward(self, z: tf.Tensor, raw: tf.Tensor) -> Pair:
        log_gate, gate, shift = self._steered(raw)
        return gate * z + shift, log_gate

    def inverse(self, y: tf.Tensor, raw: tf.Tensor) -> Pair:
        log_gate, gate, shift = self._steered(raw)
        return (y - shift) / gate, -log_gate

    def _steered(self, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        logit = _GATE_START + _bounded(raw[..., 0], _GATE)
        log_gate = tf.math.log_sigmoid(logit)
        return log_gate, tf.exp(log_gate), tf.sigmoid(-logit) * raw[..., 1]


class _Bin(NamedTuple):
    """Where a number falls: the bin's left edge, width, lower edge, height and slopes."""

    left: tf.Tensor
    width: tf.Tensor
    low: tf.Tensor
    height: tf.Tensor
    slope_left: tf.Tensor
    slope_right: tf.Tensor


class Spline(Elementwise):
    """A rational-quadratic spline on [-limit, limit], and the identity outside.

    All raw numbers 0: the identity.

    Durkan et al. (2019), Neural Spline Flows, section 3.1 and appendix A.
    """

    def __init__(self, bins: int, limit: float) -> None:
        self.bins = bins
        self.limit = limit
        self.numbers = 3 * bins - 1

    def forward(self, z: tf.Tensor, raw: tf.Tensor) -> Pair:
        inside, at = self._find(z, raw, among_outputs=False)
        slope = at.height / at.width
        # Rounding may leave the bin by a little.
        share = tf.clip_by_value((tf.where(inside, z, at.left) - at.left) / at.width, 0.0, 1.0)
        curvature = at.slope_right + at.slope_left - 2 * slope
        both = share * (1 - share)
        denominator = slope + curvature * both
        y = at.low + at.height * (slope * share**2 + at.slope_left * both) / denominator
        log_slope = self._log_slope(at, slope, share, denominator)
        return tf.where(inside, y, z), tf.where(inside, log_slope, 0.0)

    def inverse(self, y: tf.Tensor, raw: tf.Tensor) -> Pair:
        inside, at = self._find(y, raw, among_outputs=True)
        slope = at.height / at.width
        rise = tf.where(inside, y, at.low) - at.low
        curvature = at.slope_right + at.slope_left - 2 * slope
        a = at.height * (slope - at.slope_left) + rise * curvature
        b = at.height * at.slope_left - rise * curvature
        c = -slope * rise
        # a s**2 + b s + c = 0, of whose root's two forms we take the one that does not cancel.
        root = tf.sqrt(tf.maximum(b**2 - 4 * a * c, 1e-30))
        small = b < 0
        share = tf.where(
            small,
            (root - b) / (2 * tf.where(small, a, 1.0)),
            -2 * c / (root + tf.where(small, 1.0, b)),
        )
        share = tf.clip_by_value(share, 0.0, 1.0)
        denominator = slope + curvature * share * (1 - share)
        z = at.left + share * at.width
        log_slope = self._log_slope(at, slope, share, denominator)
        return tf.where(inside, z, y), tf.where(inside, -log_slope, 0.0)

    def _find(
        self, x: tf.Tensor, raw: tf.Tensor, *, among_outputs: bool
    ) -> tuple[tf.Tensor, _Bin]:
        """Whether x is inside of the interval, and its bin."""
        widths, heights, slopes = tf.split(raw, [self.bins, self.bins, self.bins - 1], axis=-1)
        widths, lefts = self._partition(widths)
        heights, lows = self._partition(heights)
        slopes = tf.exp(_bounded(slopes, _LOG_SCALE))
        one = tf.ones_like(slopes[..., :1])
        slopes = tf.concat([one, slopes, one], axis=-1)
        edges = (lows if among_outputs else lefts)[..., 1:]
        index = tf.reduce_sum(tf.cast(x[..., None] >= edges, tf.int32), axis=-1)
        chosen = tf.one_hot(index, self.bins, dtype=x.dtype)

        def at_bin(values: tf.Tensor) -> tf.Tensor:
            return tf.reduce_sum(chosen * values, axis=-1)

        parts = (lefts, widths, lows, heights, slopes[..., :-1], slopes[..., 1:])
        inside = tf.abs(x) < self.limit
        return inside, _Bin(*(at_bin(part) for part in parts))

    def _partition(self, raw: tf.Tensor) -> Pair:
        """Sizes of the bins, and their left edges."""
        shares = _SMALLEST_BIN + (1 - _SMALLEST_BIN * self.bins) * tf.nn.softmax(raw)
        sizes = 2 * self.limit * shares
        return sizes, tf.cumsum(sizes, axis=-1, exclusive=True) - self.limit

    @staticmethod
    def _log_slope(
        at: _Bin, slope: tf.Tensor, share: tf.Tensor, denominator: tf.Tensor
    ) -> tf.Tensor:
        rest = 1 - share
        numerator = (
            at.slope_right * share**2 + 2 * slope * share * rest + at.slope_left * rest**2
        )
        return 2 * tf.math.log(slope / denominator) + tf.math.log(numerator)


def require_spline(bins: int, limit: float) -> None:
    """Raise a ValueError unless a spline of so many bins exists."""
    most = math.floor(0.5 / _SMALLEST_BIN)
    require_integer("bins", bins, 2, most)
    require_positive("limit", limit)
