"""What the verbs return."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_vae


@pytest.fixture
def fresh(make_vae):
    """A model none of whose verbs has been called."""
    return make_vae(prior=keras_vae.priors.NormalMixture(3))


@pytest.fixture(scope="module")
def vae(make_vae, digits):
    keras.utils.set_random_seed(0)
    model = make_vae(prior=keras_vae.priors.NormalMixture(3))
    model.compile("adam")
    model.fit(digits[:256], epochs=3, verbose=0)
    return model


def test_encode_is_the_mean_and_sampling_is_asked_for(vae, digits):
    x = digits[:100]
    q = vae.posterior_of(x)
    np.testing.assert_allclose(vae.encode(x), q.mean(), atol=1e-6)
    mean, scale = vae.encode(x, return_scale=True)
    np.testing.assert_allclose(scale, q.stddev(), rtol=1e-5)
    drawn = vae.encode(x, sample=True, seed=3)
    np.testing.assert_array_equal(drawn, vae.encode(x, sample=True, seed=3))
    assert np.abs(drawn - vae.encode(x, sample=True, seed=4)).max() > 0.1
    standardised = (drawn - mean) / scale
    # 300 standard normals: mean within 5 / sqrt(300), variance within 5 * sqrt(2 / 300).
    assert abs(standardised.mean()) < 0.29
    assert abs(standardised.var() - 1) < 0.41


def test_reconstruct_is_predict_is_decoded_mean(vae, digits):
    x = digits[:70]
    reconstruction = vae.reconstruct(x)
    np.testing.assert_allclose(reconstruction, vae.predict(x, verbose=0), atol=1e-6)
    np.testing.assert_allclose(reconstruction, vae.decode(vae.encode(x)), atol=1e-6)
    np.testing.assert_allclose(reconstruction, vae(x), atol=1e-6)


def test_generated_data_follow_prior_and_likelihood(vae):
    means = vae.generate(2000, seed=0)
    bits = vae.generate(2000, seed=0, sample=True)
    assert means.shape == bits.shape == (2000, 8, 8, 1)
    assert set(np.unique(bits)) == {0, 1}
    z = vae.prior_distribution().sample(2000, seed=1)
    expected = vae.likelihood_of(z).mean().numpy()
    # Pixel means over 2000 draws have a standard error below 0.5 / sqrt(2000) = 0.011.
    for images in (means, bits):
        np.testing.assert_allclose(images.mean(0), expected.mean(0), atol=5 * 0.011 * 2**0.5)


def test_seeds_make_draws_repeatable(vae):
    np.testing.assert_array_equal(vae.generate(3, seed=7), vae.generate(3, seed=7))
    assert np.abs(vae.generate(3, seed=7) - vae.generate(3, seed=8)).max() > 1e-3
    assert np.abs(vae.generate(3) - vae.generate(3)).max() > 1e-3
    keras.utils.set_random_seed(1)
    first = vae.generate(3)
    keras.utils.set_random_seed(1)
    np.testing.assert_array_equal(first, vae.generate(3))


def test_batches_cover_every_row_once(vae, digits):
    x = digits[:10]
    for batch_size in (1, 3, 10, 99):
        np.testing.assert_allclose(
            vae.encode(x, batch_size=batch_size), vae.encode(x), atol=1e-6
        )
    assert vae.generate(7, batch_size=3).shape[0] == 7
    np.testing.assert_array_equal(
        vae.decode(np.zeros((3, 3), "float64")), vae.decode(np.zeros((3, 3), "int32"))
    )


def test_verbs_take_what_numpy_takes(vae):
    np.testing.assert_array_equal(vae.decode([[0, 1, 2]]), vae.decode(np.array([[0, 1, 2]])))


def test_verbs_are_compiled_once(fresh, digits):
    for rows in (1, 5, 40):
        fresh.encode(digits[:rows])
        fresh.elbo(digits[:rows], seed=0)
        fresh.log_marginal(digits[:rows], samples=10, seed=0)
    assert len(fresh._functions) >= 3
    for function in fresh._functions.values():
        assert function.experimental_get_tracing_count() == 1


def test_elbo_is_below_log_marginal(vae, digits):
    x = digits[:50]
    elbo = vae.elbo(x, samples=200, seed=0)
    log_marginal = vae.log_marginal(x, samples=200, seed=0)
    assert elbo.shape == log_marginal.shape == (50,)
    assert np.all(elbo < log_marginal)


def test_another_prior_must_fit_the_model(vae):
    fits = keras_vae.priors.StandardNormal()
    with pytest.raises(ValueError, match="has not been fitted or built"):
        vae.generate(2, prior=fits)
    fits.build((3,))
    assert vae.generate(2, prior=fits, seed=0).shape == (2, 8, 8, 1)
    for other, message in (
        (keras_vae.priors.StandardNormal(), "latents of shape"),
        (keras_vae.priors.SphericalUniform(), "latents of a DiagonalNormal posterior are"),
    ):
        other.build((4,) if "shape" in message else (3,))
        with pytest.raises(ValueError, match=message):
            vae.generate(2, prior=other)


def test_log_marginal_takes_flat_memory(fresh, digits):
    # 2**20 samples of 64 pixels in one piece would be 256 MiB for each example.
    graph = None
    fresh.log_marginal(digits[:2], samples=2**14, seed=0)
    name = next(n for n, _ in fresh._functions if n.startswith("log_marginal"))
    graph = fresh._functions[name, False].get_concrete_function().graph
    loops = [op for op in graph.get_operations() if op.type in ("While", "StatelessWhile")]
    assert len(loops) == 1
    chunk = int(name.split()[-1])
    assert chunk * 128 <= 4096


def test_model_works_in_a_functional_graph(vae, digits):
    x = keras.Input((8, 8, 1))
    outer = keras.Model(x, vae(x))
    np.testing.assert_allclose(outer(digits[:3]), vae.reconstruct(digits[:3]), atol=1e-6)


def test_distributions_carry_gradients_to_the_weights(vae, digits):
    x = tf.constant(digits[:4])
    with tf.GradientTape() as tape:
        value = tf.reduce_sum(vae.prior_distribution().log_prob(vae.posterior_of(x).mean()))
    gradients = tape.gradient(value, [vae.prior.loc, *vae.encoder.trainable_variables])
    assert all(g is not None for g in gradients)
