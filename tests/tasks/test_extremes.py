"""Rows at the ends of float32, and beyond: each gets a verdict, and it is "anomaly"."""

import json

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from typer.testing import CliRunner

import keras_vae
from keras_vae import likelihoods, networks, posteriors, preprocessors
from keras_vae.cli import app
from keras_vae.tasks import VAEOutlierDetector, anomaly_score, attribution, threshold


def make(likelihood, columns, **options):
    keras.utils.set_random_seed(0)
    options.setdefault("posterior", posteriors.DiagonalNormal(2))
    return keras_vae.VAE(
        networks.MLP([8]),
        networks.MLP([8]),
        likelihood=likelihood,
        event_shape=(columns,),
        seed=0,
        **options,
    )


def table(**options):
    columns = {
        "income": likelihoods.Normal("learned"),
        "robust": likelihoods.StudentT(scale="learned"),
        "visits": likelihoods.Poisson(),
        "kind": likelihoods.Categorical(3),
    }
    model = make(likelihoods.Columns(columns), 4, **options)
    x = rows()
    model.likelihood.adapt(x)
    return model


def rows(count=40):
    rng = np.random.default_rng(0)
    reals = rng.normal(40_000, 9_000, (count, 2))
    others = [rng.poisson(3, count), rng.integers(0, 3, count)]
    return np.column_stack([reals, *others]).astype("float64")


EXTREMES = [(0, 1e25), (0, -1e30), (0, 3e38), (0, 1e300), (1, -1e300), (2, 1e20), (2, 1e300)]


def with_extremes():
    """Usual rows, and one with each of the extremes."""
    x = rows()
    extreme = np.repeat(x[:1], len(EXTREMES), axis=0)
    for row, (column, value) in zip(extreme, EXTREMES):
        row[column] = value
    return x, np.concatenate([x[:5], extreme])


@pytest.mark.parametrize("kind", ["bound", "likelihood", "reconstruction", "typicality"])
def test_extreme_rows_of_a_table_are_anomalies_of_every_kind(kind):
    model = table()
    usual, x = with_extremes()
    options = {"kind": kind, "samples": 5, "seed": 1}
    if kind == "typicality":
        options["reference"] = usual
    scores = anomaly_score(model, x, **options)
    limit = threshold(anomaly_score(model, usual, **options), 0.05).value
    assert not np.isnan(scores).any()
    assert np.all(scores[5:] > limit)
    assert np.isfinite(scores[:5]).all()


@pytest.mark.parametrize(
    ("likelihood", "preprocessor"),
    [
        (likelihoods.Normal("predicted"), None),
        (likelihoods.Logistic("predicted"), preprocessors.Standardization()),
        (likelihoods.StudentT(scale="predicted"), preprocessors.Rescaling(1e3)),
        (likelihoods.Laplace("predicted"), preprocessors.Logit(0, 100)),
        (likelihoods.LogNormal("predicted"), None),
        (likelihoods.NegativeBinomial("predicted"), None),
        (likelihoods.ZeroInflatedNegativeBinomial("predicted"), None),
    ],
    ids=lambda part: type(part).__name__,
)
def test_extreme_rows_are_anomalies_under_any_likelihood(likelihood, preprocessor):
    model = make(likelihood, 2, preprocessor=preprocessor)
    usual = np.random.default_rng(0).integers(1, 9, (20, 2)).astype("float64")
    x = np.repeat(usual[:1], 4, axis=0)
    x[:, 1] = [1e25, 3e38, 1e39, 1e300]
    scores = anomaly_score(model, np.concatenate([x, usual]), samples=3)
    assert not np.isnan(scores).any()
    assert scores[:4].min() > scores[4:].max()
    # All by themselves they fare no better.
    assert np.all(anomaly_score(model, x, samples=3) > scores[4:].max())


def test_the_extreme_element_is_named():
    model = table(missing="nan")
    usual, x = with_extremes()
    usual[3, 1] = np.nan
    parts = attribution(model, x, samples=3)
    assert not np.isnan(parts).any()
    in_float32 = [index for index, (_, value) in enumerate(EXTREMES) if abs(value) < 1e39]
    assert [int(parts[5 + i].argmax()) for i in in_float32] == [
        EXTREMES[i][0] for i in in_float32
    ]
    assert np.isfinite(anomaly_score(model, usual, samples=3)).all()


