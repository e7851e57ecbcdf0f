"""What every part must do, whatever it is: run over the table of `cases.py`."""

import importlib
import itertools
import json

import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp

from keras_vae import numerics
from keras_vae.likelihoods import Likelihood
from keras_vae.objectives.base import TERM_NAMES
from keras_vae.terms import ElboTerms, LogJointGradient
from tests.conformance.case import EVENT_SHAPE, FAMILIES, LATENT_DIM, bits, build, reals
from tests.conformance.cases import CASES, cases_of, config_of, context, noise, sampled
from tests.integration.test_architecture import RANK
from tests.twins import STANDARD_ERRORS, assert_mean_is, standard_error


def every(*families, where=lambda part: True):
    return pytest.mark.parametrize("case", cases_of(*families, where=where))


every_part = every(*FAMILIES)
every_layer = every(*(family for family in FAMILIES if family != "schedules"))
every_posterior = every("posteriors")
every_prior = every("priors")
every_likelihood = every("likelihoods")
every_objective = every("objectives")
every_schedule = every("schedules")
every_network = every("networks")
pairs = pytest.mark.parametrize(
    ("posterior_case", "prior_case"),
    [
        pytest.param(q, p, id=f"{q.name}-{p.name}")
        for q, p in itertools.product(CASES, CASES)
        if (q.family, p.family) == ("posteriors", "priors")
        and q.cls.has_density
        and p.make().why_not(q.make()) is None
    ],
)

tfd = tfp.distributions

# Float32 keeps 7 digits; sums over events of 64 elements lose one or two of them, and XLA
# may reorder them.
ROUNDING = {"rtol": 2e-5, "atol": 2e-5}
DRAWS = 20_000


# The table.


def subclasses(cls):
    """All subclasses, at any depth."""
    return {cls} | {below for child in cls.__subclasses__() for below in subclasses(child)}


def concrete_classes(family):
    """Public classes of the package that users can make one of.

    Abstract are the classes that Keras could not load, because they are not registered,
    and that only serve to derive others from.
    """
    public = {
        cls
        for cls in subclasses(FAMILIES[family])
        if cls.__module__.split(".")[0] == "keras_vae" and not cls.__name__.startswith("_")
    }
    return {cls for cls in public if is_registered(cls) or not cls.__subclasses__()}


def is_registered(cls):
    return keras.saving.get_registered_name(cls) != cls.__name__


def home_of(cls):
    """The unit that registers and exports a class: that which defines it."""
    return cls.__module__.split(".")[1]


def is_made_of_models(cls):
    """Whether a part needs whole models, so that it lives and is tested above them."""
    return RANK[home_of(cls)] > RANK["models"]


@pytest.mark.parametrize("family", FAMILIES)
def test_every_concrete_class_has_a_case(family):
    importlib.import_module(f"keras_vae.{family}")
    missing = concrete_classes(family) - {case.cls for case in CASES}
    names = sorted(cls.__name__ for cls in missing if not is_made_of_models(cls))
    assert not names, f"add a Case to tests/conformance/cases.py for {names}"


@pytest.mark.parametrize("family", FAMILIES)
def test_every_concrete_class_is_registered_and_exported_by_its_family(family):
    for cls in concrete_classes(family):
        home = home_of(cls) if is_made_of_models(cls) else family
        registered = keras.saving.get_registered_name(cls)
        assert registered == f"keras_vae.{home}>{cls.__name__}"
        exported = importlib.import_module(f"keras_vae.{home}").__all__
        assert cls.__name__ in exported, f"export {cls.__name__} from keras_vae.{home}"


def test_names_of_cases_are_unique():
    keys = [case.key for case in CASES]
    assert len(keys) == len(set(keys)), "tell cases of one class apart by `variant`"


# Every part: constructor, config, build.


@every_part
def test_constructor_arguments_are_stored_unchanged(case):
    given = case.given()
    part = case.cls(**given)
    for name in case.cls.argument_names():
        if name in given:
            stored = getattr(part, name)
            assert stored is given[name] or stored == given[name], name
    build(part, case)
    for name, value in given.items():
        assert getattr(part, name) is value or getattr(part, name) == value, name


