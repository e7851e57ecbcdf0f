"""The VampPrior against the mixture it is, written out."""

import json
import zipfile

import keras
import numpy as np
import pytest
import scipy.special
import tensorflow as tf

import keras_vae
from keras_vae import likelihoods, networks, numerics, posteriors, preprocessors
from keras_vae.priors import VampPrior
from keras_vae.terms import Context, Support
from tests.twins import assert_gradients, assert_mean_is, integral

EVENT_SHAPE = (4,)
UNIT = Support(0.0, 1.0)


def built(q, components=5, support=UNIT):
    p = VampPrior(components)
    p.bind(EVENT_SHAPE, support, posterior=q)
    p.build(q.latent_shape)
    return p


def context_of(q, seed=3):
    width = q.params_shape[0]
    matrix = tf.constant(np.random.default_rng(seed).normal(size=(*EVENT_SHAPE, width)))
    return Context(encode=lambda x: tf.tanh(x @ tf.cast(matrix, x.dtype)), posterior=q)


every_posterior = pytest.mark.parametrize(
    "q",
    [
        posteriors.DiagonalNormal(2),
        posteriors.FullCovarianceNormal(2),
        posteriors.Laplace(2),
        posteriors.LogisticNormal(2),
        posteriors.RelaxedBernoulli(2),
        posteriors.RelaxedCategorical(2),
        posteriors.Joint([posteriors.DiagonalNormal(1), posteriors.Laplace(1)]),
    ],
    ids=lambda q: type(q).__name__,
)


@every_posterior
def test_density_is_the_mean_over_components(float64, rng, q):
    p, context = built(q), context_of(q)
    params = context.encode(tf.convert_to_tensor(p.pseudo_inputs))
    noise = numerics.draw_noise(q.noise_spec(), [6, 5], numerics.key_from_seed(0))
    z = q.sample_and_log_prob(params, noise, context).latents[:, :3]
    by_component = np.stack(
        [q.log_prob(tf.repeat(row[None], 3, axis=0), z, context) for row in params], axis=-1
    )
    expected = scipy.special.logsumexp(by_component, axis=-1) - np.log(5)
    result = p.log_prob(z, context)
    assert result.shape == (6, 3)
    np.testing.assert_allclose(result, expected, rtol=1e-9)
    np.testing.assert_allclose(p.log_prob(z[0], context), expected[0], rtol=1e-9)
    assert p.space == q.space


def test_mass_is_one(float64):
    q = posteriors.DiagonalNormal(1)
    p, context = built(q), context_of(q)
    mass = integral(lambda z: np.exp(p.log_prob(z[:, None], context)))
    np.testing.assert_allclose(mass, 1.0, rtol=1e-9)


@every_posterior
def test_draws_pick_components_and_draw_from_them(float64, rng, q):
    p, context = built(q), context_of(q)
    uniform = np.array([[0.0, 0.19], [0.2, 0.41], [0.79, 1 - 1e-16]])
    own = numerics.draw_noise(q.noise_spec(), [3, 2], numerics.key_from_seed(1))
    noise = {"component": tf.constant(uniform), **{f"posterior_{n}": t for n, t in own.items()}}
    assert set(noise) == set(p.noise_spec())
    params = context.encode(tf.convert_to_tensor(p.pseudo_inputs)).numpy()
    chosen = params[[[0, 0], [1, 2], [3, 4]]].reshape(6, -1)
    flat = {n: tf.reshape(t, (1, 6, *t.shape[2:])) for n, t in own.items()}
    expected = q.sample_and_log_prob(tf.constant(chosen), flat, context).latents
    z = p.sample(noise, context)
    np.testing.assert_array_equal(z, tf.reshape(expected, (3, 2, *q.latent_shape)))


def test_rounding_never_points_past_the_last_component():
    q = posteriors.DiagonalNormal(1)
    p, context = built(q, components=3000), context_of(q)
    largest = np.nextafter(np.float32(1), np.float32(0))
    noise = {"component": tf.constant([largest]), "posterior_epsilon": tf.zeros([1, 1])}
    params = context.encode(tf.convert_to_tensor(p.pseudo_inputs))
    np.testing.assert_array_equal(p.sample(noise, context), params[-1:, :1])


def test_draws_follow_the_density(float64):
    q = posteriors.DiagonalNormal(1)
    p, context = built(q), context_of(q)
    noise = numerics.draw_noise(p.noise_spec(), [20_000], numerics.key_from_seed(0))
    z = p.sample(noise, context).numpy()

    def moment(power):
        return integral(
            lambda z: np.exp(p.log_prob(z[:, None], context)) * np.asarray(z) ** power
        )

    assert_mean_is(z[:, 0], moment(1))
    assert_mean_is(z[:, 0] ** 2, moment(2))


