"""The likelihood of tables against its columns, quadrature and SciPy."""

import keras
import numpy as np
import pytest
import scipy.stats
import sklearn.datasets
import tensorflow as tf

import keras_vae
from keras_vae import likelihoods, numerics
from keras_vae.likelihoods import Columns
from keras_vae.models.checks import Wanted, check_array
from keras_vae.terms import Context
from tests.twins import assert_gradients, assert_mean_is, integral

CONTEXT = Context()
KINDS = {
    "normal": lambda: likelihoods.Normal("learned"),
    "category": lambda: likelihoods.Categorical(3),
    "predicted": lambda: likelihoods.StudentT(df=4.0, scale="predicted"),
    "count": lambda: likelihoods.Poisson(),
    "other normal": lambda: likelihoods.Normal("learned"),
    "level": lambda: likelihoods.Ordinal(4),
    "positive": lambda: likelihoods.LogNormal("learned"),
    "bit": lambda: likelihoods.Bernoulli(),
    "dispersed": lambda: likelihoods.NegativeBinomial(),
    "share": lambda: likelihoods.Beta(),
}
NAMES = list(KINDS)
REAL = ("normal", "predicted", "other normal")


def rows_of(rng, count):
    columns = {
        "normal": 1990 + 5 * rng.normal(size=count),
        "category": rng.integers(0, 3, count),
        "predicted": 1e-3 * rng.normal(size=count),
        "count": rng.poisson(400, count),
        "other normal": 70 * rng.normal(size=count) - 300,
        "level": rng.integers(0, 4, count),
        "positive": np.exp(6 + 0.5 * rng.normal(size=count)),
        "bit": rng.integers(0, 2, count),
        "dispersed": rng.negative_binomial(2, 0.1, count),
        "share": rng.uniform(0.1, 0.9, count),
    }
    return np.stack([columns[name] for name in NAMES], axis=1).astype("float64")


def holed(x, rng, share=0.3):
    return np.where(rng.random(x.shape) < share, np.nan, x)


def built(columns=None, data=None, **arguments):
    columns = columns or {name: make() for name, make in KINDS.items()}
    p = Columns(columns, **arguments)
    p.build((len(columns),))
    if data is not None:
        p.adapt(data)
    rng = np.random.default_rng(6)
    for variable in p.trainable_variables:
        variable.assign_add(0.3 * rng.normal(size=variable.shape))
    return p


@pytest.fixture
def table(float64, rng):
    """A table that knows its units, parameters and data."""
    x = rows_of(rng, 200)
    p = built(data=holed(x, rng))
    params = tf.constant(rng.normal(size=(4, 3, *p.params_shape((len(NAMES),)))))
    return p, params, tf.constant(x[:3])


def alone(p, name, params):
    """A column's own likelihood, and its parameters, in the units of the table."""
    index = list(p.columns).index(name)
    group, members, own = next(
        g for g in p._with_params(params) if index in np.asarray(g[1]).tolist()
    )
    place = np.asarray(members).tolist().index(index)
    part = type(group).from_config(p.columns[name].get_config())
    part.build((1,))
    for mine, shared in zip(part.weights, group.weights):
        # One of each column, or one for each element.
        mine.assign(np.reshape(np.asarray(shared)[place], mine.shape))
    count = len(members)
    size = part.params_shape((1,))[0]
    if isinstance(part, likelihoods.Categorical):
        return part, own[..., size * place : size * (place + 1)], index
    return part, tf.gather(own, [place + count * i for i in range(size)], axis=-1), index


# The density.


