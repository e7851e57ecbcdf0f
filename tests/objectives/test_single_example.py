"""A batch of one example cannot be compared with anything: it is not penalised."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_vae
from keras_vae.objectives import DIPVAE, ELBO, TCVAE, WAE, InfoVAE, LogLikelihood, Perceptual
from keras_vae.posteriors import DiagonalNormal
from keras_vae.terms import Context, ElboTerms

COMPARING = {
    "WAE": (lambda: WAE(weight=100.0), LogLikelihood()),
    "InfoVAE": (lambda: InfoVAE(alpha=0.0, lambda_=1000.0), ELBO()),
    "DIPVAE-i": (lambda: DIPVAE("i", diagonal=100.0, off_diagonal=10.0), ELBO()),
    "DIPVAE-ii": (lambda: DIPVAE("ii", diagonal=100.0, off_diagonal=10.0), ELBO()),
    "TCVAE": (lambda: TCVAE(beta=6.0, data_size=500), ELBO(kl="monte_carlo")),
    "TCVAE-weighted": (
        lambda: TCVAE(6.0, estimator="weighted", data_size=500),
        ELBO(kl="monte_carlo"),
    ),
}
every_comparing = pytest.mark.parametrize("name", COMPARING)


def bound_and_gradient(objective, params, epsilon):
    """Values of the bound, and their gradient with respect to the codes."""
    posterior = DiagonalNormal(2)
    params, prior = tf.constant(params), keras_vae.priors.StandardNormal()
    prior.build((2,))
    context = Context(tf.constant(0), posterior=posterior, data_size=tf.constant(500, tf.int64))
    with tf.GradientTape() as tape:
        tape.watch(params)
        draw = posterior.sample_and_log_prob(params, {"epsilon": epsilon}, context)
        terms = ElboTerms(
            log_likelihood=-tf.reduce_sum(draw.latents**4, -1),
            log_prior=prior.log_prob(draw.latents, context),
            log_posterior=draw.log_prob,
            kl=prior.kl(posterior, params, draw, context),
            latents=draw.latents,
            prior_latents=tf.ones_like(draw.latents),
            posterior_params=params,
        )
        value = objective.bound(terms, context).value
    return value, tape.gradient(value, params)


@every_comparing
@pytest.mark.parametrize("samples", [1, 3])
def test_a_batch_of_one_has_the_bound_without_the_penalty(name, samples, float64, rng):
    make, plain = COMPARING[name]
    params, epsilon = rng.normal(size=(1, 4)), rng.normal(size=(samples, 1, 2))
    for one, two in zip(
        bound_and_gradient(make(), params, epsilon), bound_and_gradient(plain, params, epsilon)
    ):
        np.testing.assert_allclose(one, two, rtol=1e-12)


@every_comparing
def test_a_batch_of_two_is_penalised(name, float64, rng):
    make, plain = COMPARING[name]
    params, epsilon = rng.normal(size=(2, 4)), rng.normal(size=(1, 2, 2))
    one, two = (bound_and_gradient(o, params, epsilon)[0] for o in (make(), plain))
    assert np.all(np.abs(one - two) > 1e-4)


def test_total_correlation_of_data_of_one_example_is_exact(float64, rng):
    params, epsilon = rng.normal(size=(1, 4)), rng.normal(size=(1, 1, 2))
    value, _ = bound_and_gradient(TCVAE(6.0, gamma=3.0, data_size=1), params, epsilon)
    expected, _ = bound_and_gradient(ELBO(3.0, kl="monte_carlo"), params, epsilon)
    np.testing.assert_allclose(value, expected, rtol=1e-12)


@every_comparing
def test_evaluate_averages_over_rows_and_does_not_penalise_a_last_batch_of_one(
    name, make_vae, digits
):
    make, plain = COMPARING[name]
    x, objective = digits[:9], make()

    def loss(objective, rows):
        keras.utils.set_random_seed(0)
        vae = make_vae(objective=objective)
        vae.compile("sgd", run_eagerly=True)
        return vae.evaluate(rows, batch_size=8, verbose=0, return_dict=True)["loss"]

    class OfLastBatch(type(plain)):
        """The bound without a penalty, counted for the last batch alone."""

        def bound(self, terms, context):
            bound = super().bound(terms, context)
            last = tf.cast(tf.shape(bound.value)[0] == 1, bound.value.dtype)
            return bound._replace(value=bound.value * last)

    arguments = {"kl": "monte_carlo"} if name.startswith("TCVAE") else {}
    expected = 8 / 9 * loss(objective, x[:8]) + loss(OfLastBatch(**arguments), x)
    np.testing.assert_allclose(loss(objective, x), expected, rtol=1e-5)


# Warns that neither NCCL nor a GPU is there.
@pytest.mark.filterwarnings("ignore:.*:UserWarning")
def test_replicas_do_not_penalise_one_example_among_them_all(mirrored, make_vae, digits):
    with mirrored.scope():
        vae = make_vae(objective=COMPARING["DIPVAE-ii"][0]())
        vae.compile("sgd")

    def penalty(rows):
        logs = vae.evaluate(rows, batch_size=2, verbose=0, return_dict=True)
        return logs["loss"] + logs["elbo"]

    # One example on each of the two: they are compared.
    of_two = penalty(digits[:2])
    assert of_two > 0.1
    assert penalty(digits[:3]) == pytest.approx(2 / 3 * of_two, rel=1e-4)


@every_comparing
def test_fit_refuses_batches_of_one(name, make_vae, digits):
    vae = make_vae(objective=COMPARING[name][0]())
    vae.compile("sgd")
    with pytest.raises(ValueError, match=r"`batch_size` must be at least 2. Received: .*=1"):
        vae.fit(digits[:4], batch_size=1, verbose=0)


def test_data_of_a_single_example_are_trained_on_without_the_penalty(make_vae, digits):
    vae = make_vae(objective=COMPARING["DIPVAE-i"][0]())
    vae.compile("sgd", run_eagerly=True)
    history = vae.fit(digits[:1], verbose=0).history
    assert history["loss"][0] == pytest.approx(-history["elbo"][0], rel=1e-5)


def test_an_objective_on_another_has_its_smallest_batch():
    features = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten()])
    assert Perceptual(WAE(), features, weight=1.0).smallest_batch == 2
    assert ELBO().smallest_batch == 1
