"""Imputations against the conditional normals of linear models, which are known exactly.

With 5 standard errors, one comparison in two million fails by chance.
"""

import keras
import numpy as np
import pytest

import keras_vae
from keras_vae import flows, likelihoods, networks, posteriors, preprocessors, priors
from keras_vae.tasks import impute
from tests.integration.test_equivalence import (
    DATA_DIM,
    SCALE,
    exact_marginal,
    head,
    linear_vae,
    set_exact_posterior,
)

METHODS = ("importance", "metropolis", pytest.param("pseudo_gibbs", marks=pytest.mark.thorough))
ERRORS = 5
DRAWS = 4_000
X = np.array([[0.3, np.nan, -0.5, np.nan, 1.0], [np.nan, 0.1, np.nan, np.nan, -2.0]], "float32")


def linear(shift=0.0, widen=0.0, missing=None):
    """A linear model, its encoder exact for complete x or off, and its exact p(x)."""
    vae = linear_vae()
    set_exact_posterior(vae, np.random.default_rng(0))
    encoder = head(vae._to_posterior)
    # The last three are the lower triangle of a factor: its diagonal are the ends.
    encoder.bias.assign_add(np.array([shift, -shift, widen, 0.0, widen], "float32"))
    exact = exact_marginal(vae, SCALE)
    if missing is None:
        return vae, exact
    knowing = keras_vae.VAE(**{**parts_of(vae), "missing": missing})
    decoder, own = head(knowing._to_likelihood), head(knowing._to_posterior)
    decoder.set_weights(head(vae._to_likelihood).get_weights())
    kernel, bias = encoder.get_weights()
    # The mask, which the encoder gets too, does not count.
    own.set_weights([np.concatenate([kernel, 0 * kernel]), bias])
    return knowing, exact


def parts_of(vae):
    return {
        "encoder": type(vae.encoder)(),
        "decoder": type(vae.decoder)(),
        "posterior": type(vae.posterior)(vae.posterior.latent_dim),
        "likelihood": likelihoods.Normal(SCALE),
        "event_shape": vae.event_shape,
        "seed": 1,
    }


def conditional(exact, row):
    """Mean and covariance of what is missing in a row, given the rest."""
    seen = ~np.isnan(row)
    covariance = exact.cov
    gain = covariance[np.ix_(~seen, seen)] @ np.linalg.inv(covariance[np.ix_(seen, seen)])
    mean = exact.mean[~seen] + gain @ (row[seen] - exact.mean[seen])
    return mean, covariance[np.ix_(~seen, ~seen)] - gain @ covariance[np.ix_(seen, ~seen)]


def deviations(found, exact, count):
    """Largest deviations of means and covariances of draws, in standard errors."""
    worst = [0.0, 0.0]
    for draws, row, n in zip(np.moveaxis(found, 1, 0), X, count):
        mean, covariance = conditional(exact, row)
        missing = draws[:, np.isnan(row)].astype("float64")
        variance = np.diag(covariance)
        of_mean = np.abs(missing.mean(axis=0) - mean) / np.sqrt(variance / n)
        error = np.sqrt((np.outer(variance, variance) + covariance**2) / n)
        of_covariance = np.abs(np.cov(missing.T).reshape(covariance.shape) - covariance) / error
        worst = np.maximum(worst, [of_mean.max(), of_covariance.max()])
    return worst


# Off: shifted by more than a standard deviation, and twice as wide.
RIGHT, WRONG = (0.0, 0.0), (0.5, 1.0)


@pytest.mark.parametrize(
    ("method", "off", "missing"),
    [
        pytest.param("metropolis", RIGHT, None, marks=pytest.mark.thorough),
        ("metropolis", WRONG, None),
        ("metropolis", WRONG, "nan"),
        ("pseudo_gibbs", RIGHT, None),
        ("pseudo_gibbs", WRONG, None),
        pytest.param("pseudo_gibbs", WRONG, "nan", marks=pytest.mark.thorough),
    ],
)
def test_chains_draw_from_the_conditional(method, off, missing):
    vae, exact = linear(*off, missing=missing)
    found = impute(vae, X, method=method, draws=DRAWS, steps=60)
    worst = deviations(found, exact, [DRAWS] * len(X))
    if method == "pseudo_gibbs" and off == WRONG:
        assert worst.min() > 4 * ERRORS
    else:
        assert worst.max() < ERRORS


