"""Models that depend on a label, a vector or an image beside x."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_vae
from keras_vae import numerics
from keras_vae.models.conditions import Conditions, attach, repeated
from keras_vae.networks import MLP, ConvDecoder, ConvEncoder

LABELS = 10


@pytest.fixture(scope="module")
def labels():
    from sklearn.datasets import load_digits

    return load_digits().target


@pytest.fixture
def conditional(make_vae):
    return make_vae(condition_shape=(LABELS,))


def one_hot(labels):
    return np.eye(LABELS, dtype="float32")[labels]


# Training.


def test_labels_and_their_one_hot_vectors_are_the_same(make_vae, digits, labels):
    histories = []
    for condition in (labels[:64], one_hot(labels[:64])):
        keras.utils.set_random_seed(0)
        vae = make_vae(condition_shape=(LABELS,))
        vae.compile("adam")
        data = {"x": digits[:64], "condition": condition}
        histories.append(vae.fit(data, epochs=2, verbose=0).history)
    assert histories[0] == histories[1]


def test_condition_tells_what_x_is(make_vae, digits, labels):
    # A posterior of one dimension cannot tell ten digits apart; the condition does it, to
    # whose decoder x itself says nothing more of the label.
    keras.utils.set_random_seed(0)
    vae = make_vae(
        condition_shape=(LABELS,),
        posterior=keras_vae.posteriors.DiagonalNormal(1),
        decoder=MLP([64]),
    )
    vae.compile(keras.optimizers.Adam(1e-2))
    data = {"x": digits, "condition": labels}
    vae.fit(data, epochs=15, batch_size=64, verbose=0)
    means = np.stack([digits[labels == n].mean(0) for n in range(LABELS)])
    made = vae.generate(LABELS, condition=np.arange(LABELS), seed=0)
    distance = ((made[:, None] - means[None]) ** 2).sum(axis=(2, 3, 4))
    assert (distance.argmin(1) == np.arange(LABELS)).mean() >= 0.9
    right = vae.elbo(digits[:200], condition=labels[:200], seed=0).mean()
    wrong = vae.elbo(digits[:200], condition=(labels[:200] + 1) % LABELS, seed=0).mean()
    assert right > wrong + 5


def test_datasets_and_validation_data_carry_conditions(conditional, digits, labels):
    conditional.compile("adam")
    data = {"x": digits[:32], "condition": labels[:32]}
    stream = tf.data.Dataset.from_tensor_slices(data).batch(16)
    from_stream = conditional.fit(stream, validation_data=data, epochs=1, verbose=0).history
    assert {"elbo", "val_elbo"} <= set(from_stream)
    again = conditional.evaluate(data, verbose=0, return_dict=True)
    assert again["elbo"] == from_stream["val_elbo"][0]
    weighted = conditional.evaluate(
        data, sample_weight=np.ones(32), verbose=0, return_dict=True
    )
    np.testing.assert_allclose(weighted["elbo"], again["elbo"], rtol=1e-6)
    pairs = tf.data.Dataset.from_tensor_slices((data, digits[:32])).batch(16)
    conditional.fit(pairs, verbose=0)


def test_metrics_see_the_reconstruction_given_the_condition(conditional, digits, labels):
    conditional.compile("adam", metrics=["mse"])
    data = {"x": digits[:32], "condition": labels[:32]}
    logs = conditional.evaluate(data, verbose=0, return_dict=True)
    expected = conditional.reconstruct(digits[:32], condition=labels[:32]) - digits[:32]
    np.testing.assert_allclose(
        logs["mean_squared_error" if "mean_squared_error" in logs else "mse"],
        (expected**2).mean(),
        rtol=1e-5,
    )


def test_saved_and_loaded_it_is_the_same(conditional, digits, labels, tmp_path):
    conditional.compile("adam")
    data = {"x": digits[:32], "condition": labels[:32]}
    conditional.fit(data, verbose=0)
    conditional.save(tmp_path / "vae.keras")
    again = keras.saving.load_model(tmp_path / "vae.keras")
    assert tuple(again.condition_shape) == (LABELS,)
    for verb in (conditional, again):
        verb.evaluate(data, verbose=0)
    np.testing.assert_array_equal(
        conditional.log_marginal(digits[:4], condition=3, samples=50, seed=1),
        again.log_marginal(digits[:4], condition=3, samples=50, seed=1),
    )


# Verbs.


def test_each_verb_takes_conditions(conditional, digits, labels):
    x, z = digits[:3], np.zeros((3, 3), "float32")
    for condition in (labels[:3], one_hot(labels[:3]), 4, one_hot([4])[0], one_hot([4])):
        assert conditional.encode(x, condition=condition).shape == (3, 3)
        assert conditional.decode(z, condition=condition).shape == (3, 8, 8, 1)
        assert conditional.generate(3, condition=condition, seed=0).shape == (3, 8, 8, 1)
    both = {"x": x, "condition": one_hot(labels[:3])}
    expected = conditional.reconstruct(x, condition=labels[:3])
    np.testing.assert_array_equal(conditional.predict(both, verbose=0), expected)
    assert conditional.posterior_of(x, labels[:3]).batch_shape == (3,)
    assert conditional.likelihood_of(z, labels[:3]).batch_shape == (3,)


def test_a_condition_changes_what_is_made(conditional, digits):
    for verb, given in (("encode", digits[:2]), ("decode", np.zeros((2, 3), "float32"))):
        one, two = (getattr(conditional, verb)(given, condition=c) for c in (1, 2))
        assert np.any(one != two), verb


def test_draws_of_one_example_share_its_condition(conditional, digits, labels):
    # [sample, batch] latents, conditions [batch]: as one example at a time.
    z = tf.random.stateless_normal([4, 3, 3], [0, 0])
    condition = tf.constant(one_hot(labels[:3]))
    together = conditional.likelihood_params(z, condition=condition)
    for index in range(3):
        alone = conditional.likelihood_params(
            z[:, index], condition=tf.repeat(condition[index : index + 1], 4, axis=0)
        )
        np.testing.assert_allclose(together[:, index], alone, rtol=1e-5, atol=1e-6)


def test_plain_models_take_the_condition_too(conditional, digits, labels):
    x, condition = digits[:3], one_hot(labels[:3])
    np.testing.assert_allclose(
        conditional.encoder_model()([x, condition]),
        conditional.encode(x, condition=condition),
        rtol=1e-5,
        atol=1e-6,
    )
    z = np.ones((3, 3), "float32")
    np.testing.assert_allclose(
        conditional.decoder_model()([z, condition]),
        conditional.decode(z, condition=condition),
        rtol=1e-5,
        atol=1e-6,
    )


# Dropping.


def test_dropped_conditions_are_as_none_at_all(make_vae, digits, labels):
    vae = make_vae(condition_shape=(LABELS,), condition_dropout=0.5)
    condition = tf.constant(one_hot(labels[:1000]))
    prepared = vae.conditions.prepared(condition, condition)
    assert prepared.shape == (1000, LABELS + 1)
    noise = vae.draw_noise(condition, numerics.key_from_seed(0))["condition"]["dropout"]
    dropped = np.asarray(vae.conditions.dropped(prepared, noise))
    known = dropped[:, -1]
    assert set(known) == {0.0, 1.0}
    assert abs(known.mean() - 0.5) < 5 * 0.5 / np.sqrt(1000)
    np.testing.assert_array_equal(dropped[:, :-1], condition * known[:, None])
    np.testing.assert_array_equal(
        vae.conditions.prepared(None, condition)[0], np.zeros(LABELS + 1)
    )
    assert vae.encode(digits[:3]).shape == (3, 3)
    assert vae.generate(3, seed=0).shape == (3, 8, 8, 1)


def test_conditions_are_dropped_in_training_only(make_vae, digits, labels):
    vae = make_vae(condition_shape=(LABELS,), condition_dropout=0.9)
    vae.compile(keras.optimizers.SGD(0.0))
    data = {"x": digits[:64], "condition": labels[:64]}
    evaluated = vae.evaluate(data, verbose=0, return_dict=True)["elbo"]
    kept = vae.elbo(digits[:64], condition=labels[:64], samples=200, seed=0).mean()
    lost = vae.elbo(digits[:64], samples=200, seed=0).mean()
    assert abs(evaluated - kept) < abs(kept - lost) + 1.0
    trained = vae.fit(data, verbose=0).history["elbo"][0]
    assert np.isfinite(trained)


# Networks.


def test_vectors_become_channels_of_images(make_vae, digits, labels):
    vae = make_vae(
        encoder=ConvEncoder([4]), decoder=ConvDecoder([4]), condition_shape=(LABELS,)
    )
    assert vae.encoder.body[0].kernel.shape[2] == 1 + LABELS
    assert vae.decoder.body[0].kernel.shape[0] == 3 + LABELS
    assert vae.encode(digits[:2], condition=labels[:2]).shape == (2, 3)


def test_images_are_conditions_too(make_vae, digits):
    vae = make_vae(encoder=ConvEncoder([4]), condition_shape=(8, 8, 2))
    assert vae.encoder.body[0].kernel.shape[2] == 3
    # The decoder's input is a vector: so is what is added to it.
    assert vae.decoder.body[-1].kernel.shape[0] == 3 + 8 * 8 * 2
    condition = np.zeros((2, 8, 8, 2), "float32")
    assert vae.encode(digits[:2], condition=condition).shape == (2, 3)


@keras.saving.register_keras_serializable("tests")
class TakesCondition(keras.layers.Layer):
    """A network that is given the condition by name."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = keras.layers.Dense(5)

    def build(self, input_shape):
        self.dense.build((None, LABELS))

    def call(self, inputs, condition=None):
        return self.dense(condition)


