"""Densities of codes: against other routes, as priors, and on real digits."""

import json

import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

import keras_vae
from keras_vae import evaluation, numerics, priors, samplers
from keras_vae.terms import Context
from tests.conformance import test_parts
from tests.conformance.case import Case
from tests.conformance.cases import config_of
from tests.twins import assert_gradients, assert_mean_is

HYPERSPHERE = Case(samplers.Hypersphere)


def drawn(prior, count, seed=0):
    noise = numerics.draw_noise(prior.noise_spec(), [count], numerics.key_from_seed(seed))
    return np.asarray(prior.sample(noise, Context()))


def sphere(latent_shape, loc=0.0, log_radius=0.3, spread=0.4):
    p = samplers.Hypersphere()
    p.build(latent_shape)
    p.loc.assign(np.broadcast_to(loc, latent_shape))
    p.log_radius.assign(log_radius)
    p.raw_spread.assign(numerics.inverse_positive(spread))
    return p


def autoencoder(latent_dim=6, units=64, **changes):
    return keras_vae.presets.Autoencoder(
        keras_vae.networks.MLP([units]),
        keras_vae.networks.MLP([units]),
        latent_dim,
        likelihood=keras_vae.likelihoods.Bernoulli(),
        event_shape=(8, 8, 1),
        **changes,
    )


# Hypersphere.


def test_hypersphere_passes_the_tests_of_priors():
    test_parts.test_constructor_arguments_are_stored_unchanged(HYPERSPHERE)
    test_parts.test_config_round_trip_through_json(HYPERSPHERE)
    test_parts.test_building_twice_makes_no_new_weights(HYPERSPHERE)
    test_parts.test_values_and_gradients_are_finite(HYPERSPHERE)
    test_parts.test_eager_and_graph_agree(HYPERSPHERE)
    test_parts.test_eager_and_xla_agree(HYPERSPHERE)
    test_parts.test_prior_draws_follow_its_density(HYPERSPHERE)
    for leading in [(1,), (3,), (5, 3)]:
        test_parts.test_prior_draws_and_densities_have_the_leading_axes(HYPERSPHERE, leading)