@every_part
def test_config_round_trip_through_json(case):
    part = case.make_built()
    serialised = config_of(part)
    text = json.dumps(serialised)
    again = keras.saving.deserialize_keras_object(json.loads(text))
    assert type(again) is case.cls
    # Compared as JSON, which knows no tuples.
    assert json.dumps(config_of(again)) == text
    assert set(case.cls.argument_names()) <= set(serialised["config"])


@every_layer
def test_building_twice_makes_no_new_weights(case):
    part = case.make_built()
    before = [(id(w), w.numpy().copy()) for w in part.weights]
    build(part, case)
    assert [i for i, _ in before] == [id(w) for w in part.weights]
    for (_, value), weight in zip(before, part.weights):
        np.testing.assert_array_equal(value, weight.numpy())


# Every part: its computation, as a function of tensors.


def computation(case, part, batch=3, samples=4):
    """A function of a few tensors that does all a part does, and tensors to give it."""
    rng = np.random.default_rng(0)

    def real(*shape):
        return tf.constant(rng.normal(size=shape), numerics.density_dtype())

    def uses_posterior(params, *values):
        draw = part.sample_and_log_prob(
            params, dict(zip(sorted(part.noise_spec()), values)), context()
        )
        results = [draw.latents, part.point(params)]
        if part.has_moments:
            results += [part.mean(params), part.scale(params)]
        if part.has_density:
            results.append(draw.log_prob)
        results += [
            t for t in (part.entropy(params), part.second_moment(params)) if t is not None
        ]
        return results

    def uses_prior(z, *values):
        own = context(posterior=case.posterior())
        draw = part.sample(dict(zip(sorted(part.noise_spec()), values)), own)
        return [part.log_prob(z, own), draw]

    def uses_likelihood(params, x):
        return [part.log_prob(params, x, None, context()), part.mean(params)]

    def uses_objective(log_likelihood, log_prior, log_posterior):
        terms = elbo_terms(part.requires, log_likelihood, log_prior, log_posterior)
        if not part.uses_log_likelihood:  # the decoder then acts through the mean alone
            share = 0.01 * log_likelihood[..., None, None, None]
            terms = terms._replace(reconstruction=terms.x + share * terms.reconstruction)
        bound = part.bound(terms, context())
        return [t for t in bound if t is not None]

    def uses_flow(z, params):
        results = [*part.forward(z, params)]
        return [*results, *part.inverse(z, params)] if part.has_inverse else results

    def uses_preprocessor(x):
        y = part.forward(x)
        return [y, part.inverse(y), part.log_det(x)]

    if case.family == "flows":
        params = real(batch, part.params_size(LATENT_DIM))
        return uses_flow, [real(samples, batch, LATENT_DIM), params]
    if case.family == "preprocessors":
        x = case.data(rng, (batch, *part.raw_shape(case.event_shape)))
        return uses_preprocessor, [tf.constant(x, numerics.density_dtype())]
    if case.family == "posteriors":
        values = noise(part, samples, batch).values()
        return uses_posterior, [real(batch, *part.params_shape), *values]
    if case.family == "priors":
        values = noise(part, samples, batch).values()
        z = case.latents(rng, (samples, batch, LATENT_DIM))
        return uses_prior, [tf.constant(z, numerics.density_dtype()), *values]
    if case.family == "likelihoods":
        event_shape = case.event_shape
        x = tf.constant(case.data(rng, (batch, *event_shape)), numerics.density_dtype())
        return uses_likelihood, [real(samples, batch, *part.params_shape(event_shape)), x]
    if case.family == "objectives":
        return uses_objective, [real(samples, batch) * 5 for _ in range(3)]
    if case.family == "schedules":
        return lambda step: [part(step)], [tf.constant(7, tf.int64)]
    return lambda *inputs: [part(*inputs)], network_inputs(case, part, batch)


def network_inputs(case, part, batch):
    """What a network is called with: one tensor, or z and the sequence so far."""
    rng = np.random.default_rng(0)
    inputs = [rng.normal(size=(batch, *case.input_shape))]
    if getattr(part, "autoregressive", False):
        inputs.append(case.data(rng, (batch, *case.event_shape)))
    return [tf.constant(x, numerics.density_dtype()) for x in inputs]