def test_gradients_reach_latents_encoder_and_pseudo_inputs(float64, rng):
    q = posteriors.DiagonalNormal(2)
    p = built(q, components=2, support=Support())
    z = rng.normal(size=(2, 1, 2))

    def log_prob(z, matrix, pseudo_inputs):
        # The context's encoder ignores its argument: it is given both.
        own = Context(encode=lambda _: tf.tanh(pseudo_inputs @ matrix), posterior=q)
        return p.log_prob(z, own)

    assert_gradients(log_prob, z, rng.normal(size=(4, 4)), rng.normal(size=(2, 4)))
    with tf.GradientTape() as tape:
        value = p.log_prob(tf.constant(z), context_of(q))
    gradient = tape.gradient(value, p.pseudo_inputs.value)
    assert np.all(gradient.numpy() != 0)


def test_the_kl_is_the_mean_log_ratio(float64, rng):
    q = posteriors.DiagonalNormal(2)
    p, context = built(q), context_of(q)
    params = tf.constant(rng.normal(size=(3, 4)))
    draw = q.sample_and_log_prob(
        params, {"epsilon": tf.constant(rng.normal(size=(4, 3, 2)))}, context
    )
    kl = p.kl(q, params, draw, context)
    log_ratio = draw.log_prob - p.log_prob(draw.latents, context)
    np.testing.assert_allclose(kl, tf.reduce_mean(log_ratio, 0)[:, None], rtol=1e-12)
    assert p.kl_groups(q) == 1


def test_pseudo_inputs_start_within_the_support():
    q = posteriors.DiagonalNormal(2)
    for support in (UNIT, Support(-3.0, -1.0), Support(0.0), Support(None, 0.5), Support()):
        values = built(q, 200, support).pseudo_inputs.numpy()
        assert not support.violations(tf.constant(values))
        assert values.std() > 0.1


def test_pseudo_inputs_are_put_back_into_the_support_and_can_leave_its_edge():
    q = posteriors.DiagonalNormal(2)
    p = built(q)
    constraint = p.pseudo_inputs.constraint
    p.pseudo_inputs.assign(constraint(tf.fill([5, 4], -0.7)))
    np.testing.assert_array_equal(p.pseudo_inputs, np.zeros([5, 4]))
    with tf.GradientTape() as tape:
        value = p.log_prob(tf.ones([1, 1, 2]), context_of(q))
    assert np.any(tape.gradient(value, p.pseudo_inputs.value).numpy() != 0)


def test_adapting_takes_examples_and_keeps_the_rest(rng):
    p = built(posteriors.DiagonalNormal(2))
    before = p.pseudo_inputs.numpy()
    x = rng.random(size=(3, 4)).astype("float32")
    p.adapt(x, Context())
    np.testing.assert_array_equal(p.pseudo_inputs[:3], x)
    np.testing.assert_array_equal(p.pseudo_inputs[3:], before[3:])
    assert p.adapt_rows == 5


def test_missing_values_of_examples_are_filled(rng):
    p = built(posteriors.DiagonalNormal(2), components=2)
    x = np.array([[0.0, np.nan, 0.5, 0.25], [1.0, 1.0, np.nan, 0.25]])
    p.adapt(x, Context())
    expected = np.where(np.isnan(x), [0.5, 1.0, 0.5, 0.25], x)  # of each column
    np.testing.assert_array_equal(p.pseudo_inputs, expected)


def test_examples_of_which_nothing_is_known_leave_the_start():
    p = built(posteriors.DiagonalNormal(2), components=2)
    before = p.pseudo_inputs.numpy()
    p.adapt(np.full([2, 4], np.nan), Context())
    np.testing.assert_array_equal(p.pseudo_inputs, before)


def test_it_goes_with_any_posterior_that_can_be_evaluated():
    assert VampPrior().why_not(posteriors.RelaxedBernoulli(3)) is None
    reason = VampPrior().why_not(posteriors.Deterministic(3))
    assert "cannot be evaluated at a given z" in reason


def test_it_says_what_it_lacks():
    q = posteriors.DiagonalNormal(2)
    with pytest.raises(ValueError, match="no conditions for its pseudo-inputs"):
        VampPrior().bind(EVENT_SHAPE, UNIT, (3,), posterior=q)
    with pytest.raises(ValueError, match="needs the model's `context`"):
        built(q).log_prob(tf.zeros([1, 1, 2]), Context())
    with pytest.raises(ValueError, match=r"`components` must be an integer >= 1\. Received:"):
        VampPrior(0)


