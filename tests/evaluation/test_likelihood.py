"""Estimates of log p(x) against the exact one of linear Gaussian models."""

import itertools

import numpy as np
import pytest
import scipy.special
import tensorflow as tf

import keras_vae
from keras_vae import likelihoods, networks, numerics, posteriors, priors
from keras_vae.evaluation import (
    FewEffectiveSamplesWarning,
    LogMarginal,
    ais,
    bdmc,
    log_marginal,
    rate_distortion,
)
from keras_vae.evaluation.annealed import _parts
from keras_vae.evaluation.annealing import adapted_steps, anneal, sigmoid_schedule
from keras_vae.evaluation.blocks import in_blocks
from tests.integration.test_equivalence import (
    SCALE,
    exact_marginal,
    linear_vae,
    set_exact_posterior,
)

QUIET = {"progress": False, "seed": 3}


@pytest.fixture(scope="module")
def linear():
    """A linear model with an encoder that is off, data of its own, and their log p(x)."""
    vae = linear_vae()
    set_exact_posterior(vae, np.random.default_rng(0), off=0.5)
    exact = exact_marginal(vae, SCALE)
    x = exact.rvs(40, random_state=1).astype("float32")
    return vae, x, exact.logpdf(x.astype("float64"))


def within(found, exact, errors):
    """The mean is that of the exact values, within so many standard errors."""
    error = np.sqrt(np.mean(found.standard_errors**2) / len(exact))
    assert abs(np.mean(found.values - exact)) < errors * error + 1e-3


# Importance sampling.


def test_more_samples_approach_the_exact_value_from_below(linear):
    vae, x, exact = linear
    gaps = []
    for samples in (1, 10, 100):
        found = log_marginal(vae, x, samples=samples, **QUIET)
        gaps.append(np.mean(exact - found.values))
    # With more of them the gap is smaller than its standard error, 0.035 for 100 samples.
    assert all(later < sooner - 0.1 for sooner, later in itertools.pairwise(gaps))
    within(log_marginal(vae, x, samples=5000, **QUIET), exact, 2)


def test_standard_errors_are_those_of_repetitions(linear):
    vae, x, _ = linear
    several = [
        log_marginal(vae, x, samples=500, progress=False, seed=seed) for seed in range(30)
    ]
    spread = np.std([each.values for each in several], axis=0, ddof=1)
    said = np.mean([each.standard_errors for each in several], axis=0)
    # 30 repetitions tell a standard deviation to 13%, and 40 examples their mean to 2%.
    np.testing.assert_allclose(np.mean(spread / said), 1.0, atol=0.1)


def test_all_samples_count_where_the_encoder_is_exact():
    vae = linear_vae()
    set_exact_posterior(vae, np.random.default_rng(0))
    found = log_marginal(vae, np.ones([3, 5]), samples=100, **QUIET)
    np.testing.assert_allclose(found.effective, 100, rtol=1e-3)
    assert found.standard_errors.max() < 1e-2
    assert "effective: median 100.0; below 3 for 0.0%" in str(found)


def test_a_bad_encoder_is_noticed_and_annealing_does_not_need_it(linear):
    vae = linear_vae()
    set_exact_posterior(vae, np.random.default_rng(0))
    layer = vae._to_posterior.get_layer("parameters")
    layer.bias.assign(layer.bias + np.array([6.0, -6.0, 0, 0, 0], "float32"))
    _, x, exact = linear
    with pytest.warns(FewEffectiveSamplesWarning, match="Fewer than 3 of 200 samples count"):
        found = log_marginal(vae, x, samples=200, **QUIET)
    assert np.mean(exact - found.values) > 1.0
    within(ais(vae, x, temperatures=200, **QUIET), exact, 2)


def test_values_are_those_of_the_method(linear):
    vae, x, _ = linear
    found = log_marginal(vae, x, samples=50, batch_size=16, **QUIET)
    again = log_marginal(vae, x, samples=50, batch_size=16, **QUIET)
    np.testing.assert_array_equal(found.values, again.values)
    values, effective = vae.log_marginal(x, samples=50, return_effective=True, seed=0)
    np.testing.assert_array_equal(values, vae.log_marginal(x, samples=50, seed=0))
    assert np.all((effective >= 1) & (effective <= 50))