def elbo_terms(requires, log_likelihood, log_prior, log_posterior):
    """Terms that hold what is required and nothing else."""
    samples, batch = log_likelihood.shape
    rng = np.random.default_rng(3)

    def real(*shape):
        return tf.constant(rng.normal(size=shape), numerics.density_dtype())

    latents = real(samples, batch, LATENT_DIM)
    optional = {
        "x": real(batch, *EVENT_SHAPE),
        "reconstruction": real(samples, batch, *EVENT_SHAPE),
        "prior_latents": real(samples, batch, LATENT_DIM),
        "posterior_params": real(batch, 2 * LATENT_DIM),
        "log_joint_gradient": LogJointGradient(latents * 0.5, latents * 0.25),
    }
    density = "density" in requires
    log_ratio = log_posterior - log_prior
    return ElboTerms(
        log_likelihood=log_likelihood,
        log_prior=log_prior if density else None,
        log_posterior=log_posterior if density else None,
        kl=tf.reduce_mean(log_ratio, 0)[:, None] if density else None,
        latents=latents,
        **{name: value for name, value in optional.items() if name in requires},
    )


def trainable(part):
    return getattr(part, "trainable_variables", [])


def compiled(function, inputs, **options):
    # Traced once, by name: TensorFlow takes the functions of a test's cases for one that is
    # traced again and again, and would warn.
    return tf.function(function, **options).get_concrete_function(*inputs)


@every_layer
def test_values_and_gradients_are_finite(case):
    part = case.make_built()
    function, inputs = computation(case, part)
    variables = [v.value for v in trainable(part)]

    def differentiated(*inputs):
        with tf.GradientTape() as tape:
            tape.watch(inputs[0])
            results = function(*inputs)
            total = tf.add_n([tf.reduce_sum(tf.cast(t, tf.float64)) for t in results])
        return results, tape.gradient(total, [inputs[0], *variables])

    results, gradients = compiled(differentiated, inputs)(*inputs)
    for result in results:
        assert np.isfinite(result).all()
    names = ["input", *(v.path for v in trainable(part))]
    for name, gradient in zip(names, gradients, strict=True):
        assert gradient is not None, f"{name} has no influence"
        dense = np.asarray(tf.convert_to_tensor(gradient))  # those of embeddings are sparse
        assert np.isfinite(dense).all(), name
        influence = np.any(dense != 0, axis=tuple(range(dense.ndim - 1)))
        # In networks a unit may rest, as rectified ones do.
        if name == "input" and case.flat:
            assert not np.any(influence)
            continue
        enough = np.any(influence) if case.family == "networks" else np.all(influence)
        assert enough, f"parts of {name} have no influence"


@every_part
def test_computation_is_a_deterministic_function_of_its_inputs(case):
    part = case.make_built()
    function, inputs = computation(case, part)
    for first, second in zip(function(*inputs), function(*inputs)):
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("case", sampled(cases_of(*FAMILIES), one_in=2))
def test_eager_and_graph_agree(case):
    part = case.make_built()
    function, inputs = computation(case, part)
    for one, two in zip(function(*inputs), compiled(function, inputs)(*inputs)):
        np.testing.assert_allclose(two, one, **ROUNDING)


@pytest.mark.parametrize("case", sampled(cases_of(*FAMILIES), one_in=4))
def test_eager_and_xla_agree(case):
    part = case.make_built()
    function, inputs = computation(case, part)
    xla = compiled(function, inputs, jit_compile=True)(*inputs)
    for one, two in zip(function(*inputs), xla):
        np.testing.assert_allclose(two, one, **ROUNDING)


@every_part
def test_densities_keep_single_precision_under_a_half_precision_policy(case):
    keras.config.set_dtype_policy("float16")
    try:
        part = case.make_built()
        function, inputs = computation(case, part)
        results = function(*inputs)
    finally:
        keras.config.set_dtype_policy("float32")
    expected = "float16" if case.family == "networks" else "float32"
    assert {result.dtype.name for result in results} == {expected}


# Posteriors.


@every_posterior
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("samples", [1, 5])
def test_posterior_draws_have_sample_and_batch_axes(case, batch, samples):
    part = case.make_built()
    params = some_params(part, batch)
    draw = part.sample_and_log_prob(params, noise(part, samples, batch), context())
    # Without noise there is but one draw.
    drawn = samples if part.noise_spec() else 1
    assert draw.latents.shape == (drawn, batch, *part.latent_shape)
    assert part.latent_shape == (LATENT_DIM,)
    assert part.point(params).shape == (batch, *part.latent_shape)
    if part.has_moments:
        assert part.mean(params).shape == (batch, *part.latent_shape)
        assert part.scale(params).shape == (batch, *part.latent_shape)
    if part.has_density:
        assert draw.log_prob.shape == (drawn, batch)
    else:
        assert draw.log_prob is None


