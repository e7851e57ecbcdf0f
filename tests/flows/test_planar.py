"""Planar and radial flows, and permutations, against the formulas of their papers."""

import numpy as np
import pytest
import tensorflow as tf

from keras_vae.flows import Permutation, Planar, Radial
from keras_vae.numerics import SCALE_FLOOR
from tests.twins import integral

START = np.log(np.expm1(1 - SCALE_FLOOR))


def softplus(x):
    return np.logaddexp(0.0, x + START) + SCALE_FLOOR


def test_planar_is_that_of_the_paper(float64, rng):
    flow = Planar(amortised=True)
    flow.build((3,))
    z, params = rng.normal(size=(50, 3)), rng.normal(size=(50, 7)) * 2
    u, w, b = params[:, :3], params[:, 3:6], params[:, 6]
    product = (w * u).sum(-1)
    m = softplus(product) - 1
    hat = u + (m - product)[:, None] * w / (w**2).sum(-1, keepdims=True)
    activation = (w * z).sum(-1) + b
    psi = (1 - np.tanh(activation) ** 2)[:, None] * w
    y, log_det = flow.forward(tf.constant(z), tf.constant(params))
    # |w|**2 has 1e-8 added.
    np.testing.assert_allclose(y, z + hat * np.tanh(activation)[:, None], rtol=1e-6)
    expected = np.log(np.abs(1 + (hat * psi).sum(-1)))
    np.testing.assert_allclose(log_det, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("size", [1.0, 10.0, 90.0])
def test_planar_is_monotone_along_w_whatever_its_parameters(size, float64, rng):
    flow = Planar(amortised=True)
    flow.build((2,))
    params = rng.normal(size=(300, 5))
    params[:, :2] *= size / np.linalg.norm(params[:, :2], axis=-1, keepdims=True)
    params[:, 2:4] *= 10.0 ** rng.uniform(-8, 2, size=(300, 1))
    w = params[:, 2:4] / np.linalg.norm(params[:, 2:4], axis=-1, keepdims=True)
    way = np.linspace(-3, 3, 401)[:, None, None]
    y, log_det = flow.forward(tf.constant(way * w), tf.constant(params))
    assert np.isfinite(log_det).all()
    assert np.all(np.diff((y * w).numpy().sum(-1), axis=0) > 0)


def test_planar_with_zero_parameters_is_the_identity_with_finite_gradients():
    flow = Planar(amortised=True)
    flow.build((2,))
    z, params = tf.ones([3, 2]), tf.zeros([3, 5])
    with tf.GradientTape() as tape:
        tape.watch([z, params])
        y, log_det = flow.forward(z, params)
        total = tf.reduce_sum(y) + tf.reduce_sum(log_det)
    np.testing.assert_allclose(y, z, atol=1e-6)
    np.testing.assert_allclose(log_det, np.zeros(3), atol=1e-6)
    for gradient in tape.gradient(total, [z, params]):
        assert np.all(np.abs(gradient) < 100)


def test_radial_is_that_of_the_paper(float64, rng):
    flow = Radial(amortised=True)
    flow.build((3,))
    z, params = rng.normal(size=(50, 3)), rng.normal(size=(50, 5)) * 2
    centre, a = params[:, :3], softplus(params[:, 3:4])
    b = -a + softplus(params[:, 4:])
    r = np.linalg.norm(z - centre, axis=-1, keepdims=True)
    h, slope = 1 / (a + r), -1 / (a + r) ** 2
    y, log_det = flow.forward(tf.constant(z), tf.constant(params))
    np.testing.assert_allclose(y, z + b * h * (z - centre), rtol=1e-12)
    expected = (1 + b * h) ** 2 * (1 + b * h + b * slope * r)  # dim - 1 = 2
    np.testing.assert_allclose(log_det, np.log(expected)[:, 0], rtol=1e-9, atol=1e-12)


def test_radial_at_and_near_its_centre(float64):
    flow = Radial(amortised=True)
    flow.build((2,))
    params = tf.constant([[0.5, -0.5, 0.3, -3.0]], tf.float64)
    z = tf.constant([[0.5, -0.5], [0.5 + 1e-12, -0.5], [0.5, -0.5 + 1e-6]], tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(z)
        y, log_det = flow.forward(z, params)
        back, _ = flow.inverse(y, params)
        total = tf.reduce_sum(y) + tf.reduce_sum(log_det) + tf.reduce_sum(back)
    np.testing.assert_allclose(back, z, rtol=1e-12)
    a, total_slope = softplus(0.3), softplus(-3.0)
    np.testing.assert_allclose(log_det, np.full(3, 2 * np.log(total_slope / a)), rtol=1e-4)
    assert np.isfinite(tape.gradient(total, z)).all()


@pytest.mark.parametrize("cls", [Planar, Radial])
def test_pushed_forward_mass_stays_one(cls, float64):
    # In one dimension: the integral of p(z) over dy = |dy/dz| dz, divided by that slope.
    flow = cls()
    flow.build((1,))
    for variable in flow.trainable_variables:
        variable.assign_add(np.full(variable.shape, 0.8))

    def pushed(z):
        y, log_det = flow.forward(z[:, None], None)
        density = np.exp(-0.5 * z**2 - log_det) / np.sqrt(2 * np.pi)
        return density * np.gradient(y.numpy()[:, 0], z.numpy())

    # The differences along the grid of spacing 1e-4 are exact to its square.
    np.testing.assert_allclose(integral(pushed, -20, 20), 1.0, rtol=1e-6)


def test_permutations_are_what_they_say():
    reverse, one, same, other = (Permutation(seed) for seed in (None, 1, 1, 2))
    for flow in (reverse, one, same, other):
        flow.build((10,))
        np.testing.assert_array_equal(np.sort(flow.order()), np.arange(10))
    np.testing.assert_array_equal(reverse.order(), np.arange(10)[::-1])
    np.testing.assert_array_equal(one.order(), same.order())
    assert np.any(one.order() != other.order())
    # A saved model must find the same order again, in all versions.
    np.testing.assert_array_equal(one.order(), [2, 9, 6, 4, 0, 3, 1, 7, 8, 5])


@pytest.mark.parametrize("seed", [-1, 1.5, "reverse"])
def test_bad_seed_is_refused(seed):
    with pytest.raises(ValueError, match=r"`seed` must be an integer >= 0. Received:"):
        Permutation(seed)
