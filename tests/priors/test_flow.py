"""Flow priors: mass, densities by another way, gradients, fitting to latents."""

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from keras_vae import flows, numerics
from keras_vae.priors import Flow, StandardNormal
from keras_vae.terms import Context
from tests.twins import assert_gradients, assert_mean_is

CONTEXT = Context()


def spline_stack():
    return [
        flows.SplineCoupling(bins=4, limit=3.0, hidden=[6]),
        flows.Permutation(),
        flows.SplineAutoregressive(bins=3, limit=3.0, hidden=[6]),
    ]


def affine_stack():
    return [flows.MAF([6]), flows.Permutation(), flows.AffineCoupling([6]), flows.Radial()]


every_stack = pytest.mark.parametrize("stack", [affine_stack, spline_stack])


def built(steps=None, latent_dim=2, trained=True):
    p = Flow(steps)
    p.build((latent_dim,))
    rng = np.random.default_rng(6)
    for variable in p.trainable_variables if trained else []:
        # Many weights: small changes add up.
        variable.assign_add((0.3 if steps else 0.05) * rng.normal(size=variable.shape))
    if trained:
        p.loc.assign(np.linspace(-0.5, 0.5, latent_dim))
        p.scale.assign(np.linspace(0.8, 1.3, latent_dim))
    return p


@every_stack
def test_mass_is_one(stack, float64):
    p = built(stack())
    axis = np.linspace(-10, 10, 601)
    z = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
    density = np.exp(p.log_prob(tf.constant(z), CONTEXT))
    # The trapezoidal rule; a spline's slope has kinks, at which it converges as spacing**2.
    np.testing.assert_allclose(density.sum() * (axis[1] - axis[0]) ** 2, 1.0, rtol=1e-3)


@every_stack
def test_density_of_draws_is_that_of_the_normal_over_the_jacobian(stack, float64, rng):
    p = built(stack(), 3)
    epsilon = rng.normal(size=(20, 3))

    def sample(epsilon):
        return p.sample({"epsilon": tf.constant(epsilon)}, CONTEXT)

    columns = [(sample(epsilon + s) - sample(epsilon - s)) / 2e-6 for s in 1e-6 * np.eye(3)]
    _, log_det = np.linalg.slogdet(np.stack(columns, -1))
    expected = scipy.stats.norm.logpdf(epsilon).sum(-1) - log_det
    # Rounding of the differences: 1e-16 / 1e-6, and the curvature of the spline.
    np.testing.assert_allclose(p.log_prob(sample(epsilon), CONTEXT), expected, atol=1e-5)


