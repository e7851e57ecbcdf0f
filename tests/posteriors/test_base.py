"""What a new posterior gets for free."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from keras_vae.posteriors import Posterior
from keras_vae.terms import Context

tfd = tfp.distributions


class Logistic(Posterior):
    """Only what a subclass must write: a factorised family given by its distribution."""

    factorised = True

    @property
    def params_shape(self):
        return (self.latent_dim,)

    def distribution(self, params):
        return tfd.Independent(tfd.Logistic(params, 2.0), 1)


def test_densities_and_moments_follow_from_the_distribution(rng):
    q = Logistic(3)
    params = tf.constant(rng.normal(size=(2, 3)), tf.float32)
    z = tf.constant(rng.normal(size=(4, 2, 3)), tf.float32)
    expected = tfd.Logistic(params, 2.0)
    np.testing.assert_allclose(q.log_prob_per_dimension(params, z), expected.log_prob(z))
    np.testing.assert_allclose(
        q.log_prob(params, z, Context()), tf.reduce_sum(expected.log_prob(z), -1), rtol=1e-6
    )
    np.testing.assert_allclose(q.mean(params), params)
    np.testing.assert_allclose(
        q.scale(params), np.full((2, 3), 2 * np.pi / np.sqrt(3)), rtol=1e-6
    )


def test_moments_are_unknown_unless_stated():
    q = Logistic(3)
    assert q.entropy(tf.zeros([2, 3])) is None
    assert q.second_moment(tf.zeros([2, 3])) is None


def test_the_base_leaves_the_rest_to_subclasses():
    q = Posterior(2)
    assert q.latent_shape == (2,)
    for attempt in (
        lambda: q.params_shape,
        q.noise_spec,
        lambda: q.sample_and_log_prob(None, {}, Context()),
        lambda: q.distribution(None),
    ):
        with pytest.raises(NotImplementedError):
            attempt()