def test_hypersphere_on_the_line_is_a_folded_log_normal(float64, rng):
    z = rng.normal(size=(50, 1))
    expected = scipy.stats.lognorm.logpdf(np.abs(z - 0.7), s=0.4, scale=np.exp(0.3)) - np.log(2)
    result = sphere((1,), 0.7).log_prob(tf.constant(z), Context())
    # What rounds is the softplus of the spread and its inverse.
    np.testing.assert_allclose(result, expected[:, 0], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("dimensions", [2, 3, 7])
def test_hypersphere_is_radius_over_surface(float64, rng, dimensions):
    # A standard normal is isotropic too: the two densities differ as those of the radii do.
    z = rng.normal(size=(50, dimensions))
    r = np.linalg.norm(z, axis=1)
    of_radius = scipy.stats.lognorm.logpdf(r, s=0.4, scale=np.exp(0.3))
    direction = scipy.stats.norm.logpdf(z).sum(1) - scipy.stats.chi.logpdf(r, dimensions)
    result = sphere((dimensions,)).log_prob(tf.constant(z), Context())
    np.testing.assert_allclose(result, of_radius + direction, rtol=1e-9, atol=1e-9)


def test_hypersphere_gradient(float64, rng):
    p = sphere((3,), 0.2)
    assert_gradients(lambda z: p.log_prob(z, Context()), rng.normal(size=(4, 3)))


def test_hypersphere_draws_have_its_radii_and_all_directions(float64):
    z = drawn(sphere((3,), [1.0, -2.0, 0.5]), 20_000) - [1.0, -2.0, 0.5]
    r = np.linalg.norm(z, axis=1)
    radii = scipy.stats.kstest(r, scipy.stats.lognorm(s=0.4, scale=np.exp(0.3)).cdf)
    assert radii.pvalue > 1e-3  # a fixed seed: it either always passes or never does
    # Archimedes: each coordinate of a point on the sphere in three dimensions is uniform.
    for column in (z / r[:, None]).T:
        assert scipy.stats.kstest(column, scipy.stats.uniform(-1, 2).cdf).pvalue > 1e-3
    assert abs(np.corrcoef(r, z[:, 0])[0, 1]) < 5 / np.sqrt(len(z))


def test_hypersphere_finds_what_it_was_drawn_from(float64):
    true = sphere((2, 3), [[1.0, 2.0, 3.0], [-1.0, -2.0, -3.0]], 0.7, 0.2)
    z = drawn(true, 20_000)
    p = samplers.Hypersphere()
    p.build((2, 3))
    p.fit_to(z)
    # Five standard errors: a radius of 2 over sqrt(6), and a spread of 0.2, in 20,000 draws.
    np.testing.assert_allclose(p.loc, true.loc, atol=0.03)
    np.testing.assert_allclose(p.log_radius, 0.7, atol=0.007)
    np.testing.assert_allclose(numerics.positive(p.raw_spread), 0.2, atol=0.005)


def test_hypersphere_is_near_a_standard_normal_before_it_is_fitted():
    p = samplers.Hypersphere()
    p.build((16,))
    z = drawn(p, 5_000)
    assert_mean_is(z, 0.0)
    # E r**2 = 16 exp(2 spread**2), and spread**2 = 1 / 32; 5,000 draws.
    np.testing.assert_allclose(z.std(0), np.exp(1 / 32), atol=0.04)
    assert np.linalg.norm(z, axis=1).std() == pytest.approx(np.sqrt(0.5), rel=0.1)


def test_equal_codes_are_no_trouble():
    for p in (samplers.Hypersphere(), samplers.TwoStage([4], epochs=1)):
        p.build((2,))
        p.fit_to(np.full([40, 2], 3.0))
        assert np.isfinite(drawn(p, 10)).all()
        assert abs(drawn(p, 10) - 3.0).max() < 10


# Two stages.


@pytest.fixture(scope="module")
def two_stage():
    """A second stage fitted to correlated codes, and these codes."""
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    z = rng.normal(size=(2_000, 2)) @ [[3.0, 2.5], [0.0, 0.5]] + [10.0, -5.0]
    p = samplers.TwoStage([32], epochs=20, learning_rate=5e-3)
    p.build((2,))
    p.fit_to(z)
    return p, z


def test_two_stage_draws_are_like_the_codes(two_stage):
    p, z = two_stage
    draws = drawn(p, 2_000)
    np.testing.assert_allclose(draws.mean(0), z.mean(0), atol=0.3)
    np.testing.assert_allclose(np.cov(draws.T), np.cov(z.T), rtol=0.2)
    assert np.corrcoef(draws.T)[0, 1] > 0.9
    independent = z.mean(0) + z.std(0) * np.random.default_rng(1).normal(size=z.shape)
    near = evaluation.two_sample_test(z[:500], draws[:500], bandwidth=1.0, permutations=1)
    far = evaluation.two_sample_test(z[:500], independent[:500], bandwidth=1.0, permutations=1)
    assert near.statistic < far.statistic / 5


def test_two_stage_noise_is_that_of_its_second_decoder(two_stage):
    p, _ = two_stage
    noise = numerics.draw_noise(p.noise_spec(), [4, 5], numerics.key_from_seed(0))
    silent = {**noise, "epsilon": tf.zeros_like(noise["epsilon"])}
    z, mean = (np.asarray(p.sample(n, Context())) for n in (noise, silent))
    assert z.shape == (4, 5, 2)
    u = np.asarray(noise["latents"]).reshape(20, 2)
    decoded = np.asarray(p.decoder(u)).reshape(4, 5, 2)
    loc, scale = np.asarray(p.loc), np.asarray(p.scale)
    np.testing.assert_allclose(mean, loc + scale * decoded, rtol=1e-5)
    epsilon = float(p.noise_scale) * scale * noise["epsilon"]
    np.testing.assert_allclose(z - mean, epsilon, rtol=1e-3, atol=1e-5)
    assert 0 < float(p.noise_scale) < 1  # the codes it was trained on have variance 1


def test_two_stage_is_a_component(two_stage):
    p = samplers.TwoStage([6, 5], 3, epochs=2, batch_size=16, learning_rate=0.1)
    text = json.dumps(config_of(p))
    again = keras.saving.deserialize_keras_object(json.loads(text))
    assert json.dumps(config_of(again)) == text
    assert keras.saving.get_registered_name(type(p)) == "keras_vae.samplers>TwoStage"
    p.build((2,))
    weights = [id(w) for w in p.weights]
    p.build((2,))
    assert [id(w) for w in p.weights] == weights
    assert p.noise_spec()["latents"].shape == (3,)
    p, _ = two_stage
    noise = numerics.draw_noise(p.noise_spec(), [4], numerics.key_from_seed(0))
    eager = p.sample(noise, Context())
    for options in ({}, {"jit_compile": True}):
        compiled = tf.function(lambda n: p.sample(n, Context()), **options)
        np.testing.assert_allclose(compiled(noise), eager, rtol=1e-5, atol=1e-5)


def test_two_stage_has_no_density(two_stage):
    with pytest.raises(ValueError, match="has no closed form: it can be drawn from alone"):
        two_stage[0].log_prob(tf.zeros([1, 2]), Context())


@pytest.mark.parametrize("name", ["epochs", "batch_size", "learning_rate"])
def test_two_stage_checks_its_arguments(name):
    with pytest.raises(ValueError, match=f"`{name}` must be .*Received: {name}=0"):
        samplers.TwoStage(**{name: 0})


# On models.


def test_fit_takes_draws_of_a_posterior_and_codes_of_a_point(make_vae, digits, monkeypatch):
    seen = []

    class Recorder(samplers.Hypersphere):
        def fit_to(self, latents):
            seen.append(latents)

    vae, plain = make_vae(), autoencoder()
    assert samplers.fit(vae, digits[:50], Recorder(), seed=3).latent_shape == (3,)
    np.testing.assert_array_equal(seen[0], vae.encode(digits[:50], sample=True, seed=3))
    samplers.fit(plain, digits[:50], Recorder())
    np.testing.assert_array_equal(seen[1], plain.encode(digits[:50]))


def test_fit_again_starts_from_what_was_fitted(make_vae, digits):
    vae = make_vae()
    p = samplers.fit(vae, digits[:50], samplers.Hypersphere())
    before = p.loc.numpy()
    assert samplers.fit(vae, digits[50:90], p) is p
    assert np.any(p.loc.numpy() != before)


def test_fit_refuses_what_it_cannot_fit(make_vae, digits):
    vae = make_vae()
    with pytest.raises(TypeError, match="`prior` must be a keras_vae Prior"):
        samplers.fit(vae, digits, samplers.Hypersphere)
    with pytest.raises(ValueError, match="`prior` does not go with the model: latents of a"):
        samplers.fit(vae, digits, priors.SphericalUniform())
    built = samplers.Hypersphere()
    built.build((7,))
    with pytest.raises(ValueError, match=r"was built for latents of shape \(7,\).*\(3,\)"):
        samplers.fit(vae, digits, built)
    with pytest.raises(NotImplementedError, match="StandardNormal cannot be fitted"):
        samplers.fit(vae, digits, priors.StandardNormal())


@pytest.mark.parametrize(
    "make", [samplers.Hypersphere, lambda: samplers.TwoStage([8], epochs=1)]
)
def test_a_model_with_a_fitted_prior_is_saved_like_any(make_vae, digits, tmp_path, make):
    vae = make_vae()
    fitted = samplers.fit(vae, digits[:100], make())
    expected = vae.generate(5, prior=fitted, seed=1)
    model = vae.with_prior(fitted)
    np.testing.assert_array_equal(model.generate(5, seed=1), expected)
    model.save(tmp_path / "vae.keras")
    again = keras.saving.load_model(tmp_path / "vae.keras")
    np.testing.assert_array_equal(again.generate(5, seed=1), expected)
    # Fitted weights, not those of a fresh prior.
    for one, two in zip(fitted.weights, again.prior.weights):
        np.testing.assert_array_equal(one.numpy(), two.numpy())
    assert np.any(again.prior.loc.numpy() != 0)


@pytest.mark.thorough
def test_fitted_densities_generate_better_digits_than_a_standard_normal(digits):
    rng = np.random.default_rng(0)
    order = rng.permutation(len(digits))  # the file is sorted by writer
    train, rest = digits[order[:1297]], digits[order[1297:]]
    model = autoencoder(seed=1)
    model.compile(keras.optimizers.Adam(5e-3))
    model.fit(train, epochs=30, batch_size=50, verbose=0)
    bandwidth = evaluation.median_distance(rest)

    def distance(prior):
        x = model.decode(drawn(prior, 500))
        test = evaluation.two_sample_test(x, rest, bandwidth=bandwidth, permutations=1)
        return test.statistic

    normal = priors.StandardNormal()
    normal.build((6,))
    fitted = {
        "sphere": samplers.Hypersphere(),
        "mixture": priors.NormalMixture(10),
        "flow": priors.Flow(),
        "two stages": samplers.TwoStage([64, 64], epochs=30, learning_rate=3e-3),
    }
    found = {n: distance(samplers.fit(model, train, p)) for n, p in fitted.items()}
    far = distance(normal)
    # Codes of an autoencoder are nowhere near a standard normal.
    assert all(value < far / 8 for value in found.values()), (found, far)
