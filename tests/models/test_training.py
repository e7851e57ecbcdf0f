"""What `fit` and `evaluate` promise."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_vae
from keras_vae.component import register
from keras_vae.terms import Context
from tests.models.support import largest_difference, weights_of


def test_history_has_every_term_and_its_validation(make_vae, digits):
    warm_up = keras_vae.schedules.LinearWarmup(steps=10)
    vae = make_vae(objective=keras_vae.objectives.ELBO(beta=warm_up))
    vae.compile("adam")
    history = vae.fit(digits[:64], validation_data=digits[64:96], epochs=2, verbose=0).history
    names = {"loss", "elbo", "log_likelihood", "kl", "beta"}
    assert set(history) == names | {f"val_{name}" for name in names}


@pytest.mark.parametrize("samples", [1, 3])
def test_loss_is_minus_the_bound(make_vae, digits, samples):
    vae = make_vae(objective=keras_vae.objectives.ELBO(samples=samples))
    vae.compile("adam")
    history = vae.fit(digits[:64], epochs=1, verbose=0).history
    np.testing.assert_allclose(history["loss"][0], -history["elbo"][0], rtol=1e-6)
    np.testing.assert_allclose(
        history["elbo"][0], history["log_likelihood"][0] - history["kl"][0], rtol=1e-6
    )


def test_evaluate_equals_a_hand_computation(make_vae, digits):
    vae = make_vae(objective=keras_vae.objectives.ELBO(beta=0.5))
    vae.compile("adam")
    x, weights = digits[:40], np.linspace(0, 2, 40).astype("float32")
    result = vae.evaluate(x, sample_weight=weights, batch_size=16, return_dict=True, verbose=0)

    # The same noise, then everything else by NumPy and TFP.
    vae.state.evaluation_counter.assign(0)
    bound = []
    for start in (0, 16, 32):
        batch = tf.constant(x[start : start + 16])
        noise = vae.draw_noise(batch, vae.state.next_key(training=False))
        epsilon = noise["posterior"]["epsilon"][0].numpy()
        q = vae.posterior_of(batch)
        mean, scale = q.mean().numpy(), q.stddev().numpy()
        logits = vae.likelihood_params(tf.constant(mean + scale * epsilon)).numpy()
        log_likelihood = (batch * logits - np.log1p(np.exp(logits))).numpy().sum((1, 2, 3))
        kl = 0.5 * (mean**2 + scale**2 - 1 - 2 * np.log(scale)).sum(1)
        bound.append(log_likelihood - 0.5 * kl)
    bound = np.concatenate(bound)
    # Keras divides a weighted sum by the number of examples, not by the sum of weights.
    np.testing.assert_allclose(result["loss"], -np.mean(bound * weights), rtol=1e-5)


def test_weights_count_in_training_and_validation(make_vae, digits):
    x, weights = digits[:64], np.zeros(64, "float32")
    vae = make_vae()
    vae.compile("adam")
    validation = (x, None, weights)
    before = weights_of(vae)
    history = vae.fit(x, sample_weight=weights, validation_data=validation, verbose=0).history
    assert history["loss"] == history["val_loss"] == [0]
    assert largest_difference(before, weights_of(vae)) == 0


def test_evaluate_repeats_and_leaves_training_alone(make_vae, digits):
    x = digits[:64]
    undisturbed, disturbed = make_vae(), make_vae()
    disturbed.set_weights(undisturbed.get_weights())
    for vae in (undisturbed, disturbed):
        vae.compile("adam")
        vae.fit(x, verbose=0, shuffle=False)
    first = disturbed.evaluate(x, verbose=0, return_dict=True)
    second = disturbed.evaluate(x, verbose=0, return_dict=True)
    assert first == second
    for vae in (undisturbed, disturbed):
        vae.fit(x, verbose=0, shuffle=False)
    assert largest_difference(weights_of(undisturbed), weights_of(disturbed)) == 0


def test_same_seed_gives_the_same_weights(make_vae, digits):
    def train(seed):
        keras.utils.set_random_seed(seed)
        vae = make_vae(seed=None)
        vae.compile("adam")
        vae.fit(digits[:64], epochs=2, verbose=0)
        return weights_of(vae)

    assert largest_difference(train(3), train(3)) == 0
    assert largest_difference(train(3), train(4)) > 1e-3


def test_schedule_moves_and_goes_on_with_the_next_fit(make_vae, digits):
    warm_up = keras_vae.schedules.LinearWarmup(steps=16)
    vae = make_vae(objective=keras_vae.objectives.ELBO(beta=warm_up))
    vae.compile("adam")
    # 4 steps an epoch: 0, 1, 2, 3 of 16 on average 1.5 / 16, and so on.
    first = vae.fit(digits[:128], epochs=2, verbose=0).history["beta"]
    second = vae.fit(digits[:128], epochs=2, verbose=0).history["beta"]
    np.testing.assert_allclose(first + second, np.array([1.5, 5.5, 9.5, 13.5]) / 16, rtol=1e-6)
    assert int(vae.state.step) == 16


def test_schedule_acts_on_the_loss(make_vae, digits):
    warm_up = keras_vae.schedules.LinearWarmup(steps=4)
    vae = make_vae(objective=keras_vae.objectives.ELBO(beta=warm_up))
    vae.compile(keras.optimizers.SGD(0.0))
    for step in range(6):
        logs = vae.train_on_batch(digits[:32], return_dict=True)
        beta = min(step / 4, 1)
        expected = beta * logs["kl"] - logs["log_likelihood"]
        np.testing.assert_allclose(logs["loss"], expected, rtol=1e-6)
        np.testing.assert_allclose(logs["beta"], beta)


@pytest.mark.thorough
def test_target_may_differ_from_input(make_vae, digits, rng):
    clean = digits[:64]
    noisy = np.clip(clean + rng.normal(0, 0.2, clean.shape), 0, 1)
    vae = make_vae()
    vae.compile("adam")
    same = vae.evaluate(clean, verbose=0)
    np.testing.assert_allclose(vae.evaluate(clean, clean, verbose=0), same, rtol=1e-6)
    denoising = vae.evaluate(noisy, clean, verbose=0, return_dict=True)
    assert denoising["loss"] != vae.evaluate(noisy, verbose=0, return_dict=True)["loss"]
    assert len(vae.fit(noisy, clean, verbose=0).history["loss"]) == 1


class Batches(keras.utils.PyDataset):
    def __init__(self, x, batch):
        super().__init__()
        self.x, self.batch = x, batch

    def __len__(self):
        return len(self.x) // self.batch

    def __getitem__(self, index):
        return self.x[index * self.batch : (index + 1) * self.batch]


def test_numpy_tf_data_and_pydataset_train_alike(make_vae, digits):
    x = digits[:64]
    results = []
    initial = make_vae().get_weights()
    for data in (x, tf.data.Dataset.from_tensor_slices(x).batch(32), Batches(x, 32)):
        vae = make_vae()
        vae.set_weights(initial)
        vae.compile("adam")
        vae.fit(data, shuffle=False, verbose=0)
        results.append(weights_of(vae))
    assert largest_difference(results[0], results[1]) == 0
    assert largest_difference(results[0], results[2]) == 0


def test_frozen_network_stays_as_it_was(make_vae, digits):
    for name in ("encoder", "decoder"):
        vae = make_vae()
        getattr(vae, name).trainable = False
        vae.compile("adam")
        frozen = [w.numpy() for w in getattr(vae, name).weights]
        vae.fit(digits[:64], verbose=0)
        after = [w.numpy() for w in getattr(vae, name).weights]
        assert largest_difference(frozen, after) == 0


def test_regularisation_is_part_of_the_loss(make_vae, digits):
    penalty = keras.regularizers.L2(0.1)
    encoder = keras.Sequential(
        [keras.layers.Flatten(), keras.layers.Dense(16, kernel_regularizer=penalty)]
    )
    vae = make_vae(encoder=encoder)
    vae.compile("adam")
    result = vae.evaluate(digits[:32], verbose=0, return_dict=True)
    extra = 0.1 * np.sum(encoder.layers[1].kernel.numpy() ** 2)
    np.testing.assert_allclose(result["loss"] + result["elbo"], extra, rtol=1e-5)


def test_compiled_metrics_see_target_and_reconstruction(make_vae, digits):
    vae = make_vae()
    vae.compile("adam", metrics=["mse"])
    result = vae.evaluate(digits[:32], verbose=0, return_dict=True)
    expected = np.mean((vae.reconstruct(digits[:32]) - digits[:32]) ** 2)
    np.testing.assert_allclose(result["mse"], expected, rtol=1e-5)


def test_early_stopping_and_checkpoints_work(make_vae, digits, tmp_path):
    vae = make_vae()
    vae.compile(keras.optimizers.Adam(0.0))
    callbacks = [
        keras.callbacks.EarlyStopping("val_elbo", mode="max", patience=1),
        keras.callbacks.ModelCheckpoint(str(tmp_path / "best.keras"), save_best_only=True),
    ]
    history = vae.fit(
        digits[:64], validation_split=0.25, epochs=9, callbacks=callbacks, verbose=0
    )
    assert len(history.history["loss"]) == 2
    assert (tmp_path / "best.keras").exists()


def test_autoencoder_has_no_bound(digits):
    model = keras_vae.presets.Autoencoder(
        keras_vae.networks.MLP([16]),
        keras_vae.networks.MLP([16]),
        latent_dim=3,
        likelihood=keras_vae.likelihoods.Normal(),
        event_shape=(8, 8, 1),
    )
    model.compile("adam")
    history = model.fit(digits[:64], epochs=5, verbose=0).history
    assert set(history) == {"loss", "log_likelihood"}
    assert history["loss"][-1] < history["loss"][0]
    error = np.sum((model.reconstruct(digits[:64]) - digits[:64]) ** 2) / 64
    loss = model.evaluate(digits[:64], verbose=0, return_dict=True)["loss"]
    np.testing.assert_allclose(loss, error / 2 + 32 * np.log(2 * np.pi), rtol=1e-5)
    for verb in ("elbo", "log_marginal"):
        with pytest.raises(ValueError, match="has no density"):
            getattr(model, verb)(digits[:4])


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_trains_as_float32_does(digits, policy):
    def train(policy):
        keras.utils.set_random_seed(0)
        keras.config.set_dtype_policy(policy)
        vae = keras_vae.VAE(
            encoder=keras_vae.networks.MLP([32]),
            decoder=keras_vae.networks.MLP([32]),
            posterior=keras_vae.posteriors.DiagonalNormal(latent_dim=3),
            prior=keras_vae.priors.NormalMixture(3),
            likelihood=keras_vae.likelihoods.Bernoulli(),
            event_shape=(8, 8, 1),
        )
        # Not Adam: it would hide gradients that are 32,768 times too small.
        vae.compile(keras.optimizers.SGD(3e-3, momentum=0.9))
        losses = vae.fit(digits[:512], epochs=6, verbose=0).history["loss"]
        return vae, losses

    try:
        _, expected = train("float32")
        vae, losses = train(policy)
    finally:
        keras.config.set_dtype_policy("float32")
    assert vae.decoder.compute_dtype == policy.removeprefix("mixed_")
    assert isinstance(vae.optimizer, keras.optimizers.LossScaleOptimizer) == (
        policy == "mixed_float16"
    )
    # Far more than the first epochs' progress would be lost without loss scaling.
    assert expected[0] - expected[-1] > 5
    np.testing.assert_allclose(losses[-1], expected[-1], rtol=0.02)
    assert vae.prior.loc.dtype == "float32"
    assert vae(digits[:2]).dtype == tf.float32


@register("tests")
class RemembersData(keras_vae.priors.StandardNormal):
    calls = 0
    adapt_rows = 20

    def adapt(self, x, context):
        type(self).calls += 1
        assert x.shape == (20, 8, 8, 1)
        assert context.encode(tf.constant(x[:2])).shape == (2, 6)


def test_prior_sees_the_data_once(make_vae, digits, tmp_path):
    vae = make_vae(prior=RemembersData())
    vae.compile("adam")
    vae.fit(digits[:64], verbose=0)
    vae.fit(digits[:64], verbose=0)
    vae.save(tmp_path / "vae.keras")
    again = keras.saving.load_model(tmp_path / "vae.keras")
    again.fit(digits[:64], verbose=0)
    assert RemembersData.calls == 1
    assert int(again.state.data_size) == 64


def test_chunked_log_marginal_is_the_plain_formula(make_vae, digits):
    vae = make_vae()
    x = digits[:5]
    chunked = vae.log_marginal(x, samples=3000, batch_size=2, seed=4)
    q = vae.posterior_of(x)
    z = q.sample(3000, seed=1)
    log_weight = (
        vae.likelihood.log_prob(vae.likelihood_params(z), tf.constant(x))
        + vae.prior.log_prob(z, Context())
        - q.log_prob(z)
    ).numpy()
    plain = np.log(np.mean(np.exp(log_weight - log_weight.max(0)), axis=0)) + log_weight.max(0)
    relative = np.exp(log_weight - plain)
    errors = relative.std(0) / np.sqrt(3000)
    assert np.all(np.abs(chunked - plain) < 4 * np.sqrt(2) * errors)
    assert np.all(chunked > vae.elbo(x, samples=100, seed=0))


def test_so_many_steps_of_arrays_are_validated(make_vae, digits):
    vae = make_vae()
    vae.compile("adam", steps_per_execution=1)  # Keras runs whole executions
    options = {"batch_size": 16, "verbose": 0}
    given = {"validation_data": digits[:64], "validation_steps": 2, "validation_batch_size": 16}
    history = vae.fit(digits[:64], epochs=1, **given, **options).history
    of_two = vae.evaluate(digits[:32], return_dict=True, **options)
    assert history["val_loss"][0] == pytest.approx(of_two["loss"], rel=1e-5)
    steps = vae.evaluate(digits[:64], steps=2, return_dict=True, **options)
    assert steps["loss"] == pytest.approx(of_two["loss"], rel=1e-5)
    assert of_two["loss"] != pytest.approx(
        vae.evaluate(digits[:64], return_dict=True, **options)["loss"], rel=1e-5
    )
