"""Laplace, logistic and Student likelihoods against SciPy and quadrature."""

import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from keras_vae.likelihoods import Laplace, Logistic, Normal, StudentT
from keras_vae.terms import Context
from tests.twins import assert_gradients, finite_differences, integral

TRAINING = Context(training=True)
FAMILIES = {
    "Laplace": (Laplace, {}, scipy.stats.laplace),
    "Logistic": (Logistic, {}, scipy.stats.logistic),
    "StudentT": (StudentT, {"df": 3.5}, scipy.stats.t(df=3.5)),
}
every_family = pytest.mark.parametrize(
    ("cls", "arguments", "twin"), FAMILIES.values(), ids=FAMILIES
)


def built(cls, event_shape=(2, 3), **arguments):
    p = cls(**arguments)
    p.build(event_shape)
    return p


def decoded(p, rng, samples=4, batch=3):
    shape = (samples, batch, *p.params_shape(p.event_shape))
    return tf.constant(rng.normal(size=shape)), tf.constant(rng.normal(size=(batch, 2, 3)))


def log_density(twin, x, location, scale):
    return twin.logpdf((x - location) / scale) - np.log(scale)


@every_family
def test_fixed_scale(float64, rng, cls, arguments, twin):
    p = built(cls, scale=0.3, **arguments)
    params, x = decoded(p, rng)
    expected = log_density(twin, np.asarray(x), params, 0.3).sum((-2, -1))
    np.testing.assert_allclose(p.log_prob(params, x), expected, rtol=1e-12)
    np.testing.assert_array_equal(p.mean(params), params)


@every_family
def test_learned_and_predicted_scales(float64, rng, cls, arguments, twin):
    p = built(cls, scale="learned", min_scale=0.05, **arguments)
    params, x = decoded(p, rng)
    p.raw_scale.assign(-0.4)
    scale = np.logaddexp(0, -0.4) + 0.05
    expected = log_density(twin, np.asarray(x), params, scale).sum((-2, -1))
    np.testing.assert_allclose(p.log_prob(params, x), expected, rtol=1e-12)

    p = built(cls, scale="predicted", min_scale=0.05, **arguments)
    params, x = decoded(p, rng)
    scale = np.logaddexp(0, params[..., 3:]) + 0.05
    expected = log_density(twin, np.asarray(x), params[..., :3], scale).sum((-2, -1))
    np.testing.assert_allclose(p.log_prob(params, x), expected, rtol=1e-12)


@every_family
def test_mass_is_one(float64, cls, arguments, twin):
    p = built(cls, (1,), scale=0.4, **arguments)
    mass = integral(
        lambda x: np.exp(p.log_prob(tf.constant([[0.3]], tf.float64), x[:, None])),
        low=-300.3,
        high=300.3,
    )
    # Laplace has a kink, Student a tail beyond of 1e-9.
    np.testing.assert_allclose(mass, 1.0, rtol=1e-6)


@every_family
@pytest.mark.parametrize("scale", [0.4, "learned", "predicted"])
def test_gradients_are_those_of_finite_differences(float64, rng, cls, arguments, twin, scale):
    p = built(cls, scale=scale, **arguments)
    params, x = decoded(p, rng, samples=1, batch=2)
    assert_gradients(p.log_prob, params.numpy(), x.numpy())


@every_family
def test_draws_have_the_distribution_function_of_scipy(float64, cls, arguments, twin):
    p = built(cls, (1,), scale=0.5, **arguments)
    draws = p.sample(tf.fill([20_000, 1], tf.constant(0.3, tf.float64)), seed=4)
    z = (np.asarray(draws)[:, 0] - 0.3) / 0.5
    # A fixed seed: it either always passes or never does.
    assert scipy.stats.kstest(z, twin.cdf).pvalue > 1e-3


@every_family
@pytest.mark.parametrize("raw", [-50.0, 50.0])
@pytest.mark.parametrize("location", [-50.0, 50.0])
def test_extreme_parameters_stay_finite(cls, arguments, twin, location, raw):
    p = built(cls, (1,), scale="predicted", **arguments)
    params = tf.constant([[[location, raw]]])
    with tf.GradientTape() as tape:
        tape.watch(params)
        value = p.log_prob(params, tf.constant([[-3.0]]))
    assert np.isfinite(value).all()
    assert np.isfinite(tape.gradient(value, params)).all()
    assert np.isfinite(p.sample(params, seed=1)).all()


