"""Posteriors pushed through flows: mass, densities by another way, gradients, training."""

import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

import keras_vae
from keras_vae import flows, numerics
from keras_vae.posteriors import Deterministic, DiagonalNormal, Flow, FullCovarianceNormal
from keras_vae.terms import Context
from tests.twins import assert_gradients, assert_mean_is

CONTEXT = Context()


def stack():
    """One of each kind that has an inverse, amortised where it can be."""
    return [
        flows.IAF([6], context_size=2),
        flows.Permutation(),
        flows.SplineCoupling(bins=4, limit=3.0, hidden=[6], context_size=1),
        flows.Radial(amortised=True),
        flows.AffineCoupling([6]),
    ]


def planar_stack():
    return [flows.Planar(amortised=True), flows.Planar()]


def built(base=None, steps=None):
    """A posterior with weights as if trained."""
    q = Flow(base or DiagonalNormal(2), stack() if steps is None else steps)
    q.build(None)
    rng = np.random.default_rng(6)
    for variable in q.trainable_variables:
        variable.assign_add(0.3 * rng.normal(size=variable.shape))
    return q


def some_params(q, batch=1):
    return tf.constant(0.6 * np.random.default_rng(4).normal(size=(batch, *q.params_shape)))


def grid(low=-16.0, high=16.0, points=501):
    axis = np.linspace(low, high, points)
    return tf.constant(np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 1, 2)), axis[1] - axis[
        0
    ]


@pytest.mark.parametrize("base", [DiagonalNormal(2), FullCovarianceNormal(2)])
def test_mass_is_one(base, float64):
    q = built(base)
    z, spacing = grid()
    density = np.exp(q.log_prob(some_params(q), z, CONTEXT))
    # The trapezoidal rule; the spline's slope has kinks, at which it converges as spacing**2.
    np.testing.assert_allclose(density.sum() * spacing**2, 1.0, rtol=2e-4)


@pytest.mark.parametrize("steps", [stack, planar_stack])
def test_log_prob_of_draws_is_the_base_density_over_the_jacobian(steps, float64, rng):
    q = built(steps=steps())
    params = some_params(q)
    epsilon = rng.normal(size=(20, 1, 2))

    def latents(epsilon):
        return q.sample_and_log_prob(params, {"epsilon": epsilon}, CONTEXT).latents

    draw = q.sample_and_log_prob(params, {"epsilon": tf.constant(epsilon)}, CONTEXT)
    columns = [
        (latents(tf.constant(epsilon + s)) - latents(tf.constant(epsilon - s))) / 2e-6
        for s in 1e-6 * np.eye(2)
    ]
    _, log_det = np.linalg.slogdet(np.stack(columns, -1)[:, 0])
    expected = scipy.stats.norm.logpdf(epsilon).sum(-1)[:, 0] - log_det
    # Rounding of the differences: 1e-16 / 1e-6, and the curvature of the spline.
    np.testing.assert_allclose(draw.log_prob[:, 0], expected, rtol=1e-6, atol=1e-6)
    if q.evaluable:
        again = q.log_prob(params, draw.latents, CONTEXT)
        np.testing.assert_allclose(again, draw.log_prob, rtol=1e-9, atol=1e-9)


def test_planar_density_of_draws_is_that_of_a_histogram(float64):
    # No inverse, no density at a point: but the mean of 1 / q over draws in a box is its area.
    q = built(steps=planar_stack())
    noise = numerics.draw_noise(q.noise_spec(), [200_000, 1], numerics.key_from_seed(0))
    draw = q.sample_and_log_prob(some_params(q), noise, CONTEXT)
    z = draw.latents.numpy()[:, 0]
    centre = np.median(z, axis=0)
    inside = np.all(np.abs(z - centre) < 0.4, axis=-1)
    assert_mean_is(np.where(inside, np.exp(-draw.log_prob.numpy()[:, 0]), 0.0), 0.64)


