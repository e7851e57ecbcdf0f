"""The posterior that is a point."""

import numpy as np
import pytest
import tensorflow as tf

from keras_vae.posteriors import Deterministic
from keras_vae.terms import Context


def test_its_one_draw_is_the_code_itself(rng):
    q = Deterministic(3)
    params = tf.constant(rng.normal(size=(4, 3)), tf.float32)
    draw = q.sample_and_log_prob(params, {}, Context())
    np.testing.assert_array_equal(draw.latents, params[None])
    assert draw.log_prob is None
    np.testing.assert_array_equal(q.mean(params), params)
    np.testing.assert_array_equal(q.scale(params), np.zeros((4, 3)))
    assert q.noise_spec() == {}
    assert q.params_shape == q.latent_shape == (3,)


def test_the_gradient_passes_through_it(rng):
    q = Deterministic(2)
    params = tf.constant(rng.normal(size=(4, 2)), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(params)
        z = q.sample_and_log_prob(params, {}, Context()).latents
    np.testing.assert_array_equal(tape.gradient(z, params), np.ones((4, 2)))


def test_it_has_no_density_of_any_kind(rng):
    q = Deterministic(2)
    params = tf.zeros([4, 2])
    assert not q.has_density
    assert not q.evaluable
    assert q.entropy(params) is None
    assert q.second_moment(params) is None
    with pytest.raises(ValueError, match=r"has no density: log q\(z\|x\) does not exist"):
        q.log_prob(params, params[None], Context())


def test_as_a_distribution_it_is_a_point_mass():
    q = Deterministic(2).distribution(tf.constant([[1.0, 2.0]]))
    np.testing.assert_array_equal(q.sample(3), np.tile([[[1.0, 2.0]]], (3, 1, 1)))
