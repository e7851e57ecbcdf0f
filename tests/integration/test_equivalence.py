"""The equivalence ladder: what objectives and models must be equal to, and when.

The models here are linear and Gaussian where a number is known exactly, and small otherwise.
Gradients are compared in the mean over many draws, parameter by parameter, within four
standard errors; draws are paired, so that the comparison is as sharp as it can be.
"""

import keras
import numpy as np
import pytest
import scipy.special
import scipy.stats
import sklearn.decomposition
import tensorflow as tf
import tensorflow_probability as tfp

import keras_vae
from keras_vae import numerics
from keras_vae.component import register
from keras_vae.likelihoods import Bernoulli, Normal
from keras_vae.objectives import (
    ELBO,
    IWAE,
    MIWAE,
    PIWAE,
    DReG,
    LogLikelihood,
    StickingTheLanding,
)
from keras_vae.posteriors import Deterministic, DiagonalNormal, FullCovarianceNormal
from keras_vae.priors import NormalMixture, StandardNormal
from keras_vae.terms import Bound

LATENT_DIM, DATA_DIM = 2, 5
SCALE = 0.6
# With some hundred parameters, the largest of their deviations is about 3 standard errors.
STANDARD_ERRORS = 4
DRAWS = 2000


# An objective that the package does not have.


@register("tests")
class Doubled(ELBO):
    """ELBO that logs one thing and follows another."""

    def bound(self, terms, context):
        value = super().bound(terms, context).value
        return Bound(value, 2.0 * value)


# Models.


def small_vae(objective, **changes):
    """A model that is neither linear nor trained: no gradient vanishes."""
    keras.utils.set_random_seed(1)
    parts = {
        "encoder": keras_vae.networks.MLP([4], activation="tanh"),
        "decoder": keras_vae.networks.MLP([4], activation="tanh"),
        "posterior": DiagonalNormal(LATENT_DIM),
        "likelihood": Normal("learned"),
        "event_shape": (DATA_DIM,),
        "seed": 1,
    }
    return keras_vae.VAE(**{**parts, **changes}, objective=objective)


def linear_vae(objective=None, posterior=None):
    """p(x|z) is normal with a mean linear in z, q(z|x) with a mean linear in x."""
    keras.utils.set_random_seed(1)
    return keras_vae.VAE(
        keras.layers.Identity(),
        keras.layers.Identity(),
        posterior or FullCovarianceNormal(LATENT_DIM),
        likelihood=Normal(SCALE),
        objective=objective,
        event_shape=(DATA_DIM,),
        seed=1,
    )


def head(sequential):
    return sequential.get_layer("parameters")


def exact_marginal(vae, scale):
    """p(x) of a linear Gaussian model, from its decoder's weights."""
    layer = head(vae._to_likelihood)
    kernel = layer.kernel.numpy()[:, :DATA_DIM].astype("float64")
    covariance = kernel.T @ kernel + scale**2 * np.eye(DATA_DIM)
    return scipy.stats.multivariate_normal(layer.bias.numpy()[:DATA_DIM], covariance)


def set_exact_posterior(vae, rng, off=0.0):
    """Give a linear model some decoder, and the encoder that inverts it, or nearly so."""
    decoder, encoder = head(vae._to_likelihood), head(vae._to_posterior)
    w, b = rng.normal(size=(LATENT_DIM, DATA_DIM)), rng.normal(size=DATA_DIM)
    covariance = np.linalg.inv(np.eye(LATENT_DIM) + w @ w.T / SCALE**2)
    factor = np.linalg.cholesky(covariance)
    diagonal = np.array([numerics.inverse_positive(s) for s in np.diag(factor)])
    raw = np.tril(factor, -1) + np.diag(diagonal)
    slope = w.T @ covariance / SCALE**2
    decoder.kernel.assign(w)
    decoder.bias.assign(b)
    kernel = np.zeros(encoder.kernel.shape)
    kernel[:, :LATENT_DIM] = slope
    encoder.kernel.assign(kernel)
    # Off on the wide side: importance weights then have finite variance.
    raw = raw + off * np.eye(LATENT_DIM)
    location = off - b @ slope
    encoder.bias.assign(np.concatenate([location, tfp.math.fill_triangular_inverse(raw)]))