def test_no_flows_leave_the_base(float64, rng):
    base = DiagonalNormal(2)
    q, params = built(base, []), tf.constant(rng.normal(size=(3, 4)))
    assert q.params_shape == base.params_shape
    noise = {"epsilon": tf.constant(rng.normal(size=(5, 3, 2)))}
    draw, expected = (p.sample_and_log_prob(params, noise, CONTEXT) for p in (q, base))
    np.testing.assert_array_equal(draw.latents, expected.latents)
    np.testing.assert_array_equal(draw.log_prob, expected.log_prob)
    z = tf.constant(rng.normal(size=(5, 3, 2)))
    np.testing.assert_allclose(
        q.log_prob(params, z, CONTEXT), base.log_prob(params, z, CONTEXT), rtol=1e-12
    )
    np.testing.assert_array_equal(q.point(params), base.point(params))


@pytest.mark.parametrize("steps", [stack, planar_stack])
def test_gradients_are_those_of_finite_differences(steps, float64, rng):
    q = built(steps=steps())
    epsilon = rng.normal(size=(2, 1, 2))

    def total(params, epsilon):
        draw = q.sample_and_log_prob(params, {"epsilon": epsilon}, CONTEXT)
        return draw.log_prob + tf.reduce_sum(draw.latents**2, -1)

    assert_gradients(total, some_params(q).numpy(), epsilon)
    if q.evaluable:
        z = rng.normal(size=(2, 1, 2))
        assert_gradients(lambda p, z: q.log_prob(p, z, CONTEXT), some_params(q).numpy(), z)


def test_distribution_is_the_same_and_draws(float64):
    q = built()
    params = some_params(q, 3)
    p = q.distribution(params)
    assert p.batch_shape == (3,)
    assert p.event_shape == (2,)
    z = tf.constant(np.random.default_rng(0).normal(size=(4, 3, 2)))
    np.testing.assert_allclose(p.log_prob(z), q.log_prob(params, z, CONTEXT), rtol=1e-9)
    assert p.sample(4, seed=1).shape == (4, 3, 2)


def test_point_is_the_base_point_pushed_forward(float64):
    q = built()
    params = some_params(q, 3)
    noise = {"epsilon": tf.zeros([1, 3, 2], tf.float64)}
    expected = q.sample_and_log_prob(params, noise, CONTEXT).latents[0]
    np.testing.assert_allclose(q.point(params), expected, rtol=1e-12)


def test_each_latent_is_scored_under_each_example(float64):
    q = built()
    params, z = some_params(q, 3), tf.constant(np.random.default_rng(0).normal(size=(4, 2)))
    crossed = q.log_prob_of_each(params, z, CONTEXT)
    assert crossed.shape == (4, 3)
    for k in range(3):
        alone = q.log_prob(params[k : k + 1], z[:, None], CONTEXT)[:, 0]
        np.testing.assert_allclose(crossed[:, k], alone, rtol=1e-10)


def test_planar_posteriors_have_no_density_at_a_point():
    q = built(steps=planar_stack())
    assert not q.evaluable
    assert built().evaluable
    with pytest.raises(NotImplementedError, match="Planar has no inverse in closed form"):
        q.log_prob(tf.zeros([1, *q.params_shape]), tf.zeros([1, 1, 2]), CONTEXT)
    draws = q.distribution(tf.zeros([1, *q.params_shape])).sample(4, seed=1)
    assert draws.shape == (4, 1, 2)


def test_errors():
    with pytest.raises(TypeError, match=r"`base` must be a keras_vae posterior\. Received:"):
        Flow(keras.layers.Dense(2), [])
    with pytest.raises(ValueError, match=r"`base` must have a density over real vectors\."):
        Flow(Deterministic(2), [])
    for bad in (flows.IAF(), [flows.IAF], None):
        with pytest.raises(TypeError, match=r"`flows` must be a list of keras_vae\.flows"):
            Flow(DiagonalNormal(2), bad)


# In a model.


def iaf_posterior(latent_dim=3):
    steps = [flows.IAF([16], context_size=4), flows.Permutation(), flows.IAF([16])]
    return Flow(DiagonalNormal(latent_dim), steps)