@every_posterior
def test_posterior_draws_are_moved_by_the_noise_only(case):
    part = case.make_built()
    params = some_params(part, 3)
    draws = [
        part.sample_and_log_prob(params, noise(part, 2, 3, seed=seed), context()).latents
        for seed in (1, 1, 2)
    ]
    np.testing.assert_array_equal(draws[0], draws[1])
    if part.noise_spec():
        differ = np.asarray(draws[0]) != np.asarray(draws[2])
        # Discrete draws may coincide.
        assert np.all(differ) if part.reparameterised else np.any(differ)


@every("posteriors", where=lambda part: part.evaluable)
def test_log_prob_of_a_draw_is_the_density_at_it(case):
    part = case.make_built()
    params = some_params(part, 3)
    draw = part.sample_and_log_prob(params, noise(part, 5, 3), context())
    np.testing.assert_allclose(
        draw.log_prob, part.log_prob(params, draw.latents, context()), **ROUNDING
    )


@every("posteriors", where=lambda part: not part.has_density)
def test_posterior_without_density_says_so(case):
    part = case.make_built()
    params = some_params(part, 3)
    assert not part.evaluable
    with pytest.raises(ValueError, match="no density"):
        part.log_prob(params, tf.zeros([2, 3, LATENT_DIM]), context())


@every("posteriors", where=lambda part: part.factorised)
def test_log_prob_per_dimension_of_a_posterior_sums_to_log_prob(case):
    part = case.make_built()
    params = some_params(part, 3)
    z = part.sample_and_log_prob(params, noise(part, 5, 3), context()).latents
    by_dimension = part.log_prob_per_dimension(params, z)
    assert by_dimension.shape == (5, 3, LATENT_DIM)
    np.testing.assert_allclose(
        tf.reduce_sum(by_dimension, -1), part.log_prob(params, z, context()), **ROUNDING
    )


@every_posterior
def test_posterior_distribution_is_the_same_family(case):
    part = case.make_built()
    params = some_params(part, 3)
    q = part.distribution(params)
    if part.has_moments:
        np.testing.assert_allclose(q.mean(), part.mean(params), **ROUNDING)
        np.testing.assert_allclose(stddev(q), part.scale(params), **ROUNDING)
    if part.evaluable:
        z = part.sample_and_log_prob(params, noise(part, 5, 3), context()).latents
        np.testing.assert_allclose(
            q.log_prob(z), part.log_prob(params, z, context()), **ROUNDING
        )


@every("posteriors", where=lambda part: part.has_density)
def test_draws_have_the_moments_and_entropy_the_posterior_states(case):
    part = case.make_built()
    params = some_params(part, 1)
    draw = part.sample_and_log_prob(params, noise(part, DRAWS, 1), context())
    z = np.asarray(draw.latents, "float64")[:, 0]
    if part.has_moments:
        mean, scale = np.asarray(part.mean(params))[0], np.asarray(part.scale(params))[0]
        assert_mean_is(z, mean)
        assert_mean_is((z - mean) ** 2, scale**2)
    if part.second_moment(params) is not None:
        assert_mean_is(z**2, part.second_moment(params)[0])
    entropy = part.entropy(params)
    if entropy is None:
        return
    groups = LATENT_DIM if part.factorised else 1
    assert entropy.shape == (1, groups)
    surprise = -np.asarray(draw.log_prob, "float64")
    if part.factorised:
        by_dimension = part.log_prob_per_dimension(params, draw.latents)
        surprise = -np.asarray(by_dimension, "float64")[:, 0]
    assert_mean_is(surprise, entropy[0])


# Priors.


@every_prior
@pytest.mark.parametrize("leading", [(1,), (3,), (5, 3)])
def test_prior_draws_and_densities_have_the_leading_axes(case, leading):
    part, own = case.make_built(), context(posterior=case.posterior())
    z = part.sample(noise(part, *leading), own)
    assert z.shape == (*leading, LATENT_DIM)
    assert part.log_prob(z, own).shape == leading
    np.testing.assert_array_equal(z, part.sample(noise(part, *leading), own))
    # Of many: single draws of a discrete prior may coincide.
    one, two = (np.asarray(part.sample(noise(part, 20, seed=s), own)) for s in (0, 1))
    assert np.any(one != two)


