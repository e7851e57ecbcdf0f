"""Noise of different purposes is independent, whatever the seeds; that of training stays."""

import contextlib
import itertools
import warnings

import numpy as np
import pytest
import tensorflow as tf

import keras_vae
from keras_vae import data, evaluation, likelihoods, posteriors, priors, tasks
from keras_vae.models.state import TrainingState
from keras_vae.models.training import WATCHED
from keras_vae.streams import Stream

SEED, ROWS, LATENT_DIM = 7, 100, 8


@contextlib.contextmanager
def eagerly():
    """Every function runs in Python, so that parts can note what they were given."""
    tf.config.run_functions_eagerly(True)
    with warnings.catch_warnings():
        # Data sets stay graphs, and TensorFlow says so.
        warnings.filterwarnings("ignore", message="Even though the `tf.config")
        yield
    tf.config.run_functions_eagerly(False)


class HearingPosterior(posteriors.DiagonalNormal):
    """Notes its noise."""

    def sample_and_log_prob(self, params, noise, context):
        HEARD.append(noise["epsilon"].numpy())
        return super().sample_and_log_prob(params, noise, context)


class HearingPrior(priors.StandardNormal):
    """Notes its noise."""

    def sample(self, noise, context):
        HEARD.append(noise["epsilon"].numpy())
        return super().sample(noise, context)


class HearingNormal(likelihoods.Normal):
    """Notes its noise."""

    def standard_noise(self, like, seed):
        noise = super().standard_noise(like, seed)
        HEARD.append(noise.numpy())
        return noise


HEARD = []


def make(**changes):
    parts = {
        "encoder": keras_vae.networks.MLP([4]),
        "decoder": keras_vae.networks.MLP([4]),
        "posterior": HearingPosterior(LATENT_DIM),
        "prior": HearingPrior(),
        "likelihood": HearingNormal(1.0),
        "objective": keras_vae.objectives.InfoVAE(0.0, 2.0),
        "event_shape": (LATENT_DIM,),
        "seed": SEED,
    }
    vae = keras_vae.VAE(**{**parts, **changes})
    vae.compile("sgd", run_eagerly=True)
    return vae


def first_heard(function):
    """Noise of the first rows and latents of each draw of a function."""
    HEARD.clear()
    function()
    return [noise.reshape(-1)[: ROWS * LATENT_DIM] for noise in HEARD]


@pytest.fixture(scope="module")
def draws():
    """By purpose, all noise that is drawn for it at one seed."""
    vae, incomplete = make(), make(missing="nan")
    x = np.random.default_rng(0).normal(size=(ROWS, LATENT_DIM)).astype("float32")
    holes = np.where(np.arange(LATENT_DIM) == 1, np.nan, x).astype("float32")
    quiet = {"seed": SEED, "progress": False}
    functions = {
        "training": lambda: vae.fit(x, batch_size=ROWS // 2, epochs=2, verbose=0),
        "evaluation": lambda: vae.evaluate(x, batch_size=ROWS, verbose=0),
        "encode": lambda: vae.encode(x, sample=True, seed=SEED),
        "generate": lambda: vae.generate(ROWS, sample=True, seed=SEED),
        "elbo": lambda: vae.elbo(x, seed=SEED),
        "log_marginal": lambda: vae.log_marginal(x, samples=5, seed=SEED),
        "impute": lambda: incomplete.impute(holes, samples=3, seed=SEED, batch_size=ROWS),
        "tasks.impute": lambda: tasks.impute(
            incomplete, holes, draws=1, method="metropolis", steps=2, seed=SEED, batch_size=ROWS
        ),
        "anomaly_score": lambda: tasks.anomaly_score(vae, x, kind="reconstruction", seed=SEED),
        "augment": lambda: tasks.augment(vae, x, draws=1, sample=True, seed=SEED),
        "calibration": lambda: evaluation.calibration(vae, x, draws=2, **quiet),
        "latent_summary": lambda: evaluation.latent_summary(vae, x, seed=SEED),
        "ais": lambda: evaluation.ais(vae, x, chains=1, temperatures=2, leapfrogs=1, **quiet),
        "bdmc": lambda: evaluation.bdmc(
            vae, ROWS, chains=1, temperatures=2, leapfrogs=1, **quiet
        ),
        "likelihood.sample": lambda: vae.likelihood.sample(tf.zeros([ROWS, LATENT_DIM]), SEED),
    }
    with eagerly():
        return {name: first_heard(function) for name, function in functions.items()}


def test_noise_of_different_purposes_at_one_seed_is_uncorrelated(draws):
    assert all(draws.values())
    for (one, first), (two, second) in itertools.combinations(draws.items(), 2):
        for a, b in itertools.product(first, second):
            size = min(len(a), len(b))
            correlation = np.corrcoef(a[:size], b[:size])[0, 1]
            # Five standard errors, of some thousand pairs.
            assert abs(correlation) < 5 / np.sqrt(size), (one, two, correlation)
            # Equal keys begin with equal numbers, whatever the shapes.
            assert a[0] != b[0], (one, two)


def test_draws_of_one_method_differ(draws):
    for name, noises in draws.items():
        starts = [float(noise[0]) for noise in noises]
        assert len(set(starts)) == len(starts), name


def test_no_stream_has_the_number_of_another():
    assert len(Stream) == len(Stream.__members__)


def test_training_and_evaluation_keep_their_noise():
    # Models saved by any version continue as they would have.
    state = TrainingState(WATCHED, SEED)
    state.build()
    keys = [state.next_key(training=training).numpy().tolist() for training in (True, False)]
    assert keys == [[-60841913, 0], [1501897389, 0]]
    assert state.next_key(training=True).numpy().tolist() == [-60841913, 1]
    assert state.order(5).numpy().tolist() == [4, 3, 0, 1, 2]


def test_published_binarisation_keeps_its_bits():
    x = np.full([1, 8], 0.5, "float32")
    assert data.binarize(x, seed=0).astype(int).tolist() == [[1, 0, 0, 1, 1, 1, 1, 0]]


def test_dequantisation_is_independent_of_binarisation():
    uniform = data.dequantize(np.zeros([1000], "uint8"), seed=0) * 256
    bits = data.binarize(np.full([1000], 0.5, "float32"), seed=0)
    assert abs(np.corrcoef(uniform, bits)[0, 1]) < 5 / np.sqrt(1000)