def share_networks(source, target):
    """Give a model the weights of another one's networks."""
    for name in ("encoder", "decoder", "_to_posterior", "_to_likelihood"):
        getattr(target, name).set_weights(getattr(source, name).get_weights())


def some_data(rng, count=6):
    return rng.normal(size=(count, DATA_DIM)).astype("float32")


def terms_of(vae, x, samples, seed=0):
    """The terms of a batch."""
    x = tf.constant(x)
    noise = vae.draw_noise(x, numerics.key_from_seed(seed), samples)
    return vae.elbo_terms(x, x, noise, vae.context(training=True))


def gradients_over_draws(vae, x, draws=DRAWS):
    """Gradients of the mean bound, `[draws, parameters]`, by network; and bounds, `[draws]`."""
    x = tf.constant(x)
    groups = {
        "encoder": vae.encoder.trainable_variables + vae._to_posterior.trainable_variables,
        "rest": vae.decoder.trainable_variables
        + vae._to_likelihood.trainable_variables
        + vae.likelihood.trainable_variables
        + vae.prior.trainable_variables,
    }
    groups = {name: [v.value for v in variables] for name, variables in groups.items()}

    def flat(gradients, variables):
        pairs = zip(gradients, variables)
        dense = [tf.zeros_like(v) if g is None else tf.convert_to_tensor(g) for g, v in pairs]
        return tf.concat([tf.reshape(g, [-1]) for g in dense], 0)

    def draw(index):
        with tf.GradientTape() as tape:
            noise = vae.draw_noise(x, numerics.fold_in(numerics.key_from_seed(0), index))
            context = vae.context(training=True)
            bound = vae.objective.bound(vae.elbo_terms(x, x, noise, context), context)
            followed = bound.value if bound.surrogate is None else bound.surrogate
            followed = tf.reduce_mean(followed)
        gradients = tape.gradient(followed, groups)
        return {name: flat(gradients[name], groups[name]) for name in groups} | {
            "value": tf.reduce_mean(bound.value)
        }

    signature = dict.fromkeys((*groups, "value"), tf.float32)
    results = tf.function(
        lambda: tf.map_fn(draw, tf.range(draws), fn_output_signature=signature)
    )()
    return {name: np.asarray(value, "float64") for name, value in results.items()}


def assert_equal_means(first, second):
    """The means of two paired sets of draws are equal, within their standard errors."""
    difference = first - second
    error = difference.std(0, ddof=1) / np.sqrt(len(difference))
    # Where the draws agree one by one there is rounding of float32 gradients alone.
    scale = 1e-5 * (1 + np.abs(first).max())
    np.testing.assert_array_less(np.abs(difference.mean(0)), STANDARD_ERRORS * error + scale)


# The bound, computed without the package.


def test_elbo_is_that_of_the_formulas_in_numpy(rng):
    vae, x = linear_vae(ELBO(), DiagonalNormal(LATENT_DIM)), some_data(rng)
    encoder, decoder = head(vae._to_posterior), head(vae._to_likelihood)
    params = x @ encoder.kernel.numpy() + encoder.bias.numpy()
    m, s = params[:, :LATENT_DIM], np.logaddexp(0, params[:, LATENT_DIM:]) + 1e-4
    noise = vae.draw_noise(tf.constant(x), numerics.key_from_seed(0), 3)
    z = m + s * np.asarray(noise["posterior"]["epsilon"])
    decoded = z @ decoder.kernel.numpy() + decoder.bias.numpy()
    log_likelihood = scipy.stats.norm.logpdf(x, decoded, SCALE).sum(-1)
    kl = 0.5 * (m**2 + s**2 - 1 - 2 * np.log(s))

    terms = terms_of(vae, x, 3)
    rounding = {"rtol": 1e-4, "atol": 1e-4}
    np.testing.assert_allclose(terms.latents, z, **rounding)
    np.testing.assert_allclose(terms.log_likelihood, log_likelihood, **rounding)
    np.testing.assert_allclose(terms.log_prior, scipy.stats.norm.logpdf(z).sum(-1), **rounding)
    np.testing.assert_allclose(
        terms.log_posterior, scipy.stats.norm.logpdf(z, m, s).sum(-1), **rounding
    )
    np.testing.assert_allclose(terms.kl, kl, **rounding)
    np.testing.assert_allclose(
        vae.objective.bound(terms, vae.context()).value,
        log_likelihood.mean(0) - kl.sum(-1),
        **rounding,
    )