@every_prior
def test_prior_distribution_is_the_same_density(case):
    part, own = case.make_built(), context(posterior=case.posterior())
    z = tf.constant(case.latents(np.random.default_rng(0), (5, 3, LATENT_DIM)), tf.float32)
    p = part.distribution(own)
    np.testing.assert_allclose(p.log_prob(z), part.log_prob(z, own), **ROUNDING)
    assert p.event_shape == (LATENT_DIM,)


@every("priors", where=lambda part: part.factorised)
def test_log_prob_per_dimension_of_a_prior_sums_to_log_prob(case):
    part = case.make_built()
    z = tf.constant(case.latents(np.random.default_rng(0), (5, 3, LATENT_DIM)), tf.float32)
    by_dimension = part.log_prob_per_dimension(z, context())
    assert by_dimension.shape == (5, 3, LATENT_DIM)
    np.testing.assert_allclose(
        tf.reduce_sum(by_dimension, -1), part.log_prob(z, context()), **ROUNDING
    )


@pytest.mark.parametrize(
    "case", [p for p in cases_of("priors") if p.values[0].latents is reals]
)
def test_prior_draws_follow_its_density(case):
    # The density is integrated by importance sampling: mass 1, and the moments of the draws.
    # Student's tails are heavier than those of any prior here: weights have finite variance.
    part, own = case.make_built(), context(posterior=case.posterior())
    z = np.asarray(part.sample(noise(part, DRAWS), own), "float64")
    rng = np.random.default_rng(5)
    loc, scale = z.mean(0), 1.5 * z.std(0)
    unit = rng.standard_t(3, size=(10 * DRAWS, LATENT_DIM))
    points = loc + scale * unit
    log_proposal = (scipy.stats.t.logpdf(unit, 3) - np.log(scale)).sum(-1)
    log_prob = part.log_prob(tf.constant(points, tf.float32), own)
    weight = np.exp(np.asarray(log_prob, "float64") - log_proposal)
    assert_mean_is(weight, 1.0)
    statistics = {"z": (z, points), "z**2": (z**2, points**2)}
    statistics["z0*z1"] = (z[:, 0] * z[:, 1], points[:, 0] * points[:, 1])
    for name, (drawn, integrand) in statistics.items():
        by_density = (weight * integrand.T).T
        error = np.hypot(standard_error(drawn), standard_error(by_density))
        gap = np.abs(drawn.mean(0) - by_density.mean(0))
        assert np.all(gap < STANDARD_ERRORS * error), name


@pairs
def test_kl_has_groups_and_finite_gradients(posterior_case, prior_case):
    q = posterior_case.make_built()
    p, own = prior_case.make_built(posterior=q), context(training=True, posterior=q)
    params, values = some_params(q, 3), noise(q, 4, 3)

    def differentiated(params):
        with tf.GradientTape() as tape:
            tape.watch(params)
            draw = q.sample_and_log_prob(params, values, own)
            kl = p.kl(q, params, draw, own)
        return kl, tape.gradient(kl, [params, *[v.value for v in p.trainable_variables]])

    kl, gradients = compiled(differentiated, [params])(params)
    assert kl.shape == (3, p.kl_groups(q))
    if q.factorised and p.factorised:
        assert p.kl_groups(q) == LATENT_DIM
    assert sum(p.kl_blocks(q)) in (0, p.kl_groups(q))
    for gradient in gradients:
        assert np.isfinite(gradient).all()


@pairs
def test_kl_is_the_mean_log_ratio(posterior_case, prior_case):
    # Closed forms and the Monte Carlo default against the definition; one draw per row.
    q = posterior_case.make_built()
    p, own = prior_case.make_built(posterior=q), context(posterior=q)
    params = tf.repeat(some_params(q, 1), DRAWS, axis=0)
    draw = q.sample_and_log_prob(params, noise(q, 1, DRAWS), own)
    kl = np.asarray(p.kl(q, params, draw, own), "float64")
    log_ratio = draw.log_prob[0] - p.log_prob(draw.latents, own)[0]
    monte_carlo = np.asarray(p.monte_carlo_kl(q, params, draw, own), "float64")
    np.testing.assert_allclose(monte_carlo.sum(-1), log_ratio, **ROUNDING)
    closed = p.closed_form_kl(q, params)
    if closed is not None:
        np.testing.assert_array_equal(kl, closed)
    if np.any(kl != monte_carlo):  # a closed form, then
        assert_mean_is(monte_carlo, kl[0])
        assert np.all(kl >= 0)