def test_importance_draws_from_the_conditional():
    vae, exact = linear(*WRONG, missing="nan")
    samples = 10_000
    found = impute(vae, X, draws=DRAWS, samples=samples)
    # All draws are of the same samples, which count as fewer.
    effective = vae.log_marginal(X, samples=samples, return_effective=True, seed=1)[1]
    worst = deviations(found, exact, 1 / (1 / DRAWS + 1 / effective))
    assert worst.max() < ERRORS


@pytest.mark.parametrize("method", METHODS[1:])
def test_means_are_those_of_the_conditional(method):
    vae, exact = linear(*(RIGHT if method == "pseudo_gibbs" else WRONG), missing="nan")
    # The same rows many times tell the error of one.
    copies = 400
    x = np.repeat(X, copies, axis=0)
    found = impute(vae, x, method=method, draws=None, samples=300, steps=100, batch_size=400)
    assert found.shape == x.shape
    np.testing.assert_array_equal(found[~np.isnan(x)], x[~np.isnan(x)])
    for row, results in zip(X, found.reshape(len(X), copies, DATA_DIM)):
        mean, covariance = conditional(exact, row)
        missing = results[:, np.isnan(row)].astype("float64")
        spread = missing.std(axis=0)
        assert np.all(np.abs(missing.mean(axis=0) - mean) < ERRORS * spread / copies**0.5)
        # They are means, not draws.
        assert np.all(spread < 0.7 * np.sqrt(np.diag(covariance)))


def test_the_mean_by_importance_is_that_of_the_model():
    vae, _ = linear(missing="nan")
    expected = vae.impute(X, samples=50, seed=3)
    np.testing.assert_array_equal(impute(vae, X, draws=None, samples=50, seed=3), expected)


# Everything but the law of the draws.


def make(likelihood=None, event_shape=(4,), **options):
    return keras_vae.VAE(
        networks.MLP([8]),
        options.pop("decoder", networks.MLP([8])),
        options.pop("posterior", posteriors.DiagonalNormal(2)),
        likelihood=likelihood or likelihoods.Normal(1.0),
        event_shape=event_shape,
        seed=0,
        **options,
    )


HOLED = np.array([[0.1, np.nan, 1 / 3, 1.0], [np.nan, 2 / 3, np.nan, 0.0]])


@pytest.mark.parametrize("method", METHODS)
def test_raw_data_go_in_and_come_out(method):
    # Numbers that float32 does not have stay as they are.
    raw = 1_000 * HOLED + 0.1
    plain = make(missing="nan")
    scaled = make(missing="nan", preprocessor=preprocessors.Rescaling(1e-3, -1e-4))
    scaled.set_weights(plain.get_weights())
    options = {"method": method, "draws": 3, "steps": 5, "seed": 2}
    found = impute(scaled, raw, **options)
    seen = ~np.isnan(raw)
    assert found.shape == (3, 2, 4)
    np.testing.assert_array_equal(found[:, seen], np.tile(raw[seen], (3, 1)))
    expected = 1_000 * impute(plain, HOLED, **options) + 0.1
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=0.1)


