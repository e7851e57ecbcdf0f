"""Models of data in which values are missing, given as NaN."""

import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

import keras_vae
from keras_vae import numerics
from keras_vae.likelihoods import Bernoulli, Beta, Normal
from keras_vae.posteriors import DiagonalNormal


@pytest.fixture
def holed(digits):
    x = digits[:64].copy()
    x[np.random.default_rng(0).random(x.shape) < 0.3] = np.nan
    return x


def test_bound_is_that_of_what_was_observed(make_vae, holed):
    vae = make_vae(missing="nan")
    x = tf.constant(holed[:5])
    noise = vae.draw_noise(x, numerics.key_from_seed(0), 3)
    terms = vae.elbo_terms(x, x, noise, vae.context())
    logits = np.asarray(vae.likelihood_params(terms.latents))
    whole = x.numpy() * logits - np.logaddexp(0, logits)
    expected = np.where(np.isnan(holed[:5]), 0.0, whole).sum(axis=(2, 3, 4))
    np.testing.assert_allclose(terms.log_likelihood, expected, rtol=1e-5)


@pytest.mark.parametrize("likelihood", [Bernoulli, Beta])
def test_what_stands_in_a_hole_has_no_influence(make_vae, holed, likelihood):
    # For the density of Beta it is 1/2; the encoder sees 0 whatever the likelihood.
    vae = make_vae(missing="nan", likelihood=likelihood())
    params = vae.posterior_params(tf.constant(holed[:5]))
    assert np.isfinite(params).all()
    view = vae.encoder_view(tf.constant(holed[:5]))
    assert view.shape == (5, 8, 8, 2)
    np.testing.assert_array_equal(view[..., 1], ~np.isnan(holed[:5, ..., 0]))
    np.testing.assert_array_equal(view[..., 0], np.nan_to_num(holed[:5, ..., 0]))


def test_the_encoder_tells_zero_from_missing(make_vae, digits):
    vae = make_vae(missing="nan")
    x = np.zeros((1, 8, 8, 1), "float32")
    assert np.any(vae.encode(x) != vae.encode(np.full_like(x, np.nan)))


def test_it_trains_evaluates_and_survives_saving(make_vae, holed, tmp_path):
    vae = make_vae(missing="nan")
    vae.compile("adam")
    history = vae.fit(holed, epochs=2, validation_data=holed[:8], verbose=0).history
    assert all(np.isfinite(values).all() for values in history.values())
    vae.save(tmp_path / "vae.keras")
    again = keras.saving.load_model(tmp_path / "vae.keras")
    np.testing.assert_array_equal(vae.elbo(holed, seed=1), again.elbo(holed, seed=1))
    nothing = np.full((1, 8, 8, 1), np.nan, "float32")
    assert np.isfinite(vae.elbo(nothing, seed=0)).all()


def test_data_without_holes_is_scored_alike(make_vae, digits):
    # The same weights, but for those of the mask, whose input is a constant one.
    vae = make_vae(missing="nan", encoder=keras.layers.Flatten())
    plain = make_vae(encoder=keras.layers.Flatten())
    kernel, bias = (w.numpy() for w in vae._to_posterior.weights)
    kernel = kernel.reshape(64, 2, -1)
    plain._to_posterior.set_weights([kernel[:, 0], bias + kernel[:, 1].sum(0)])
    for name in ("decoder", "_to_likelihood"):
        getattr(plain, name).set_weights(getattr(vae, name).get_weights())
    np.testing.assert_allclose(
        vae.elbo(digits[:8], seed=0), plain.elbo(digits[:8], seed=0), rtol=1e-4
    )


def linear_model(rng):
    """A linear-Gaussian model, and mean and covariance of its x.

    The encoder sees nothing: importance weights make up for it.
    """
    keras.utils.set_random_seed(2)
    vae = keras_vae.VAE(
        keras.layers.Identity(),
        keras.layers.Identity(),
        DiagonalNormal(2),
        likelihood=Normal(0.7),
        event_shape=(4,),
        missing="nan",
        seed=1,
    )
    kernel, bias = rng.normal(size=(2, 4)), rng.normal(size=4)
    vae._to_likelihood.get_layer("parameters").set_weights([kernel, bias])
    encoder = vae._to_posterior.get_layer("parameters")
    encoder.set_weights([0 * w for w in encoder.get_weights()])
    encoder.bias.assign([0, 0, 1.0, 1.0])
    covariance = kernel.T @ kernel + 0.49 * np.eye(4)
    return vae, bias, covariance


def test_imputation_is_the_conditional_mean_of_a_linear_model(rng):
    # The joint normal of x tells the answer.
    vae, bias, covariance = linear_model(rng)
    x = np.array([[0.3, np.nan, -0.5, np.nan], [np.nan, 0.1, np.nan, np.nan]], "float32")
    filled = vae.impute(x, samples=50_000, seed=0)
    for row, result in zip(x, filled):
        seen = ~np.isnan(row)
        gain = covariance[np.ix_(~seen, seen)] @ np.linalg.inv(covariance[np.ix_(seen, seen)])
        expected = bias[~seen] + gain @ (row[seen] - bias[seen])
        # 50,000 weighted draws: standard errors below 0.01.
        np.testing.assert_allclose(result[~seen], expected, atol=0.04)
        np.testing.assert_array_equal(result[seen], row[seen])


def test_log_marginal_is_that_of_the_observed_part(rng):
    vae, bias, covariance = linear_model(rng)
    x = np.array([[0.3, np.nan, -0.5, np.nan]], "float32")
    seen = [0, 2]
    expected = scipy.stats.multivariate_normal(
        bias[seen], covariance[np.ix_(seen, seen)]
    ).logpdf(x[0, seen])
    estimate = vae.log_marginal(x, samples=100_000, seed=0)
    # The weights' relative spread is about 2: standard error 2 / sqrt(100,000).
    np.testing.assert_allclose(estimate, expected, atol=0.03)


def test_errors_say_what_to_do(make_vae, digits, holed):
    with pytest.raises(ValueError, match="`missing` must be None or 'nan'"):
        make_vae(missing="zero")
    with pytest.raises(ValueError, match="missing='nan'"):
        make_vae().impute(digits[:2])
    plain = make_vae()
    plain.compile("adam")
    with pytest.raises(ValueError, match="`x` must be finite"):
        plain.fit(holed, verbose=0)
    vae = make_vae(missing="nan")
    infinite = digits[:4].copy()
    infinite[1, 2, 3, 0] = np.inf
    with pytest.raises(ValueError, match=r"inf at index \(1, 2, 3, 0\)"):
        vae.elbo(infinite)
    with pytest.raises(ValueError, match="outside the support"):
        vae.elbo(holed[:4] * 20)


class Unmaskable(Bernoulli):
    maskable = False


def test_likelihoods_that_refuse_masks_are_refused(make_vae):
    with pytest.raises(ValueError, match="cannot leave out parts of an event"):
        make_vae(missing="nan", likelihood=Unmaskable())
