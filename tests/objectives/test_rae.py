"""The regularised autoencoder's penalties against NumPy and finite differences."""

import numpy as np
import pytest
import tensorflow as tf

import keras_vae
from keras_vae.objectives import RAE, LogLikelihood
from keras_vae.schedules import LinearWarmup
from keras_vae.terms import Context, ElboTerms
from tests.twins import assert_gradients, finite_differences


@pytest.fixture
def matrices(rng):
    return rng.normal(size=(2, 4)), rng.normal(size=(4, 3))


def decoder(matrices):
    """z `[*leading, 2]` -> parameters `[*leading, 3]`, not linear."""
    first, second = (tf.constant(m) for m in matrices)
    return lambda z: tf.tanh(z @ first) @ second


def terms_of(latents):
    latents = tf.convert_to_tensor(latents)
    log_likelihood = tf.cast(
        tf.reshape(tf.range(tf.size(latents[..., 0])), latents.shape[:2]), latents.dtype
    )
    return ElboTerms(log_likelihood, None, None, None, latents)


def test_codes_cost_half_their_squared_length(float64, rng):
    terms = terms_of(rng.normal(size=(2, 5, 3)))
    bound = RAE(LinearWarmup(10, end=4.0)).bound(terms, Context(step=tf.constant(5)))
    length = (terms.latents.numpy() ** 2).sum(-1)
    expected = (terms.log_likelihood - 2.0 * length / 2).numpy().mean(0)
    np.testing.assert_allclose(bound.value, expected, rtol=1e-12)


def test_gradient_penalty_is_the_sum_of_all_squared_slopes(float64, rng, matrices):
    decode = decoder(matrices)
    terms = terms_of(rng.normal(size=(2, 3, 2)))
    bound = RAE(0.0, gradient_penalty=0.7).bound(terms, Context(decode=decode))
    slopes = np.zeros((2, 3))
    for index in np.ndindex(2, 3):
        z = terms.latents.numpy()[index]
        for output in range(3):
            slope = finite_differences(lambda z, output=output: decode(z[None])[0, output], z)
            slopes[index] += np.sum(slope**2)
    expected = (terms.log_likelihood.numpy() - 0.7 * slopes).mean(0)
    # Central differences with steps of 1e-5 are exact to some 1e-9.
    np.testing.assert_allclose(bound.value, expected, rtol=1e-7)


def test_gradient_penalty_moves_code_and_decoder(float64, rng, matrices):
    def value(z, first, second):
        decode = decoder((first, second))
        return RAE(0.1, 0.7).bound(terms_of(z), Context(decode=decode)).value

    assert_gradients(value, rng.normal(size=(1, 3, 2)), *matrices)


def test_without_weights_it_is_the_log_likelihood(float64, rng):
    terms = terms_of(rng.normal(size=(2, 5, 3)))
    np.testing.assert_array_equal(
        RAE(0.0).bound(terms, Context()).value, LogLikelihood().bound(terms, Context()).value
    )


def test_a_deterministic_model_trains_with_it(make_vae, digits):
    vae = make_vae(
        posterior=keras_vae.posteriors.Deterministic(3),
        objective=RAE(0.5, gradient_penalty=0.01),
    )
    vae.compile("adam")
    history = vae.fit(digits[:64], batch_size=16, epochs=4, verbose=0).history
    assert set(history) == {"loss", "log_likelihood"}
    assert history["loss"][-1] < history["loss"][0]
    assert all(np.array(history["loss"]) > -np.array(history["log_likelihood"]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"weight": -1.0}, r"`weight` must be >= 0 or a schedule\. Received: weight=-1"),
        ({"weight": 1.0, "gradient_penalty": -1.0}, r"`gradient_penalty` must be >= 0\. Recei"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        RAE(**arguments)
