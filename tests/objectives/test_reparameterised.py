"""Gradients of decoder and encoder, against their formulas written out.

The model is y = theta * z, z = mean + scale * epsilon, with derivatives known by hand. That
these are the right formulas - that the means agree with the gradients of the bounds - is in
tests/integration/test_equivalence.py.
"""

import numpy as np
import pytest
import scipy.special
import tensorflow as tf

from keras_vae.objectives import ELBO, IWAE, PIWAE, DReG, StickingTheLanding
from keras_vae.terms import Context, ElboTerms, LogJointGradient

X, THETA, MEAN, SCALE = 1.3, 0.8, 0.4, 0.7
SAMPLES = 6


class Toy:
    """p(z) = N(0, 1), p(x|z) = N(theta z, 1), q(z|x) = N(mean, scale), one latent."""

    def __init__(self, rng):
        self.epsilon = rng.normal(size=(SAMPLES, 1))
        self.z = z = MEAN + SCALE * self.epsilon
        self.log_weight = (
            -0.5 * (X - THETA * z) ** 2 - 0.5 * z**2 + 0.5 * self.epsilon**2 + np.log(SCALE)
        )
        self.joint_slope = (X - THETA * z) * THETA - z
        self.posterior_slope = -self.epsilon / SCALE
        self.decoder_slope = (X - THETA * z) * z

    def terms(self, theta, mean, scale):
        z = mean + scale * tf.constant(self.epsilon)
        constant = -0.5 * np.log(2 * np.pi)
        return ElboTerms(
            log_likelihood=-0.5 * (X - theta * z) ** 2 + constant,
            log_prior=-0.5 * z**2 + constant,
            log_posterior=-0.5 * ((z - mean) / scale) ** 2 - tf.math.log(scale) + constant,
            kl=None,
            latents=z[..., None],
            log_joint_gradient=LogJointGradient(
                tf.constant(self.joint_slope[..., None]),
                tf.constant(self.posterior_slope[..., None]),
            ),
        )

    def gradients(self, objective):
        variables = [tf.constant(v, tf.float64) for v in (THETA, MEAN, SCALE)]
        with tf.GradientTape() as tape:
            tape.watch(variables)
            bound = objective.bound(self.terms(*variables), Context())
            followed = bound.value if bound.surrogate is None else bound.surrogate
        return np.array([float(g) for g in tape.gradient(followed, variables)]), bound.value


@pytest.fixture
def toy(rng):
    return Toy(rng)


def along(z_gradient, epsilon):
    """Gradients of mean and scale for a gradient with respect to each z."""
    return [np.sum(z_gradient), np.sum(z_gradient * epsilon)]


def test_dreg_squares_the_weights_of_the_encoder(toy):
    weight = scipy.special.softmax(toy.log_weight, axis=0)
    path = weight**2 * (toy.joint_slope - toy.posterior_slope)
    expected = [np.sum(weight * toy.decoder_slope), *along(path, toy.epsilon)]
    gradients, value = toy.gradients(DReG(SAMPLES))
    np.testing.assert_allclose(gradients, expected, rtol=1e-12)
    np.testing.assert_allclose(value, toy.gradients(IWAE(SAMPLES))[1], rtol=1e-12)


def test_sticking_the_landing_leaves_out_the_score(float64, toy):
    path = (toy.joint_slope - toy.posterior_slope) / SAMPLES
    expected = [np.mean(toy.decoder_slope), *along(path, toy.epsilon)]
    gradients, value = toy.gradients(StickingTheLanding(SAMPLES))
    np.testing.assert_allclose(gradients, expected, rtol=1e-12)
    elbo = toy.gradients(ELBO(kl="monte_carlo", samples=SAMPLES))[1]
    np.testing.assert_allclose(value, elbo, rtol=1e-12)


@pytest.mark.parametrize(("outer", "inner"), [(2, 3), (3, 2), (6, 1), (1, 6)])
def test_piwae_gives_the_decoder_all_samples_and_the_encoder_groups(toy, outer, inner):
    in_all = scipy.special.softmax(toy.log_weight, axis=0)
    grouped = toy.log_weight.reshape(outer, inner, 1)
    in_group = scipy.special.softmax(grouped, axis=1).reshape(SAMPLES, 1) / outer
    # log q of a draw depends on the scale alone, as -log(scale).
    of_mean, of_scale = along(in_group * toy.joint_slope, toy.epsilon)
    expected = [np.sum(in_all * toy.decoder_slope), of_mean, of_scale + 1 / SCALE]
    gradients, value = toy.gradients(PIWAE(outer, inner))
    np.testing.assert_allclose(gradients, expected, rtol=1e-12)
    iwae_gradients, iwae = toy.gradients(IWAE(SAMPLES))
    np.testing.assert_allclose(value, iwae, rtol=1e-12)
    if outer == 1:
        np.testing.assert_allclose(gradients, iwae_gradients, rtol=1e-12)


def test_one_sample_makes_dreg_sticking_the_landing(rng):
    toy = Toy(rng)
    for name in ("epsilon", "joint_slope", "posterior_slope"):
        setattr(toy, name, getattr(toy, name)[:1])
    first, second = toy.gradients(DReG(1)), toy.gradients(StickingTheLanding(1))
    np.testing.assert_allclose(first[0], second[0], rtol=1e-12)
    np.testing.assert_allclose(first[1], second[1], rtol=1e-12)


def test_piwae_gives_log_q_the_weights_of_groups(rng):
    # Densities of normals depend on a draw's noise in no way that would tell.
    densities = [tf.constant(t) for t in rng.normal(size=(3, SAMPLES, 1))]
    slope = tf.zeros([SAMPLES, 1, 2], tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(densities)
        gradients = LogJointGradient(slope, slope)
        terms = ElboTerms(*densities, None, slope, log_joint_gradient=gradients)
        surrogate = PIWAE(2, 3).bound(terms, Context()).surrogate
    log_weight = (densities[0] + densities[1] - densities[2]).numpy()
    in_all = scipy.special.softmax(log_weight, axis=0)
    in_group = scipy.special.softmax(log_weight.reshape(2, 3, 1), axis=1) / 2
    expected = [in_all, in_all, -in_group.reshape(SAMPLES, 1)]
    for gradient, wanted in zip(tape.gradient(surrogate, densities), expected):
        np.testing.assert_allclose(gradient, wanted, rtol=1e-12)