def test_summary():
    values = np.array([-10.0, -12.0, -14.0])
    found = LogMarginal(values, np.array([50.0, 2.0, 100.0]), 100, "importance sampling")
    assert found.mean == -12.0
    np.testing.assert_allclose(found.standard_error, 2 / np.sqrt(3))
    np.testing.assert_allclose(found.bits_per_dimension(4), 12 / 4 / np.log(2))
    np.testing.assert_allclose(found.standard_errors, np.sqrt([0.01, 0.49, 0.0]))
    assert str(found) == (
        "log p(x) = -12.00 +- 1.15 nats, mean of 3 examples by importance sampling with 100 "
        "(effective: median 50.0; below 3 for 33.3%)"
    )


# Annealing.


def test_annealing_finds_the_exact_value(linear):
    vae, x, exact = linear
    found = ais(vae, x, temperatures=300, **QUIET)
    assert found.samples == 16
    within(found, exact, 2)
    rough = ais(vae, x, temperatures=3, **QUIET)
    assert np.mean(rough.values) < np.mean(found.values)


def test_both_ways_bracket_the_exact_value(linear):
    vae = linear[0]
    rough = bdmc(vae, 40, temperatures=5, chains=4, **QUIET)
    fine = bdmc(vae, 40, temperatures=200, chains=4, **QUIET)
    assert np.mean(rough.lower) < np.mean(rough.upper)
    assert 0 < fine.gap < 0.1 < rough.gap
    assert "a gap of" in str(fine)
    # Both simulate the same examples: the finer bracket lies in the rough one.
    assert np.mean(rough.lower) < np.mean(fine.lower) + 0.05
    assert np.mean(fine.upper) < np.mean(rough.upper) + 0.05


def test_bracket_holds_the_exact_mean(linear):
    # Simulated data come from p(x), whose mean log-density is minus its entropy.
    vae = linear[0]
    exact = exact_marginal(vae, SCALE)
    fine = bdmc(vae, 400, temperatures=100, chains=4, batch_size=400, **QUIET)
    error = np.std(fine.lower) / np.sqrt(400)
    assert np.mean(fine.lower) < -exact.entropy() + 4 * error
    assert np.mean(fine.upper) > -exact.entropy() - 4 * error


def test_weights_of_annealing_are_unbiased_at_any_length(float64):
    # From a standard normal to exp(-z**2): the ratio of the integrals is 1/sqrt(3).
    start = tf.constant(np.random.default_rng(0).normal(size=(40_000, 1, 1)))
    log_base = lambda z: -0.5 * tf.reduce_sum(z**2, -1) - 0.5 * np.log(2 * np.pi)  # noqa: E731
    log_factor = lambda z: -tf.reduce_sum(z**2, -1)  # noqa: E731
    schedule = tf.constant(sigmoid_schedule(3))
    key = numerics.key_from_seed(5)
    log_weight = anneal(
        start,
        log_base,
        log_factor,
        schedule,
        tf.fill([3, 1], tf.constant(0.4, "float64")),
        3,
        key,
    )
    weights = np.exp(log_weight.numpy()[:, 0])
    error = np.std(weights) / np.sqrt(len(weights))
    assert abs(np.mean(weights) - 1 / np.sqrt(3)) < 4 * error
    assert error < 0.01


def test_schedule_rises_from_zero_to_one_slowest_at_its_ends():
    values = sigmoid_schedule(10)
    assert (values[0], values[-1], len(values)) == (0, 1, 11)
    differences = np.diff(values)
    assert np.all(differences > 0)
    np.testing.assert_allclose(differences, differences[::-1])
    assert np.argmax(differences) in (4, 5)


def test_steps_become_smaller_where_the_density_is_narrower(float64):
    start = tf.constant(np.random.default_rng(0).normal(size=(64, 2, 3)))
    width = tf.constant([[1.0, 0.1]], "float64")

    @tf.function
    def adapted():
        return adapted_steps(
            start,
            lambda z: -0.5 * tf.reduce_sum(z**2, -1),
            lambda z: -0.5 * tf.reduce_sum(z**2, -1) / width**2,
            tf.constant(sigmoid_schedule(200)),
            10,
            numerics.key_from_seed(0),
        )

    steps = adapted().numpy()
    assert steps.shape == (200, 2)
    wide, narrow = steps[-1]
    assert 4 < wide / narrow < 16
    assert steps[100, 0] > 0.2


