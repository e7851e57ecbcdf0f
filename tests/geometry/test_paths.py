"""Ways on spheres and in the ball: lengths, ends, and where they could leave the space."""

import numpy as np
import pytest
import tensorflow as tf

from keras_vae.geometry import paths, poincare

SHARES = np.linspace(0, 1, 9)


def unit(rng, dimension):
    x = rng.normal(size=dimension)
    return x / np.linalg.norm(x)


def angles(way):
    """Between neighbours, by their distances: exact for small ones."""
    return 2 * np.arcsin(np.linalg.norm(np.diff(way, axis=0), axis=1) / 2)


def test_great_circle_is_even_and_as_long_as_the_angle(rng):
    for dimension in (2, 3, 50):
        a, b = unit(rng, dimension), unit(rng, dimension)
        way = paths.spherical(a, b, SHARES)
        np.testing.assert_allclose(np.linalg.norm(way, axis=1), 1.0, rtol=1e-12)
        np.testing.assert_allclose(angles(way), np.arccos(a @ b) / 8, rtol=1e-9)
        np.testing.assert_allclose(way[[0, -1]], [a, b], atol=1e-12)


@pytest.mark.parametrize("offset", [0.0, 1e-14, 1e-8, 1e-4])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_way_between_opposite_points_stays_on_the_sphere(rng, offset, dtype):
    for dimension in (2, 3, 20):
        a = unit(rng, dimension)
        b = -a + offset * unit(rng, dimension)
        b /= np.linalg.norm(b)
        a, b = a.astype(dtype), b.astype(dtype)
        way = paths.spherical(a, b, SHARES)
        np.testing.assert_allclose(np.linalg.norm(way, axis=1), 1.0, atol=1e-6)
        np.testing.assert_allclose(angles(way), np.pi / 8, atol=1e-3)
        np.testing.assert_allclose(way[[0, -1]], [a, b], atol=1e-6)


def test_opposite_points_of_an_axis_have_the_stated_way():
    way = paths.spherical(np.array([1.0, 0.0, 0.0]), np.array([-2.0, 0.0, 0.0]), [0, 0.5, 1])
    np.testing.assert_allclose(way, [[1, 0, 0], [0, 1.5, 0], [-2, 0, 0]], atol=1e-12)
    with pytest.raises(ValueError, match="between opposite points needs two dimensions"):
        paths.spherical(np.array([1.0]), np.array([-1.0]), SHARES)


def test_equal_points_and_the_origin_have_straight_ways(rng):
    a = rng.normal(size=4)
    np.testing.assert_allclose(paths.spherical(a, a, SHARES), np.tile(a, (9, 1)), rtol=1e-12)
    np.testing.assert_allclose(paths.spherical(a, 3 * a, [0.5])[0], 2 * a, rtol=1e-12)
    origin = np.zeros(4)
    np.testing.assert_allclose(paths.spherical(origin, a, SHARES), SHARES[:, None] * a)
    np.testing.assert_array_equal(paths.spherical(origin, origin, SHARES), np.zeros([9, 4]))


def distance(a, b, curvature):
    """Ganea et al. (2018), equation 2, in another form than the module's."""
    squared = 2 * curvature * np.sum((a - b) ** 2, -1)
    shrinks = [1 - curvature * np.sum(x**2, -1) for x in (a, b)]
    return np.arccosh(1 + squared / (shrinks[0] * shrinks[1])) / np.sqrt(curvature)


@pytest.mark.parametrize("curvature", [0.5, 1.0, 4.0])
def test_geodesic_of_the_ball_is_even_and_as_long_as_the_distance(rng, curvature):
    radius = 1 / np.sqrt(curvature)
    a, b = radius * 0.9 * unit(rng, 3), radius * 0.3 * unit(rng, 3)
    for start, end in ((a, b), (a, -a), (0 * a, b), (a, a + 1e-9)):
        way = paths.hyperbolic(start, end, SHARES, curvature)
        whole = distance(start, end, curvature)
        steps = distance(way[1:], way[:-1], curvature)
        np.testing.assert_allclose(steps, whole / 8, rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(way[[0, -1]], [start, end], atol=1e-12)
    np.testing.assert_allclose(paths.hyperbolic(a, a, SHARES, curvature), np.tile(a, (9, 1)))


def test_geodesic_is_that_of_moving_the_ball(float64):
    a, b = np.array([0.3, -0.4]), np.array([-0.2, 0.7])
    seen = poincare.logarithm(poincare.translate(-a[None], tf.constant(b)[None], 1.0), 1.0)
    ends = poincare.exponential(tf.constant(SHARES)[:, None] * seen, 1.0)
    expected = poincare.translate(tf.constant(a)[None], ends, 1.0)
    np.testing.assert_allclose(paths.hyperbolic(a, b, SHARES, 1.0), expected, atol=1e-9)


def test_geodesic_reaches_opposite_points_at_the_rim():
    # Farther apart than float32, with the ball moved there, can hold.
    a = np.array([0.999985, 0.0], "float32")
    way = paths.hyperbolic(a, -a, SHARES, 1.0)
    np.testing.assert_allclose(way[[0, 4, -1]], [a, [0, 0], -a], atol=1e-7)
    assert np.all(np.diff(way[:, 0]) < 0)
