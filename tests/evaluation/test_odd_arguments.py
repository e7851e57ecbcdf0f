"""Arguments that are none: one sentence each, before the work."""

import numpy as np
import pytest

import keras_vae
from keras_vae import evaluation as ev
from keras_vae import tasks

X = np.random.default_rng(0).normal(size=(12, 3))
QUIET = {"progress": False}
CALLS = [
    (lambda vae: ev.active_units(vae, None), "`x` must be an array of examples"),
    (lambda vae: ev.active_units(vae, X[:1]), "`x` must have at least two examples"),
    (lambda vae: ev.latent_summary(vae, 3.0), "`x` must be an array of examples"),
    (lambda vae: ev.latent_summary(vae, X, max_examples=-1), "`max_examples` must be"),
    (lambda vae: ev.calibration(vae, None, **QUIET), "`x` must be an array of examples"),
    (lambda vae: ev.log_marginal(vae, None, **QUIET), "`x` must be an array of examples"),
    (lambda vae: ev.log_marginal(vae, X, batch_size=0, **QUIET), "`batch_size` must be"),
    (lambda vae: ev.log_marginal(vae, X, seed="a", **QUIET), "`seed` must be an integer"),
    (lambda vae: ev.rate_distortion(vae, X, samples=0), "`samples` must be an integer"),
    (lambda vae: ev.ais(vae, None, **QUIET), "`x` must be an array of examples"),
    (lambda vae: ev.reconstruction_errors("a", "b"), "`x` must be an array of examples"),
    (lambda vae: ev.reconstruction_errors(X[:0], X[:0]), "`x` must have at least one"),
    (lambda vae: ev.kernel_distance(X, X, seed=-1), "`seed` must be an integer >= 0"),
    (lambda vae: ev.two_sample_test(X, X, seed=0.5), "`seed` must be an integer >= 0"),
    (lambda vae: ev.dci(X, np.eye(12, 2), seed=-1), "`seed` must be an integer >= 0"),
    (lambda vae: ev.report(vae, None), "`data` must be an array of examples"),
    (lambda vae: ev.report(vae, X, labels=3), "`labels` must have one row for each of 12"),
    (lambda vae: ev.report(vae, X, history=3, **QUIET), "`history` must be what `fit`"),
    (lambda vae: ev.report(vae, X, train=3, **QUIET), "`train` must be an array"),
    (lambda vae: ev.report(vae, X, network=3, **QUIET), "`network` must be a Keras model"),
    (lambda vae: tasks.threshold(["a", "b"]), "`scores` must be two finite numbers"),
    (lambda vae: tasks.threshold(X[:, 0], "a"), r"`rate` must be in \(0, 1\)"),
    (lambda vae: tasks.threshold(X[:, 0], confidence=None), r"`confidence` must be in"),
    (lambda vae: tasks.interpolate(vae, None, X), "`start` must be an array of examples"),
    (lambda vae: tasks.edit(vae, X, "a"), "`direction` must be finite numbers"),
    (lambda vae: tasks.edit(vae, X, [np.nan, 0]), "`direction` must be finite numbers"),
    (lambda vae: tasks.edit(vae, X, [1, 0], "far"), "`amount` must be a finite number"),
]


@pytest.fixture(scope="module")
def vae():
    return keras_vae.VAE(
        keras_vae.networks.MLP([4]),
        keras_vae.networks.MLP([4]),
        keras_vae.posteriors.DiagonalNormal(2),
        likelihood=keras_vae.likelihoods.Normal(1.0),
        event_shape=(3,),
    )


@pytest.mark.parametrize(("call", "message"), CALLS, ids=range(len(CALLS)))
def test_odd_arguments_are_named(vae, call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call(vae)