@pytest.mark.parametrize("likelihood", [Normal("learned"), Bernoulli()], ids=["Normal", "bits"])
def test_elbo_equals_minus_loss(rng, likelihood):
    vae = small_vae(ELBO(), likelihood=likelihood)
    vae.compile()
    x = (some_data(rng, 20) > 0).astype("float32")
    metrics = vae.evaluate(x, verbose=0, return_dict=True)
    np.testing.assert_allclose(metrics["elbo"], -metrics["loss"], rtol=1e-6)
    np.testing.assert_allclose(
        metrics["elbo"], metrics["log_likelihood"] - metrics["kl"], rtol=1e-5
    )


def test_training_follows_the_surrogate_and_logs_the_value(rng):
    x, histories, weights = some_data(rng, 32), [], []
    for objective, rate in ((Doubled(), 0.01), (ELBO(), 0.02), (ELBO(), 0.01)):
        vae = small_vae(objective)
        vae.compile(keras.optimizers.SGD(rate))
        histories.append(vae.fit(x, batch_size=16, shuffle=False, verbose=0).history["loss"])
        weights.append(np.concatenate([np.ravel(w) for w in vae.get_weights()]))
    np.testing.assert_allclose(histories[0], histories[1], rtol=1e-6)
    np.testing.assert_allclose(weights[0], weights[1], rtol=1e-5, atol=1e-6)
    assert np.abs(weights[0] - weights[2]).max() > 1e-3


# From the autoencoder to the ELBO.


@pytest.mark.slow
def test_elbo_without_kl_is_the_log_likelihood(rng):
    x = some_data(rng)
    without, plain = small_vae(ELBO(beta=0.0)), small_vae(LogLikelihood())
    first, second = gradients_over_draws(without, x, 20), gradients_over_draws(plain, x, 20)
    for name, values in first.items():
        np.testing.assert_allclose(values, second[name], rtol=1e-5, atol=1e-6, err_msg=name)


def test_a_posterior_without_spread_is_the_deterministic_one(rng):
    x = some_data(rng)
    vae = small_vae(LogLikelihood(), likelihood=Normal(1.0))
    layer = head(vae._to_posterior)
    kernel, bias = layer.kernel.numpy(), layer.bias.numpy()
    kernel[:, LATENT_DIM:], bias[LATENT_DIM:] = 0.0, -100.0
    layer.kernel.assign(kernel)
    layer.bias.assign(bias)
    auto = small_vae(
        LogLikelihood(), posterior=Deterministic(LATENT_DIM), likelihood=Normal(1.0)
    )
    for name in ("encoder", "decoder", "_to_likelihood"):
        getattr(auto, name).set_weights(getattr(vae, name).get_weights())
    head(auto._to_posterior).set_weights([kernel[:, :LATENT_DIM], bias[:LATENT_DIM]])
    # Scales do not fall below 1e-4, which moves log p(x|z) by some 1e-4.
    np.testing.assert_allclose(
        terms_of(vae, x, 1).log_likelihood, terms_of(auto, x, 1).log_likelihood, atol=5e-3
    )
    np.testing.assert_allclose(vae.reconstruct(x), auto.reconstruct(x), rtol=1e-5, atol=1e-6)