@every_stack
def test_gradients_are_those_of_finite_differences(stack, float64, rng):
    p = built(stack())
    assert_gradients(lambda z: p.log_prob(z, CONTEXT), rng.normal(size=(3, 2)))
    z = tf.constant(rng.normal(size=(3, 2)))
    for variable in p.trainable_variables[::3]:
        with tf.GradientTape() as tape:
            total = tf.reduce_sum(p.log_prob(z, CONTEXT))
        gradient = np.asarray(tape.gradient(total, variable.value))
        before = variable.numpy()
        direction = rng.normal(size=before.shape)
        sides = []
        for step in (1e-5, -1e-5):
            variable.assign(before + step * direction)
            sides.append(float(tf.reduce_sum(p.log_prob(z, CONTEXT))))
        variable.assign(before)
        expected = (sides[0] - sides[1]) / 2e-5
        np.testing.assert_allclose(np.sum(gradient * direction), expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("steps", [None, []], ids=["default", "none"])
@pytest.mark.parametrize("latent_dim", [1, 2, 5])
def test_it_begins_as_a_standard_normal(steps, latent_dim, float64, rng):
    p, standard = built(steps, latent_dim, trained=False), StandardNormal()
    standard.build((latent_dim,))
    z = tf.constant(rng.normal(size=(4, 3, latent_dim)))
    np.testing.assert_allclose(
        p.log_prob(z, CONTEXT), standard.log_prob(z, CONTEXT), rtol=1e-12
    )
    draws = p.sample({"epsilon": z}, CONTEXT)
    # Four reversals of the order restore it.
    np.testing.assert_allclose(draws, z, rtol=1e-12)


def test_default_can_change_every_dimension(float64, rng):
    p = built(None, 5)
    epsilon = rng.normal(size=(6, 5))
    z = p.sample({"epsilon": tf.constant(epsilon)}, CONTEXT)
    assert np.all(np.abs(z - (p.loc.numpy() + p.scale.numpy() * epsilon)) > 1e-6)


def two_moons(rng, size):
    """Two half circles, far from the origin and on scales of their own."""
    angle, upper = rng.uniform(0, np.pi, size), rng.integers(0, 2, size)
    x = np.where(upper, np.cos(angle), 1 - np.cos(angle))
    y = np.where(upper, np.sin(angle), 0.5 - np.sin(angle))
    return np.stack([x, y], -1) * [20.0, 0.5] + rng.normal(size=(size, 2)) * [2.0, 0.05] + 30


def best_normal(latents, test):
    fitted = scipy.stats.multivariate_normal(latents.mean(0), np.cov(latents.T))
    return fitted.logpdf(test).mean()


@pytest.mark.thorough
def test_fit_finds_a_density_that_no_normal_has(rng):
    latents, test = two_moons(rng, 2000), two_moons(rng, 2000)
    p = Flow()
    p.build((2,))
    assert p.fit_to(latents, steps=500, seed=1) is None
    fitted = np.mean(p.log_prob(tf.constant(test, tf.float32), CONTEXT))
    assert fitted > best_normal(latents, test) + 0.5
    # Draws lie where the data lies.
    noise = numerics.draw_noise(p.noise_spec(), [2000], numerics.key_from_seed(0))
    draws = p.sample(noise, CONTEXT).numpy()
    np.testing.assert_allclose(draws.mean(0), test.mean(0), rtol=0.03)
    np.testing.assert_allclose(draws.std(0), test.std(0), rtol=0.1)


def test_fit_repeats_with_its_seed_and_takes_any_scale(rng):
    latents = 1e3 * rng.normal(size=(50, 2)) - 1e4
    results = []
    for seed in (1, 1, 2):
        p = Flow([flows.MAF([8])])
        p.build((2,))
        for variable in p.trainable_variables:
            variable.assign(0.1 * np.random.default_rng(0).normal(size=variable.shape))
        p.fit_to(latents, steps=5, batch_size=10, seed=seed)
        results.append(p.log_prob(tf.constant(latents, tf.float32), CONTEXT).numpy())
    assert np.isfinite(results).all()
    np.testing.assert_array_equal(results[0], results[1])
    assert np.any(results[0] != results[2])


def test_fit_of_no_flows_is_the_normal_of_these_moments(float64, rng):
    latents = rng.normal(size=(500, 2)) * [3.0, 0.2] + [7.0, -1.0]
    p = built([], trained=False)
    p.fit_to(latents)
    expected = scipy.stats.norm.logpdf(
        latents, latents.mean(0), latents.std(0) + numerics.SCALE_FLOOR
    )
    result = p.log_prob(tf.constant(latents), CONTEXT)
    np.testing.assert_allclose(result, expected.sum(-1), rtol=1e-10)


def test_fit_of_a_latent_that_never_changes_stays_finite():
    latents = np.stack([np.linspace(-1, 1, 20), np.ones(20)], -1)
    p = Flow([flows.SplineCoupling(hidden=[8])])
    p.build((2,))
    p.fit_to(latents, steps=3)
    assert np.isfinite(p.log_prob(tf.constant(latents, tf.float32), CONTEXT)).all()


def test_draws_follow_the_density(float64):
    # E_p[r / p] over draws is 1 for any density r within the support of p.
    p = built(spline_stack())
    noise = numerics.draw_noise(p.noise_spec(), [20_000], numerics.key_from_seed(0))
    z = p.sample(noise, CONTEXT)
    loc, scale = z.numpy().mean(0), 0.5 * z.numpy().std(0)
    narrow = scipy.stats.norm.logpdf(z, loc, scale).sum(-1)
    assert_mean_is(np.exp(narrow - p.log_prob(z, CONTEXT)), 1.0)


@pytest.mark.parametrize(
    "bad", [np.zeros([3, 4]), np.zeros(2), np.full([3, 2], np.nan), np.zeros([1, 2]), 1.0]
)
def test_bad_latents_are_refused(bad):
    with pytest.raises(ValueError, match=r"`latents` must be finite, at least two, of shape"):
        built().fit_to(bad)


def test_flows_that_do_not_suit_a_prior_are_refused():
    with pytest.raises(ValueError, match=r"Planar has no inverse\. Use flows\.AffineCoupling"):
        Flow([flows.Planar()])
    with pytest.raises(ValueError, match="IAF takes parameters from the encoder"):
        Flow([flows.IAF(context_size=1)])
    with pytest.raises(TypeError, match=r"`flows` must be a list of keras_vae\.flows"):
        Flow(flows.MAF())
    with pytest.raises(ValueError, match="needs latents that are vectors"):
        Flow().build((2, 3))
