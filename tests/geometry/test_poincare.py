"""The Poincare ball: distances, isometries, volume, and what float32 leaves of them."""

import numpy as np
import pytest
import tensorflow as tf

from keras_vae.geometry import poincare
from tests.twins import assert_gradients, finite_differences

every_curvature = pytest.mark.parametrize("curvature", [0.3, 1.0, 2.5])


def distance(x, y, c):
    """The distance by its own formula (Mathieu et al., 2019, section 2)."""
    gap = ((x - y) ** 2).sum(-1)
    shrink = (1 - c * (x**2).sum(-1)) * (1 - c * (y**2).sum(-1))
    return np.arccosh(1 + 2 * c * gap / shrink) / np.sqrt(c)


def points(rng, c, *shape):
    z = rng.normal(size=shape)
    z /= np.linalg.norm(z, axis=-1, keepdims=True)
    return z * rng.uniform(0.05, 0.9, size=(*shape[:-1], 1)) / np.sqrt(c)


@every_curvature
def test_exponential_goes_as_far_as_the_vector_is_long(rng, curvature):
    v = tf.constant(rng.normal(size=(20, 3)))
    z = poincare.exponential(v, curvature).numpy()
    expected = np.linalg.norm(v, axis=-1)
    np.testing.assert_allclose(distance(z, np.zeros(3), curvature), expected, rtol=1e-10)
    np.testing.assert_allclose(poincare.logarithm(tf.constant(z), curvature), v, rtol=1e-10)
    # And in its direction.
    np.testing.assert_allclose(np.cross(z, v), 0, atol=1e-12)


@every_curvature
def test_translation_keeps_distances_and_is_undone(rng, curvature):
    mu, x, y = (points(rng, curvature, 20, 3) for _ in range(3))
    moved_x, moved_y = (
        poincare.translate(tf.constant(mu), tf.constant(t), curvature) for t in (x, y)
    )
    np.testing.assert_allclose(
        distance(moved_x.numpy(), moved_y.numpy(), curvature),
        distance(x, y, curvature),
        rtol=1e-9,
    )
    back = poincare.translate(tf.constant(-mu), moved_x, curvature)
    np.testing.assert_allclose(back, x, rtol=1e-8, atol=1e-10)
    centre = poincare.translate(tf.constant(mu), tf.zeros([20, 3], tf.float64), curvature)
    np.testing.assert_allclose(centre, mu, rtol=1e-12)


@every_curvature
@pytest.mark.parametrize("latent_dim", [1, 2, 3])
def test_density_is_that_of_the_change_of_variables(rng, curvature, latent_dim):
    # The Jacobian of v -> z, by finite differences.
    mu = points(rng, curvature, latent_dim)
    v, scale = rng.normal(size=latent_dim), rng.uniform(0.5, 1.5, size=latent_dim)

    def wrap(v):
        step = poincare.exponential(v, curvature)
        return poincare.translate(tf.constant(mu), step, curvature)

    jacobian = [finite_differences(lambda t, i=i: wrap(t)[i], v) for i in range(latent_dim)]
    normal = -0.5 * (v / scale) ** 2 - np.log(scale) - 0.5 * np.log(2 * np.pi)
    expected = normal.sum() - np.linalg.slogdet(np.array(jacobian))[1]
    tangent = tf.constant(v)
    result = poincare.wrapped_log_prob(wrap(tangent), tangent, tf.constant(scale), curvature)
    np.testing.assert_allclose(result, expected, rtol=1e-8)


@every_curvature
def test_gradients_are_those_of_finite_differences(rng, curvature):
    mu, z = points(rng, curvature, 4, 3), points(rng, curvature, 4, 3)
    scale = tf.constant(rng.uniform(0.5, 1.5, size=3))
    weights = tf.constant(rng.normal(size=(4, 3)))
    # On both sides of the border of the series of log(sinh(x) / x), and at its origin.
    v = rng.normal(size=(4, 3)) * np.array([[1e-3], [0.02], [0.5], [3.0]])

    def wrapped(z, v):
        return poincare.wrapped_log_prob(z, v, scale, curvature)

    assert_gradients(lambda v: poincare.exponential(v, curvature) * weights, v)
    assert_gradients(lambda z: poincare.logarithm(z, curvature) * weights, z)
    assert_gradients(lambda m, z: poincare.translate(m, z, curvature) * weights, mu, z)
    assert_gradients(wrapped, z, v)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_series_meets_the_closed_form(dtype):
    x = np.array([1e-6, 1e-3, 0.0499, 0.0501, 1.0, 30.0, 300.0])
    expected = [np.log(np.sinh(t) / t) for t in x]
    result = poincare._log_sinhc(tf.constant(x, dtype))
    rounding = np.finfo(dtype).eps
    np.testing.assert_allclose(result, expected, rtol=20 * rounding, atol=20 * rounding)


@pytest.mark.parametrize("curvature", [1e-3, 1.0, 100.0])
@pytest.mark.parametrize("length", [0.0, 1e-20, 1.0, 30.0, 1e4, 1e15])
def test_far_points_stay_inside_with_finite_gradients(curvature, length):
    radius = 1 / np.sqrt(curvature)
    v = tf.constant([[length, 0.5 * length], [-length, 0.0]]) * radius
    with tf.GradientTape() as tape:
        tape.watch(v)
        point = poincare.exponential(v, curvature)
        moved = poincare.translate(point, point[::-1], curvature)
        back = poincare.translate(-point, moved, curvature)
        tangent = poincare.logarithm(back, curvature)
        log_prob = poincare.wrapped_log_prob(moved, tangent, tf.constant(1.0), curvature)
        total = tf.reduce_sum(log_prob) + tf.reduce_sum(moved)
    for z in (point, moved, back):
        assert np.all(np.linalg.norm(z, axis=-1) < radius)
    assert np.isfinite(log_prob).all()
    assert np.isfinite(tape.gradient(total, v)).all()


def test_density_vanishes_outside():
    z = tf.constant([[0.8, 0.7], [0.6, 0.7]])
    tangent = poincare.logarithm(z, 1.0)
    log_prob = poincare.wrapped_log_prob(z, tangent, tf.constant(1.0), 1.0)
    assert log_prob[0] == -np.inf
    assert np.isfinite(log_prob[1])