def test_a_network_may_take_the_condition_by_name(make_vae, digits):
    vae = make_vae(encoder=TakesCondition(), condition_shape=(LABELS,))
    one, two = (vae.encode(digits[:2] * c, condition=1) for c in (0.0, 1.0))
    np.testing.assert_array_equal(one, two)


def test_maps_of_another_size_are_refused():
    x, condition = tf.zeros([2, 8, 8, 1]), tf.zeros([2, 4, 4, 1])
    with pytest.raises(ValueError, match="neither vectors nor maps of one size"):
        attach(ConvEncoder([4]), x, condition, "encoder")


def test_repeated_follows_the_flattened_samples():
    condition = tf.constant([[1.0], [2.0]])
    result = repeated(condition, tf.constant([3, 2]))
    np.testing.assert_array_equal(result[:, 0], [1, 2, 1, 2, 1, 2])
    assert repeated(None, tf.constant([3, 2])) is None


# Errors.


def test_a_missing_condition_is_an_error(conditional, digits):
    conditional.compile("adam")
    for call in (
        lambda: conditional.fit(digits[:8], verbose=0),
        lambda: conditional.encode(digits[:8]),
        lambda: conditional.generate(3),
        lambda: conditional.fit(
            tf.data.Dataset.from_tensor_slices(digits[:8]).batch(4), verbose=0
        ),
    ):
        with pytest.raises(ValueError, match="`condition` is missing"):
            call()


