"""What a new prior gets for free."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from keras_vae.posteriors import DiagonalNormal
from keras_vae.priors import Prior
from keras_vae.terms import Context

tfd = tfp.distributions


class StandardLogistic(Prior):
    """Only what a subclass must write: a density, factorised."""

    factorised = True

    def distribution(self, context):
        zeros = tf.zeros(self.latent_shape)
        return tfd.Independent(tfd.Logistic(zeros, 1.0), 1)


def built(latent_dim=2):
    p = StandardLogistic()
    p.build([latent_dim])
    return p


def test_build_remembers_the_shape_of_a_latent():
    assert built(3).latent_shape == (3,)
    assert built().built


def test_densities_follow_from_the_distribution(rng):
    p, z = built(), tf.constant(rng.normal(size=(5, 3, 2)), tf.float32)
    expected = tfd.Logistic(0.0, 1.0).log_prob(z)
    np.testing.assert_allclose(p.log_prob_per_dimension(z), expected)
    np.testing.assert_allclose(p.log_prob(z, Context()), tf.reduce_sum(expected, -1), rtol=1e-6)


def test_kl_is_estimated_from_the_draw(rng):
    p, q = built(), DiagonalNormal(2)
    params = tf.constant(rng.normal(size=(3, 4)), tf.float32)
    epsilon = tf.constant(rng.normal(size=(5, 3, 2)), tf.float32)
    draw = q.sample_and_log_prob(params, {"epsilon": epsilon}, Context())
    kl = p.kl(q, params, draw, Context())
    assert p.closed_form_kl(q, params) is None
    assert kl.shape == (3, 2)
    log_ratio = draw.log_prob - p.log_prob(draw.latents, Context())
    # Float32: the sum over dimensions is taken in another order.
    np.testing.assert_allclose(
        tf.reduce_sum(kl, -1), tf.reduce_mean(log_ratio, 0), rtol=1e-5, atol=1e-6
    )


def test_adapting_does_nothing_unless_overridden():
    p = built()
    assert p.adapt(np.zeros([3, 4]), Context()) is None
    assert p.weights == []


def test_the_base_leaves_the_rest_to_subclasses():
    for attempt in (
        built().noise_spec,
        lambda: built().sample({}, Context()),
        lambda: Prior().distribution(Context()),
    ):
        with pytest.raises(NotImplementedError):
            attempt()