@pytest.mark.thorough
def test_a_model_trains_its_pseudo_inputs(make_vae, digits, tmp_path):
    vae = make_vae(prior=VampPrior(20))
    vae.compile(keras.optimizers.Adam(1e-2))
    before = vae.evaluate(digits[:200], verbose=0, return_dict=True)["elbo"]
    vae._adapt(digits, None)
    started = vae.prior.pseudo_inputs.numpy()
    distances = np.abs(started[:, None] - digits[None]).sum(axis=(2, 3, 4))
    assert np.all(distances.min(axis=1) == 0), "pseudo-inputs start as training examples"
    history = vae.fit(digits, batch_size=100, epochs=3, verbose=0).history
    assert all(np.isfinite(values).all() for values in history.values())
    assert history["elbo"][2] > history["elbo"][0] > before
    moved = vae.prior.pseudo_inputs.numpy()
    assert np.all(np.any(moved != started, axis=(1, 2, 3)))
    assert 0 <= moved.min() < moved.max() <= 1
    vae.save(tmp_path / "vae.keras")
    again = keras.saving.load_model(tmp_path / "vae.keras")
    np.testing.assert_array_equal(again.prior.pseudo_inputs, moved)
    again.fit(digits[:100], verbose=0)  # which does not adapt a second time
    assert np.abs(again.prior.pseudo_inputs.numpy() - moved).max() < 0.1
    np.testing.assert_array_equal(
        vae.generate(3, seed=0),
        keras.saving.load_model(tmp_path / "vae.keras").generate(3, seed=0),
    )


# What pseudo-inputs count in.


def table_model(prior, likelihood=None, **options):
    keras.utils.set_random_seed(0)
    columns = {
        "small": likelihoods.Normal("learned"),
        "kind": likelihoods.Categorical(3),
        "unit": likelihoods.Normal("learned"),
        "large": likelihoods.Normal("learned"),
        "count": likelihoods.Poisson(),
    }
    model = keras_vae.VAE(
        networks.MLP([16]),
        networks.MLP([16]),
        posteriors.DiagonalNormal(2),
        prior,
        likelihood=likelihood or likelihoods.Columns(columns),
        event_shape=(5,),
        seed=0,
        **options,
    )
    model.compile(keras.optimizers.Adam(5e-3))
    return model


def table_rows(count=400, missing=False):
    """Two kinds of rows: columns of sizes 1e-3, 1 and 1e4, three categories and counts."""
    rng = np.random.default_rng(0)
    side = 2.0 * rng.integers(0, 2, count) - 1
    reals = side[:, None] + 0.4 * rng.normal(size=(count, 3))
    kind = np.where(rng.random(count) < 0.8, 1 + side, 1.0)
    x = np.column_stack(
        [1e-3 * reals[:, 0], kind, reals[:, 1], 5e4 + 1e4 * reals[:, 2], rng.poisson(3, count)]
    )
    if missing:
        x[rng.random(x.shape) < 0.2] = np.nan
    return x


def test_pseudo_inputs_of_a_table_move_alike_in_all_columns():
    x = table_rows()
    model = table_model(VampPrior(20))
    model._adapt(x, None)
    started = model.prior.pseudo_inputs.numpy()
    seen = model.filled_view(numerics.as_density(x)).numpy()
    assert started.shape == (20, 7)
    distances = np.abs(started[:, None] - seen[None]).max(axis=2)
    assert distances.min(axis=1).max() < 1e-5, "pseudo-inputs start as training examples"
    model.fit(x, batch_size=50, epochs=8, verbose=0)
    moved = model.prior.pseudo_inputs.numpy() - started
    steps = np.sqrt((moved**2).mean(axis=0)) / seen.std(axis=0)
    assert steps.min() > 0.02
    assert steps.max() / steps.min() < 4
    shares = model.prior.pseudo_inputs.numpy()[:, 1:4]
    assert shares.min() >= 0
    np.testing.assert_allclose(shares.sum(axis=1), 1.0, rtol=1e-5)
    assert np.any((shares > 0.01) & (shares < 0.99)), "categories are relaxed"


def test_pseudo_inputs_in_units_of_the_encoder_train_to_a_better_bound():
    x = table_rows()
    bounds = {}
    for name, prior in (
        ("encoder", VampPrior(2)),
        ("data", VampPrior(2, units="data")),
        ("normal", None),
    ):
        model = table_model(prior)
        model.compile(keras.optimizers.Adam(2e-2))
        model.fit(x, batch_size=50, epochs=40, verbose=0)
        bounds[name] = model.elbo(x, samples=10, seed=0).mean()
    assert bounds["encoder"] > bounds["normal"] + 0.1
    assert bounds["encoder"] > bounds["data"] + 0.1