@pytest.mark.parametrize("cls", [Logistic, StudentT])
def test_only_closed_forms_have_an_optimal_scale(cls):
    with pytest.raises(ValueError, match=r"`scale` must be one of .*'optimal'") as error:
        cls(scale="optimal")
    assert "'optimal'" not in str(error.value).split("Received")[0]


# Laplace: the optimal scale is the mean absolute error.


def test_optimal_scale_of_laplace_maximises_the_likelihood(float64, rng):
    p = built(Laplace, scale="optimal")
    params, x = decoded(p, rng)
    mask = rng.integers(0, 2, size=x.shape).astype(bool)
    total = tf.reduce_sum(p.log_prob(params, tf.where(mask, x, np.nan), mask, TRAINING))
    error = np.abs(np.asarray(x - params))[:, mask]
    expected = -error.size * (np.log(2 * error.mean()) + 1)
    np.testing.assert_allclose(total, expected, rtol=1e-12)
    # The first batch is all that is known afterwards.
    twin = scipy.stats.laplace(scale=error.mean())
    after = twin.logpdf(np.asarray(x - params)).sum((-2, -1))
    np.testing.assert_allclose(p.log_prob(params, x), after, rtol=1e-10)


def test_optimal_scale_of_laplace_gives_the_gradient_of_the_profile_likelihood(float64, rng):
    p = built(Laplace, scale="optimal")
    params, x = decoded(p, rng, samples=2)
    assert_gradients(lambda params: p.log_prob(params, x, None, TRAINING), params.numpy())


# Student: degrees of freedom.


def test_learned_degrees_of_freedom(float64, rng):
    p = built(StudentT, scale=0.7)
    params, x = decoded(p, rng)
    start = scipy.stats.t.logpdf(x, 10, params, 0.7).sum((-2, -1))
    np.testing.assert_allclose(p.log_prob(params, x), start, rtol=1e-6)

    def total(raw):
        p.raw_df.assign(raw)
        return tf.reduce_sum(p.log_prob(params, x))

    expected = scipy.stats.t.logpdf(x, 1 + np.logaddexp(0, 0.3), params, 0.7).sum()
    with tf.GradientTape() as tape:
        value = total(0.3)
    np.testing.assert_allclose(value, expected, rtol=1e-12)
    gradient = tape.gradient(value, p.raw_df.value)
    np.testing.assert_allclose(gradient, finite_differences(total, np.array(0.3)), rtol=1e-7)


def test_degrees_of_freedom_are_found(rng):
    x = tf.constant(rng.standard_t(3, size=(20_000, 1)), tf.float32)
    p = built(StudentT, (1,))
    optimizer = keras.optimizers.Adam(0.1)
    optimizer.build(p.trainable_variables)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(p.log_prob(tf.zeros([1, 20_000, 1]), x))
        optimizer.apply(tape.gradient(loss, p.trainable_variables))

    for _ in range(150):
        step()
    # The standard error of the likeliest value is 0.06 here.
    np.testing.assert_allclose(p.family(tf.zeros(1), tf.ones(1)).df, 3.0, atol=0.3)


@pytest.mark.parametrize("df", [1e4, 1e8, 1e12])
def test_student_with_many_degrees_of_freedom_is_normal_in_single_precision(df):
    params, x = tf.constant([[[0.3]]]), tf.constant([[1.7]])
    student, normal = built(StudentT, (1,), df=df), built(Normal, (1,))
    # The densities differ by z**4 / (4 df) and the like: 1e-4.
    np.testing.assert_allclose(
        student.log_prob(params, x), normal.log_prob(params, x), atol=1e-4
    )


@pytest.mark.parametrize("df", [1, 0.5, -1, float("nan")])
def test_degrees_of_freedom_without_a_mean_are_refused(df):
    with pytest.raises(ValueError, match=r"`df` must be above 1. Received: df="):
        StudentT(df)


def test_unknown_degrees_of_freedom_are_refused():
    with pytest.raises(ValueError, match=r"`df` must be one of \('learned',\).*df='many'"):
        StudentT("many")


@every_family
def test_scales_that_are_not_positive_are_refused(cls, arguments, twin):
    with pytest.raises(ValueError, match="`scale` must be positive"):
        cls(scale=0.0, **arguments)
    with pytest.raises(ValueError, match="`min_scale` must be positive"):
        cls(min_scale=0.0, **arguments)