def test_log_prob_is_the_sum_of_its_columns(table):
    p, params, x = table
    elementwise = p.elementwise_log_prob(params, x, None, CONTEXT)
    for name in NAMES:
        part, own, index = alone(p, name, params)
        shift = 0.0 if name not in REAL else p.shift.numpy()[index]
        scale = 1.0 if name not in REAL else p.scale.numpy()[index]
        cells = (x[:, index : index + 1] - shift) / scale
        expected = part.log_prob(own, cells) - np.log(scale)
        # Rounding alone: the same formulas on other shapes.
        np.testing.assert_allclose(elementwise[..., index], expected, 1e-12, err_msg=name)
        for verb in ("mean", "point"):
            one = getattr(part, verb)(own)[..., 0] * scale + shift
            all_of_them = getattr(p, verb)(params)[..., index]
            np.testing.assert_allclose(all_of_them, one, 1e-12, err_msg=f"{verb} of {name}")
    np.testing.assert_allclose(p.log_prob(params, x), tf.reduce_sum(elementwise, -1), 1e-12)


def test_columns_that_are_alike_have_scales_of_their_own(table):
    p, params, x = table
    assert [len(members) for members in p._members].count(2) == 1
    with tf.GradientTape() as tape:
        value = p.elementwise_log_prob(params, x, None, CONTEXT)
        value = tf.reduce_sum(value[..., NAMES.index("normal")])
    scales = next(w for w in p.trainable_variables if "raw_scale" in w.path)
    gradient = tape.gradient(value, scales.value)
    assert scales.shape == (2,)
    assert gradient[0] != 0
    assert gradient[1] == 0


def test_optimal_scales_are_each_columns_own(float64, rng):
    p = built({"a": likelihoods.Normal("optimal"), "b": likelihoods.Normal("optimal")})
    params, x = rng.normal(size=(1, 30, 2)), rng.normal(size=(30, 2)) * [1.0, 50.0]
    mask = rng.random(x.shape) < 0.7
    training = Context(training=True)
    value = p.log_prob(tf.constant(params), tf.constant(x), tf.constant(mask), training)
    error = np.where(mask, x - params[0], 0.0)
    sigma = np.sqrt((error**2).sum(0) / mask.sum(0))
    expected = scipy.stats.norm.logpdf(x, params[0], sigma)
    np.testing.assert_allclose(value[0], np.where(mask, expected, 0.0).sum(-1), 1e-12)
    # The running scale, after one step, is that of the step.
    later = p.log_prob(tf.constant(params), tf.constant(x), tf.constant(mask))
    np.testing.assert_allclose(later, value, 1e-12)


def test_density_is_in_the_units_of_the_data(float64, rng):
    # A change of variables by hand: SciPy's normal and Student at shift and scale.
    columns = {"a": likelihoods.Normal("predicted"), "b": likelihoods.StudentT(df=3.0)}
    x = rows_of(rng, 300)[:, [0, 2]]
    p = built(columns, x)
    np.testing.assert_allclose(p.shift, x.mean(0), 1e-12)
    np.testing.assert_allclose(p.scale, x.std(0), 1e-12)
    params = tf.constant(rng.normal(size=(1, 3, 3)))
    mean, spread, location = np.moveaxis(params.numpy()[0], -1, 0)
    sigma = np.logaddexp(0, spread) + 1e-3
    (m, k), (s, t) = x.mean(0), x.std(0)
    expected = scipy.stats.norm.logpdf(x[:3, 0], m + s * mean, s * sigma)
    expected += scipy.stats.t.logpdf(x[:3, 1], 3.0, k + t * location, t)
    np.testing.assert_allclose(p.log_prob(params, tf.constant(x[:3]))[0], expected, 1e-11)
    np.testing.assert_allclose(p.mean(params)[0, :, 0], m + s * mean, 1e-12)


@pytest.mark.parametrize("name", ["normal", "positive"])
def test_mass_is_one_in_raw_units(float64, rng, name):
    x = rows_of(rng, 200)[:, NAMES.index(name)][:, None]
    p = built({name: KINDS[name]()}, x)
    params = tf.constant([[[0.3]]], tf.float64)

    def density(grid):
        # Over the logarithm of positive numbers: times dx / d log x = x.
        cells = tf.exp(grid) if name == "positive" else grid
        jacobian = grid if name == "positive" else 0.0
        return tf.exp(p.log_prob(params, cells[:, None])[0] + jacobian)

    # Some 20 standard deviations on each side.
    low, high = (-20.0, 35.0) if name == "positive" else (1800.0, 2200.0)
    assert abs(integral(density, low, high) - 1) < 1e-9