def make(**changes):
    parts = {
        "posterior": posteriors.DiagonalNormal(2),
        "likelihood": likelihoods.Normal(),
        "event_shape": (6,),
        **changes,
    }
    return keras_vae.VAE(networks.MLP([8]), networks.MLP([8]), **parts, seed=1)


def by_quadrature(model, x, condition):
    """Log p(x) as an integral over a grid of two latents."""
    grid = np.linspace(-6.0, 6.0, 241)
    z = np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 1, 2).astype("float32")
    z = tf.constant(np.tile(z, (1, len(x), 1)))
    condition = model.conditions.check("condition", condition, len(x))
    parts = _parts(model, model.preprocessed(x), condition)
    log_joint = parts.log_prior(z) + parts.log_likelihood(z)
    area = (grid[1] - grid[0]) ** 2
    return scipy.special.logsumexp(log_joint.numpy().astype("float64"), axis=0) + np.log(area)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"condition_shape": (3,)}, id="conditional"),
        pytest.param({"missing": "nan"}, id="missing"),
        pytest.param(
            {"prior": priors.NormalMixture(3)}, id="mixture", marks=pytest.mark.thorough
        ),
        pytest.param(
            {"preprocessor": keras_vae.preprocessors.Rescaling(0.01)},
            id="raw",
            marks=pytest.mark.thorough,
        ),
    ],
)
def test_annealing_finds_the_integral_over_latents(changes):
    model = make(**changes)
    x = np.random.default_rng(0).normal(size=(6, 6)).astype("float32")
    if "missing" in changes:
        x[:, ::2] = np.nan
    if "preprocessor" in changes:
        x *= 100
    condition = [0, 1, 2, 0, 1, 2] if "condition_shape" in changes else None
    options = {"condition": condition, **QUIET}
    exact = by_quadrature(model, x, condition)
    found = ais(model, x, temperatures=100, chains=32, **options)
    errors = np.maximum(found.standard_errors, 0.01)
    assert np.all(np.abs(found.values - exact) < 5 * errors)
    if "missing" not in changes:
        assert bdmc(model, 10, condition=condition and 1, temperatures=50, **QUIET).gap < 0.2


@pytest.mark.parametrize(
    "function", [ais, lambda model, x, **options: bdmc(model, 3, **options)]
)
def test_what_cannot_be_annealed(function):
    sphere = make(posterior=posteriors.PowerSpherical(2), prior=priors.SphericalUniform())
    with pytest.raises(ValueError, match="Annealing moves latents that are real vectors"):
        function(sphere, np.zeros([3, 6]), **QUIET)
    for name in ("chains", "temperatures", "leapfrogs"):
        with pytest.raises(ValueError, match=f"`{name}` must be an integer >= 1"):
            function(make(), np.zeros([3, 6]), **{name: 0}, **QUIET)


# Rate and distortion, and long work.


def test_rate_and_distortion_make_the_bound(linear):
    vae, x, _ = linear
    found = rate_distortion(vae, x, samples=200, seed=0)
    elbo, kl = vae.elbo(x, samples=200, return_kl=True, seed=0)
    np.testing.assert_allclose(found.rate, np.mean(kl), rtol=1e-5)
    np.testing.assert_allclose(-sum(found), np.mean(elbo), rtol=1e-5)
    expected = -vae.likelihood_of(vae.encode(x)).log_prob(x).numpy().mean()
    assert found.distortion > expected  # the noise of q costs


def test_interrupted_work_gives_what_it_has(linear):
    vae, x, _ = linear
    calls = []

    def block(x, condition, seed):
        calls.append(seed)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return (np.asarray(vae.elbo(x, seed=seed)),)

    with pytest.warns(UserWarning, match="Interrupted after 20 of 40 examples"):
        (found,) = in_blocks(block, x, None, block=10, seed=0, label="elbo")
    assert found.shape == (20,)
    assert len(set(calls)) == 3

    def stopped(x, condition, seed):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        in_blocks(stopped, x, None, block=10, seed=0, label=None)


def test_progress_is_shown(linear, capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")  # as if in a terminal
    vae, x, _ = linear
    log_marginal(vae, x, samples=100, batch_size=2, seed=0)
    assert "log p(x)" in capsys.readouterr().err
