"""Laws of the angle on a sphere against SciPy: Bessel and beta functions, quadrature."""

import numpy as np
import pytest
import scipy.integrate
import scipy.special
import tensorflow as tf

from keras_vae.geometry.sphere import (
    PowerSphericalAngle,
    VonMisesFisherAngle,
    log_area,
    unit,
)
from tests.twins import assert_gradients

LAWS = [VonMisesFisherAngle, PowerSphericalAngle]
every_law = pytest.mark.parametrize("law", LAWS, ids=lambda cls: cls.__name__)
every_dimension = pytest.mark.parametrize("dimension", [2, 3, 4, 5, 11, 30, 100])
KAPPAS = np.geomspace(1e-3, 1e4, 29)
# Powers and logarithms of up to some 500 cancel: so many times the dtype's rounding is left.
# The asymptotic series of the digamma function ends at 3e-13.
PRECISION = {"float64": (1e-11, 1e-11), "float32": (1e-6, 6e-5)}
every_precision = pytest.mark.parametrize("dtype", PRECISION)


def bessel(dimension):
    """Log normaliser and mean fall of von Mises and Fisher; NaN where SciPy underflows."""
    order = dimension / 2 - 1
    with np.errstate(all="ignore"):
        value = scipy.special.ive(order, KAPPAS)
        ratio = scipy.special.ive(order + 1, KAPPAS) / value
        log_normaliser = np.log(value) - order * np.log(KAPPAS)
    known = value > 1e-290
    log_normaliser += dimension / 2 * np.log(2 * np.pi)
    return np.where(known, log_normaliser, np.nan), np.where(known, 1 - ratio, np.nan)


def beta(dimension):
    """The same of the power spherical law."""
    b = (dimension - 1) / 2
    a = KAPPAS + b
    log_normaliser = (dimension - 2) * np.log(2) + scipy.special.betaln(a, b)
    log_normaliser += log_area(dimension - 1)
    return log_normaliser, scipy.special.digamma(a + b) - scipy.special.digamma(a)


@every_law
@every_dimension
@every_precision
def test_normaliser_is_scipys_in_value_and_derivative(law, dimension, dtype):
    kappa = tf.constant(KAPPAS, dtype)
    with tf.GradientTape() as tape:
        tape.watch(kappa)
        log_normaliser = law(dimension, kappa).log_normaliser()
    expected, fall = {VonMisesFisherAngle: bessel, PowerSphericalAngle: beta}[law](dimension)
    known = np.isfinite(expected)
    assert known.sum() > 15
    rtol, atol = PRECISION[dtype]
    np.testing.assert_allclose(log_normaliser[known], expected[known], rtol, atol)
    # 1 - ratio loses what the ratio has lost: 1e-16 / fall in SciPy's value, fall >= 1e-4.
    slope = tape.gradient(log_normaliser, kappa)
    np.testing.assert_allclose(-slope[known], fall[known], max(rtol, 2e-11))
    mean_fall = law(dimension, kappa).mean_fall()
    np.testing.assert_allclose(mean_fall[known], fall[known], max(rtol, 2e-11))


def weight(law, dimension, kappa, theta):
    """The density of the angle by its definition, 1 at most."""
    cosine = np.cos(theta)
    log_base = cosine - 1 if law is VonMisesFisherAngle else np.log((1 + cosine) / 2)
    return np.exp(kappa * log_base) * np.sin(theta) ** (dimension - 2)


def integral(function, low=0.0, high=np.pi):
    value, _ = scipy.integrate.quad(function, low, high, epsabs=1e-13, limit=400)
    return value


@every_law
@pytest.mark.parametrize("dimension", [2, 3, 5, 11])
@pytest.mark.parametrize("kappa", [0.3, 2.0, 40.0])
def test_moments_and_distribution_function_are_the_integrals(law, dimension, kappa):
    part = law(dimension, tf.constant([kappa], tf.float64))

    def density(t):
        return weight(law, dimension, kappa, t)

    mass = integral(density)
    mean = integral(lambda t: np.cos(t) * density(t)) / mass
    square = integral(lambda t: np.cos(t) ** 2 * density(t)) / mass
    expected = [mean, square - mean**2, 1 - square]
    result = np.ravel(part.cosine_moments())
    np.testing.assert_allclose(result, expected, rtol=1e-9, atol=1e-12)

    u = np.array([1e-5, 0.02, 0.3, 0.5, 0.8, 0.999])
    theta = part.angle(tf.constant(u[:, None]))
    below = [integral(density, 0.0, float(t)) / mass for t in theta[:, 0]]
    # An endpoint with an infinite slope costs digits: power spherical on the circle.
    np.testing.assert_allclose(below, u, rtol=1e-8, atol=5e-6 if dimension == 2 else 1e-8)


