"""Posteriors on the sphere against SciPy, TFP, quadrature and Monte Carlo."""

import keras
import numpy as np
import pytest
import scipy.integrate
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp

from keras_vae import numerics
from keras_vae.posteriors import PowerSpherical, VonMisesFisher
from keras_vae.priors import SphericalUniform
from keras_vae.terms import Context
from tests.twins import assert_gradients, assert_mean_is, finite_differences

FAMILIES = [VonMisesFisher, PowerSpherical]
every_family = pytest.mark.parametrize("family", FAMILIES, ids=lambda cls: cls.__name__)
DRAWS = 20_000


def params_of(q, rng, batch=2):
    return tf.constant(
        rng.normal(size=(batch, q.params_shape[0])) + np.eye(q.latent_dim + 1)[-1]
    )


def noise_of(q, *leading, seed=0):
    return numerics.draw_noise(q.noise_spec(), leading, numerics.key_from_seed(seed))


def draw_of(q, params, samples, seed=0):
    return q.sample_and_log_prob(params, noise_of(q, samples, params.shape[0]), Context())


def layout(q, params):
    """Mean direction and concentration, from the layout that the class documents."""
    params = np.asarray(params)
    direction = params[:, : q.latent_dim]
    kappa = np.logaddexp(0.0, params[:, q.latent_dim]) + 1
    return direction / np.linalg.norm(direction, axis=1, keepdims=True), kappa


def on_the_sphere(rng, *shape):
    z = rng.normal(size=shape)
    return z / np.linalg.norm(z, axis=-1, keepdims=True)


@pytest.mark.parametrize("latent_dim", [2, 3, 5, 11])
def test_density_and_entropy_of_von_mises_fisher_are_scipys(float64, rng, latent_dim):
    q = VonMisesFisher(latent_dim)
    params, z = params_of(q, rng), on_the_sphere(rng, 4, 2, latent_dim)
    result = q.log_prob(params, tf.constant(z), Context())
    for row, (mu, kappa) in enumerate(zip(*layout(q, params))):
        twin = scipy.stats.vonmises_fisher(mu, kappa)
        np.testing.assert_allclose(result[:, row], twin.logpdf(z[:, row]), rtol=1e-11)
        np.testing.assert_allclose(q.entropy(params)[row, 0], twin.entropy(), rtol=1e-11)
    np.testing.assert_allclose(
        q.distribution(params).log_prob(z), result, rtol=1e-7, err_msg="TFP's Bessel functions"
    )


@pytest.mark.parametrize("latent_dim", [2, 3, 5, 11])
def test_density_and_entropy_of_power_spherical_are_tfps(float64, rng, latent_dim):
    q = PowerSpherical(latent_dim)
    params, z = params_of(q, rng), on_the_sphere(rng, 4, 2, latent_dim)
    twin = tfp.distributions.PowerSpherical(*layout(q, params))
    result = q.log_prob(params, tf.constant(z), Context())
    np.testing.assert_allclose(result, twin.log_prob(z), rtol=1e-10)
    np.testing.assert_allclose(q.entropy(params)[:, 0], twin.entropy(), rtol=1e-10)
    np.testing.assert_allclose(q.mean(params), twin.mean(), rtol=1e-12)


@every_family
@pytest.mark.parametrize("raw", [-3.0, 3.0, 200.0])
def test_mass_is_one_on_circle_and_sphere(float64, family, raw):
    # Periodic functions: the trapezoidal rule is exact to rounding. Power spherical is no
    # such function for a small concentration: its slope jumps at the antipode.
    rtol = 1e-3 if (family, raw) == (PowerSpherical, -3.0) else 1e-9
    angles = np.linspace(0, 2 * np.pi, 4001)[:-1]
    circle = np.stack([np.cos(angles), np.sin(angles)], -1)
    params = tf.constant([[0.3, -0.8, raw]], tf.float64)
    density = np.exp(family(2).log_prob(params, tf.constant(circle[:, None]), Context()))
    np.testing.assert_allclose(density.mean() * 2 * np.pi, 1.0, rtol=rtol)

    height, weights = np.polynomial.legendre.leggauss(200)
    around = np.linspace(0, 2 * np.pi, 201)[:-1]
    ring = np.sqrt(1 - height**2)[:, None]
    z = np.stack(
        [ring * np.cos(around), ring * np.sin(around), height[:, None] + 0 * around], -1
    )
    params = tf.constant([[0.3, -0.8, 0.1, raw]], tf.float64)
    log_prob = family(3).log_prob(params, tf.constant(z.reshape(-1, 1, 3)), Context())
    density = np.exp(np.reshape(log_prob, (200, 200))).mean(1)
    np.testing.assert_allclose(2 * np.pi * weights @ density, 1.0, rtol=rtol)


