"""The product of posteriors against its blocks, one by one."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_vae import numerics, priors, schedules
from keras_vae.posteriors import (
    Deterministic,
    DiagonalNormal,
    FullCovarianceNormal,
    Joint,
    Laplace,
    LogisticNormal,
    RelaxedBernoulli,
    RelaxedCategorical,
)
from keras_vae.terms import Context
from tests.twins import assert_gradients


def three_blocks():
    return [DiagonalNormal(2), RelaxedCategorical(3, 2), FullCovarianceNormal(2)]


def built(posteriors=None):
    q = Joint(posteriors or three_blocks())
    q.build(None)
    return q


def noise_of(q, *leading):
    return numerics.draw_noise(q.noise_spec(), leading, numerics.key_from_seed(0))


@pytest.mark.parametrize("training", [False, True])
def test_everything_is_that_of_the_blocks_in_a_row(float64, rng, training):
    blocks, context = three_blocks(), Context(training=training)
    q = built(blocks)
    assert q.params_shape == (4 + 6 + 5,)
    assert q.latent_shape == (2 + 6 + 2,)
    params = tf.constant(rng.normal(size=(3, 15)))
    parts = [params[:, :4], params[:, 4:10], params[:, 10:]]
    noise = noise_of(q, 5, 3)
    assert set(noise) == {"block_0_epsilon", "block_1_uniform", "block_2_epsilon"}
    draw = q.sample_and_log_prob(params, noise, context)
    own = [
        b.sample_and_log_prob(
            p, {name: noise[f"block_{i}_{name}"] for name in b.noise_spec()}, context
        )
        for i, (b, p) in enumerate(zip(blocks, parts))
    ]
    np.testing.assert_array_equal(draw.latents, tf.concat([d.latents for d in own], -1))
    total = sum(d.log_prob.numpy() for d in own)
    np.testing.assert_allclose(draw.log_prob, total, rtol=1e-12)
    for block, expected in zip(draw.blocks, own, strict=True):
        np.testing.assert_array_equal(block.latents, expected.latents)
        np.testing.assert_array_equal(block.log_prob, expected.log_prob)
    np.testing.assert_allclose(q.log_prob(params, draw.latents, context), total, rtol=1e-11)
    for name in ("mean", "scale", "point", "entropy", "second_moment", "absolute_moment"):
        expected = tf.concat([getattr(b, name)(p) for b, p in zip(blocks, parts)], -1)
        np.testing.assert_array_equal(getattr(q, name)(params), expected)
    assert q.entropy(params).shape == (3, 2 + 2 + 1)
    each = q.log_prob_of_each(params, draw.latents[0], context)
    matched = q.log_prob(params, draw.latents[:1], context)[0]
    np.testing.assert_allclose(np.diag(each), matched, rtol=1e-9)


def test_flags_are_those_that_hold_for_all_blocks():
    flags = ("evaluable", "has_moments", "reparameterised", "factorised", "has_density")
    plain = Joint([DiagonalNormal(1), Laplace(1)])
    assert [getattr(plain, flag) for flag in flags] == [True] * 5
    discrete = Joint([DiagonalNormal(1), RelaxedBernoulli(1)])
    assert not discrete.reparameterised
    assert discrete.factorised
    simplex = Joint([DiagonalNormal(1), LogisticNormal(2)])
    assert not simplex.has_moments
    assert not simplex.factorised
    assert simplex.space == "real vectors x proportions"
    assert simplex.entropy(tf.zeros([3, 4])) is None


def test_log_prob_per_dimension_is_that_of_the_blocks(float64, rng):
    q = built([DiagonalNormal(1), Laplace(2)])
    params, z = tf.constant(rng.normal(size=(3, 6))), tf.constant(rng.normal(size=(4, 3, 3)))
    by_dimension = q.log_prob_per_dimension(params, z)
    assert by_dimension.shape == (4, 3, 3)
    np.testing.assert_allclose(
        tf.reduce_sum(by_dimension, -1), q.log_prob(params, z, Context()), rtol=1e-12
    )


def test_gradients_are_those_of_finite_differences(float64, rng):
    q = built()
    noise = noise_of(q, 2, 1)
    assert_gradients(
        lambda p: q.sample_and_log_prob(p, noise, Context(training=True)).log_prob,
        rng.normal(size=(1, 15)),
    )


def test_schedules_are_logged_under_names_that_differ():
    ramp = schedules.LinearWarmup(10)
    one = Joint([DiagonalNormal(1), RelaxedCategorical(3, temperature=ramp)])
    assert one.schedule_names() == ["temperature"]
    two = Joint([RelaxedBernoulli(2, ramp), RelaxedCategorical(3, temperature=ramp)])
    assert two.schedule_names() == ["temperature_0", "temperature_1"]
    values = two.scheduled(Context(step=tf.constant(5, tf.int64)))
    assert {name: float(value) for name, value in values.items()} == {
        "temperature_0": 0.5,
        "temperature_1": 0.5,
    }


def test_what_is_no_list_of_posteriors_is_refused():
    for bad in (DiagonalNormal(2), [DiagonalNormal], None):
        with pytest.raises(TypeError, match="`posteriors` must be a list of keras_vae post"):
            Joint(bad)
    with pytest.raises(ValueError, match="must hold at least one"):
        Joint([])
    with pytest.raises(ValueError, match=r"density each.* Deterministic, which has none"):
        Joint([DiagonalNormal(1), Deterministic(1)])


@pytest.mark.thorough
def test_a_joint_model_trains_and_logs_its_temperature(make_vae, digits):
    # Dupont (2018): continuous and discrete latents, with relaxed draws in training alone.
    vae = make_vae(
        posterior=Joint(
            [
                DiagonalNormal(3),
                RelaxedCategorical(10, temperature=schedules.LinearWarmup(18, 1.0, 0.5)),
            ]
        ),
        prior=priors.Joint([priors.StandardNormal(), priors.Categorical(10)]),
    )
    vae.compile(keras.optimizers.Adam(1e-2))
    before = vae.evaluate(digits[:200], verbose=0, return_dict=True)["elbo"]
    fitted = vae.fit(digits, batch_size=100, epochs=2, validation_data=digits[:200], verbose=0)
    history = fitted.history
    assert all(np.isfinite(values).all() for values in history.values())
    assert history["val_elbo"][-1] > before
    assert 1.0 > history["temperature"][0] > history["temperature"][1] == 0.5
    z = vae.encode(digits[:50], sample=True, seed=0)
    assert set(np.unique(z[:, 3:])) == {0.0, 1.0}
    np.testing.assert_array_equal(z[:, 3:].sum(-1), 1)
    # The plain Keras encoder, of stock operations, says the same as the model.
    plain = vae.encoder_model().predict(digits[:5], verbose=0)
    np.testing.assert_allclose(plain, vae.encode(digits[:5]), rtol=1e-5, atol=1e-6)
    # The bound is one: it lies below the importance-weighted estimate, which tightens it.
    elbo = vae.elbo(digits[:50], samples=50, seed=0)
    assert np.mean(vae.log_marginal(digits[:50], samples=200, seed=0)) > np.mean(elbo)
    assert vae.generate(3, seed=0).shape == (3, 8, 8, 1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("posterior", "prior"),
    [
        (LogisticNormal(3), priors.Dirichlet(0.5)),
        (RelaxedBernoulli(3), priors.Bernoulli()),
        (Laplace(3), priors.Laplace()),
    ],
    ids=lambda part: type(part).__name__,
)
def test_plain_encoders_say_the_point(make_vae, digits, posterior, prior):
    vae = make_vae(posterior=posterior, prior=prior)
    plain = vae.encoder_model().predict(digits[:5], verbose=0)
    np.testing.assert_allclose(plain, vae.encode(digits[:5]), rtol=1e-5, atol=1e-6)
