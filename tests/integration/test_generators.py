"""Functions with a seed leave the generators of Python, NumPy, Keras and TensorFlow alone."""

import inspect
import random

import keras
import numpy as np
import pytest
from keras.src.random.seed_generator import global_seed_generator
from tensorflow.python.eager import context

import keras_vae
from keras_vae import data, evaluation, plots, samplers, tasks

MODULES = (data, evaluation, plots, samplers, tasks)
RNG = np.random.default_rng(0)
IMAGES = RNG.uniform(size=(40, 8, 8, 1)).astype("float32")
LABELS = np.arange(40) % 2
CODES, FACTORS = RNG.normal(size=(60, 2)), RNG.integers(0, 2, size=(60, 2))
QUICK = {"epochs": 2, "hidden": (4,), "random_state": 0}
OF_MODELS = {
    evaluation.ais: {"chains": 2, "temperatures": 3, "seed": 0, "progress": False},
    evaluation.calibration: {"draws": 3, "progress": False},
    evaluation.latent_summary: {},
    evaluation.log_marginal: {"samples": 4, "seed": 0, "progress": False},
    evaluation.rate_distortion: {"seed": 0},
    evaluation.report: {"labels": LABELS, "samples": 4, "pictures": False, "progress": False},
    tasks.anomaly_score: {"samples": 3},
    tasks.attribution: {"samples": 3},
    tasks.augment: {},
    tasks.impute: {"method": "pseudo_gibbs", "steps": 2},
    tasks.traverse: {"values": 3},
    plots.overview: {},
    plots.traversals: {},
}
OF_CODES = {
    evaluation.beta_vae_score: {"votes": 20},
    evaluation.dci: {},
    evaluation.disentanglement: {"repeats": 2},
    evaluation.explicitness: {},
    evaluation.factor_vae_score: {"votes": 20},
    evaluation.separated_attributes: {},
}
OTHERS = {
    data.binarize: lambda vae: data.binarize(IMAGES, 0),
    data.dequantize: lambda vae: data.dequantize((255 * IMAGES).astype("uint8"), 0),
    data.dynamic_binarization: lambda vae: list(data.dynamic_binarization(IMAGES, 20, seed=0)),
    data.from_counts: lambda vae: data.from_counts(FACTORS + 1),
    data.from_images: lambda vae: data.from_images((255 * IMAGES).astype("uint8")),
    data.stream: lambda vae: next(iter(data.stream(IMAGES, 20, seed=0))),
    evaluation.bdmc: lambda vae: evaluation.bdmc(
        vae, 3, chains=2, temperatures=3, seed=0, progress=False
    ),
    evaluation.feature_network: lambda vae: evaluation.feature_network(
        IMAGES, LABELS, width=4, epochs=2
    ),
    evaluation.kernel_distance: lambda vae: evaluation.kernel_distance(CODES, CODES, subsets=2),
    evaluation.two_sample_test: lambda vae: evaluation.two_sample_test(CODES, CODES),
    plots.samples: lambda vae: plots.samples(vae, 3),
    samplers.fit: lambda vae: samplers.fit(
        vae, IMAGES, samplers.TwoStage(units=[4], epochs=2), seed=0
    ),
    tasks.threshold: lambda vae: tasks.threshold(np.arange(500.0), tail="pareto"),
    tasks.VAETransformer: lambda vae: tasks.VAETransformer(**QUICK).fit(CODES),
    tasks.VAEOutlierDetector: lambda vae: tasks.VAEOutlierDetector(**QUICK).fit(CODES),
}
# They read files or strings, and share `data.drawing` with those that are tried.
UNTRIED = {data.from_audio, data.from_table, data.from_text}
CASES = (
    [(f, lambda vae, f=f, o=o: f(vae, IMAGES, **o)) for f, o in OF_MODELS.items()]
    + [(f, lambda vae, f=f, o=o: f(CODES, FACTORS, **o)) for f, o in OF_CODES.items()]
    + list(OTHERS.items())
)


@pytest.fixture(scope="module")
def vae():
    return keras_vae.VAE(
        keras_vae.networks.MLP([8]),
        keras_vae.networks.MLP([8]),
        keras_vae.posteriors.DiagonalNormal(2),
        likelihood=keras_vae.likelihoods.Normal(1.0),
        event_shape=(8, 8, 1),
        seed=0,
    )


def states():
    """States of all generators that a program shares."""
    kind, numbers, *rest = np.random.get_state()  # noqa: NPY002
    # First: Keras makes its generator when it is asked for, with a seed from Python's.
    keras_state = np.asarray(global_seed_generator().state).tolist()
    return {
        "Python": random.getstate(),
        "NumPy": (kind, numbers.tolist(), *rest),
        "TensorFlow": (context.global_seed(), context.context()._rng.getstate()),
        "Keras": keras_state,
    }


@pytest.mark.parametrize(("function", "call"), CASES, ids=[f.__name__ for f, _ in CASES])
def test_generators_of_others_stay_as_they_are(vae, function, call):
    keras.utils.set_random_seed(5)
    before = states()
    call(vae)
    after = states()
    assert [name for name in before if before[name] != after[name]] == []


def test_every_function_with_a_seed_is_tried():
    found = {
        thing
        for module in MODULES
        for thing in (getattr(module, name) for name in module.__all__)
        if not (isinstance(thing, type) and issubclass(thing, Warning))
        and {"seed", "random_state"} & set(inspect.signature(thing).parameters)
    }
    assert found == {function for function, _ in CASES} | UNTRIED


@pytest.mark.parametrize("seed", [1, 2])
def test_what_is_trained_with_a_seed_is_the_same_whatever_others_do(vae, seed):
    def weights():
        prior = samplers.fit(vae, IMAGES, samplers.TwoStage(units=[4], epochs=1), seed=0)
        network = evaluation.feature_network(IMAGES, LABELS, width=4, epochs=1)
        reduced = tasks.VAETransformer(**QUICK).fit(CODES)
        models = (prior, network, reduced.model_)
        return [weight for model in models for weight in model.get_weights()]

    keras.utils.set_random_seed(0)
    expected = weights()
    keras.utils.set_random_seed(seed)
    for one, other in zip(weights(), expected, strict=True):
        np.testing.assert_array_equal(one, other)