def test_bound_is_linear_in_beta(rng):
    x = some_data(rng)
    values = {}
    for beta in (0.0, 1.0, 4.0, keras_vae.schedules.Constant(4.0)):
        vae = small_vae(ELBO(beta=beta))
        values[beta] = np.asarray(vae.objective.bound(terms_of(vae, x, 1), vae.context()).value)
    zero, one, four, scheduled = values.values()
    np.testing.assert_allclose(four, zero + 4 * (one - zero), rtol=1e-5)
    np.testing.assert_array_equal(four, scheduled)


# From one sample to many.


def test_iwae_of_one_sample_is_the_elbo_with_a_monte_carlo_kl(rng):
    vae, x = small_vae(IWAE(1)), some_data(rng)
    terms = terms_of(vae, x, 1)
    value = vae.objective.bound(terms, vae.context()).value
    np.testing.assert_allclose(value, terms.log_weight[0], rtol=1e-6)
    params = vae.posterior_params(tf.constant(x))
    draw = keras_vae.terms.Draw(terms.latents, terms.log_posterior)
    kl = vae.prior.monte_carlo_kl(vae.posterior, params, draw, vae.context())
    elbo = ELBO().bound(terms._replace(kl=kl), vae.context()).value
    np.testing.assert_allclose(value, elbo, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_iwae_of_one_sample_has_the_mean_gradient_of_the_elbo(rng):
    x = some_data(rng)
    sampled, closed = (gradients_over_draws(small_vae(o), x) for o in (IWAE(1), ELBO()))
    for name, values in sampled.items():
        assert_equal_means(values, closed[name])
    assert sampled["encoder"].std(0).max() > closed["encoder"].std(0).max()


def test_mean_iwae_never_falls_with_the_number_of_samples(rng):
    vae, x = linear_vae(IWAE()), some_data(rng)
    set_exact_posterior(vae, rng, off=0.5)
    exact = exact_marginal(vae, SCALE).logpdf(x)
    ks, draws = (1, 2, 4, 16, 64), 512
    log_weight = np.asarray(terms_of(vae, x, draws * max(ks)).log_weight, "float64")
    means, errors = [], []
    for k in ks:
        groups = log_weight[: draws * k].reshape(draws, k, -1)
        bounds = (scipy.special.logsumexp(groups, axis=1) - np.log(k)).mean(-1)
        means.append(bounds.mean())
        errors.append(bounds.std(ddof=1) / np.sqrt(draws))
    gains = np.diff(means)
    assert np.all(gains > -STANDARD_ERRORS * np.hypot(errors[1:], errors[:-1])), means
    # The encoder is far from the posterior: there is something to gain.
    assert means[-1] > means[0] + STANDARD_ERRORS * errors[0]
    assert np.all(np.array(means) < exact.mean() + STANDARD_ERRORS * np.array(errors))
    # And the verb that averages thousands of weights comes to the end of it.
    marginal = vae.log_marginal(x, samples=20_000, seed=0)
    np.testing.assert_allclose(marginal, exact, atol=0.05)
    assert exact.mean() - means[0] > 0.3


# Other priors, other gradients.


@pytest.mark.slow
def test_a_mixture_of_one_standard_normal_is_the_standard_normal(rng):
    # The closed KL against its estimate, in value and in the gradient of encoder and decoder.
    x = some_data(rng)
    vae = small_vae(ELBO(), prior=StandardNormal())
    mixed = small_vae(ELBO(), prior=NormalMixture(1, spread=0.0))
    share_networks(vae, mixed)
    closed, estimated = (gradients_over_draws(model, x) for model in (vae, mixed))
    assert_equal_means(estimated["value"], closed["value"])
    assert_equal_means(estimated["encoder"], closed["encoder"])
    shared = closed["rest"].shape[1]
    assert_equal_means(estimated["rest"][:, :shared], closed["rest"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("posterior", "prior"),
    [
        pytest.param(DiagonalNormal, StandardNormal, marks=pytest.mark.thorough),
        pytest.param(DiagonalNormal, lambda: NormalMixture(2), marks=pytest.mark.thorough),
        (FullCovarianceNormal, StandardNormal),
        pytest.param(
            FullCovarianceNormal, lambda: NormalMixture(2), marks=pytest.mark.thorough
        ),
    ],
    ids=["diagonal-one", "diagonal-two", "full-one", "full-two"],
)
def test_dreg_has_the_mean_gradient_of_iwae(rng, posterior, prior):
    x = some_data(rng, 3)

    def gradients(objective):
        return gradients_over_draws(
            small_vae(objective, posterior=posterior(LATENT_DIM), prior=prior()), x
        )

    plain, dreg = gradients(IWAE(8)), gradients(DReG(8))
    np.testing.assert_allclose(plain["value"], dreg["value"], rtol=1e-5)
    assert_equal_means(plain["encoder"], dreg["encoder"])
    # The decoder's gradient is the same draw by draw: only the encoder's is rewritten.
    np.testing.assert_allclose(plain["rest"], dreg["rest"], rtol=1e-3, atol=1e-3)
    assert np.any(np.abs(plain["encoder"].mean(0)) > 0.01)


@pytest.mark.slow
def test_dreg_has_less_variance_than_iwae_near_the_posterior(rng):
    # Not everywhere: far from the posterior the score it leaves out may have cancelled noise.
    x, variances, means = some_data(rng), {}, {}
    for objective in (IWAE(5), DReG(5)):
        vae = linear_vae(objective)
        set_exact_posterior(vae, np.random.default_rng(7), off=0.1)
        gradients = gradients_over_draws(vae, x)
        variances[type(objective)] = gradients["encoder"].var(0).sum()
        means[type(objective)] = gradients["encoder"]
    assert_equal_means(*means.values())
    assert variances[DReG] < 0.5 * variances[IWAE]


@pytest.mark.slow
def test_dreg_keeps_its_signal_where_that_of_iwae_drowns(rng):
    x, ratios = some_data(rng, 2), {}
    for objective in (IWAE(64), DReG(64)):
        vae = linear_vae(objective)
        set_exact_posterior(vae, np.random.default_rng(7), off=0.3)
        gradients = gradients_over_draws(vae, x, 500)["encoder"]
        ratios[type(objective)] = np.sum(gradients.mean(0) ** 2) / gradients.var(0).sum()
    assert ratios[DReG] > 3 * ratios[IWAE]


@pytest.mark.slow
def test_piwae_has_the_mean_gradients_of_iwae_and_of_miwae(rng):
    x = some_data(rng, 3)
    mixed, whole, grouped = (
        gradients_over_draws(small_vae(o), x) for o in (PIWAE(3, 4), IWAE(12), MIWAE(3, 4))
    )
    # Draw by draw: nothing is estimated in another way.
    np.testing.assert_allclose(mixed["value"], whole["value"], rtol=1e-5)
    np.testing.assert_allclose(mixed["rest"], whole["rest"], rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(mixed["encoder"], grouped["encoder"], rtol=1e-3, atol=1e-3)
    # And these are not the same thing.
    assert np.abs(whole["encoder"] - grouped["encoder"]).max() > 0.1
    assert np.abs(whole["rest"] - grouped["rest"]).max() > 0.1


@pytest.mark.slow
def test_sticking_the_landing_has_the_mean_gradient_of_the_elbo(rng):
    x = some_data(rng)
    plain, stuck = (
        gradients_over_draws(small_vae(o), x) for o in (ELBO(), StickingTheLanding())
    )
    for name, values in plain.items():
        assert_equal_means(values, stuck[name])


# The exact posterior.


def test_at_the_exact_posterior_every_weight_is_the_marginal_likelihood(rng):
    vae, x = linear_vae(), some_data(rng)
    set_exact_posterior(vae, rng)
    exact = exact_marginal(vae, SCALE).logpdf(x)
    terms = terms_of(vae, x, 50)
    # Float32: sums of terms of order 10.
    np.testing.assert_allclose(terms.log_weight, np.tile(exact, (50, 1)), atol=1e-4)
    for samples in (1, 7):
        bound = IWAE(samples).bound(terms_of(vae, x, samples), vae.context())
        np.testing.assert_allclose(bound.value, exact, atol=1e-4)
    np.testing.assert_allclose(vae.log_marginal(x, samples=3), exact, atol=1e-4)
    many = terms_of(vae, x, 20_000)
    elbo = many.log_likelihood - tf.reduce_sum(many.kl, -1)
    error = np.std(elbo, axis=0) / np.sqrt(20_000)
    assert np.all(np.abs(np.mean(elbo, axis=0) - exact) < STANDARD_ERRORS * error)


@pytest.mark.slow
def test_at_the_exact_posterior_the_gradient_of_sticking_the_landing_vanishes(rng):
    vae, x = linear_vae(StickingTheLanding()), some_data(rng)
    set_exact_posterior(vae, rng)
    stuck = gradients_over_draws(vae, x, 20)["encoder"]
    plain = linear_vae(ELBO())
    plain.set_weights(vae.get_weights())
    noisy = gradients_over_draws(plain, x, 20)["encoder"]
    # Draw by draw, to the rounding of gradients that are of order 10 and cancel.
    np.testing.assert_allclose(stuck, 0.0, atol=1e-4)
    assert np.abs(noisy).max() > 0.1


def principal_component_likelihood(x):
    """Largest mean log-likelihood of probabilistic PCA, and its noise variance.

    Tipping and Bishop (1999), equations 7-8, with covariances divided by N.
    """
    covariance = np.cov(x.T, bias=True)
    values, vectors = np.linalg.eigh(covariance)
    noise = values[:-LATENT_DIM].mean()
    values = np.concatenate([np.full(DATA_DIM - LATENT_DIM, noise), values[-LATENT_DIM:]])
    model = scipy.stats.multivariate_normal(x.mean(0), (vectors * values) @ vectors.T)
    return model.logpdf(x).mean(), noise


@pytest.mark.slow
def test_linear_gaussian_vae_reaches_the_likelihood_of_probabilistic_pca(rng):
    loadings = rng.normal(size=(LATENT_DIM, DATA_DIM))
    x = rng.normal(size=(400, LATENT_DIM)) @ loadings + 0.5 * rng.normal(size=(400, DATA_DIM))
    x = (x + rng.normal(size=DATA_DIM)).astype("float32")
    best, noise = principal_component_likelihood(x.astype("float64"))
    # Scikit-learn divides by N - 1 and so falls short of the maximum, in second order.
    score = sklearn.decomposition.PCA(LATENT_DIM).fit(x).score(x)
    np.testing.assert_allclose(score, best, atol=1e-4)

    vae = keras_vae.VAE(
        keras.layers.Identity(),
        keras.layers.Identity(),
        FullCovarianceNormal(LATENT_DIM),
        likelihood=Normal("learned"),
        event_shape=(DATA_DIM,),
        seed=1,
    )
    steps = 4000
    rate = keras.optimizers.schedules.CosineDecay(0.03, steps, alpha=1e-3)
    vae.compile(keras.optimizers.Adam(rate), steps_per_execution=200)
    vae.fit(tf.data.Dataset.from_tensors(x).repeat(steps), verbose=0)

    # Its own parameters are those of PCA, as far as x can tell.
    scale = float(vae.likelihood.distribution(tf.zeros([1, DATA_DIM])).stddev()[0, 0])
    exact = exact_marginal(vae, scale).logpdf(x)
    assert exact.mean() <= best + 1e-5
    np.testing.assert_allclose(exact.mean(), best, atol=2e-3)
    np.testing.assert_allclose(scale**2, noise, rtol=0.01)
    # The bound is tight: q is the exact posterior.
    marginal = vae.log_marginal(x, samples=200, seed=0)
    np.testing.assert_allclose(marginal.mean(), exact.mean(), atol=2e-3)
    draws = np.stack([vae.elbo(x, samples=50, seed=seed).mean() for seed in range(20)])
    error = draws.std(ddof=1) / np.sqrt(20)
    assert error < 2e-3
    gap = exact.mean() - draws.mean()
    assert -STANDARD_ERRORS * error < gap < STANDARD_ERRORS * error + 2e-3
