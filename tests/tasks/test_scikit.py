"""scikit-learn's own checks, and estimators against the model they hold."""

import random

import numpy as np
import pytest
import sklearn.datasets
import sklearn.linear_model
import sklearn.metrics
import sklearn.model_selection
import sklearn.pipeline
import sklearn.preprocessing
import sklearn.utils.estimator_checks

from keras_vae.tasks import VAEOutlierDetector, VAETransformer

QUICK = {"epochs": 2, "hidden": (8,), "random_state": 0}
# Products of matrices of other heights round differently in float32: to 1e-6, not 1e-7.
ROUNDING = {
    "check_methods_subset_invariance": "float32",
    "check_methods_sample_order_invariance": "float32",
}


@pytest.fixture(scope="module")
def cancer():
    data = sklearn.datasets.load_breast_cancer()
    return data.data, data.target


@pytest.mark.thorough
@pytest.mark.many_models
@pytest.mark.parametrize(
    "estimator", [VAETransformer(**QUICK), VAEOutlierDetector(**QUICK)], ids=str
)
def test_scikit_learns_checks(estimator):
    sklearn.utils.estimator_checks.check_estimator(
        estimator, expected_failed_checks=ROUNDING, on_skip=None
    )


def test_codes_and_rows_are_those_of_the_model(cancer):
    x, _ = cancer
    reduced = VAETransformer(3, **QUICK).fit(x)
    codes = reduced.transform(x)
    np.testing.assert_array_equal(codes, reduced.model_.encode(x))
    np.testing.assert_array_equal(
        reduced.inverse_transform(codes), reduced.model_.decode(codes)
    )
    assert list(reduced.get_feature_names_out()) == [f"vaetransformer{i}" for i in range(3)]
    again = VAETransformer(3, **QUICK).fit(x)
    np.testing.assert_array_equal(again.transform(x), codes)


def test_scores_are_bounds_that_depend_on_the_row_alone(cancer):
    x, _ = cancer
    reduced = VAETransformer(**QUICK).fit(x)
    scores = reduced.score_samples(x)
    several = [reduced.model_.elbo(x, raw=True, samples=16, seed=seed) for seed in range(40)]
    error = np.std(several, axis=0)
    assert np.all(np.abs(scores - np.mean(several, axis=0)) < 6 * error + 1e-3)
    np.testing.assert_allclose(
        reduced.score_samples(x[::-1])[::-1], scores, rtol=1e-5, atol=1e-3
    )
    np.testing.assert_allclose(reduced.score(x), scores.mean())


def test_fit_leaves_the_generators_of_others_alone(cancer):
    random.seed(1)
    np.random.seed(1)
    expected = random.random(), np.random.rand()
    random.seed(1)
    np.random.seed(1)
    VAETransformer(epochs=1, hidden=(4,), random_state=3).fit(cancer[0][:20])
    assert (random.random(), np.random.rand()) == expected


def test_pipeline_and_search(cancer):
    x, y = cancer
    steps = [
        ("reduce", VAETransformer(epochs=15, random_state=0)),
        ("classify", sklearn.linear_model.LogisticRegression()),
    ]
    pipeline = sklearn.pipeline.Pipeline(steps)
    search = sklearn.model_selection.GridSearchCV(
        pipeline, {"reduce__latent_dim": [2, 5]}, cv=2
    )
    search.fit(x, y)
    assert search.best_score_ > 0.9


def test_outliers_are_found(cancer):
    x, y = cancer
    benign = x[y == 1]
    detector = VAEOutlierDetector(0.05, epochs=60, random_state=0).fit(benign[:250])
    assert abs(np.mean(detector.predict(benign[:250]) == -1) - 0.05) < 0.01
    held_out = np.concatenate([benign[250:], x[y == 0]])
    truth = np.arange(len(held_out)) >= len(benign) - 250
    assert sklearn.metrics.roc_auc_score(truth, -detector.score_samples(held_out)) > 0.85
    with pytest.raises(ValueError, match=r"`contamination` must be in \(0, 0.5\]"):
        VAEOutlierDetector(0.9).fit(x)


def test_outliers_among_the_training_rows_are_left_out():
    x = np.random.default_rng(0).normal(size=(400, 4))
    x[:20, 0] = 50.0
    detector = VAEOutlierDetector(epochs=10, random_state=0).fit(x)
    spread = detector.model_.preprocessor.spread.numpy()
    # 10.9 of all rows; near 1, or a little less, where the worst tenth is missing.
    assert np.all((spread > 0.7) & (spread < 1.1))
    assert detector.score_samples(x)[:20].max() < detector.score_samples(x)[20:].min()
    assert sum(detector.predict(x) == -1) == 40


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"contamination": "auto"}, r"`contamination` must be in \(0, 0.5\].*'auto'"),
        ({"contamination": 0}, r"`contamination` must be in \(0, 0.5\]"),
        ({"epochs": -1}, "`epochs` must be an integer >= 1. Received: epochs=-1"),
        ({"batch_size": 0}, "`batch_size` must be an integer >= 1"),
        ({"batch_size": None}, "`batch_size` must be an integer >= 1"),
        ({"learning_rate": -1.0}, "`learning_rate` must be positive"),
        ({"learning_rate": "fast"}, "`learning_rate` must be positive"),
        ({"latent_dim": 0}, "`latent_dim` must be an integer >= 1"),
        ({"hidden": 0}, "`hidden` must be a list of positive integers"),
        ({"hidden": "16"}, "`hidden` must be a list of positive integers"),
    ],
    ids=str,
)
def test_bad_arguments_of_estimators_are_explained(arguments, message):
    with pytest.raises(ValueError, match=message):
        VAEOutlierDetector(**{**QUICK, **arguments}).fit(np.eye(5))


def test_a_number_of_hidden_units_is_one_layer():
    x = np.random.default_rng(0).normal(size=(20, 3))
    one, other = (VAETransformer(**{**QUICK, "hidden": h}).fit(x) for h in (8, (8,)))
    np.testing.assert_array_equal(one.transform(x), other.transform(x))
    with pytest.raises(ValueError, match="`epochs` must be an integer"):
        VAETransformer(**{**QUICK, "epochs": None}).fit(x)


def test_rows_that_leave_a_constant_column_are_outliers():
    x = np.random.default_rng(0).normal(size=(200, 4))
    x[:, 1], x[:, 3] = 0.1, 1e6
    detector = VAEOutlierDetector(epochs=5, random_state=0).fit(x)
    np.testing.assert_array_equal(detector.constant_, [np.nan, 0.1, np.nan, 1e6])
    usual = np.tile([0, 0.1, 0, 1e6], (5, 1))
    assert np.all(detector.predict(usual) == 1)
    for column, moved in ((1, 0.2), (1, -5.0), (3, 1e6 + 1), (3, 0.0)):
        row = usual[:1].copy()
        row[0, column] = moved
        assert detector.predict(row) == -1
        assert np.isfinite(detector.score_samples(row)).all()
