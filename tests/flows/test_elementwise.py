"""Maps of single numbers: against their formulas, and the spline against TFP's."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from keras_vae.flows import IAF, MAF, SplineAutoregressive, SplineCoupling
from keras_vae.flows.elementwise import Affine, Gated, Spline

BINS, LIMIT = 5, 2.0


def raw_numbers(rng, numbers, rows=200):
    return rng.normal(size=(rows, numbers)) * 1.5


def test_affine_scales_and_shifts(float64, rng):
    raw, z = raw_numbers(rng, 2), rng.normal(size=200)
    y, log_slope = Affine().forward(tf.constant(z), tf.constant(raw))
    log_scale = 3 * np.tanh(raw[:, 0] / 3)
    np.testing.assert_allclose(y, np.exp(log_scale) * z + raw[:, 1], rtol=1e-12)
    np.testing.assert_allclose(log_slope, log_scale, rtol=1e-12)


def test_gate_mixes(float64, rng):
    raw, z = raw_numbers(rng, 2), rng.normal(size=200)
    y, log_slope = Gated().forward(tf.constant(z), tf.constant(raw))
    gate = 1 / (1 + np.exp(-(2 + 5 * np.tanh(raw[:, 0] / 5))))
    np.testing.assert_allclose(y, gate * z + (1 - gate) * raw[:, 1], rtol=1e-12)
    np.testing.assert_allclose(log_slope, np.log(gate), rtol=1e-12)


@pytest.mark.parametrize(("cls", "largest"), [(Affine, 3.0), (Gated, 3.05)])
def test_slopes_are_bounded(cls, largest):
    raw = tf.constant([[1e6, 0.0], [-1e6, 0.0], [1e3, 0.0], [-1e3, 0.0]])
    _, log_slope = cls().forward(tf.zeros([4]), raw)
    assert np.all(np.abs(log_slope) <= largest)


def tfp_spline(raw):
    """The same spline, as TFP computes it."""
    softmax = np.exp(raw - raw.max(-1, keepdims=True))
    shares = [
        0.01 + (1 - 0.01 * BINS) * part / part.sum(-1, keepdims=True)
        for part in (softmax[:, :BINS], softmax[:, BINS : 2 * BINS])
    ]
    return tfp.bijectors.RationalQuadraticSpline(
        bin_widths=tf.constant(2 * LIMIT * shares[0]),
        bin_heights=tf.constant(2 * LIMIT * shares[1]),
        knot_slopes=tf.constant(np.exp(3 * np.tanh(raw[:, 2 * BINS :] / 3))),
        range_min=-LIMIT,
    )


def test_spline_is_that_of_tfp(float64, rng):
    spline = Spline(BINS, LIMIT)
    raw, z = raw_numbers(rng, spline.numbers), rng.uniform(-3, 3, size=200)
    twin = tfp_spline(raw)
    y, log_slope = spline.forward(tf.constant(z), tf.constant(raw))
    np.testing.assert_allclose(y, twin.forward(z), rtol=1e-9, atol=1e-12)
    expected = twin.forward_log_det_jacobian(z, 0)
    np.testing.assert_allclose(log_slope, expected, rtol=1e-8, atol=1e-9)
    back, log_slope = spline.inverse(tf.constant(z), tf.constant(raw))
    # TFP's form of the root loses some digits.
    np.testing.assert_allclose(back, twin.inverse(z), rtol=1e-6, atol=1e-9)
    expected = twin.inverse_log_det_jacobian(z, 0)
    np.testing.assert_allclose(log_slope, expected, rtol=1e-5, atol=1e-6)


def test_spline_is_the_identity_outside_and_goes_through_its_corners(float64, rng):
    spline = Spline(BINS, LIMIT)
    raw = tf.constant(np.repeat(raw_numbers(rng, spline.numbers, 1), 5, axis=0))
    z = tf.constant([-7.0, -LIMIT, LIMIT, 2.5, 1e30], tf.float64)
    for function in (spline.forward, spline.inverse):
        y, log_slope = function(z, raw)
        np.testing.assert_allclose(y, z, rtol=1e-12)
        np.testing.assert_array_equal(log_slope, np.zeros(5))
    inside = tf.constant([-LIMIT + 1e-9, LIMIT - 1e-9], tf.float64)
    y, log_slope = spline.forward(inside, raw[:2])
    np.testing.assert_allclose(y, inside, rtol=1e-7)
    np.testing.assert_allclose(log_slope, np.zeros(2), atol=1e-5)  # a slope of 1 at the ends


def test_spline_and_its_slope_are_continuous_at_the_knots(float64, rng):
    spline = Spline(BINS, LIMIT)
    raw = raw_numbers(rng, spline.numbers, 1)
    shares = np.exp(raw[0, :BINS]) / np.exp(raw[0, :BINS]).sum()
    knots = -LIMIT + 2 * LIMIT * np.cumsum(0.01 + (1 - 0.01 * BINS) * shares)[:-1]
    sides = [
        spline.forward(tf.constant(knots + shift), tf.constant(np.repeat(raw, BINS - 1, 0)))
        for shift in (-1e-9, 1e-9)
    ]
    np.testing.assert_allclose(sides[0][0], sides[1][0], atol=1e-6)
    np.testing.assert_allclose(sides[0][1], sides[1][1], atol=1e-5)
    np.testing.assert_allclose(sides[0][1], 3 * np.tanh(raw[0, 2 * BINS :] / 3), atol=1e-5)


def test_spline_of_single_precision_has_no_bad_numbers_at_edges():
    spline = Spline(8, 5.0)
    z = tf.constant(np.linspace(-5, 5, 4001), tf.float32)
    for factor in (0.0, 1.0, 30.0):
        raw = factor * np.random.default_rng(0).normal(size=(4001, spline.numbers))
        raw = tf.constant(raw, tf.float32)
        for function in (spline.forward, spline.inverse):
            with tf.GradientTape() as tape:
                tape.watch([z, raw])
                y, log_slope = function(z, raw)
                total = tf.reduce_sum(y) + tf.reduce_sum(log_slope)
            for values in (y, log_slope, *tape.gradient(total, [z, raw])):
                assert np.isfinite(values).all()


@pytest.mark.parametrize("cls", [SplineCoupling, SplineAutoregressive])
def test_bad_splines_are_refused(cls):
    for bins in (1, 51, 4.0):
        with pytest.raises(ValueError, match=r"`bins` must be an integer from 2 to 50\. Rec"):
            cls(bins=bins)
    for limit in (0.0, -1.0, float("inf"), float("nan")):
        with pytest.raises(ValueError, match=r"`limit` must be positive\. Received: limit="):
            cls(limit=limit)


def test_iaf_and_maf_with_swapped_roles(float64, rng):
    # MAF: the result steers; IAF: the input does.
    z = tf.constant(rng.normal(size=(6, 3)))
    for cls, elementwise in ((IAF, Gated()), (MAF, Affine())):
        flow = cls(hidden=[8])
        flow.build((3,))
        for variable in flow.trainable_variables:
            variable.assign_add(rng.normal(size=variable.shape))
        y, log_det = flow.forward(z, None)
        raw = flow.conditioner.call(z if cls is IAF else y)
        expected, log_slope = elementwise.forward(z, raw)
        np.testing.assert_allclose(y, expected, rtol=1e-12)
        np.testing.assert_allclose(log_det, tf.reduce_sum(log_slope, -1), rtol=1e-12)