def test_counts_start_from_their_means(float64, rng):
    x = rows_of(rng, 200)
    p = built(data=x)
    zeros = tf.zeros(p.params_shape(None), tf.float64)
    for name in ("count", "dispersed"):
        index = NAMES.index(name)
        np.testing.assert_allclose(p.mean(zeros)[index], x[:, index].mean(), 1e-12)
    index = NAMES.index("positive")
    np.testing.assert_allclose(p.point(zeros)[index], x[:, index].mean(), 1e-12)


def test_gradients_are_those_of_finite_differences(float64, rng):
    x = rows_of(rng, 50)
    keep = [NAMES.index(name) for name in ("normal", "category", "count", "level")]
    p = built({NAMES[i]: KINDS[NAMES[i]]() for i in keep}, x[:, keep])
    params = rng.normal(size=(1, 2, *p.params_shape(None)))
    assert_gradients(lambda q: p.log_prob(q, tf.constant(x[:2, keep])), params)


def test_distribution_is_the_same_density(table):
    p, params, x = table
    d = p.distribution(params)
    np.testing.assert_allclose(d.log_prob(x), p.log_prob(params, x), 1e-10)
    np.testing.assert_allclose(d.mean(), p.mean(params), 1e-10)


def test_draws_follow_the_columns_and_are_independent(float64, rng):
    x = rows_of(rng, 200)
    p = built(data=x)
    params = tf.constant(0.3 * rng.normal(size=p.params_shape(None)))
    draws = np.asarray(p.sample(tf.repeat(params[None], 20_000, axis=0), seed=1))
    assert_mean_is(draws, p.mean(params))
    assert not p.violations(tf.constant(draws))
    correlation = np.corrcoef(draws.T) - np.eye(len(NAMES))
    # 5 standard errors of 1 / sqrt(20,000); Student's tails allow somewhat more.
    assert np.abs(correlation).max() < 0.05


# Missing cells.


def test_masks_leave_the_observed_part(table):
    p, params, x = table
    mask = tf.constant(np.random.default_rng(2).random(x.shape) < 0.5)
    whole = p.elementwise_log_prob(params, x, None, CONTEXT)
    result = p.log_prob(params, tf.where(mask, x, np.nan), mask)
    np.testing.assert_allclose(result, tf.reduce_sum(tf.where(mask, whole, 0.0), -1), 1e-12)


def test_units_are_those_of_the_observed_cells(float64, rng):
    x = holed(rows_of(rng, 300), rng)
    x[:, 4] = 7.0  # a constant
    x[:, 6] = np.nan  # nothing
    p = built(data=x)
    for index, name in enumerate(NAMES):
        if name in ("normal", "predicted"):
            np.testing.assert_allclose(p.shift.numpy()[index], np.nanmean(x[:, index]), 1e-12)
            np.testing.assert_allclose(p.scale.numpy()[index], np.nanstd(x[:, index]), 1e-12)
        elif name != "other normal":
            assert (p.shift.numpy()[index], p.scale.numpy()[index]) == (0.0, 1.0)
    assert (p.shift.numpy()[4], p.scale.numpy()[4]) == (7.0, 1.0)
    filled = p.filled(tf.constant(x), tf.constant(~np.isnan(x)))
    assert not p.violations(filled)
    np.testing.assert_array_equal(filled.numpy()[~np.isnan(x)], x[~np.isnan(x)])


def test_what_stands_for_hidden_values_is_a_value(float64):
    # Between two counts, 2 and 3, there is none.
    p = built({"count": likelihoods.Poisson()}, np.array([[2.0], [3.0]]))
    assert p.typical.numpy()[0] in (2.0, 3.0)