# Likelihoods.


@every_likelihood
@pytest.mark.parametrize(
    ("batch", "samples", "event_shape"),
    [
        pytest.param(batch, samples, event_shape, marks=marks)
        for event_shape, of_one, of_several in (
            ((5,), pytest.mark.thorough, ()),
            ((4, 3), (), pytest.mark.thorough),
            ((2, 3, 2), pytest.mark.thorough, ()),
        )
        for batch, samples, marks in ((1, 1, of_one), (3, 5, of_several))
    ],
)
def test_likelihood_shapes(case, event_shape, batch, samples):
    event_shape = allowed(case, event_shape)
    part = case.make_built(event_shape)
    shape = part.params_shape(event_shape)
    assert shape[:-1] == event_shape[:-1]
    params, x = some_decoded(case, part, batch, samples)
    assert params.shape == (samples, batch, *shape)
    assert part.log_prob(params, x).shape == (samples, batch)
    assert part.mean(params).shape == (samples, batch, *event_shape)
    assert part.mean(params[0]).shape == (batch, *event_shape)
    assert part.sample(params, seed=1).shape == (samples, batch, *event_shape)
    elementwise = part.elementwise_log_prob(params, x, None, context())
    assert elementwise.shape == (samples, batch, *event_shape)


@every_likelihood
def test_likelihood_distribution_is_the_same_family(case):
    part = case.make_built()
    params, x = some_decoded(case, part)
    if not part.has_distribution:
        with pytest.raises(NotImplementedError):
            part.distribution(params)
        return
    p = part.distribution(params)
    assert p.event_shape == case.event_shape
    np.testing.assert_allclose(p.mean(), part.mean(params), **ROUNDING)
    if not part.maskable:
        return  # its density needs more of x than a distribution can know
    # Sums of 64 elements: one digit more is lost than elsewhere.
    np.testing.assert_allclose(p.log_prob(x), part.log_prob(params, x), rtol=1e-4, atol=1e-4)
    if not isinstance(p, tfd.Independent):
        return  # its elements are of several families
    np.testing.assert_allclose(
        part.elementwise_log_prob(params, x, None, context()),
        Likelihood.elementwise_log_prob(part, params, x, None, context()),
        rtol=1e-4,
        atol=1e-4,
    )


@every_likelihood
def test_likelihood_draws_have_its_mean_and_lie_in_its_support(case):
    part = case.make_built(allowed(case, (3,)))
    params, _ = some_decoded(case, part, 1, 1)
    draws = part.sample(tf.repeat(params[0], DRAWS, axis=0), seed=3)
    assert_mean_is(np.asarray(draws, "float64"), part.mean(params)[0, 0])
    assert not part.violations(draws)
    # Means of integers need not be integers.
    between = part.support._replace(integer=False)
    assert not between.violations(part.mean(params))
    assert not between.violations(part.point(params))


@every_likelihood
def test_likelihood_points_stand_for_one_or_several(case):
    part = case.make_built()
    params, _ = some_decoded(case, part)
    point = part.point(params)
    assert point.shape == (*params.shape[:2], *case.event_shape)
    # A mixture with all its weight on one.
    weights = tf.one_hot([1] * params.shape[1], params.shape[0], axis=0)
    np.testing.assert_allclose(part.mixture_point(params, weights), point[1], **ROUNDING)


@every_likelihood
def test_encoder_sees_what_it_was_told_to(case):
    part = case.make_built()
    _, x = some_decoded(case, part)
    seen = part.encoder_input(x)
    assert seen.shape == (len(x), *part.encoder_input_shape(case.event_shape))
    assert seen.dtype == numerics.density_dtype()
    assert np.isfinite(seen).all()


@every_likelihood
def test_likelihood_draws_repeat_with_their_seed(case):
    part = case.make_built()
    params, _ = some_decoded(case, part)
    first = part.sample(params, seed=3)
    np.testing.assert_array_equal(first, part.sample(params, seed=3))
    assert np.any(np.asarray(first) != np.asarray(part.sample(params, seed=4)))
    keras.utils.set_random_seed(1)
    unseeded = part.sample(params)
    assert np.any(np.asarray(unseeded) != np.asarray(part.sample(params)))


