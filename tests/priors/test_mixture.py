"""The mixture of normals against SciPy and quadrature."""

import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf

from keras_vae.numerics import SCALE_FLOOR
from keras_vae.posteriors import DiagonalNormal
from keras_vae.priors import NormalMixture, StandardNormal
from keras_vae.terms import Context
from tests.twins import assert_gradients, assert_mean_is, integral

LOGITS = np.array([0.0, 1.0, -0.5])


def mixture(rng, latent_dim=2, components=3):
    p = NormalMixture(components)
    p.build((latent_dim,))
    p.logits.assign(LOGITS[:components])
    p.loc.assign(rng.normal(size=(components, latent_dim)) * 2)
    p.raw_scale.assign(rng.normal(size=(components, latent_dim)))
    return p


def scales_of(p):
    return np.logaddexp(0.0, p.raw_scale.numpy()) + SCALE_FLOOR


def log_density(p, z):
    """By its definition, with SciPy's normals."""
    log_weights = scipy.special.log_softmax(p.logits.numpy())
    by_component = scipy.stats.norm.logpdf(z[..., None, :], p.loc.numpy(), scales_of(p))
    return scipy.special.logsumexp(log_weights + by_component.sum(-1), axis=-1)


def test_density_is_the_weighted_sum_of_normals(float64, rng):
    p, z = mixture(rng), rng.normal(size=(4, 3, 2)) * 3
    result = p.log_prob(tf.constant(z), Context())
    np.testing.assert_allclose(result, log_density(p, z), rtol=1e-12)


def test_mass_is_one(float64, rng):
    p = mixture(rng, latent_dim=1)
    mass = integral(lambda z: np.exp(p.log_prob(z[:, None], Context())))
    np.testing.assert_allclose(mass, 1.0, rtol=1e-9)


def test_draws_pick_components_by_their_weights(float64, rng):
    p = mixture(rng)
    edges = np.cumsum(scipy.special.softmax(LOGITS))
    uniform = np.array([0.0, edges[0] - 1e-9, edges[0] + 1e-9, edges[1] + 1e-9, 1 - 1e-16])
    epsilon = rng.normal(size=(5, 2))
    expected = p.loc.numpy()[[0, 0, 1, 2, 2]] + scales_of(p)[[0, 0, 1, 2, 2]] * epsilon
    noise = {"component": tf.constant(uniform), "epsilon": tf.constant(epsilon)}
    np.testing.assert_allclose(p.sample(noise, Context()), expected, rtol=1e-12)


def test_rounding_of_the_cumulative_weights_never_points_past_the_last_component():
    p = NormalMixture(1000)
    p.build((1,))
    p.loc.assign(np.arange(1000.0)[:, None])
    largest = np.nextafter(np.float32(1), np.float32(0))
    noise = {"component": tf.constant([largest]), "epsilon": tf.zeros([1, 1])}
    np.testing.assert_array_equal(p.sample(noise, Context()), [[999.0]])


def test_gradients_are_those_of_finite_differences(float64, rng):
    p = mixture(rng)
    z = tf.constant(rng.normal(size=(3, 2)))
    assert_gradients(lambda z: p.log_prob(z, Context()), z.numpy())
    for variable in p.trainable_variables:
        with tf.GradientTape() as tape:
            total = tf.reduce_sum(p.log_prob(z, Context()))
        gradient = np.asarray(tape.gradient(total, variable.value))
        before = variable.numpy()
        for index in np.ndindex(before.shape):
            sides = []
            for step in (1e-5, -1e-5):
                moved = before.copy()
                moved[index] += step
                variable.assign(moved)
                sides.append(float(tf.reduce_sum(p.log_prob(z, Context()))))
            variable.assign(before)
            # Rounding of the differences: about 1e-16 * |value| / 1e-5.
            np.testing.assert_allclose(
                gradient[index], (sides[0] - sides[1]) / 2e-5, rtol=1e-6, atol=1e-8
            )


def test_kl_of_a_normal_is_the_integral(float64, rng):
    q, p = DiagonalNormal(1), mixture(rng, latent_dim=1)
    params = tf.constant([[0.4, 0.2]], tf.float64)
    m, s = 0.4, float(q.scale(params)[0, 0])

    def integrand(z):
        log_q = scipy.stats.norm.logpdf(z, m, s)
        return np.exp(log_q) * (log_q - log_density(p, np.asarray(z)[:, None]))

    expected = integral(integrand)
    epsilon = tf.constant(rng.normal(size=(20_000, 1, 1)))
    draw = q.sample_and_log_prob(params, {"epsilon": epsilon}, Context())
    log_ratio = (draw.log_prob - p.log_prob(draw.latents, Context()))[:, 0]
    assert_mean_is(log_ratio, expected)
    np.testing.assert_allclose(
        p.kl(q, params, draw, Context()), [[np.mean(log_ratio)]], rtol=1e-12
    )


def test_one_component_at_zero_is_the_standard_normal(float64, rng):
    one, standard = NormalMixture(1, spread=0.0), StandardNormal()
    one.build((2,))
    standard.build((2,))
    z = tf.constant(rng.normal(size=(4, 3, 2)))
    # Keras rounds the value of a constant initializer, here of the scale, to float32.
    np.testing.assert_allclose(
        one.log_prob(z, Context()), standard.log_prob(z, Context()), rtol=1e-7
    )
    noise = {"component": tf.constant([0.9], tf.float64), "epsilon": z[0, :1]}
    np.testing.assert_allclose(one.sample(noise, Context()), z[0, :1], rtol=1e-7)