def test_encoder_sees_standard_numbers_and_one_hot_categories(float64, rng):
    x = rows_of(rng, 500)
    hidden = rng.random(x.shape) < 0.3
    p = built(data=np.where(hidden, np.nan, x))
    seen = np.asarray(p.encoder_input(tf.constant(x)))
    sizes = [{"category": 3, "level": 4}.get(name, 1) for name in NAMES]
    assert seen.shape == (500, sum(sizes))
    starts = np.cumsum([0, *sizes])
    for index, name in enumerate(NAMES):
        own = seen[:, starts[index] : starts[index + 1]]
        if sizes[index] > 1:
            np.testing.assert_array_equal(own.argmax(-1), x[:, index])
            np.testing.assert_array_equal(np.sort(own, -1)[:, :-1], 0.0)
            np.testing.assert_array_equal(own.max(-1), 1.0)
            continue
        observed = own[~hidden[:, index], 0]
        assert abs(observed.mean()) < 1e-9, name
        assert abs(observed.std() - 1) < 1e-9, name
        order = np.argsort(x[:, index], kind="stable")
        assert np.all(np.diff(own[order, 0]) >= 0), name


def test_imputation_of_categories_is_a_code_and_of_numbers_a_mean(table):
    p, params, _ = table
    weights = tf.constant(np.random.default_rng(3).dirichlet(np.ones(4), size=3).T)
    result = p.mixture_point(params, weights)
    for name in NAMES:
        part, own, index = alone(p, name, params)
        scale, shift = (v.numpy()[index] for v in (p.scale, p.shift))
        one = part.mixture_point(own, weights)[:, 0] * scale + shift
        np.testing.assert_allclose(result[:, index], one, 1e-12, err_msg=name)
    index = NAMES.index("normal")
    mean = np.einsum("sb,sb->b", weights, p.mean(params)[..., index])
    np.testing.assert_allclose(result[:, index], mean, 1e-12)


# Weights of columns.


def test_weights_act_on_the_objective_alone(table):
    p, params, x = table
    weighted = built(data=rows_of(np.random.default_rng(0), 200), column_weights={"bit": 3.0})
    for mine, others in zip(weighted.weights, p.weights, strict=True):
        mine.assign(others)
    assert p.weighted_log_prob(params, x, None, CONTEXT) is None
    np.testing.assert_array_equal(weighted.log_prob(params, x), p.log_prob(params, x))
    elementwise = p.elementwise_log_prob(params, x, None, CONTEXT)
    expected = p.log_prob(params, x) + 2 * elementwise[..., NAMES.index("bit")]
    result = weighted.weighted_log_prob(params, x, None, CONTEXT)
    np.testing.assert_allclose(result, expected, 1e-12)
    mask = np.ones(x.shape, bool)
    mask[:, NAMES.index("bit")] = False
    np.testing.assert_allclose(
        weighted.weighted_log_prob(params, x, tf.constant(mask), CONTEXT),
        p.log_prob(params, x, tf.constant(mask)),
        1e-12,
    )


# Whole models.


def wine():
    """Wine's real columns, and made of them a class, a level, a count and a bit."""
    data = sklearn.datasets.load_wine()
    level = np.digitize(data.data[:, 0], [12.5, 13.0, 13.5])
    count = np.round(data.data[:, 12])
    bit = data.data[:, 9] > 5
    x = np.column_stack([data.data[:, :6], data.target, level, count, bit])
    columns = {f"real {i}": likelihoods.StudentT(scale="predicted") for i in range(6)}
    columns |= {"class": likelihoods.Categorical(3), "level": likelihoods.Ordinal(4)}
    columns |= {"count": likelihoods.NegativeBinomial(), "bit": likelihoods.Bernoulli()}
    return x, columns


def make_vae(columns, column_weights=None, **changes):
    parts = {
        "encoder": keras_vae.networks.MLP([16]),
        "decoder": keras_vae.networks.MLP([16]),
        "posterior": keras_vae.posteriors.DiagonalNormal(3),
        "likelihood": Columns(columns, column_weights),
        "event_shape": (len(columns),),
        "missing": "nan",
        "seed": 1,
    }
    return keras_vae.VAE(**{**parts, **changes})