@pytest.mark.parametrize("method", METHODS)
def test_draws_differ_are_seeded_and_compiled_once(method):
    vae = make(missing="nan")
    options = {"method": method, "draws": 4, "steps": 5, "batch_size": 2}
    x = np.repeat(HOLED, 3, axis=0)
    first, again = (impute(vae, x, **options) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    holes = first[:, np.isnan(x)]
    assert len(np.unique(holes)) == holes.size
    assert np.any(impute(vae, x, seed=1, **options) != first)
    impute(vae, x[:1], **options)
    (compiled,) = (f for (name, _), f in vae._functions.items() if name.startswith("imputed"))
    assert compiled.experimental_get_tracing_count() == 1


@pytest.mark.parametrize("method", METHODS)
def test_conditions_go_with_their_examples(method):
    vae = make(missing="nan", condition_shape=(2,), decoder=keras.layers.Identity())
    # p(x|z) is around -100 or 100, as the condition says.
    kernel = np.array([[0.1] * 4, [0.1] * 4, [-100.0] * 4, [100.0] * 4])
    head(vae._to_likelihood).set_weights([kernel, np.zeros(4)])
    x = np.full([6, 4], np.nan)
    condition = [0, 1, 0, 1, 1, 0]
    found = impute(vae, x, method=method, draws=3, steps=5, condition=condition)
    expected = np.array([-1, 1, -1, 1, 1, -1])[:, None] + 0 * found
    np.testing.assert_array_equal(np.sign(found), expected)


@pytest.mark.parametrize(
    ("method", "draws"),
    [
        ("importance", 20),
        pytest.param("pseudo_gibbs", None, marks=pytest.mark.thorough),
        pytest.param("metropolis", 20, marks=pytest.mark.thorough),
    ],
)
def test_tables_get_values_of_their_columns(method, draws):
    columns = likelihoods.Columns(
        {
            "kind": likelihoods.Categorical(3),
            "count": likelihoods.Poisson(),
            "size": likelihoods.Normal("learned"),
        }
    )
    vae = make(columns, (3,), missing="nan")
    x = np.array([[np.nan, 2.0, 0.5], [1.0, np.nan, np.nan]])
    found = impute(vae, x, method=method, draws=draws, steps=5)
    kinds, counts = found[..., 0], found[..., 1]
    assert np.isfinite(found).all()
    assert set(kinds.ravel()) <= {0, 1, 2}
    assert draws is None or np.all((counts >= 0) & (counts == np.round(counts)))


def test_latents_that_are_bits_are_accepted_too(rng):
    # All of z can be counted: p(missing x | observed x) is a sum.
    vae = make(
        likelihoods.Bernoulli(),
        (3,),
        posterior=posteriors.RelaxedBernoulli(2),
        prior=priors.Bernoulli(),
        decoder=keras.layers.Identity(),
    )
    head(vae._to_likelihood).set_weights([3 * rng.normal(size=(2, 3)), rng.normal(size=3)])
    z = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], "float32")
    p = vae.decode(z).astype("float64")
    weights = p[:, 0] * (1 - p[:, 2])  # of x = (1, ?, 0); p(z) is uniform
    expected = weights @ p[:, 1] / weights.sum()
    x = np.array([[1.0, np.nan, 0.0]])
    found = impute(vae, x, method="metropolis", draws=DRAWS, steps=40)[:, 0, 1]
    error = np.sqrt(expected * (1 - expected) / DRAWS)
    assert abs(found.mean() - expected) < ERRORS * error


def test_deterministic_codes_have_pseudo_gibbs():
    vae = make(posterior=posteriors.Deterministic(2))
    assert np.isfinite(impute(vae, HOLED, method="pseudo_gibbs", draws=2)).all()
    with pytest.raises(ValueError, match="posterior with a density"):
        impute(vae, HOLED, method="metropolis")


@pytest.mark.parametrize(
    ("parts", "options", "message"),
    [
        ({}, {"method": "mean"}, "`method` must be one of"),
        ({}, {"draws": 0}, "`draws` must be an integer"),
        ({}, {"steps": 0}, "`steps` must be an integer"),
        ({}, {"samples": 0}, "`samples` must be an integer"),
        ({"missing": None}, {}, "must be made with missing='nan'"),
        (
            {"posterior": posteriors.Flow(posteriors.DiagonalNormal(2), [flows.Planar()])},
            {"method": "metropolis"},
            "density can be asked at any latent",
        ),
        (
            {
                "likelihood": likelihoods.Categorical(3),
                "event_shape": (4, 1),
                "decoder": networks.RecurrentDecoder([4], autoregressive=True),
            },
            {},
            "all elements of x at once",
        ),
        (
            {"likelihood": likelihoods.NegativeBinomial(library="observed"), "missing": None},
            {"method": "pseudo_gibbs"},
            "product over the elements of x",
        ),
    ],
)
def test_bad_arguments(parts, options, message):
    vae = make(**{"missing": "nan", **parts})
    with pytest.raises(ValueError, match=message):
        impute(vae, np.full([2, *vae.event_shape], np.nan), **options)