def test_it_starts_with_equal_weights_unit_scales_and_spread_means():
    p = NormalMixture(500, spread=3.0)
    p.build((4,))
    np.testing.assert_array_equal(p.logits, np.zeros(500))
    np.testing.assert_allclose(scales_of(p), 1.0, rtol=1e-5)
    # Standard error of a standard deviation over 2000 draws: 3 / sqrt(4000).
    np.testing.assert_allclose(p.loc.numpy().std(), 3.0, atol=5 * 3 / np.sqrt(4000))
    assert len(p.trainable_variables) == 3


def test_far_away_latents_stay_finite(rng):
    p = NormalMixture(3)
    p.build((2,))
    z = tf.constant([[[1e4, -1e4]]])
    with tf.GradientTape() as tape:
        tape.watch(z)
        value = p.log_prob(z, Context())
    assert np.isfinite(value).all()
    assert np.isfinite(tape.gradient(value, z)).all()


@pytest.mark.parametrize("bad", [0, -1, 2.0, None])
def test_bad_number_of_components_is_refused(bad):
    with pytest.raises(ValueError, match=r"`components` must be an integer >= 1\. Received:"):
        NormalMixture(bad)


def test_negative_spread_is_refused():
    with pytest.raises(ValueError, match=r"`spread` must be >= 0\. Received: spread=-1\."):
        NormalMixture(spread=-1)


def full_mixture(rng):
    p = NormalMixture(3, covariance="full")
    p.build((3,))
    p.logits.assign(LOGITS)
    for variable in (p.loc, p.raw_scale, p.below_diagonal):
        variable.assign(rng.normal(size=variable.shape))
    return p


def covariances_of(p):
    factor = np.zeros([3, 3, 3])
    factor[:, [1, 2, 2], [0, 0, 1]] = p.below_diagonal.numpy()
    factor[:, range(3), range(3)] = scales_of(p)
    return factor, factor @ factor.transpose(0, 2, 1)


def test_full_covariances_have_the_density_of_scipy(float64, rng):
    p, z = full_mixture(rng), rng.normal(size=(4, 3, 3)) * 3
    _, covariances = covariances_of(p)
    by_component = [
        scipy.stats.multivariate_normal.logpdf(z, m, c)
        for m, c in zip(p.loc.numpy(), covariances)
    ]
    log_weights = scipy.special.log_softmax(LOGITS)
    expected = scipy.special.logsumexp(log_weights + np.stack(by_component, -1), axis=-1)
    # SciPy inverts the covariances by their eigenvalues.
    np.testing.assert_allclose(p.log_prob(tf.constant(z), Context()), expected, rtol=1e-9)


def test_full_covariances_shape_the_draws(float64, rng):
    p, epsilon = full_mixture(rng), rng.normal(size=(2, 3))
    factor, _ = covariances_of(p)
    noise = {
        "component": tf.constant([0.0, 1 - 1e-9], tf.float64),
        "epsilon": tf.constant(epsilon),
    }
    expected = p.loc.numpy()[[0, 2]] + np.einsum("kij,kj->ki", factor[[0, 2]], epsilon)
    np.testing.assert_allclose(p.sample(noise, Context()), expected, rtol=1e-12)


def test_full_covariances_start_as_the_diagonal_ones():
    p = NormalMixture(3, covariance="full")
    p.build((3,))
    np.testing.assert_allclose(
        p.distribution(Context()).components_distribution.covariance(),
        np.broadcast_to(np.eye(3), (3, 3, 3)),
        rtol=1e-5,
    )


@pytest.mark.parametrize("covariance", ["diagonal", "full"])
def test_fitting_is_that_of_scikit_learn(rng, covariance):
    from sklearn.mixture import GaussianMixture

    spread = np.array([[1.0, 0.0], [0.8, 0.4]])
    latents = np.concatenate(
        [rng.normal(size=(300, 2)) @ spread + 5, rng.normal(size=(100, 2))]
    )
    p = NormalMixture(2, covariance=covariance)
    p.build((2,))
    p.fit_to(latents)
    kind = {"diagonal": "diag", "full": "full"}[covariance]
    fitted = GaussianMixture(2, covariance_type=kind, random_state=0).fit(latents)
    result = p.log_prob(tf.constant(latents, tf.float32), Context())
    # Weights are float32.
    np.testing.assert_allclose(result, fitted.score_samples(latents), rtol=1e-4, atol=1e-4)
    # Better than the truth that knows nothing of the data, and than what it began with.
    start = NormalMixture(2, covariance=covariance)
    start.build((2,))
    assert np.mean(result) > np.mean(
        start.log_prob(tf.constant(latents, tf.float32), Context())
    )


def test_fitting_keeps_scales_above_the_floor():
    p = NormalMixture(1)
    p.build((2,))
    p.fit_to(np.ones([50, 2]))
    assert np.isfinite(p.raw_scale.numpy()).all()
    # Scikit-learn adds 1e-6 to the variances.
    np.testing.assert_allclose(scales_of(p), 1e-3, rtol=1e-3)


@pytest.mark.parametrize("shape", [(1, 2), (50, 3), (50,)])
def test_fitting_wants_enough_latents_of_the_right_shape(shape):
    p = NormalMixture(2)
    p.build((2,))
    with pytest.raises(
        ValueError, match=r"at least 2 latents of shape \(2,\)\. Received: shape"
    ):
        p.fit_to(np.zeros(shape))


def test_unknown_covariance_is_refused():
    with pytest.raises(ValueError, match=r"`covariance` must be one of .*'diagonal', 'full'"):
        NormalMixture(covariance="diag")
