"""The update is the single-device update, however it is run."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_vae
from tests.models.support import (
    HandedNoiseVAE,
    SpreadLatents,
    largest_difference,
    sgd,
    weights_of,
)

# Sums over two half batches are rounded otherwise than one sum: a few float32 ulps of
# weights of order 0.1 after a handful of steps.
ROUNDING = 2e-6


def make(strategy=None, objective=None, likelihood=None):
    keras.utils.set_random_seed(0)
    scope = strategy.scope() if strategy else tf.distribute.get_strategy().scope()
    with scope:
        return HandedNoiseVAE(
            encoder=keras_vae.networks.MLP([16]),
            decoder=keras_vae.networks.MLP([16]),
            posterior=keras_vae.posteriors.DiagonalNormal(latent_dim=3),
            prior=keras_vae.priors.NormalMixture(components=3),
            likelihood=likelihood or keras_vae.likelihoods.Bernoulli(),
            objective=objective or keras_vae.objectives.ELBO(),
            event_shape=(8, 8, 1),
            seed=1,
        )


def train(model, x, batch_size, optimizer=None, epochs=2, **compile_options):
    with model.distribute_strategy.scope():
        model.compile(optimizer or sgd(), **compile_options)
    dataset = tf.data.Dataset.from_tensor_slices(x).batch(batch_size)
    return model.fit(dataset, epochs=epochs, verbose=0).history


# Warns that neither NCCL nor a GPU is there; the batches of 10 examples leave a last one of 4,
# or of 1, which leaves nothing to the second replica.
@pytest.mark.filterwarnings("ignore:.*:UserWarning")
@pytest.mark.parametrize("examples", [pytest.param(34, marks=pytest.mark.thorough), 31])
@pytest.mark.parametrize(
    "objective",
    [
        keras_vae.objectives.ELBO,
        pytest.param(keras_vae.objectives.IWAE, marks=pytest.mark.thorough),
        pytest.param(SpreadLatents, marks=pytest.mark.thorough),
        pytest.param(
            lambda: keras_vae.objectives.InfoVAE(0.5, 20.0), marks=pytest.mark.thorough
        ),
        lambda: keras_vae.objectives.TCVAE(4.0, data_size=34),
        pytest.param(
            lambda: keras_vae.objectives.DIPVAE(10.0, 10.0), marks=pytest.mark.thorough
        ),
    ],
    ids=["ELBO", "IWAE", "SpreadLatents", "InfoVAE", "TCVAE", "DIPVAE"],
)
def test_two_replicas_make_the_single_device_update(digits, mirrored, objective, examples):
    x = digits[:examples]
    alone, together = make(objective=objective()), make(mirrored, objective=objective())
    assert largest_difference(weights_of(alone), weights_of(together)) == 0
    expected = train(alone, x, 10)
    history = train(together, x, 10)
    assert largest_difference(weights_of(alone), weights_of(together)) < ROUNDING
    for name, values in expected.items():
        np.testing.assert_allclose(history[name], values, rtol=1e-5, err_msg=name)
    assert int(together.state.step.numpy()) == int(alone.state.step) == 8


@pytest.mark.filterwarnings("ignore:.*:UserWarning")
def test_batch_statistics_of_an_empty_replica_are_those_of_the_others(digits, mirrored):
    keras.utils.set_random_seed(0)
    with mirrored.scope():
        vae = keras_vae.VAE(
            encoder=keras_vae.networks.ConvEncoder([4], batch_normalization=True),
            decoder=keras_vae.networks.ConvDecoder([4], batch_normalization=True),
            posterior=keras_vae.posteriors.DiagonalNormal(3),
            likelihood=keras_vae.likelihoods.Normal("optimal"),
            event_shape=(8, 8, 1),
        )
        vae.compile("adam", metrics=[keras.metrics.MeanSquaredError()])
    x = digits[:21]
    history = vae.fit(x, batch_size=10, epochs=2, verbose=0, validation_data=x).history
    assert all(np.isfinite(values).all() for values in history.values())
    assert all(np.isfinite(w).all() for w in vae.get_weights())
    logs = vae.evaluate(x, batch_size=10, verbose=0, return_dict=True)
    assert np.isfinite(list(logs.values())).all()
    assert int(vae.state.step.numpy()) == 6


@pytest.mark.filterwarnings("ignore:.*:UserWarning")
def test_steps_of_an_execution_are_kept_on_replicas(digits, mirrored):
    vae = make(mirrored)
    with mirrored.scope():
        vae.compile(sgd(), steps_per_execution=3)
    vae.fit(digits[:100], batch_size=10, steps_per_epoch=5, epochs=2, verbose=0)
    assert int(vae.state.step.numpy()) == 10


@pytest.mark.filterwarnings("ignore:.*:UserWarning")
def test_insisting_on_xla_is_refused_on_replicas(digits, mirrored):
    vae = make(mirrored)
    with mirrored.scope():
        vae.compile(sgd(), jit_compile=True)
    with pytest.raises(ValueError, match=r"jit_compile=True on 2 replicas. Use .*'auto'"):
        vae.fit(digits[:20], verbose=0)


@pytest.mark.filterwarnings("ignore:.*:UserWarning")
def test_optimal_scale_is_taken_over_all_replicas(digits, mirrored):
    def likelihood():
        return keras_vae.likelihoods.Normal("optimal")

    x = digits[:34]
    alone, together = make(likelihood=likelihood()), make(mirrored, likelihood=likelihood())
    train(alone, x, 10)
    train(together, x, 10)
    assert largest_difference(weights_of(alone), weights_of(together)) < ROUNDING
    np.testing.assert_allclose(
        together.likelihood.running_sum.numpy(), alone.likelihood.running_sum.numpy(), rtol=1e-5
    )


@pytest.mark.filterwarnings("ignore:.*:UserWarning")
def test_replicas_draw_different_noise(mirrored):
    with mirrored.scope():
        vae = keras_vae.VAE(
            encoder=keras_vae.networks.MLP([16]),
            decoder=keras_vae.networks.MLP([16]),
            posterior=keras_vae.posteriors.DiagonalNormal(latent_dim=3),
            likelihood=keras_vae.likelihoods.Bernoulli(),
            event_shape=(8, 8, 1),
        )

    @tf.function
    def keys():
        return mirrored.run(lambda: vae.state.next_key(training=True))

    first, second = mirrored.experimental_local_results(keys())
    assert first.numpy().tolist() != second.numpy().tolist()
    assert int(vae.state.noise_counter.numpy()) == 1


@pytest.mark.filterwarnings("ignore:.*:UserWarning")
def test_bad_batch_changes_nothing_on_any_replica(digits, mirrored):
    x = digits[:20].copy()
    x[13] = np.nan  # on the second replica only
    vae = make(mirrored)
    before = weights_of(vae)
    vae.compile("adam")
    with pytest.raises(ValueError, match="step 0 is not finite"):
        vae.fit(tf.data.Dataset.from_tensor_slices(x).batch(20), verbose=0)
    assert largest_difference(before, weights_of(vae)) == 0
    assert int(vae.optimizer.iterations.numpy()) == 0


def test_accumulated_gradients_make_the_update_of_the_whole_batch(digits):
    x = digits[:40]
    whole, split = make(), make()
    history = train(whole, x, 20)
    options = {"learning_rate": 1e-3, "gradient_accumulation_steps": 2}
    split_history = train(split, x, 10, keras.optimizers.SGD(**options))
    assert largest_difference(weights_of(whole), weights_of(split)) < ROUNDING
    np.testing.assert_allclose(split_history["loss"][0], history["loss"][0], rtol=1e-5)
    assert int(split.state.step) == int(whole.state.step) == 4


def test_coupled_objectives_refuse_accumulation():
    optimizer = keras.optimizers.SGD(1e-3, gradient_accumulation_steps=2)
    with pytest.raises(ValueError, match="SpreadLatents compares the examples of a batch"):
        make(objective=SpreadLatents()).compile(optimizer)


@pytest.fixture(scope="module")
def reference(digits):
    """A model that was trained in the usual way, and its history."""
    model = make()
    return model, train(model, digits[:40], 8, epochs=1)


@pytest.mark.parametrize(
    "options",
    [
        {"steps_per_execution": 1},
        {"steps_per_execution": 3},
        {"jit_compile": True},
        {"run_eagerly": True},
    ],
    ids=str,
)
def test_every_way_to_run_gives_the_same_training(digits, reference, options):
    usual, expected = reference
    other = make()
    history = train(other, digits[:40], 8, epochs=1, **options)
    assert largest_difference(weights_of(usual), weights_of(other)) < ROUNDING
    for name, values in expected.items():
        np.testing.assert_allclose(history[name], values, rtol=1e-5, err_msg=name)