@every_family
@pytest.mark.parametrize("latent_dim", [2, 3, 5, 11, 40])
def test_draws_have_the_moments_and_entropy_that_are_stated(rng, family, latent_dim):
    q = family(latent_dim)
    params = tf.cast(params_of(q, rng, 1), tf.float32) + 3 * tf.one_hot(
        latent_dim, latent_dim + 1
    )
    draw = draw_of(q, params, DRAWS)
    z = np.asarray(draw.latents, "float64")[:, 0]
    np.testing.assert_allclose(np.linalg.norm(z, axis=-1), 1.0, rtol=1e-6)
    assert_mean_is(z, q.mean(params)[0])
    assert_mean_is((z - q.mean(params)[0]) ** 2, q.scale(params)[0] ** 2)
    assert_mean_is(-np.asarray(draw.log_prob, "float64")[:, 0], q.entropy(params)[0, 0])
    # Rounding of cos and of the squared distance, times the concentration, some 10.
    by_density = q.log_prob(params, draw.latents, Context())
    np.testing.assert_allclose(draw.log_prob, by_density, rtol=1e-5, atol=5e-5)
    # No direction around the mean is preferred: third moments off it vanish.
    mu, _ = layout(q, params)
    across = z - (z @ mu[0])[:, None] * mu[0]
    assert_mean_is(across**3, np.zeros(latent_dim))


def cosine_moments(family, latent_dim, kappa):
    """E[cos], E[cos**2] of the angle to the mean direction, by SciPy's quadrature."""

    def density(t):
        cosine = np.cos(t)
        log_base = cosine - 1 if family is VonMisesFisher else np.log((1 + cosine) / 2)
        return np.exp(kappa * log_base) * np.sin(t) ** (latent_dim - 2)

    parts = [
        scipy.integrate.quad(lambda t, n=n: np.cos(t) ** n * density(t), 0, np.pi, epsabs=1e-13)
        for n in range(3)
    ]
    return parts[1][0] / parts[0][0], parts[2][0] / parts[0][0]