def test_a_condition_too_many_is_an_error(make_vae, digits):
    vae = make_vae()
    vae.compile("adam")
    with pytest.raises(ValueError, match="Pass condition_shape"):
        vae.encode(digits[:2], condition=1)
    with pytest.raises(ValueError, match="Pass condition_shape"):
        vae.fit({"x": digits[:2], "condition": np.ones(2)}, verbose=0)


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        (np.array([1, 10]), "labels from 0 to 9. Received: from 1 to 10"),
        (np.ones((2, 3)), r"`condition` must have shape \(batch, 10\)"),
        (np.ones((3, LABELS)), "one condition per example. Received: 3 for 2"),
        (np.full((2, LABELS), np.nan), "`condition` must be finite"),
    ],
)
def test_bad_conditions_say_what_is_wrong(conditional, digits, condition, message):
    with pytest.raises(ValueError, match=message):
        conditional.encode(digits[:2], condition=condition)


def test_bad_dictionaries_say_what_is_wrong(conditional, digits):
    conditional.compile("adam")
    with pytest.raises(ValueError, match=r"holds 'x' and 'condition'. Received: \['X'\]"):
        conditional.fit({"X": digits[:2]}, verbose=0)


@pytest.mark.parametrize("shape", [(), (0,), 10, (2.5,)])
def test_condition_shape_is_checked(shape):
    with pytest.raises(ValueError, match="`condition_shape` must be a tuple"):
        Conditions(shape, 0.0)


def test_condition_dropout_is_checked():
    with pytest.raises(ValueError, match=r"must be in \[0, 1\)"):
        Conditions((3,), 1.0)
    with pytest.raises(ValueError, match="needs a `condition_shape`"):
        Conditions(None, 0.1)
    with pytest.raises(ValueError, match="integers, which stand for one-hot vectors"):
        Conditions((2, 2, 1), 0.0).check("condition", np.array([1]), 1)


def test_a_prior_may_depend_on_the_condition(make_vae, digits, labels):
    prior = keras_vae.priors.ConditionalNormal()
    vae = make_vae(condition_shape=(LABELS,), prior=prior)
    vae.compile(keras.optimizers.Adam(1e-2))
    before = vae.prior_distribution(3).mean().numpy()
    history = vae.fit({"x": digits, "condition": labels}, epochs=2, verbose=0).history
    assert history["elbo"][1] > history["elbo"][0]
    assert np.any(before != vae.prior_distribution(3).mean().numpy())
    assert vae.prior_distribution([1, 2]).batch_shape == (2,)
    one, two = (vae.generate(5, condition=c, seed=0) for c in (1, 2))
    assert np.any(one != two)
    with pytest.raises(ValueError, match="depends on a condition, but the model has none"):
        make_vae(prior=keras_vae.priors.ConditionalNormal())
