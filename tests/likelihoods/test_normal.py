"""The normal likelihood against SciPy, quadrature and finite differences."""

import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

import keras_vae
from keras_vae.likelihoods import Normal
from keras_vae.terms import Context
from tests.twins import assert_gradients, finite_differences, integral

TRAINING = Context(training=True)


def normal(scale, event_shape=(2, 3), **kwargs):
    p = Normal(scale, **kwargs)
    p.build(event_shape)
    return p


def decoded(p, rng, samples=4, batch=3):
    shape = (samples, batch, *p.params_shape(p.event_shape))
    return tf.constant(rng.normal(size=shape)), tf.constant(rng.normal(size=(batch, 2, 3)))


# Every mode against SciPy.


def test_fixed_scale(float64, rng):
    p = normal(0.3)
    params, x = decoded(p, rng)
    expected = scipy.stats.norm.logpdf(x, params, 0.3).sum((-2, -1))
    np.testing.assert_allclose(p.log_prob(params, x), expected, rtol=1e-12)


def test_learned_scale(float64, rng):
    p = normal("learned", min_scale=0.05)
    params, x = decoded(p, rng)
    p.raw_scale.assign(-0.4)
    scale = np.logaddexp(0, -0.4) + 0.05
    expected = scipy.stats.norm.logpdf(x, params, scale).sum((-2, -1))
    np.testing.assert_allclose(p.log_prob(params, x), expected, rtol=1e-12)


def test_predicted_scale(float64, rng):
    p = normal("predicted", min_scale=0.05)
    params, x = decoded(p, rng)
    assert params.shape[2:] == (2, 6)
    loc, raw = params[..., :3], params[..., 3:]
    scale = np.logaddexp(0, raw) + 0.05
    expected = scipy.stats.norm.logpdf(x, loc, scale).sum((-2, -1))
    np.testing.assert_allclose(p.log_prob(params, x), expected, rtol=1e-12)
    np.testing.assert_array_equal(p.mean(params), loc)


@pytest.mark.parametrize("scale", [0.4, "learned", "predicted", "optimal"])
def test_mass_is_one(float64, rng, scale):
    p = normal(scale, (1,))
    params = tf.constant(rng.normal(size=(1, *p.params_shape((1,)))))

    mass = integral(lambda x: np.exp(p.log_prob(params, x[:, None])))
    np.testing.assert_allclose(mass, 1.0, rtol=1e-9)


@pytest.mark.parametrize("scale", [0.4, "learned", "predicted", "optimal"])
@pytest.mark.parametrize("training", [False, True], ids=["evaluation", "training"])
def test_gradients_are_those_of_finite_differences(float64, rng, scale, training):
    # In training the optimal scale moves with the parameters, and the differences see that.
    p = normal(scale)
    params, x = decoded(p, rng, samples=2)
    context = Context(training=training)
    assert_gradients(lambda params: p.log_prob(params, x, None, context), params.numpy())


def test_gradient_of_the_learned_scale_is_that_of_finite_differences(float64, rng):
    p = normal("learned")
    params, x = decoded(p, rng)

    def total(raw):
        p.raw_scale.assign(raw)
        return tf.reduce_sum(p.log_prob(params, x))

    with tf.GradientTape() as tape:
        value = total(0.3)
    gradient = tape.gradient(value, p.raw_scale.value)
    np.testing.assert_allclose(gradient, finite_differences(total, np.array(0.3)), rtol=1e-7)


# The scale that is trained.


def test_a_learned_scale_starts_near_one():
    p = normal("learned")
    np.testing.assert_allclose(p.distribution(tf.zeros([2, 3])).stddev(), 1.0, atol=0.01)


def test_a_learned_scale_finds_the_root_mean_squared_error(rng):
    p = normal("learned", (5,))
    x = tf.constant(0.37 * rng.normal(size=(400, 5)), tf.float32)
    params = tf.zeros([1, 400, 5])
    optimizer = keras.optimizers.Adam(0.05)
    optimizer.build(p.trainable_variables)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(p.log_prob(params, x))
        optimizer.apply(tape.gradient(loss, p.trainable_variables))

    for _ in range(300):
        step()
    scale = p.distribution(params[0, :1]).stddev()
    # The maximum is quadratic: 300 steps of Adam come within a tenth of a percent of it.
    np.testing.assert_allclose(scale, np.sqrt(np.mean(x**2)), rtol=1e-3)