@every_likelihood
def test_support_says_where_data_lies(case):
    part = case.make_built()
    x = case.data(np.random.default_rng(0), (100, *case.event_shape))
    assert not part.violations(numerics.as_density(x))
    assert part.why_outside(x) is None
    assert part.support_in_words()
    support = part.support
    if support.lower is not None:
        assert support.violations(tf.constant([support.lower - 0.01]))
    if support.upper is not None:
        assert support.violations(tf.constant([support.upper + 0.01]))
    assert support.fix, "say what to do with data outside the support"
    assert not support.fix.endswith("."), "the fix is a clause of an error message"


@every_likelihood
@pytest.mark.parametrize("hidden", [np.nan, np.inf], ids=str)
def test_masked_likelihood_is_that_of_the_observed_part(case, hidden):
    part = case.make_built()
    params, x = some_decoded(case, part)
    mask = bits(np.random.default_rng(1), x.shape).astype(bool)
    if not part.maskable:
        with pytest.raises(ValueError, match="`mask` must be None"):
            part.log_prob(params, x, tf.constant(mask))
        return
    whole = part.elementwise_log_prob(params, x, None, context())
    event_axes = tuple(range(-len(case.event_shape), 0))
    expected = np.where(mask, whole, 0.0).sum(axis=event_axes)
    holed = tf.where(mask, x, hidden)
    np.testing.assert_allclose(
        part.log_prob(params, holed, tf.constant(mask)), expected, rtol=1e-4, atol=1e-4
    )
    everything = part.log_prob(params, x, tf.ones_like(mask))
    np.testing.assert_allclose(everything, part.log_prob(params, x), **ROUNDING)
    nothing = part.log_prob(params, tf.fill(x.shape, hidden), tf.zeros_like(mask))
    np.testing.assert_array_equal(nothing, np.zeros_like(nothing))


@every_likelihood
@pytest.mark.parametrize("training", [False, True], ids=["evaluation", "training"])
def test_hidden_values_have_no_influence_on_gradients(case, training):
    part = case.make_built()
    if not part.maskable:
        return
    params, x = some_decoded(case, part)
    mask = bits(np.random.default_rng(1), x.shape).astype(bool)

    def gradients(x):
        with tf.GradientTape() as tape:
            tape.watch(params)
            value = part.log_prob(params, x, tf.constant(mask), context(training))
        return tape.gradient(value, [params, *[v.value for v in part.trainable_variables]])

    holed, filled = gradients(tf.where(mask, x, np.nan)), gradients(tf.where(mask, x, 0.5))
    for one, two in zip(holed, filled):
        assert np.isfinite(one).all()
        np.testing.assert_array_equal(one, two)
    assert np.any(np.asarray(holed[0]) != 0)


# Objectives and schedules.


def three_log_densities(samples, batch=4):
    rng = np.random.default_rng(2)
    return [tf.constant(rng.normal(size=(samples, batch)) * 5, tf.float32) for _ in range(3)]


@every_objective
@pytest.mark.parametrize("batch", [1, 3])
def test_bound_is_one_number_per_example(case, batch):
    part = case.make_built()
    terms = elbo_terms(part.requires, *three_log_densities(part.samples, batch))
    bound = part.bound(terms, context())
    assert bound.value.shape == (batch,)
    assert bound.surrogate is None or bound.surrogate.shape == (batch,)


@every_objective
def test_objective_declares_what_it_needs(case):
    part = case.make_built()
    assert isinstance(part.requires, frozenset)
    assert part.requires <= TERM_NAMES
    assert isinstance(part.samples, int)
    assert part.samples >= 1


@pytest.mark.parametrize(
    "case", [p for p in cases_of("objectives") if not p.values[0].make().coupled]
)
def test_uncoupled_objectives_look_at_one_example_at_a_time(case):
    part = case.make_built()
    densities = three_log_densities(part.samples)
    together = part.bound(elbo_terms(part.requires, *densities), context()).value
    shifted = [tf.concat([t[:, :2], t[:, 2:] + 100.0], axis=1) for t in densities]
    changed = part.bound(elbo_terms(part.requires, *shifted), context()).value
    np.testing.assert_array_equal(together[:2], changed[:2])