def test_missing_cells_start_typical_of_their_column():
    x = table_rows(40, missing=True)
    model = table_model(VampPrior(40), missing="nan")
    model._adapt(x, None)
    rows = model.prior.pseudo_inputs.numpy()
    assert np.abs(rows[:, [0, 4, 5]]).max() < 4  # standard deviations of each column
    np.testing.assert_allclose(rows[:, 1:4].sum(axis=1), 1.0)
    model.fit(x, epochs=1, verbose=0)
    assert np.isfinite(model.generate(3, seed=0)).all()


def test_without_a_table_units_are_those_of_each_channel(rng):
    x = np.column_stack([1e-3 * rng.normal(size=100), 1e4 + 1e3 * rng.normal(size=(4, 100)).T])
    model = table_model(VampPrior(100), likelihoods.Normal("learned"))
    model._adapt(x, None)
    rows = model.prior.pseudo_inputs.numpy()
    np.testing.assert_allclose(rows.std(axis=0), 1.0, rtol=1e-4)
    seen = []
    context = model.context()._replace(encode_view=lambda view: seen.append(view) or view)
    model.prior._params(context)
    found = np.sort(seen[0].numpy(), axis=0)
    np.testing.assert_allclose(found, np.sort(x, axis=0), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("likelihood", "low", "high"),
    [
        (likelihoods.Poisson(), 0.0, np.inf),
        (likelihoods.LogNormal(), 0.0, np.inf),
        (likelihoods.Bernoulli(), 0.0, 1.0),
        (likelihoods.Ordinal(4), 0.0, 1.0),
    ],
)
def test_views_are_put_back_into_what_the_encoder_can_see(rng, likelihood, low, high):
    likelihood.build((5,))
    view = 3 * rng.normal(size=(10, *likelihood.encoder_input_shape((5,))))
    allowed = likelihood.constrained_view(tf.constant(view, tf.float32)).numpy()
    assert low <= allowed.min() <= allowed.max() <= high
    again = likelihood.constrained_view(tf.constant(allowed)).numpy()
    np.testing.assert_allclose(again, allowed, rtol=1e-6)


def test_models_saved_without_units_keep_their_numbers(tmp_path):
    x = table_rows(60)
    model = table_model(VampPrior(8, units="data"))
    model.fit(x, epochs=1, verbose=0)
    model.save(tmp_path / "new.keras")
    config = model.prior.get_config()
    assert config.pop("units") == "data"
    old = type(model.prior).from_config(config)
    assert old.units == "data"
    np.testing.assert_allclose(model.prior.pseudo_inputs[:, 3], x[:, 3].mean(), rtol=0.5)
    # As a file from before: the argument is in none of its configs.
    with zipfile.ZipFile(tmp_path / "new.keras") as new:
        contents = {name: new.read(name) for name in new.namelist()}
    saved = json.loads(contents["config.json"])
    assert saved["config"]["prior"]["config"].pop("units") == "data"
    with zipfile.ZipFile(tmp_path / "old.keras", "w") as file:
        for name, content in {**contents, "config.json": json.dumps(saved)}.items():
            file.writestr(name, content)
    again = keras.saving.load_model(tmp_path / "old.keras")
    np.testing.assert_array_equal(again.elbo(x, seed=0), model.elbo(x, seed=0))
    np.testing.assert_array_equal(again.generate(3, seed=0), model.generate(3, seed=0))


def test_a_saved_model_keeps_its_units(tmp_path):
    x = table_rows(60)
    prior = keras_vae.priors.Joint([VampPrior(6), keras_vae.priors.StandardNormal()])
    keras.utils.set_random_seed(0)
    q = posteriors.Joint([posteriors.DiagonalNormal(2), posteriors.DiagonalNormal(1)])
    model = keras_vae.VAE(
        networks.MLP([8]),
        networks.MLP([8]),
        q,
        prior,
        likelihood=likelihoods.Normal("learned"),
        preprocessor=preprocessors.Standardization(),
        event_shape=(5,),
        seed=0,
    )
    model.compile("adam")
    model.fit(x, epochs=1, verbose=0)
    model.save(tmp_path / "vae.keras")
    again = keras.saving.load_model(tmp_path / "vae.keras")
    np.testing.assert_array_equal(again.elbo(x, seed=0), model.elbo(x, seed=0))
    assert again.prior.priors[0].units == "encoder"