@pytest.mark.thorough
def test_it_trains_imputes_and_survives_saving(rng, tmp_path):
    complete, columns = wine()
    x = holed(complete, rng)
    vae = make_vae(columns)
    vae.compile(keras.optimizers.Adam(1e-2))
    history = vae.fit(x, batch_size=32, epochs=3, verbose=0).history
    assert all(np.isfinite(values).all() for values in history.values())
    assert history["elbo"][-1] > history["elbo"][0]
    vae.save(tmp_path / "vae.keras")
    again = keras.saving.load_model(tmp_path / "vae.keras")
    np.testing.assert_array_equal(vae.elbo(x, seed=1), again.elbo(x, seed=1))
    assert list(again.likelihood.columns) == list(columns)

    filled = again.impute(x, seed=0, samples=20)
    np.testing.assert_array_equal(filled, vae.impute(x, seed=0, samples=20))
    seen = ~np.isnan(x)
    np.testing.assert_array_equal(filled[seen], x.astype("float32")[seen])
    for index, size in ((6, 3), (7, 4)):
        assert set(np.unique(filled[:, index])) <= set(range(size))
    assert np.all(filled[:, 8] >= 0)
    # Raw units: imputed cells lie within the range of the others.
    low, high = np.nanmin(x[:, :6], 0), np.nanmax(x[:, :6], 0)
    assert np.all((filled[:, :6] >= low - 1e-3) & (filled[:, :6] <= high + 1e-3))
    drawn = again.generate(50, sample=True, seed=2)
    assert not again.likelihood.violations(tf.constant(drawn))


@pytest.mark.slow
def test_networks_leave_as_plain_keras_models_in_raw_units(rng, tmp_path):
    x, columns = wine()
    vae = make_vae(columns, missing=None)
    vae.compile("adam")
    vae.fit(x, verbose=0)
    x = x[:3].astype("float32")
    z = vae.encode(x)
    for name, given, expected in (("encoder", x, z), ("decoder", z, vae.decode(z))):
        getattr(vae, f"{name}_model")().save(tmp_path / f"{name}.keras")
        plain = keras.saving.load_model(tmp_path / f"{name}.keras")
        np.testing.assert_allclose(plain(given), expected, rtol=1e-5, atol=1e-5)


def test_what_is_logged_does_not_know_the_weights(rng):
    complete, columns = wine()
    x = tf.constant(holed(complete, rng)[:8].astype("float32"))
    gradients, values = [], []
    for weights in (None, {"class": 10.0}):
        keras.utils.set_random_seed(3)
        names = ("class", "level")
        vae = make_vae({name: columns[name] for name in names}, weights)
        cells = x[:, 6:8]
        noise = vae.draw_noise(cells, numerics.key_from_seed(0), 1)
        with tf.GradientTape() as tape:
            terms = vae.elbo_terms(cells, cells, noise, vae.context(training=True))
            bound = tf.reduce_sum(vae._bound(terms, vae.context()).value)
        gradients.append(tape.gradient(bound, vae._to_likelihood.trainable_weights[0].value))
        values.append((terms.log_likelihood, vae.elbo(cells, seed=0), float(bound)))
    np.testing.assert_array_equal(values[0][0], values[1][0])
    np.testing.assert_array_equal(values[0][1], values[1][1])
    assert values[0][2] != values[1][2]
    np.testing.assert_allclose(gradients[1][:, :3], 10 * gradients[0][:, :3], rtol=1e-4)
    np.testing.assert_allclose(gradients[1][:, 3], gradients[0][:, 3], rtol=1e-4, atol=1e-6)


def test_hundreds_of_columns_are_computed_together():
    # Operations, not seconds: the graph does not grow with the number of columns.
    def operations(size):
        kinds = columns_of_all_kinds(size)
        p = built(kinds)
        params = tf.zeros([1, 2, *p.params_shape(None)])
        x = tf.constant(p.typical.numpy() * np.ones((2, 1)), tf.float32)
        trace = tf.function(p.log_prob).get_concrete_function(params, x)
        return len(trace.graph.get_operations())

    assert operations(200) == operations(40)