@every_family
@pytest.mark.parametrize("latent_dim", [2, 3, 5, 11])
@pytest.mark.parametrize("raw", [0.5, 12.0])
def test_mean_gradient_over_draws_is_that_of_the_expectation(
    float64, rng, family, latent_dim, raw
):
    # f(z) = a z + (b z)**2: its expectation needs the moments of the angle alone.
    q = family(latent_dim)
    row = np.append(rng.normal(size=latent_dim), raw)
    a, b = rng.normal(size=(2, latent_dim))

    def expectation(params):
        mu, kappa = layout(q, np.asarray(params)[None])
        first, second = cosine_moments(family, latent_dim, kappa[0])
        across = (1 - second) / (latent_dim - 1)
        squared = (b @ mu[0]) ** 2
        return first * (a @ mu[0]) + second * squared + across * (b @ b - squared)

    params = tf.constant(np.repeat(row[None], DRAWS // 4, 0))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(params)
        draw = q.sample_and_log_prob(params, noise_of(q, 1, DRAWS // 4), Context())
        f = tf.linalg.matvec(draw.latents, a) + tf.linalg.matvec(draw.latents, b) ** 2
    assert_mean_is(
        tape.gradient(f, params), finite_differences(expectation, row), rounding=1e-7
    )

    # log q has -entropy as its expectation: the derivative by both of its paths.
    def negative_entropy(params):
        return -q.entropy(tf.constant(params)[None])[0, 0]

    expected = finite_differences(negative_entropy, row)
    assert_mean_is(tape.gradient(draw.log_prob, params), expected, rounding=1e-7)


@every_family
def test_gradients_are_those_of_finite_differences(float64, rng, family):
    q = family(3)
    params, z = params_of(q, rng).numpy(), on_the_sphere(rng, 3, 2, 3)
    weights = tf.constant(rng.normal(size=(2, 3)))
    noise = {k: tf.constant(v) for k, v in noise_of(q, 4, 2).items()}

    def log_prob_of_draws(params):
        return q.sample_and_log_prob(params, noise, Context()).log_prob

    assert_gradients(lambda p, z: q.log_prob(p, z, Context()), params, z)
    assert_gradients(log_prob_of_draws, params)
    assert_gradients(q.entropy, params)
    assert_gradients(lambda p: q.mean(p) * weights, params)
    assert_gradients(lambda p: q.scale(p) * weights, params)
    assert_gradients(lambda p: q.point(p) * weights, params)


@every_family
def test_draws_turn_with_the_mean_direction(float64, rng, family):
    # Their derivative with respect to it is that of a rotation in the plane of the turn.
    q = family(4)
    row, turn = rng.normal(size=5), rng.normal(size=4)
    mu = row[:4] / np.linalg.norm(row[:4])
    turn -= (turn @ mu) * mu
    step = turn / np.linalg.norm(turn)
    params, noise = tf.constant(row[None]), noise_of(q, 6, 1)
    direction = np.append(step * np.linalg.norm(row[:4]), 0.0)
    with tf.autodiff.ForwardAccumulator(params, tf.constant(direction[None])) as forward:
        latents = q.sample_and_log_prob(params, noise, Context()).latents
    z = latents.numpy()[:, 0]
    expected = np.outer(z @ mu, step) - np.outer(z @ step, mu)
    np.testing.assert_allclose(forward.jvp(latents)[:, 0], expected, atol=1e-12)


@every_family
@pytest.mark.parametrize("latent_dim", [2, 3, 100])
@pytest.mark.parametrize("raw", [-1e4, -10.0, 10.0, 1e4, 1e6, 1e12])
def test_extreme_concentrations_stay_finite(family, latent_dim, raw):
    q = family(latent_dim)
    params = tf.concat([tf.ones([1, latent_dim]), [[raw]]], axis=1)
    u = tf.constant([0.0, 1e-7, 0.5, 1 - 2**-24])[:, None]
    normal = tf.random.stateless_normal([4, 1, latent_dim], [1, 2])
    noise = {"angle": u, "direction": normal}
    with tf.GradientTape() as tape:
        tape.watch(params)
        draw = q.sample_and_log_prob(params, noise, Context())
        results = [*draw[:2], q.entropy(params), q.mean(params), q.scale(params)]
        results.append(q.log_prob(params, draw.latents, Context()))
        total = tf.add_n([tf.reduce_sum(result) for result in results])
    for result in results:
        assert np.isfinite(result).all()
    assert np.isfinite(tape.gradient(total, params)).all()
    np.testing.assert_allclose(tf.norm(draw.latents, axis=-1), 1.0, rtol=1e-5)


@every_family
def test_null_directions_and_null_noise_are_defined(family):
    q = family(3)
    params = tf.constant([[0.0, 0.0, 0.0, 1.0]])
    noise = {name: tf.zeros_like(value) for name, value in noise_of(q, 1, 1).items()}
    with tf.GradientTape() as tape:
        tape.watch(params)
        draw = q.sample_and_log_prob(params, noise, Context())
        total = tf.reduce_sum(draw.latents) + tf.reduce_sum(draw.log_prob)
    assert np.isfinite(total)
    assert np.isfinite(tape.gradient(total, params)).all()
    np.testing.assert_array_equal(q.point(params), [[1.0, 0.0, 0.0]])


@every_family
def test_eager_graph_and_xla_agree_in_value_and_gradient(rng, family):
    q = family(11)
    params, noise = tf.cast(params_of(q, rng, 3), tf.float32), noise_of(q, 2, 3)

    def results(params):
        with tf.GradientTape() as tape:
            tape.watch(params)
            draw = q.sample_and_log_prob(params, noise, Context())
            total = tf.reduce_sum(draw.latents[..., 0]) + tf.reduce_sum(draw.log_prob)
        return draw.latents, draw.log_prob, q.entropy(params), tape.gradient(total, params)

    eager = results(params)
    for compiled in (tf.function(results), tf.function(results, jit_compile=True)):
        for one, two in zip(eager, compiled(params)):
            np.testing.assert_allclose(two, one, rtol=2e-5, atol=2e-5)


@every_family
@pytest.mark.parametrize("bad", [1, 0, -1, 2.0, "2", None, True])
def test_bad_latent_dim_is_refused(family, bad):
    with pytest.raises(ValueError, match=r"`latent_dim` must be .* Received: latent_dim="):
        family(bad)


@pytest.mark.thorough
@every_family
def test_model_of_digits_learns(digits, make_vae, family):
    x = (digits > 0.5).astype("float32")[:1024]
    vae = make_vae(posterior=family(latent_dim=4), prior=SphericalUniform())
    vae.compile(keras.optimizers.Adam(1e-2))
    history = vae.fit(x, batch_size=64, epochs=20, verbose=0).history
    assert np.all(np.diff(history["elbo"][::5]) > 0)
    assert history["kl"][-1] > 0.5  # the latents are used
    np.testing.assert_allclose(np.linalg.norm(vae.encode(x[:10]), axis=-1), 1.0, rtol=1e-5)
    assert np.isfinite(vae.log_marginal(x[:10], samples=50)).all()
