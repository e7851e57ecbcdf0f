"""Ranks of data among draws: equal where the model is right, known where it is wrong."""

import numpy as np
import pytest
import scipy.stats

import keras_vae
from keras_vae import likelihoods, networks, posteriors, preprocessors
from keras_vae.evaluation import Calibration, calibration
from keras_vae.evaluation.calibration import _shares
from tests.integration.test_equivalence import (
    SCALE,
    exact_marginal,
    linear_vae,
    set_exact_posterior,
)

QUIET = {"progress": False, "seed": 3}


def of_linear(scale=SCALE, shift=0.0, off=0.0):
    """Calibration of the exact posterior's model on data of another scale and place."""
    vae = linear_vae()
    set_exact_posterior(vae, np.random.default_rng(0), off=off)
    x = exact_marginal(vae, scale).rvs(2_000, random_state=1) + shift
    return calibration(vae, x.astype("float32"), max_examples=2_000, **QUIET)


def test_all_ranks_are_equally_frequent_where_the_model_is_right():
    found = of_linear()
    assert found.shares.shape == (2_000, 20)
    # Twenty shares, one of which is known from the others, within their standard errors.
    z = (found.mean - 0.05) / found.standard_errors
    assert scipy.stats.chi2.sf(np.sum(z**2) * 19 / 20, 19) > 0.01
    assert found.error < 0.015
    np.testing.assert_allclose(found.coverage(0.9), 0.9, atol=0.01)
    np.testing.assert_allclose(found.coverage(0.5), 0.5, atol=0.015)


def test_a_narrow_model_is_noticed():
    found = of_linear(scale=2 * SCALE)
    assert found.coverage(0.9) < 0.8
    assert found.mean[[0, -1]].min() > 0.08
    assert found.error > 0.03


@pytest.mark.thorough
def test_a_wide_model_is_noticed():
    found = of_linear(scale=SCALE / 4)
    assert found.coverage(0.5) > 0.55
    assert found.mean[[0, -1]].max() < 0.04


def test_a_shift_is_noticed():
    found = of_linear(shift=2 * SCALE)
    assert found.mean[-1] > 3 * found.mean[0]


def test_ranks_are_counted_and_ties_are_broken_at_random():
    rng = np.random.default_rng(0)
    x = np.array([[0.5, np.nan, 2.0], [np.nan] * 3])
    draws = np.zeros([2, 3, 3]) + np.array([0.0, 1.0, 3.0])[:, None]
    expected = [[0, 0.5, 0.5, 0], [np.nan] * 4]
    np.testing.assert_array_equal(_shares(x, draws, 0.0, rng), expected)
    ties = _shares(np.zeros([1, 4_000]), np.zeros([1, 3, 4_000]), 0.0, rng)
    np.testing.assert_allclose(ties, 0.25, atol=0.03)
    near = _shares(np.full([1, 4_000], 1e-7), np.zeros([1, 3, 4_000]), 1e-6, rng)
    np.testing.assert_allclose(near, 0.25, atol=0.03)


def test_interrupted_it_says_so(monkeypatch):
    vae = keras_vae.VAE(
        networks.MLP([4]),
        networks.MLP([4]),
        posteriors.DiagonalNormal(2),
        likelihood=likelihoods.Normal(1.0),
        event_shape=(6,),
        missing="nan",
    )
    calls = iter([keras_vae.VAE.in_batches])

    def interrupted(*arguments):
        for in_batches in calls:
            return in_batches(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(keras_vae.VAE, "in_batches", interrupted)
    x = np.zeros([300, 6])
    x[3] = np.nan
    with pytest.warns(UserWarning, match="Interrupted after 215 of 300 examples"):
        found = calibration(vae, x, **QUIET)
    assert found.interrupted
    assert len(found.shares) == 214


def test_bits_of_raw_images_are_ranked():
    vae = keras_vae.VAE(
        networks.MLP([8]),
        networks.MLP([8]),
        posteriors.DiagonalNormal(2),
        likelihood=likelihoods.DiscretizedLogistic(levels=256),
        preprocessor=preprocessors.Rescaling(),
        event_shape=(4, 4, 1),
        seed=0,
    )
    x = vae.generate(300, sample=True, seed=0)
    assert x.max() > 1  # raw
    found = calibration(vae, x, **QUIET)
    # The untrained encoder says nothing of x, and neither does z: as if it were exact.
    assert found.error < 0.03
    np.testing.assert_allclose(found.shares.sum(axis=1), 1)


def test_draws_of_a_sequence_are_written():
    vae = keras_vae.VAE(
        networks.MLP([8]),
        networks.RecurrentDecoder([8]),
        posteriors.DiagonalNormal(2),
        likelihood=likelihoods.Categorical(5),
        event_shape=(6, 1),
        seed=0,
    )
    x = np.random.default_rng(0).integers(0, 5, size=(200, 6, 1))
    assert calibration(vae, x, draws=9, **QUIET).error < 0.05


def test_conditions_go_with_their_examples():
    vae = keras_vae.VAE(
        networks.MLP([8]),
        networks.MLP([8]),
        posteriors.DiagonalNormal(2),
        likelihood=likelihoods.Normal(1.0),
        event_shape=(2,),
        condition_shape=(3,),
        seed=0,
    )
    labels = np.arange(900) % 3
    # The decoder looks at the condition alone, so that any encoder is exact.
    kernel = np.zeros(vae._to_likelihood.get_layer("parameters").kernel.shape)
    vae.decoder.set_weights([np.zeros_like(w) for w in vae.decoder.get_weights()])
    first = vae.decoder.trainable_weights[0]
    first.assign(np.concatenate([np.zeros([2, 8]), 5 * np.eye(3, 8)]))
    kernel[:3] = np.arange(3)[:, None]
    vae._to_likelihood.get_layer("parameters").kernel.assign(kernel)
    x = vae.generate(900, condition=labels, sample=True, seed=0)
    assert calibration(vae, x, condition=labels, **QUIET).error < 0.03
    assert calibration(vae, x, condition=(labels + 1) % 3, **QUIET).error > 0.05


def test_summary():
    found = Calibration(np.array([[0.5, 0.25, 0.25, 0.0], [0.5, 0.25, 0.25, 0.0]]))
    np.testing.assert_allclose(found.error, 0.25)
    assert found.coverage(0.5) == 0.5
    assert str(found).startswith("of 2 examples, 50.0% of the elements lie in the central half")
    with pytest.raises(ValueError, match=r"`level` must be in \(0, 1\)"):
        found.coverage(90)


def test_bad_arguments_are_refused():
    vae = linear_vae()
    with pytest.raises(ValueError, match="at least two examples"):
        calibration(vae, np.zeros([1, 5]), **QUIET)
    with pytest.raises(ValueError, match="draws"):
        calibration(vae, np.zeros([3, 5]), draws=0, **QUIET)