def columns_of_all_kinds(size):
    return {f"{i}": KINDS[NAMES[i % len(NAMES)]]() for i in range(size)}


# What is refused.


BAD_COLUMNS = {
    "a list": (
        lambda: Columns([likelihoods.Normal()]),
        TypeError,
        "must be a dictionary of likelihoods by the names",
    ),
    "none": (lambda: Columns({}), TypeError, "must be a dictionary"),
    "a class": (
        lambda: Columns({"a": likelihoods.Normal}),
        TypeError,
        "must hold a likelihood for each name",
    ),
    "no name": (lambda: Columns({0: likelihoods.Normal()}), TypeError, "for each name"),
    "built": (
        lambda: Columns({"a": built({"b": likelihoods.Normal()})._groups[0]}),
        ValueError,
        "new likelihoods.*for column 'a'",
    ),
    "whole event": (
        lambda: Columns({"a": likelihoods.NegativeBinomial(library="observed")}),
        ValueError,
        "take each element on its own.*NegativeBinomial.*'a'",
    ),
    "sequence": (
        lambda: Columns({"a": likelihoods.Categorical(3, end_token=0)}),
        ValueError,
        "take each element on its own.*Categorical",
    ),
    "nested": (
        lambda: Columns({"a": Columns({"b": likelihoods.Normal()})}),
        ValueError,
        "take each element on its own",
    ),
    "unknown weight": (
        lambda: Columns({"a": likelihoods.Normal()}, {"b": 1.0}),
        ValueError,
        r"by the names of columns. Received: {'b': 1.0}; the columns are \['a'\]",
    ),
    "negative weight": (
        lambda: Columns({"a": likelihoods.Normal()}, {"a": -1.0}),
        ValueError,
        r"finite numbers >= 0.*Received: {'a': -1.0}",
    ),
    "NaN weight": (
        lambda: Columns({"a": likelihoods.Normal()}, {"a": float("nan")}),
        ValueError,
        "must be finite numbers",
    ),
    "other event": (
        lambda: Columns({"a": likelihoods.Normal()}).build((2,)),
        ValueError,
        r"`event_shape` must be \(1,\)",
    ),
}


@pytest.mark.parametrize("name", BAD_COLUMNS)
def test_bad_arguments_are_refused(name):
    make, error, message = BAD_COLUMNS[name]
    with pytest.raises(error, match=message):
        make()


BAD_CELLS = {
    "category": (3.0, r"the integers in \[0, 2\] of column 'category', of a Categorical"),
    "count": (1.5, r"the integers in \[0, inf\] of column 'count', of a Poisson"),
    "positive": (0.0, r"\(0, inf\) of column 'positive', of a LogNormal"),
    "bit": (-1.0, r"\[0, 1\] of column 'bit', of a Bernoulli"),
    "share": (1.0, r"\(0, 1\) of column 'share', of a Beta"),
}


@pytest.mark.parametrize("name", BAD_CELLS)
def test_data_outside_a_support_is_told_by_column(rng, name):
    value, message = BAD_CELLS[name]
    p, x = built(), holed(rows_of(rng, 9), rng)
    check_array("x", x, Wanted((len(NAMES),), p, missing=True))
    assert not p.violations(tf.constant(x, tf.float32))
    x[5, NAMES.index(name)] = value
    assert p.violations(tf.constant(x, tf.float32))
    with pytest.raises(ValueError, match=rf"`x` has a value .*{message}") as caught:
        check_array("x", x, Wanted((len(NAMES),), p, missing=True))
    assert f"Received: {value:g} in row 5. Fix: " in str(caught.value)


def test_streams_are_checked_step_by_step(rng):
    vae = make_vae({"a": likelihoods.Normal(), "b": likelihoods.Categorical(3)})
    vae.compile("adam")
    x = np.stack([rng.normal(size=8), np.full(8, 5.0)], 1).astype("float32")
    batches = tf.data.Dataset.from_tensor_slices(x).batch(8)
    with pytest.raises(ValueError, match=r"of its columns: 'b' in the integers in \[0, 2\]"):
        vae.fit(batches, verbose=0)
