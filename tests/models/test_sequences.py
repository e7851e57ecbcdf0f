"""Models whose decoder writes sequences value by value."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_vae
from keras_vae import numerics
from keras_vae.likelihoods import Categorical, NegativeBinomial, Normal, Ordinal
from keras_vae.networks import MLP, CausalConvDecoder, RecurrentDecoder, TransformerDecoder
from keras_vae.objectives import RAE
from keras_vae.posteriors import Deterministic, DiagonalNormal

LENGTH, CLASSES, END = 4, 3, 2


def make_writer(**changes):
    keras.utils.set_random_seed(3)
    parts = {
        "encoder": MLP([8]),
        "decoder": RecurrentDecoder([8], autoregressive=True, vocabulary=CLASSES),
        "posterior": DiagonalNormal(2),
        "likelihood": Categorical(CLASSES, end_token=END),
        "event_shape": (LENGTH, 1),
        "seed": 1,
    }
    vae = keras_vae.VAE(**{**parts, **changes})
    for variable in vae.trainable_variables:  # far from the start, where all is uniform
        variable.assign(variable + np.random.default_rng(1).normal(size=variable.shape))
    return vae


def ended(sequences):
    """Repeat the end token once it was written."""
    after = np.cumsum(sequences == END, axis=1) > 0
    return np.where(after, END, sequences)


@pytest.fixture
def tokens(rng):
    return ended(rng.integers(0, CLASSES, size=(6, LENGTH, 1))).astype("float32")


def test_density_is_the_product_over_steps(tokens):
    # Each value's probability given z and the values before, which alone are shown.
    vae = make_writer()
    z = tf.constant(np.random.default_rng(0).normal(size=(6, 2)), tf.float32)
    params = vae.likelihood_params(z, target=tf.constant(tokens))
    expected = np.zeros(6)
    for t in range(LENGTH):
        shown = tokens.copy()
        shown[:, t:] = 0
        at_t = vae.likelihood_params(z, target=tf.constant(shown))[:, t]
        log_share = np.asarray(tf.nn.log_softmax(at_t))
        before = (tokens[:, :t] == END).any(axis=(1, 2))
        step = log_share[np.arange(6), tokens[:, t, 0].astype(int)]
        expected += np.where(before, 0.0, step)
    result = vae.likelihood.log_prob(params[None], tf.constant(tokens))[0]
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-5)


def test_probabilities_of_all_sequences_add_up_to_one():
    vae = make_writer()
    every = np.array(list(itertools.product(range(CLASSES), repeat=LENGTH)))
    sequences = np.unique(ended(every), axis=0)[..., None].astype("float32")
    z = tf.repeat(tf.constant([[0.3, -1.0]]), len(sequences), axis=0)
    params = vae.likelihood_params(z, target=tf.constant(sequences))
    log_prob = vae.likelihood.log_prob(params[None], tf.constant(sequences))[0]
    np.testing.assert_allclose(tf.reduce_sum(tf.exp(log_prob)), 1.0, rtol=1e-5)


def test_written_sequences_follow_the_density():
    vae = make_writer()
    count = 20_000
    z = tf.repeat(tf.constant([[0.3, -1.0]]), count, axis=0)
    write = tf.function(lambda z: vae.decoded_points(z, key=numerics.key_from_seed(0)))
    written = write(z).numpy()
    np.testing.assert_array_equal(written, ended(written))
    sequences, counts = np.unique(written, axis=0, return_counts=True)
    params = vae.likelihood_params(z[: len(sequences)], target=tf.constant(sequences))
    share = np.exp(vae.likelihood.log_prob(params[None], tf.constant(sequences))[0])
    error = np.sqrt(share * (1 - share) / count) + 1 / count
    assert np.all(np.abs(counts / count - share) < 5 * error)


@pytest.mark.parametrize(("temperature", "top_p"), [(0.6, 1.0), (1.0, 0.7), (1.5, 0.8)])
def test_sharpened_writing_follows_the_sharpened_steps(temperature, top_p):
    vae = make_writer()
    count = 20_000
    z = tf.repeat(tf.constant([[0.3, -1.0]]), count, axis=0)
    adjust = vae._adjustment(temperature, top_p, sample=True)
    write = tf.function(
        lambda z: vae.decoded_points(z, None, numerics.key_from_seed(0), adjust=adjust)
    )
    drawn, counts = np.unique(write(z).numpy(), axis=0, return_counts=True)
    every = np.array(list(itertools.product(range(CLASSES), repeat=LENGTH)))
    sequences = np.unique(ended(every), axis=0)[..., None].astype("float32")
    params = vae.likelihood_params(z[: len(sequences)], target=tf.constant(sequences))
    share = np.array([by_hand(*row, temperature, top_p) for row in zip(params, sequences)])
    np.testing.assert_allclose(share.sum(), 1.0, rtol=1e-5)
    found = {sequence.tobytes(): number for sequence, number in zip(drawn, counts)}
    frequency = np.array([found.pop(s.tobytes(), 0) for s in sequences]) / count
    assert not found
    assert np.all(frequency[share == 0] == 0)
    error = np.sqrt(share * (1 - share) / count) + 1 / count
    assert np.all(np.abs(frequency - share) < 5 * error)


def by_hand(logits, sequence, temperature, top_p):
    """Probability of a sequence, each step by Holtzman et al. (2020), section 3.1."""
    total = 1.0
    for step, token in zip(np.asarray(logits, "float64"), sequence[:, 0].astype(int)):
        share = np.exp(step / temperature)
        share /= share.sum()
        order = np.argsort(-share)
        nucleus = order[: np.searchsorted(np.cumsum(share[order]), top_p) + 1]
        total *= share[token] / share[nucleus].sum() if token in nucleus else 0.0
        if token == END:
            break
    return total


def test_greedy_writing_takes_the_most_probable_value_each_time():
    vae = make_writer()
    z = np.random.default_rng(0).normal(size=(5, 2)).astype("float32")
    written = vae.decode(z)
    params = vae.likelihood_params(tf.constant(z), target=tf.constant(written))
    best = np.asarray(vae.likelihood.point(params))
    live = np.cumsum(written == END, axis=1) - (written == END) == 0
    np.testing.assert_array_equal(np.where(live, best, END), written)


@pytest.mark.parametrize(
    "decoder", [RecurrentDecoder, pytest.param(TransformerDecoder, marks=pytest.mark.thorough)]
)
def test_it_trains_generates_and_survives_saving(decoder, tokens, tmp_path):
    arguments = {"autoregressive": True, "vocabulary": CLASSES, "word_dropout": 0.2}
    first = [8] if decoder is RecurrentDecoder else 8
    vae = make_writer(decoder=decoder(first, **arguments))
    vae.compile("adam")
    history = vae.fit(np.tile(tokens, (4, 1, 1)), epochs=2, verbose=0).history
    assert all(np.isfinite(values).all() for values in history.values())
    vae.save(tmp_path / "vae.keras")
    again = keras.saving.load_model(tmp_path / "vae.keras")
    for name, arguments in {
        "reconstruct": (tokens,),
        "generate": (3,),
        "elbo": (tokens,),
        "log_marginal": (tokens,),
    }.items():
        options = {} if name == "reconstruct" else {"seed": 2}
        if name == "log_marginal":
            options["samples"] = 20
        one = getattr(vae, name)(*arguments, **options)
        np.testing.assert_array_equal(one, getattr(again, name)(*arguments, **options))
    assert vae.generate(3, sample=True, seed=1).shape == (3, LENGTH, 1)
    np.testing.assert_array_equal(vae.predict(tokens, verbose=0), vae.reconstruct(tokens))


@pytest.mark.thorough
def test_real_series_are_written_too(rng):
    vae = make_writer(
        decoder=RecurrentDecoder([8], autoregressive=True),
        likelihood=Normal("predicted"),
        event_shape=(5, 2),
        condition_shape=(3,),
    )
    x = rng.normal(size=(16, 5, 2)).astype("float32")
    vae.compile("adam")
    vae.fit({"x": x, "condition": np.zeros(16, int)}, verbose=0)
    drawn = vae.generate(4, condition=1, sample=True, seed=0)
    assert drawn.shape == (4, 5, 2)
    assert np.isfinite(drawn).all()


def test_each_place_has_its_own_thresholds(rng):
    # An ordinal likelihood has weights for each place of the sequence.
    vae = make_writer(likelihood=Ordinal(CLASSES))
    z = rng.normal(size=(5, 2)).astype("float32")
    written = vae.decode(z)
    params = vae.likelihood_params(tf.constant(z), target=tf.constant(written))
    np.testing.assert_array_equal(vae.likelihood.point(params), written)


def test_objectives_that_decode_see_the_values_before(rng):
    vae = make_writer(
        decoder=CausalConvDecoder(4, dilations=[1], autoregressive=True),
        likelihood=Normal(),
        posterior=Deterministic(2),
        objective=RAE(0.1, gradient_penalty=0.1),
        event_shape=(5, 2),
    )
    vae.compile("adam")
    x = rng.normal(size=(16, 5, 2))
    assert np.isfinite(vae.fit(x, verbose=0).history["loss"]).all()


def test_it_learns_what_depends_on_the_value_before():
    # Each bit repeats the one before with probability 0.9: entropy 1 bit + 7 * H(0.9) nats.
    rng = np.random.default_rng(0)
    flips = rng.random((4000, 8)) < 0.1
    flips[:, 0] = rng.random(4000) < 0.5
    x = (np.cumsum(flips, axis=1) % 2)[..., None].astype("float32")
    keras.utils.set_random_seed(0)
    vae = keras_vae.VAE(
        MLP([8]),
        RecurrentDecoder([16], autoregressive=True, vocabulary=2),
        DiagonalNormal(1),
        likelihood=Categorical(2),
        event_shape=(8, 1),
        seed=1,
    )
    vae.compile(keras.optimizers.Adam(1e-2))
    vae.fit(x, epochs=4, batch_size=100, verbose=0)
    entropy = np.log(2) - 7 * (0.9 * np.log(0.9) + 0.1 * np.log(0.1))
    # No model beats the entropy; one that saw single bits only would need 8 log 2 = 5.55.
    assert entropy - 0.15 < -vae.elbo(x, seed=0).mean() < entropy + 0.25


def test_what_cannot_be_done_says_so():
    vae = make_writer()
    with pytest.raises(ValueError, match="depends on the values before: pass `target`"):
        vae.likelihood_of(np.zeros((1, 2), "float32"))
    with pytest.raises(ValueError, match="a loop, not a plain model"):
        vae.decoder_model()
    with pytest.raises(ValueError, match="shape"):
        make_writer(event_shape=(LENGTH,))
    with pytest.raises(ValueError, match="needs the whole event"):
        make_writer(likelihood=NegativeBinomial(library="observed"))


def test_temperature_and_top_p_are_for_draws_of_categories(make_vae):
    vae = make_vae()
    for options in ({"temperature": 0.5}, {"top_p": 0.5, "sample": True}):
        with pytest.raises(ValueError, match="for draws from a Categorical"):
            vae.generate(2, **options)
    with pytest.raises(ValueError, match="`top_p` must be above 0"):
        vae.generate(2, top_p=0.0)
    with pytest.raises(ValueError, match="`temperature` must be positive"):
        vae.generate(2, temperature=0.0)