def test_bounds_of_extreme_rows_are_minus_infinity_and_scores_of_usual_ones_stay():
    model = table()
    _, x = with_extremes()
    held = x[np.abs(x).max(axis=1) < 1e38]
    bound, kl = model.elbo(held, seed=0, return_kl=True)
    assert not np.isnan([bound, kl]).any()
    assert not np.isnan(model.log_marginal(held, samples=3, seed=0)).any()
    alone, beside = (anomaly_score(model, rows, samples=2)[:5] for rows in (x[:5], x))
    np.testing.assert_allclose(alone, beside, rtol=1e-5)


@pytest.mark.parametrize(
    "kind", [tf.constant, np.ndarray.tolist, pd.DataFrame, tf.data.Dataset]
)
def test_any_container_of_rows_is_scored_or_refused_in_a_sentence(kind):
    model = table()
    usual, x = with_extremes()
    if kind is tf.data.Dataset:
        with pytest.raises((TypeError, ValueError), match="`x` must"):
            anomaly_score(model, kind.from_tensor_slices(usual), samples=2)
        return
    scores = anomaly_score(model, kind(x), samples=2)
    np.testing.assert_array_equal(scores, anomaly_score(model, x, samples=2))
    assert np.all(scores[5:] > scores[:5].max())


def test_broken_weights_are_no_anomalies():
    model = table()
    weight = model._to_posterior.get_layer("parameters").bias
    weight.assign(np.nan * np.ones(weight.shape))
    with pytest.raises(ValueError, match=r"must have finite weights\. Received: NaN .*bias"):
        anomaly_score(model, rows(3), samples=2)


def test_reference_with_infinite_scores_is_refused():
    model = table()
    usual, x = with_extremes()
    with pytest.raises(ValueError, match=r"`reference` must have finite scores.*row 5"):
        anomaly_score(model, usual, kind="typicality", reference=x[:6], samples=2)


def test_outlier_detector_calls_extreme_rows_outliers():
    usual, x = with_extremes()
    detector = VAEOutlierDetector(epochs=5, hidden=(8,), random_state=0).fit(usual)
    assert np.all(detector.predict(x)[5:] == -1)
    assert not np.isnan(detector.decision_function(x)).any()


def test_outlier_detector_trains_beside_extreme_rows():
    usual, x = with_extremes()
    extreme = x[[5, 9, 10]]  # one for each column of numbers
    detector = VAEOutlierDetector(0.1, epochs=10, hidden=(8,), random_state=0)
    verdict = detector.fit_predict(np.concatenate([usual, extreme]))
    assert np.isfinite(detector.offset_)
    assert np.all(verdict[-3:] == -1)
    assert np.sum(verdict[:40] == -1) <= 3


@pytest.mark.parametrize("suffix", ["json", "csv"])
def test_scores_of_extreme_rows_are_written_as_strict_json(tmp_path, suffix):
    model = table()
    usual, x = with_extremes()
    model.save(tmp_path / "vae.keras")
    np.save(tmp_path / "usual.npy", usual)
    np.save(tmp_path / "x.npy", x)
    out = tmp_path / f"scores.{suffix}"
    arguments = ["score", tmp_path / "x.npy", "--model", tmp_path / "vae.keras", "--out", out]
    arguments += ["--reference", tmp_path / "usual.npy", "--rate", "0.1", "--samples", "3"]
    done = CliRunner().invoke(app, [str(a) for a in [*arguments, "--json"]])
    assert done.exit_code == 0, done.output
    text = out.read_text()
    if suffix == "csv":
        anomalies = [line.rpartition(",")[2] == "True" for line in text.splitlines()[1:]]
    else:
        found = json.loads(text, parse_constant=pytest.fail)
        anomalies = found["anomaly"]
        assert found["score"][-1] == "Infinity"
        assert float(found["score"][-1]) == np.inf
    assert all(anomalies[5:])