# The optimal scale: Rybkin et al. (2021), equation 6.


def test_optimal_scale_gives_the_profile_likelihood(float64, rng):
    p = normal("optimal")
    params, x = decoded(p, rng)
    total = tf.reduce_sum(p.log_prob(params, x, None, TRAINING))
    error = np.asarray(x - params)
    expected = -error.size / 2 * (np.log(2 * np.pi * np.mean(error**2)) + 1)
    np.testing.assert_allclose(total, expected, rtol=1e-12)
    for scale in np.sqrt(np.mean(error**2)) * np.array([0.5, 0.9, 1.1, 2.0]):
        assert np.sum(normal(scale).log_prob(params, x)) < total


def test_optimal_scale_gives_the_gradient_of_the_profile_likelihood(float64, rng):
    p = normal("optimal")
    params, x = decoded(p, rng)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(params)
        value = tf.reduce_sum(p.log_prob(params, x, None, TRAINING))
        profile = (
            -params.shape.num_elements() / 2 * tf.math.log(tf.reduce_mean((x - params) ** 2))
        )
    np.testing.assert_allclose(
        tape.gradient(value, params), tape.gradient(profile, params), rtol=1e-10
    )


def test_optimal_scale_carries_no_gradient_between_examples(float64, rng):
    # In the sum such gradients cancel; weighted examples would feel them.
    p = normal("optimal")
    params, x = decoded(p, rng)
    with tf.GradientTape() as tape:
        tape.watch(params)
        one = p.log_prob(params, x, None, TRAINING)[0, 0]
    gradient = np.array(tape.gradient(one, params))
    variance = np.mean(np.asarray(x - params) ** 2)
    np.testing.assert_allclose(gradient[0, 0], (x - params)[0, 0] / variance, rtol=1e-10)
    gradient[0, 0] = 0
    np.testing.assert_array_equal(gradient, 0.0)


def test_optimal_scale_is_taken_over_the_observed_values(float64, rng):
    p = normal("optimal")
    params, x = decoded(p, rng)
    mask = rng.integers(0, 2, size=x.shape).astype(bool)
    total = tf.reduce_sum(p.log_prob(params, tf.where(mask, x, np.nan), mask, TRAINING))
    error = np.asarray(x - params)[:, mask]
    expected = -error.size / 2 * (np.log(2 * np.pi * np.mean(error**2)) + 1)
    np.testing.assert_allclose(total, expected, rtol=1e-12)


def test_a_batch_without_observations_gives_zeros_and_no_gradient():
    p = normal("optimal")
    params, mask = tf.ones([1, 3, 2, 3]), tf.zeros([3, 2, 3], tf.bool)
    with tf.GradientTape() as tape:
        tape.watch(params)
        value = p.log_prob(params, tf.fill([3, 2, 3], np.nan), mask, TRAINING)
    np.testing.assert_array_equal(value, np.zeros((1, 3)))
    np.testing.assert_array_equal(tape.gradient(value, params), np.zeros((1, 3, 2, 3)))


def test_optimal_scale_does_not_fall_below_the_floor(float64):
    p = normal("optimal", min_scale=0.2)
    params, x = (
        tf.zeros([1, 3, 2, 3], tf.float64),
        tf.fill([3, 2, 3], tf.constant(1e-3, tf.float64)),
    )
    expected = scipy.stats.norm.logpdf(1e-3, 0, 0.2) * 6
    np.testing.assert_allclose(p.log_prob(params, x, None, TRAINING), np.full((1, 3), expected))
    np.testing.assert_allclose(p.log_prob(params, x), np.full((1, 3), expected))


def test_evaluation_uses_the_running_average_of_the_variances(float64, rng):
    p = normal("optimal")
    variances, weights = [], []
    for step in range(5):
        params, x = decoded(p, rng)
        x = x * (step + 1)
        p.log_prob(params, x, None, TRAINING)
        variances.append(np.mean(np.asarray(x - params) ** 2))
        weights = [0.99 * w for w in weights] + [0.01]
        # The weights sum to less than 1 in the beginning: divided out.
        scale = np.sqrt(np.average(variances, weights=weights))
        expected = scipy.stats.norm.logpdf(x, params, scale).sum((-2, -1))
        np.testing.assert_allclose(p.log_prob(params, x), expected, rtol=1e-10)
        np.testing.assert_allclose(p.distribution(params).stddev()[0, 0, 0, 0], scale)
    before = [w.numpy() for w in p.weights]
    p.log_prob(params, x)
    p.sample(params, seed=0)
    assert [w.numpy() for w in p.weights] == before