@pytest.mark.thorough
def test_a_model_with_flows_trains_saves_and_loads(make_vae, digits, tmp_path):
    vae = make_vae(posterior=iaf_posterior(), prior=keras_vae.priors.Flow())
    parts = vae.posterior.trainable_variables + vae.prior.trainable_variables
    before = [v.numpy() for v in parts]
    vae.compile(keras.optimizers.Adam(3e-3))
    elbo = vae.fit(digits, batch_size=64, epochs=3, verbose=0).history["elbo"]
    assert elbo[0] < elbo[1] < elbo[2]
    for old, variable in zip(before, parts, strict=True):
        assert np.any(old != variable.numpy()), variable.path
    vae.save(tmp_path / "vae.keras")
    again = keras.saving.load_model(tmp_path / "vae.keras")
    x = digits[:8]
    np.testing.assert_array_equal(vae.encode(x), again.encode(x))
    np.testing.assert_array_equal(vae.elbo(x, seed=1), again.elbo(x, seed=1))
    np.testing.assert_array_equal(vae.generate(4, seed=1), again.generate(4, seed=1))
    gap = vae.log_marginal(digits[:64], samples=100, seed=1) - vae.elbo(digits[:64], seed=1)
    assert gap.mean() > 0
    # The encoder leaves as a Keras model, the flow's layers in it.
    encoder = vae.encoder_model()
    np.testing.assert_allclose(encoder(x), vae.encode(x), rtol=1e-5, atol=1e-6)
    encoder.save(tmp_path / "encoder.keras")
    loaded = keras.saving.load_model(tmp_path / "encoder.keras")
    np.testing.assert_array_equal(loaded(x), encoder(x))


@pytest.mark.slow
def test_sticking_the_landing_wants_an_inverse(make_vae, digits):
    objective = keras_vae.objectives.DReG(samples=3)
    vae = make_vae(posterior=iaf_posterior(), objective=objective)
    vae.compile("adam")
    history = vae.fit(digits[:64], epochs=1, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    with pytest.raises(ValueError, match=r"These parts do not go together: .*"):
        make_vae(
            posterior=Flow(DiagonalNormal(3), [flows.Planar()]),
            objective=keras_vae.objectives.DReG(samples=3),
        )


def two_bananas(z):
    """Log-density, up to a constant, of two bananas."""
    x, y = z[..., 0], z[..., 1]
    bend = -0.5 * ((tf.abs(x) - 2.0) / 0.4) ** 2
    return bend - 0.5 * ((y - 0.5 * x**2 + 2.0) / 0.5) ** 2


@pytest.mark.thorough
def test_planar_flows_fit_two_bananas_better_than_a_normal():
    # The figure 3 of Rezende and Mohamed (2015), with a target of the same kind.
    def divergence(steps):
        q = Flow(DiagonalNormal(2), steps)
        q.build(None)
        params = keras.Variable([[0.0, 0.0, 1.0, 1.0]])
        variables = [params, *q.trainable_variables]
        optimizer = keras.optimizers.Adam(2e-2)
        optimizer.build(variables)

        def kl(key, draws):
            noise = numerics.draw_noise(q.noise_spec(), [draws, 1], key)
            draw = q.sample_and_log_prob(tf.convert_to_tensor(params), noise, CONTEXT)
            return tf.reduce_mean(draw.log_prob - two_bananas(draw.latents))

        key = numerics.key_from_seed(0)

        def update(step):
            with tf.GradientTape() as tape:
                loss = kl(numerics.fold_in(key, step), 128)
            optimizer.apply(tape.gradient(loss, variables), variables)
            return (step + 1,)

        @tf.function
        def updates(count):
            tf.while_loop(lambda step: step < count, update, (0,))

        updates(tf.constant(500))
        return float(kl(key, 10_000))

    # In nats; the normal covers one of the two.
    assert divergence([flows.Planar() for _ in range(6)]) < divergence([]) - 0.3