def test_bad_x_of_models_of_complete_data():
    x = HOLED.copy()
    x[1, 1] = np.inf
    with pytest.raises(ValueError, match=r"inf at index \(1, 1\)"):
        impute(make(), x, method="metropolis")


# Frames in, frames out.


@pytest.fixture
def frame(rng):
    pandas = pytest.importorskip("pandas")
    values = rng.normal(size=(6, 3)).round(2)
    values[1, 0] = values[4, 2] = np.nan
    found = pandas.DataFrame(values, pandas.Index(list("abcdef"), name="id"), ["u", "v", "w"])
    return found.astype({"u": "float32", "v": "float64"}).assign(v=range(6))


def of_rows():
    return keras_vae.VAE(
        keras_vae.networks.MLP([4]),
        keras_vae.networks.MLP([4]),
        keras_vae.posteriors.DiagonalNormal(2),
        likelihood=keras_vae.likelihoods.Normal(1.0),
        event_shape=(3,),
        missing="nan",
        seed=0,
    )


def test_imputed_frames_keep_index_columns_and_dtypes(frame):
    vae, array = of_rows(), frame.to_numpy("float64")
    mean = keras_vae.tasks.impute(vae, frame, draws=None, samples=9)
    assert list(mean.columns) == list(frame.columns)
    assert mean.index.equals(frame.index)
    assert (mean.dtypes == frame.dtypes).all()
    assert mean.notna().all(axis=None)
    expected = keras_vae.tasks.impute(vae, array, draws=None, samples=9)
    np.testing.assert_allclose(mean.to_numpy("float64"), expected, rtol=1e-6)
    draws = keras_vae.tasks.impute(vae, frame, draws=3, samples=9)
    assert draws.index.names == ["draw", "id"]
    expected = keras_vae.tasks.impute(vae, array, draws=3, samples=9)
    np.testing.assert_allclose(draws.loc[2].to_numpy("float64"), expected[2], rtol=1e-6)
    whole = frame.astype({"v": "Int64"})
    whole.loc["c", "v"] = None
    filled = keras_vae.tasks.impute(vae, whole, draws=None, samples=9)
    assert filled.dtypes["v"] == "Int64"
    assert filled.notna().all(axis=None)


def test_other_tasks_keep_frames(frame):
    vae, whole = of_rows(), frame.fillna(0.5)
    array = whole.to_numpy("float64")
    tasks = keras_vae.tasks
    scores = tasks.anomaly_score(vae, whole, samples=3)
    assert scores.index.equals(frame.index)
    np.testing.assert_array_equal(scores, tasks.anomaly_score(vae, array, samples=3))
    parts = tasks.attribution(vae, whole, samples=3)
    assert list(parts.columns) == ["u", "v", "w"]
    np.testing.assert_allclose(parts, tasks.attribution(vae, array, samples=3))
    moved = tasks.edit(vae, whole, [1.0, 0.0])
    assert (moved.dtypes == frame.dtypes).all()
    more = tasks.augment(vae, whole, draws=2)
    assert more.index.names == ["draw", "id"]
    assert len(more) == 12
    way = tasks.interpolate(vae, whole.iloc[:2], whole.iloc[2:4], steps=3)
    assert way.index.to_list() == [(row, step) for row in "ab" for step in range(3)]
    expected = tasks.interpolate(vae, array[:2], array[2:4], steps=3)[1]
    np.testing.assert_allclose(way.loc["b"]["u"], expected[:, 0], rtol=1e-5)
    with pytest.raises(TypeError, match=r"columns of numbers.*column 'v'"):
        tasks.impute(vae, whole.astype({"v": "str"}))
