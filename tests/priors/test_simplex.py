"""The Dirichlet prior against SciPy."""

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from keras_vae import numerics
from keras_vae.posteriors import LogisticNormal
from keras_vae.priors import Dirichlet
from keras_vae.terms import Context
from tests.twins import assert_gradients, assert_mean_is


def built(concentration, latent_dim=3):
    p = Dirichlet(concentration)
    p.build((latent_dim,))
    return p


@pytest.mark.parametrize("concentration", [0.3, 1.0, [0.2, 1.0, 7.5]])
def test_density_is_that_of_scipy(float64, rng, concentration):
    z = rng.dirichlet(np.ones(3), size=(4, 5))
    full = np.broadcast_to(concentration, 3)
    expected = [[scipy.stats.dirichlet.logpdf(v, full) for v in row] for row in z]
    p = built(concentration)
    # SciPy normalises the proportions, which moves the density by rounding.
    np.testing.assert_allclose(p.log_prob(tf.constant(z), Context()), expected, rtol=1e-9)
    # Away from the edges, where differences err.
    inside = rng.dirichlet(np.full(3, 9.0), size=(2, 2))
    assert_gradients(lambda z: p.log_prob(z, Context()), inside)


@pytest.mark.parametrize(
    "concentration", [[0.1, 0.4, 0.2], [1.0] * 3, [0.5, 2.0, 9.0]], ids=str
)
def test_draws_have_the_distribution_functions_of_scipy(float64, concentration):
    p, total = built(concentration), sum(concentration)
    noise = numerics.draw_noise(p.noise_spec(), [20_000], numerics.key_from_seed(0))
    z = p.sample(noise, Context()).numpy()
    np.testing.assert_allclose(z.sum(-1), 1.0, rtol=1e-12)
    for column, a in zip(z.T, concentration):
        test = scipy.stats.kstest(column, scipy.stats.beta(a, total - a).cdf)
        assert test.pvalue > 1e-3  # a fixed seed: it either always passes or never does
    # And jointly, by their second moments: a_i a_j / (A (A + 1)).
    a = np.array(concentration)
    expected = (np.outer(a, a) + np.diag(a)) / (total * (total + 1))
    assert_mean_is(z[:, :, None] * z[:, None], expected)


def test_eight_proposals_are_enough(float64):
    # Of the proposals for concentrations near 0, the least acceptable, how many fail?
    p = built(1e-3, latent_dim=2000)
    noise = numerics.draw_noise(p.noise_spec(), [100], numerics.key_from_seed(1))
    d, normal = 1e-3 + 2 / 3, noise["normal"].numpy()
    root = 1 + normal / np.sqrt(9 * d)
    log_v = 3 * np.log(np.maximum(root, 1e-300))
    accepted = np.log(noise["acceptance"]) < 0.5 * normal**2 + d * (1 - np.exp(log_v) + log_v)
    failed = 1 - (accepted & (root > 0)).mean()
    assert failed**8 < 1e-9


def test_the_ends_of_the_noise_stay_finite():
    p = built(0.05, latent_dim=2)
    for end in (0.0, 1 - 2.0**-23):
        for normal in (-9.0, 0.0, 9.0):
            noise = {
                "normal": tf.fill([1, 2, 8], normal),
                "acceptance": tf.fill([1, 2, 8], tf.constant(end)),
                "boost": tf.constant([[end, 0.5]]),
            }
            z = p.sample(noise, Context())
            assert np.isfinite(z).all()
            assert np.isfinite(p.log_prob(z, Context())).all()


def test_first_accepted_proposal_is_taken(float64):
    p = built(1.0, latent_dim=2)
    normal = np.zeros([1, 2, 8])
    normal[0, 0] = [-9.0, 0.7, *[0.1] * 6]  # the first makes v negative, which is refused
    noise = {
        "normal": tf.constant(normal),
        "acceptance": tf.fill([1, 2, 8], tf.constant(0.5, tf.float64)),
        "boost": tf.fill([1, 2], tf.constant(0.25, tf.float64)),
    }
    d = 5 / 3
    gammas = d * np.array([(1 + 0.7 / np.sqrt(9 * d)) ** 3, 1.0])
    z = p.sample(noise, Context())[0]
    np.testing.assert_allclose(z, gammas / gammas.sum(), rtol=1e-12)


def test_kl_of_a_logistic_normal_is_the_mean_log_ratio(float64, rng):
    q, p = LogisticNormal(3), built([0.5, 1.0, 2.0])
    params = tf.constant(rng.normal(size=(2, 4)))
    epsilon = tf.constant(rng.normal(size=(7, 2, 2)))
    draw = q.sample_and_log_prob(params, {"epsilon": epsilon}, Context())
    log_ratio = draw.log_prob - p.log_prob(draw.latents, Context())
    kl = p.kl(q, params, draw, Context())
    np.testing.assert_allclose(kl, tf.reduce_mean(log_ratio, 0)[:, None], rtol=1e-12)


@pytest.mark.parametrize("bad", [0.0, -1.0, [1.0, 0.0, 1.0]])
def test_concentration_must_be_positive(bad):
    with pytest.raises(ValueError, match=r"`concentration` must be positive. Received: conc"):
        Dirichlet(bad)


def test_there_must_be_a_concentration_for_each_proportion():
    with pytest.raises(ValueError, match="one for each of the 3 proportions"):
        built([1.0, 2.0])
