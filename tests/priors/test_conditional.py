"""The conditional normal against SciPy, quadrature and the standard normal."""

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from keras_vae import numerics
from keras_vae.posteriors import DiagonalNormal, FullCovarianceNormal, Laplace, LogisticNormal
from keras_vae.priors import ConditionalNormal, StandardNormal
from keras_vae.terms import Context, Support
from tests.twins import assert_gradients, assert_mean_is, integral


def built(rng=None, latent_dim=2, condition_shape=(3,)):
    p = ConditionalNormal(units=[4])
    p.bind((5,), Support(), condition_shape)
    p.build((latent_dim,))
    if rng is not None:
        for variable in p.trainable_variables:
            variable.assign(rng.normal(size=variable.shape))
    return p


def of(condition):
    return Context(condition=tf.constant(condition))


def loc_and_scale(p, condition):
    """The network, written out."""
    kernel, bias, to_loc, loc_bias, to_scale, scale_bias = (w.numpy() for w in p.weights)
    hidden = condition.reshape(len(condition), -1) @ kernel + bias
    hidden = hidden / (1 + np.exp(-hidden))
    raw = hidden @ to_scale + scale_bias
    return hidden @ to_loc + loc_bias, np.logaddexp(0, raw) + numerics.SCALE_FLOOR


@pytest.mark.parametrize("condition_shape", [(3,), (2, 2, 1)])
def test_each_example_has_the_normal_of_its_condition(float64, rng, condition_shape):
    p = built(rng, condition_shape=condition_shape)
    condition = rng.normal(size=(3, *condition_shape))
    loc, scale = loc_and_scale(p, condition)
    z = rng.normal(size=(4, 3, 2))
    expected = scipy.stats.norm.logpdf(z, loc, scale)
    result = p.log_prob(tf.constant(z), of(condition))
    np.testing.assert_allclose(result, expected.sum(-1), rtol=1e-10)
    by_dimension = p.log_prob_per_dimension(tf.constant(z), of(condition))
    np.testing.assert_allclose(by_dimension, expected, rtol=1e-10)
    for leading in ((3,), (4, 3)):
        epsilon = rng.normal(size=(*leading, 2))
        drawn = p.sample({"epsilon": tf.constant(epsilon)}, of(condition))
        np.testing.assert_allclose(drawn, loc + scale * epsilon, rtol=1e-10)


def test_it_starts_as_the_standard_normal(rng):
    p, standard = built(), StandardNormal()
    standard.build((2,))
    z = tf.constant(rng.normal(size=(4, 3, 2)), tf.float32)
    condition = rng.normal(size=(3, 3)).astype("float32")
    np.testing.assert_allclose(
        p.log_prob(z, of(condition)), standard.log_prob(z, Context()), rtol=1e-5
    )


@pytest.mark.parametrize("q", [DiagonalNormal(1), Laplace(1)], ids=["normal", "laplace"])
def test_kl_is_the_integral_for_each_condition(float64, rng, q):
    p, condition = built(rng, latent_dim=1), rng.normal(size=(3, 3))
    params = tf.constant(rng.normal(size=(3, 2)))
    loc, scale = loc_and_scale(p, condition)
    noise = numerics.draw_noise(q.noise_spec(), [1, 3], numerics.key_from_seed(0))
    draw = q.sample_and_log_prob(params, noise, of(condition))
    kl = p.kl(q, params, draw, of(condition))
    for row in range(3):

        def integrand(z, row=row):
            log_q = q.log_prob(params[row : row + 1], z[:, None, None], Context())[:, 0]
            return np.exp(log_q) * (log_q - scipy.stats.norm.logpdf(z, loc[row], scale[row]))

        # Laplace has a kink, which costs accuracy.
        np.testing.assert_allclose(kl[row, 0], integral(integrand, -50, 50), rtol=1e-5)


def test_kl_of_dependent_latents_is_the_mean_log_ratio(float64, rng):
    q, p = FullCovarianceNormal(2), built(rng)
    params = tf.repeat(tf.constant(rng.normal(size=(1, 5))), 20_000, axis=0)
    context = of(rng.normal(size=(1, 3)))
    noise = numerics.draw_noise(q.noise_spec(), [1, 20_000], numerics.key_from_seed(0))
    draw = q.sample_and_log_prob(params, noise, context)
    kl = p.kl(q, params, draw, context)
    assert kl.shape == (20_000, 1)
    assert_mean_is((draw.log_prob - p.log_prob(draw.latents, context))[0], kl[0, 0])


def test_without_moments_the_kl_is_estimated(rng):
    q, p = LogisticNormal(2), built()
    params = tf.constant(rng.normal(size=(3, 2)), tf.float32)
    noise = numerics.draw_noise(q.noise_spec(), [4, 3], numerics.key_from_seed(0))
    context = of(rng.normal(size=(3, 3)).astype("float32"))
    draw = q.sample_and_log_prob(params, noise, context)
    np.testing.assert_array_equal(
        p.kl(q, params, draw, context), p.monte_carlo_kl(q, params, draw, context)
    )


def test_gradients_are_those_of_finite_differences(float64, rng):
    p = built(rng)
    assert_gradients(
        lambda z, condition: p.log_prob(z, Context(condition=condition)),
        rng.normal(size=(2, 3, 2)),
        rng.normal(size=(3, 3)),
    )


def test_it_says_what_it_lacks():
    with pytest.raises(ValueError, match=r"needs conditions. Received: condition_shape=None"):
        built(condition_shape=None)
    with pytest.raises(ValueError, match=r"needs a condition. Received: context"):
        built().log_prob(tf.zeros([1, 3, 2]), Context())
    with pytest.raises(ValueError, match=r"`units` must be a list of positive integers"):
        ConditionalNormal(units=[0])