@every("objectives", where=lambda part: part.uses_log_likelihood)
def test_objectives_rise_with_the_likelihood(case):
    part = case.make_built()
    log_likelihood, *others = three_log_densities(part.samples)
    worse = part.bound(elbo_terms(part.requires, log_likelihood, *others), context())
    better = part.bound(elbo_terms(part.requires, log_likelihood + 1.0, *others), context())
    assert np.all(better.value > worse.value)


@every_objective
def test_scheduled_arguments_are_reported(case):
    part = case.make_built()
    reported = part.scheduled(context(step=3))
    assert sorted(reported) == sorted(part.schedule_names())
    for name, value in reported.items():
        np.testing.assert_array_equal(value, part.schedules()[name](tf.constant(3)))


@every_schedule
def test_schedule_gives_a_scalar_at_any_step(case):
    part = case.make()
    for step in (0, 1, 7, 10**6, 10**12):
        values = [part(s) for s in (step, tf.constant(step, tf.int64), np.int64(step))]
        for value in values:
            assert value.shape == ()
            assert value.dtype == numerics.density_dtype()
            assert np.isfinite(value)
            np.testing.assert_array_equal(value, values[0])


@every_schedule
def test_schedule_stays_from_the_step_it_names(case):
    part = case.make()
    last = part.settles_after()
    assert isinstance(last, int)
    before, settled, late = (float(part(s)) for s in (max(last - 1, 0), last, 10**9))
    # Those that come to their end but slowly have a hundredth of the way left.
    way = abs(float(part(0)) - late)
    assert abs(settled - late) <= 0.01 * way
    assert abs(float(part(10 * last)) - late) <= 0.01 * way
    assert last == 0 or before != late


# Networks.


@every_network
def test_network_returns_features(case):
    part = case.make_built()
    for batch in (1, 3):
        x = np.random.default_rng(0).normal(size=(batch, *case.input_shape))
        assert part(x.astype("float32")).shape == (batch, *case.output_shape)
    symbolic = part(keras.KerasTensor((None, *case.input_shape)))
    assert symbolic.shape == (None, *case.output_shape)


@every_network
def test_network_consists_of_stock_layers(case, tmp_path):
    # So that encoders and decoders can leave as plain Keras files.
    part = case.make_built()
    layers = part._flatten_layers(include_self=False, recursive=False)
    assert {id(layer) for layer in part.body} == {id(layer) for layer in layers}
    arrays = network_inputs(case, part, 3)
    inputs = [keras.Input(x.shape[1:]) for x in arrays]
    plain = keras.Model(inputs, part.call(*inputs))
    for operation in (*part.body, *plain.operations):
        assert type(operation).__module__.startswith("keras."), operation
    plain.save(tmp_path / "plain.keras")
    again = keras.saving.load_model(tmp_path / "plain.keras")
    np.testing.assert_array_equal(part(*arrays), again(arrays))
    assert len(part.weights) == len(again.weights)


@every_network
def test_network_saves_and_loads(case, tmp_path):
    part = case.make_built()
    inputs = network_inputs(case, part, 3)
    part.save(tmp_path / "network.keras")
    again = keras.saving.load_model(tmp_path / "network.keras")
    np.testing.assert_array_equal(part(*inputs), again(*inputs))
    assert len(part.weights) == len(again.weights)


# Helpers.


def stddev(distribution):
    """Standard deviations; TFP has but the covariance of some families."""
    try:
        return distribution.stddev()
    except NotImplementedError:
        return tf.sqrt(tf.linalg.diag_part(distribution.covariance()))


def allowed(case, event_shape):
    """The event shape, unless the case is made for one of its own."""
    return event_shape if case.event_shape == EVENT_SHAPE else case.event_shape


def some_params(part, batch):
    rng = np.random.default_rng(4)
    params = rng.normal(size=(batch, *part.params_shape))
    return tf.constant(params, numerics.density_dtype())


def some_decoded(case, part, batch=3, samples=4):
    """Parameters of a likelihood and data."""
    rng = np.random.default_rng(4)
    shape = (samples, batch, *part.params_shape(part.event_shape))
    params = tf.constant(rng.normal(size=shape), numerics.density_dtype())
    x = case.data(rng, (batch, *part.event_shape))
    return params, tf.constant(x, numerics.density_dtype())
