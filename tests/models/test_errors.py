"""Bad input is refused before training, by name, with what to do about it."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_vae import likelihoods, networks, objectives, posteriors, priors
from tests.models.test_training import Batches


class TwoOutputs(keras.layers.Layer):
    def call(self, x):
        return [x, x]


class NeedsMoon(objectives.Objective):
    requires = frozenset({"moon"})


class NeedsGradient(objectives.Objective):
    requires = frozenset({"log_joint_gradient"})


def ends_with(activation):
    return keras.Sequential([keras.layers.Dense(64, activation=activation)])


CONSTRUCTION = {
    "latent_dim 0": (
        lambda: posteriors.DiagonalNormal(0),
        ValueError,
        r"`latent_dim` must be an integer >= 1. Received: latent_dim=0",
    ),
    "latent_dim float": (
        lambda: posteriors.DiagonalNormal(2.5),
        ValueError,
        r"`latent_dim` must be an integer >= 1. Received: latent_dim=2.5",
    ),
    "negative scale": (
        lambda: likelihoods.Normal(-1.0),
        ValueError,
        r"`scale` must be positive. Received: scale=-1.0",
    ),
    "unknown scale": (
        lambda: likelihoods.Normal("learnt"),
        ValueError,
        r"`scale` must be one of .*'learned'.* Received: scale='learnt'",
    ),
    "negative beta": (
        lambda: objectives.ELBO(beta=-1),
        ValueError,
        r"`beta` must be >= 0 or a schedule. Received: beta=-1",
    ),
    "no samples": (
        lambda: objectives.IWAE(samples=0),
        ValueError,
        r"`samples` must be an integer >= 1. Received: samples=0",
    ),
    "no components": (
        lambda: priors.NormalMixture(0),
        ValueError,
        r"`components` must be an integer >= 1",
    ),
    "no units": (lambda: networks.MLP([]), ValueError, r"`units` must be a list of positive"),
    "dropout 1": (lambda: networks.MLP([4], dropout=1), ValueError, r"`dropout` must be in"),
}

MODELS = {
    "event_shape": (
        {"event_shape": (8, None, 1)},
        ValueError,
        r"`event_shape` must be a tuple of positive integers",
    ),
    "part class": (
        {"prior": priors.StandardNormal},
        TypeError,
        r"`prior` must be a keras_vae Prior.* Call the class to make one",
    ),
    "part of another family": (
        {"posterior": priors.StandardNormal()},
        TypeError,
        r"`posterior` must be a keras_vae Posterior",
    ),
    "encoder no layer": (
        {"encoder": lambda x: x},
        TypeError,
        r"`encoder` must be a Keras model or layer",
    ),
    "encoder of a list": (
        {"encoder": TwoOutputs()},
        TypeError,
        r"`encoder` must return one tensor. Received: a list of 2",
    ),
    "encoder for other inputs": (
        {"encoder": keras.Sequential([keras.Input((7,)), keras.layers.Dense(3)])},
        ValueError,
        r"`encoder` cannot take inputs of shape \(None, 8, 8, 1\)",
    ),
    "decoder that does not fit": (
        {"decoder": keras.Sequential([keras.layers.Reshape((3, 1)), keras.layers.Dense(4)])},
        ValueError,
        r"`decoder` returns features of shape \(None, 3, 4\).*\(None, 8, 8\)",
    ),
    "sigmoid under the head": (
        {"decoder": ends_with("sigmoid")},
        ValueError,
        r"`decoder` ends with a sigmoid.*Remove the sigmoid, or pass decoder_head=False",
    ),
    "softmax layer under the head": (
        {"decoder": keras.Sequential([keras.layers.Dense(64), keras.layers.Softmax()])},
        ValueError,
        r"`decoder` ends with a softmax",
    ),
    "headless encoder of the wrong size": (
        {"encoder_head": False},
        ValueError,
        r"`encoder` with encoder_head=False must return parameters of shape \(None, 6\)",
    ),
    "no density": (
        {"posterior": posteriors.Deterministic(3), "objective": objectives.IWAE()},
        ValueError,
        r"do not go together: IWAE needs log q.*use objectives.LogLikelihood\(\)",
    ),
    "no gradient": (
        {"posterior": posteriors.Deterministic(3), "objective": NeedsGradient()},
        ValueError,
        r"cannot be evaluated at a given z",
    ),
    "unknown requirement": (
        {"objective": NeedsMoon()},
        ValueError,
        r"requires \['moon'\], which no model offers",
    ),
    "conv decoder of vectors": (
        {"decoder": networks.ConvDecoder([4]), "event_shape": (64,)},
        ValueError,
        r"ConvDecoder works on images",
    ),
}


@pytest.mark.parametrize("name", CONSTRUCTION)
def test_parts_refuse_bad_arguments(name):
    make, error, message = CONSTRUCTION[name]
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize("name", MODELS)
def test_models_refuse_what_does_not_fit(make_vae, name):
    changes, error, message = MODELS[name]
    with pytest.raises(error, match=message):
        make_vae(**changes)


def test_parts_belong_to_one_shape(make_vae):
    vae = make_vae()
    with pytest.raises(ValueError, match="`likelihood` was built for events of shape"):
        make_vae(likelihood=vae.likelihood, event_shape=(4, 4, 1))
    with pytest.raises(ValueError, match="`prior` was built for latents of shape"):
        make_vae(prior=vae.prior, posterior=posteriors.DiagonalNormal(5))


def test_unbound_decoder_says_so():
    with pytest.raises(ValueError, match="does not know its output grid yet"):
        networks.ConvDecoder([4]).build((None, 3))


def with_nan(x):
    x = x.copy()
    x[5, 1, 2, 0] = np.nan
    return x


DATA = {
    "none": (lambda x: (None,), ValueError, "`x` is missing"),
    "empty": (lambda x: (x[:0],), ValueError, "`x` is empty"),
    "no channels": (
        lambda x: (x[..., 0],),
        ValueError,
        r"`x` must have shape \(batch, 8, 8, 1\). Received: \(1797, 8, 8\). Add the channel",
    ),
    "one example": (lambda x: (x[0],), ValueError, r"needs a batch axis: x\[None\]"),
    "flat": (
        lambda x: (x.reshape(-1, 64),),
        ValueError,
        r"Reshape it: x.reshape\(\(-1, 8, 8, 1\)\)",
    ),
    "other size": (lambda x: (x[:, :7],), ValueError, r"Received: \(1797, 7, 8, 1\)\.$"),
    "text": (lambda x: (np.full((4, 8, 8, 1), "a"),), TypeError, "`x` must hold numbers"),
    "list": (lambda x: ([x, x],), TypeError, "`x` must be one array"),
    "8-bit": (
        lambda x: ((x * 255).astype("uint8"),),
        ValueError,
        r"outside the support \[0, 1\] of a Bernoulli.*0 to 255, dtype uint8.*divide 8-bit",
    ),
    "NaN": (
        lambda x: (with_nan(x),),
        ValueError,
        r"`x` must be finite. Received: nan at index \(5, 1, 2, 0\)",
    ),
    "labels": (
        lambda x: (x, np.zeros(len(x))),
        ValueError,
        r"`y` must have shape .*labels are not targets: pass x alone",
    ),
    "short target": (lambda x: (x, x[:-1]), ValueError, "must be equally long"),
    "target list": (lambda x: (x, list(x)), TypeError, "`y` must be an array"),
    "empty dataset": (
        lambda x: (tf.data.Dataset.from_tensor_slices(x[:0]).batch(2),),
        ValueError,
        "`x` is empty. Received: a dataset of 0 batches",
    ),
    "unbatched dataset": (
        lambda x: (tf.data.Dataset.from_tensor_slices(x),),
        ValueError,
        r"dataset of single examples of shape \(8, 8, 1\). Batch it",
    ),
    "labelled dataset": (
        lambda x: (tf.data.Dataset.from_tensor_slices((x, np.zeros(len(x)))).batch(8),),
        ValueError,
        "labels are not targets",
    ),
    "PyDataset": (lambda x: (Batches(x[:, :7], 8),), ValueError, r"Received: \(8, 7, 8, 1\)"),
    "empty PyDataset": (lambda x: (Batches(x[:7], 8),), ValueError, "PyDataset of 0 batches"),
}


@pytest.mark.parametrize("name", DATA)
def test_fit_and_evaluate_refuse_bad_data(make_vae, digits, name):
    arguments, error, message = DATA[name]
    vae = make_vae()
    vae.compile("adam")
    for method in (vae.fit, vae.evaluate):
        with pytest.raises(error, match=message):
            method(*arguments(digits), verbose=0)
    assert int(vae.optimizer.iterations) == 0


def test_bad_validation_data_is_named(make_vae, digits):
    vae = make_vae()
    vae.compile("adam")
    with pytest.raises(ValueError, match="`validation_x` must have shape"):
        vae.fit(digits, validation_data=digits[..., 0], verbose=0)


def test_generators_are_checked_batch_by_batch(make_vae, digits):
    vae = make_vae()
    vae.compile("adam")
    with pytest.raises(ValueError, match="`x` must have shape"):
        vae.fit((batch for batch in [(digits[:8, :7],)]), verbose=0)
    endless = ((digits[:8],) for _ in itertools.count())
    history = vae.fit(endless, steps_per_epoch=3, verbose=0).history
    assert len(history["loss"]) == 1


def test_memory_mapped_arrays_are_not_read_beforehand(make_vae, digits, tmp_path):
    np.save(tmp_path / "x.npy", with_nan(digits[:64]))
    x = np.load(tmp_path / "x.npy", mmap_mode="r")
    vae = make_vae()
    vae.compile("adam")
    with pytest.raises(ValueError, match="data of training step 0 is not finite"):
        vae.fit(x, verbose=0, batch_size=64)


def test_compile_refuses_a_loss(make_vae):
    with pytest.raises(ValueError, match="no `loss` to choose"):
        make_vae().compile("adam", loss="mse")


VERBS = {
    "encode": lambda vae, x: vae.encode(x[..., 0]),
    "decode": lambda vae, x: vae.decode(np.zeros((2, 4))),
    "reconstruct": lambda vae, x: vae.reconstruct(with_nan(x)),
    "generate": lambda vae, x: vae.generate(0),
    "elbo": lambda vae, x: vae.elbo(x * 2),
    "log_marginal": lambda vae, x: vae.log_marginal(x, samples=0),
    "batch_size": lambda vae, x: vae.encode(x, batch_size=0),
}


@pytest.mark.parametrize("name", VERBS)
def test_verbs_refuse_bad_arguments(make_vae, digits, name):
    with pytest.raises(ValueError, match="Received: "):
        VERBS[name](make_vae(), digits)


def test_weights_that_do_not_fit_are_refused(make_vae, digits):
    vae = make_vae()
    vae.compile("adam")
    x, short = digits[:16], np.ones(15)
    message = "sample_weight` must have one number for each of the 16 examples.*15"
    with pytest.raises(ValueError, match=f"`{message}"):
        vae.fit(x, sample_weight=short)
    with pytest.raises(ValueError, match=f"`{message}"):
        vae.evaluate(x, sample_weight=short)
    with pytest.raises(ValueError, match=f"`validation_{message}"):
        vae.fit(x, validation_data=(x, x, short))
    assert int(vae.state.data_size) == 0  # nothing was begun


def test_weights_may_be_a_list(make_vae, digits):
    vae = make_vae()
    vae.compile("adam")
    weights = np.linspace(0.5, 1.5, 16)
    found = [
        vae.evaluate(digits[:16], sample_weight=w, verbose=0) for w in (weights, [*weights])
    ]
    assert found[0] == found[1]
