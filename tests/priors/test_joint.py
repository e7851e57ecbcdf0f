"""The product of priors against its blocks, one by one."""

import numpy as np
import pytest
import tensorflow as tf

from keras_vae import numerics
from keras_vae import posteriors as q_
from keras_vae.priors import (
    Categorical,
    ConditionalNormal,
    Joint,
    Laplace,
    NormalMixture,
    StandardNormal,
    VampPrior,
)
from keras_vae.terms import Context, Support

EVENT_SHAPE = (5,)


def posterior():
    q = q_.Joint(
        [q_.DiagonalNormal(2), q_.RelaxedCategorical(3, 2), q_.FullCovarianceNormal(2)]
    )
    q.build(None)
    return q


def encode(x):
    return tf.concat([x, 0.5 * x, tf.sin(x)], axis=-1)  # five numbers to fifteen


def built(priors, q=None, condition_shape=None):
    q, p = q or posterior(), Joint(priors)
    p.bind(EVENT_SHAPE, Support(), condition_shape, posterior=q)
    p.build(q.latent_shape)
    return p


def blocks():
    return [StandardNormal(), Categorical(3, 2), NormalMixture(3)]


def some_draw(q, rng, samples=4):
    params = tf.constant(rng.normal(size=(3, 15)))
    noise = numerics.draw_noise(q.noise_spec(), [samples, 3], numerics.key_from_seed(0))
    return params, q.sample_and_log_prob(params, noise, Context())


def test_density_and_draws_are_those_of_the_blocks(float64, rng):
    own = blocks()
    p = built(own)
    z = tf.constant(rng.normal(size=(4, 3, 10)))
    parts = [z[..., :2], z[..., 2:8], z[..., 8:]]
    expected = sum(b.log_prob(part, Context()) for b, part in zip(own, parts))
    np.testing.assert_allclose(p.log_prob(z, Context()), expected, rtol=1e-12)
    noise = numerics.draw_noise(p.noise_spec(), [7], numerics.key_from_seed(0))
    assert set(noise) == {
        "block_0_epsilon",
        "block_1_category",
        "block_2_component",
        "block_2_epsilon",
    }
    expected = [
        b.sample({n: noise[f"block_{i}_{n}"] for n in b.noise_spec()}, Context())
        for i, b in enumerate(own)
    ]
    np.testing.assert_array_equal(p.sample(noise, Context()), tf.concat(expected, -1))


def test_kl_is_told_by_block(float64, rng):
    q, own = posterior(), blocks()
    p = built(own, q)
    params, draw = some_draw(q, rng)
    kl = p.kl(q, params, draw, Context())
    assert p.kl_blocks(q) == (2, 2, 1)
    assert kl.shape == (3, p.kl_groups(q)) == (3, 5)
    np.testing.assert_allclose(
        kl[:, :2], own[0].closed_form_kl(q.posteriors[0], params[:, :4]), rtol=1e-12
    )
    np.testing.assert_allclose(
        kl[:, 2:4], own[1].closed_form_kl(q.posteriors[1], params[:, 4:10]), rtol=1e-12
    )
    last = draw.blocks[2]
    log_ratio = last.log_prob - own[2].log_prob(last.latents, Context())
    np.testing.assert_allclose(kl[:, 4], tf.reduce_mean(log_ratio, 0), rtol=1e-12)
    assert p.closed_form_kl(q, params) is None  # the last block has none
    monte_carlo = p.monte_carlo_kl(q, params, draw, Context())
    log_ratio = draw.log_prob - p.log_prob(draw.latents, Context())
    np.testing.assert_allclose(
        tf.reduce_sum(monte_carlo, -1), tf.reduce_mean(log_ratio, 0), rtol=1e-10
    )


def test_a_block_sees_its_own_posterior_and_parameters(float64, rng):
    # A VampPrior as a block is the VampPrior of that block alone.
    q = posterior()
    p = built([VampPrior(4), Categorical(3, 2), VampPrior(3)], q)
    context = Context(encode=encode, posterior=q)
    z = tf.constant(rng.normal(size=(6, 3, 10)))
    expected = 0
    for index, (start, stop), (low, high) in ((0, (0, 4), (0, 2)), (2, (10, 15), (8, 10))):
        block = p.priors[index]
        params = encode(tf.convert_to_tensor(block.pseudo_inputs))[:, start:stop]
        own = context._replace(
            encode=lambda x, params=params: params, posterior=q.posteriors[index]
        )
        expected += block.log_prob(z[..., low:high], own)
    expected += p.priors[1].log_prob(z[..., 2:8], context)
    np.testing.assert_allclose(p.log_prob(z, context), expected, rtol=1e-12)
    noise = numerics.draw_noise(p.noise_spec(), [7], numerics.key_from_seed(0))
    assert p.sample(noise, context).shape == (7, 10)


def test_each_block_adapts_to_as_many_examples_as_it_wants(rng):
    p = built([VampPrior(4), Categorical(3, 2), VampPrior(3)])
    assert p.adapt_rows == 4
    x = rng.normal(size=(4, *EVENT_SHAPE)).astype("float32")
    p.adapt(x, Context(encode=encode, posterior=posterior()))
    np.testing.assert_array_equal(p.priors[0].pseudo_inputs, x)
    np.testing.assert_array_equal(p.priors[2].pseudo_inputs, x[:3])


def test_blocks_must_match_those_of_the_posterior():
    q = posterior()
    assert Joint(blocks()).why_not(q) is None
    assert Joint([VampPrior(), Categorical(3, 2), Laplace()]).why_not(q) is None
    assert "needs a Joint posterior of as many" in Joint(blocks()[:2]).why_not(q)
    assert "posterior has 1" in Joint(blocks()).why_not(q_.DiagonalNormal(2))
    assert "choose a prior" in StandardNormal().why_not(q)
    wrong = Joint([StandardNormal(), StandardNormal(), StandardNormal()])
    assert "RelaxedCategorical posterior are 2 one-hot" in wrong.why_not(q)


def test_flags_are_those_of_the_blocks():
    assert Joint([StandardNormal(), ConditionalNormal()]).needs_condition
    assert Joint([StandardNormal(), Laplace()]).factorised
    assert not Joint(blocks()).factorised
    assert not Joint(blocks()).needs_condition


def test_what_is_no_list_of_priors_is_refused():
    for bad in (StandardNormal(), [StandardNormal], None):
        with pytest.raises(TypeError, match="`priors` must be a list of keras_vae priors"):
            Joint(bad)
    with pytest.raises(ValueError, match="must hold at least one"):
        Joint([])