@pytest.mark.parametrize("dimension", [2, 3, 5, 11, 50])
@pytest.mark.parametrize(("dtype", "atol"), [("float64", 1e-9), ("float32", 4e-6)])
def test_power_spherical_angles_are_those_of_the_beta_distribution(dimension, dtype, atol):
    kappa, u = np.geomspace(1e-3, 1e4, 15), np.linspace(1e-5, 0.9999, 101)
    law = PowerSphericalAngle(dimension, tf.constant(kappa, dtype))
    theta = law.angle(tf.constant(np.repeat(u[:, None], len(kappa), 1), dtype))
    b = (dimension - 1) / 2
    below = scipy.special.betainc(b, kappa + b, np.sin(np.asarray(theta, "float64") / 2) ** 2)
    gap = np.abs(below - u[:, None])
    low = kappa < 5
    assert gap[:, ~low].max() < atol
    # There the density, a small power of the distance from the antipode, is no polynomial.
    assert gap[:, low].max() < max({2: 1e-4, 3: 1e-6}.get(dimension, 1e-9), atol)


@every_law
@pytest.mark.parametrize("dimension", [2, 3, 11])
def test_derivatives_are_those_of_finite_differences(law, dimension, rng):
    kappa = np.array([0.4, 3.0, 50.0])
    u = tf.constant(rng.uniform(0.01, 0.99, size=(9, 3)))
    # The error of the angles, up to 1e-11 and smooth, is divided by the step of 1e-5; on the
    # circle it is 1e-6, at the antipode.
    rtol = 1e-4 if dimension == 2 else 1e-6
    assert_gradients(lambda k: law(dimension, k).angle(u), kappa, rtol=rtol, atol=1e-6)
    assert_gradients(lambda k: law(dimension, k).log_normaliser(), kappa)
    assert_gradients(lambda k: law(dimension, k).entropy(), kappa)
    assert_gradients(lambda k: tf.stack(law(dimension, k).cosine_moments()), kappa)


@every_law
@pytest.mark.parametrize("dimension", [3, 11])
@pytest.mark.parametrize("kappa", [1.0, 100.0])
def test_derivative_of_the_angle_is_exact_in_the_tails(law, dimension, kappa):
    # By the implicit function, in SciPy: -(dF / dkappa) / f, with dF / dkappa from the tail.
    u = np.array([1e-6, 1e-3, 0.999, 1 - 1e-6])
    kappas = tf.constant([kappa], tf.float32)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(kappas)
        theta = law(dimension, kappas).angle(tf.constant(u[:, None], tf.float32))
        parts = tf.unstack(theta)
    slopes = [float(tape.gradient(t, kappas)[0]) for t in parts]

    def fall(t):
        log_base = np.cos(t) - 1 if law is VonMisesFisherAngle else np.log((1 + np.cos(t)) / 2)
        return -log_base

    def density(t):
        return weight(law, dimension, kappa, t)

    mean = integral(lambda t: fall(t) * density(t)) / integral(density)
    for slope, t in zip(slopes, np.asarray(theta[:, 0], "float64")):
        at = density(t)
        low, high = (0.0, t) if t < float(theta[1, 0]) + 1e-3 else (np.pi, t)
        change = integral(lambda s, at=at: (mean - fall(s)) * density(s) / at, low, high)
        np.testing.assert_allclose(slope, -change, rtol=1e-4)


@every_law
def test_angles_grow_with_u_and_stay_in_range(law):
    kappa = tf.constant([1e-4, 1.0, 1e3, 1e8])
    u = np.linspace(0, 1 - 2**-24, 1001, dtype="float32")
    theta = np.asarray(law(5, kappa).angle(tf.constant(np.repeat(u[:, None], 4, 1))))
    assert np.all(np.diff(theta, axis=0) >= 0)
    assert np.all((theta >= 0) & (theta <= np.float32(np.pi)))


def test_area_is_that_of_circle_and_sphere():
    np.testing.assert_allclose(log_area(2), np.log(2 * np.pi))
    np.testing.assert_allclose(log_area(3), np.log(4 * np.pi))
    np.testing.assert_allclose(log_area(1), np.log(2))  # two points


def test_unit_vectors_have_length_one_wherever_they_come_from():
    x = tf.constant([[0.0, 0.0], [1e-9, 1e-9], [3.0, 4.0], [-1e15, 0.0]])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = unit(x)
    expected = [[1, 0], [1, 0], [0.6, 0.8], [-1, 0]]
    np.testing.assert_allclose(y, expected, rtol=1e-6)
    assert np.isfinite(tape.gradient(y, x)).all()