def test_a_batch_without_observations_does_not_move_the_running_average(float64, rng):
    p = normal("optimal")
    params, x = decoded(p, rng)
    p.log_prob(params, 3 * x, None, TRAINING)
    before = p.distribution(params).stddev()[0, 0, 0, 0]
    p.log_prob(params, x, tf.zeros(x.shape, tf.bool), TRAINING)
    np.testing.assert_allclose(p.distribution(params).stddev()[0, 0, 0, 0], before)


def test_optimal_scale_is_one_before_the_first_step():
    p = normal("optimal")
    np.testing.assert_array_equal(p.distribution(tf.zeros([2, 3])).stddev(), np.ones((2, 3)))
    assert p.trainable_variables == []


def test_the_running_average_is_saved(tmp_path, rng):
    vae = keras_vae.presets.Autoencoder(
        keras.layers.Identity(),
        keras.layers.Identity(),
        latent_dim=2,
        likelihood=Normal("optimal"),
        event_shape=(3,),
    )
    vae.compile()
    vae.fit(3 * rng.normal(size=(64, 3)), batch_size=32, verbose=0)
    scale = vae.likelihood_of(np.zeros((1, 2))).stddev()
    assert np.min(scale) > 1.5
    vae.save(tmp_path / "vae.keras")
    loaded = keras.saving.load_model(tmp_path / "vae.keras")
    np.testing.assert_array_equal(loaded.likelihood_of(np.zeros((1, 2))).stddev(), scale)


# Extremes and errors.


@pytest.mark.parametrize("raw", [-100.0, 100.0])
def test_extreme_predicted_scales_stay_finite(raw):
    p = normal("predicted", (1,))
    params = tf.constant([[[3.0, raw]]])
    with tf.GradientTape() as tape:
        tape.watch(params)
        value = p.log_prob(params, tf.constant([[-3.0]]))
    assert np.isfinite(value).all()
    assert np.isfinite(tape.gradient(value, params)).all()


def test_a_hidden_value_does_not_count_even_where_its_density_is_zero():
    p = normal(1.0, (2,))
    params, mask = tf.constant([[[0.5, 1e30]]]), tf.constant([[True, False]])
    with tf.GradientTape() as tape:
        tape.watch(params)
        value = p.log_prob(params, tf.constant([[0.5, np.nan]]), mask)
    np.testing.assert_allclose(value, [[scipy.stats.norm.logpdf(0)]], rtol=1e-6)
    np.testing.assert_array_equal(tape.gradient(value, params), [[[0.0, 0.0]]])


def test_a_floor_above_one_is_a_floor(float64):
    for mode in ("learned", "optimal"):
        p = normal(mode, min_scale=2.0)
        assert np.min(p.distribution(tf.zeros([2, 3], tf.float64)).stddev()) >= 2.0


def test_parameters_per_element():
    assert Normal().params_shape((8, 8, 3)) == (8, 8, 3)
    assert Normal("learned").params_shape((8, 8, 3)) == (8, 8, 3)
    assert Normal("optimal").params_shape((5,)) == (5,)
    assert Normal("predicted").params_shape((8, 8, 3)) == (8, 8, 6)


def test_any_real_number_is_in_its_support():
    support = Normal().support
    assert not support.violations(tf.constant([-1e30, 1e30]))
    assert str(support) == "[-inf, inf]"


@pytest.mark.parametrize("scale", [0, -1.0, float("nan")])
def test_a_scale_that_is_not_positive_is_refused(scale):
    with pytest.raises(ValueError, match=r"`scale` must be positive\. Received: scale="):
        Normal(scale)


def test_an_unknown_mode_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"'learned', 'predicted', 'optimal'.*scale='best'"):
        Normal("best")


@pytest.mark.parametrize("floor", [0.0, -1.0])
def test_a_floor_that_is_not_positive_is_refused(floor):
    with pytest.raises(
        ValueError, match=r"`min_scale` must be positive\. Received: min_scale="
    ):
        Normal(min_scale=floor)
