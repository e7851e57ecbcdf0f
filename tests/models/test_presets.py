"""Presets are what their papers say, and nothing but compositions."""

import ast
import inspect
import math

import keras
import numpy as np
import pytest

import keras_vae
from keras_vae import likelihoods, networks, presets
from tests.conformance.cases import sampled

# What a preset must be told beyond networks, latent_dim, likelihood and event_shape.
NEEDED = {
    "ConditionalVAE": {"condition_shape": (10,)},
    "MSSSIMVAE": {"weight": 100.0, "window": 5},
}
# What keeps the tests quick: fewer latents and pseudo-inputs than the papers have.
FEWER = {
    "CIWAE": {"samples": 3},
    "DReG": {"samples": 3},
    "IWAE": {"samples": 3},
    "MissingIWAE": {"samples": 3},
    "MIWAE": {"outer": 2, "inner": 2},
    "PIWAE": {"outer": 2, "inner": 2},
    "PlanarVAE": {"length": 2},
    "RadialVAE": {"length": 2},
    "VampVAE": {"components": 8},
}
# The parts that make the model, by class and constructor arguments. What is not told is what
# a plain VAE has: a diagonal normal, a standard normal and the ELBO.
SAYS = {
    "AnnealedVAE": {"objective": ("ELBO", {"beta": 1000.0})},
    "Autoencoder": {"posterior": ("Deterministic", {}), "objective": ("LogLikelihood", {})},
    "BetaTCVAE": {
        "objective": (
            "TCVAE",
            {"beta": 6.0, "alpha": 1.0, "gamma": 1.0, "estimator": "stratified"},
        )
    },
    "BetaVAE": {"objective": ("ELBO", {"beta": 4.0, "capacity": None})},
    "CIWAE": {"objective": ("CIWAE", {"samples": 64, "weight": 0.5})},
    "CategoricalVAE": {
        "posterior": (
            "RelaxedCategorical",
            {"categories": 10, "vectors": 20, "temperature": 0.5},
        ),
        "prior": ("Categorical", {"categories": 10, "vectors": 20, "learned": True}),
    },
    "ConditionalVAE": {"prior": ("ConditionalNormal", {})},
    "DIPVAE1": {
        "objective": ("DIPVAE", {"kind": "i", "off_diagonal": 10.0, "diagonal": 100.0})
    },
    "DIPVAE2": {
        "objective": ("DIPVAE", {"kind": "ii", "off_diagonal": 10.0, "diagonal": 10.0})
    },
    "DReG": {"objective": ("DReG", {"samples": 50})},
    "IAFVAE": {"posterior": ("Flow", {})},
    "IWAE": {"objective": ("IWAE", {"samples": 50})},
    "InfoVAE": {"objective": ("InfoVAE", {"alpha": 0.0, "lambda_": 1000.0, "kernel": "rbf"})},
    "JointVAE": {
        "posterior": ("Joint", {}),
        "prior": ("Joint", {}),
        "objective": ("ELBO", {"beta": 30.0}),
    },
    "MIWAE": {"objective": ("MIWAE", {"outer": 8, "inner": 8})},
    "MSSSIMVAE": {
        "objective": ("MSSSIM", {"weight": 100.0, "beta": 1.0, "window": 5, "max_value": 1.0})
    },
    "MissingIWAE": {"objective": ("IWAE", {"samples": 20})},
    "PIWAE": {"objective": ("PIWAE", {"outer": 8, "inner": 8})},
    "PlanarVAE": {"posterior": ("Flow", {})},
    "PoincareVAE": {
        "posterior": ("PoincareNormal", {"curvature": 1.0}),
        "prior": ("PoincareNormal", {"curvature": 1.0, "scale": 1.0}),
    },
    "PowerSphericalVAE": {
        "posterior": ("PowerSpherical", {}),
        "prior": ("SphericalUniform", {}),
    },
    "RAE_GP": {
        "posterior": ("Deterministic", {}),
        "objective": ("RAE", {"weight": 1e-4, "gradient_penalty": 1e-6}),
    },
    "RAE_L2": {
        "posterior": ("Deterministic", {}),
        "objective": ("RAE", {"weight": 1e-4, "gradient_penalty": 0.0}),
    },
    "RadialVAE": {"posterior": ("Flow", {})},
    "SVAE": {"posterior": ("VonMisesFisher", {}), "prior": ("SphericalUniform", {})},
    "SigmaVAE": {"likelihood": ("Normal", {"scale": "optimal"})},
    "VampVAE": {"prior": ("VampPrior", {"components": 500})},
    "WAE": {
        "posterior": ("Deterministic", {}),
        "objective": ("WAE", {"weight": 10.0, "kernel": "imq"}),
    },
}
PLAIN = {
    "posterior": ("DiagonalNormal", {"latent_dim": 3}),
    "prior": ("StandardNormal", {}),
    "objective": ("ELBO", {"beta": 1.0, "capacity": None, "free_bits": 0.0}),
    "likelihood": ("Bernoulli", {}),
}
# All but the one that suits a model to data.
PAPERS = [name for name in presets.__all__ if name != "for_source"]
every_preset = pytest.mark.parametrize("name", PAPERS)


def make(name, **changes):
    arguments = {
        "encoder": networks.MLP([8]),
        "decoder": networks.MLP([8]),
        "latent_dim": 3,
        "likelihood": likelihoods.Bernoulli(),
        "event_shape": (8, 8, 1),
        "seed": 1,
        **NEEDED.get(name, {}),
        **changes,
    }
    preset = getattr(presets, name)
    known = inspect.signature(preset).parameters
    absent = {"latent_dim", "likelihood"} - set(known)
    return preset(**{key: value for key, value in arguments.items() if key not in absent})


def data_of(name, digits):
    if name == "ConditionalVAE":
        return {"x": digits, "condition": np.arange(len(digits)) % 10}
    if name == "MissingIWAE":
        return np.where(np.random.default_rng(0).random(digits.shape) < 0.3, np.nan, digits)
    return digits


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name == "IAFVAE" else pytest.mark.thorough)
        for name in PAPERS
    ],
)
def test_preset_trains_on_a_last_batch_of_one_row(name, digits):
    model = make(name, **FEWER.get(name, {}))
    model.compile("adam", jit_compile=False)
    history = model.fit(data_of(name, digits[:3]), batch_size=2, verbose=0).history
    assert int(model.state.step) == 2
    assert np.isfinite(history["loss"]).all()


@pytest.mark.parametrize(
    "name", sampled([pytest.param(name, id=name) for name in PAPERS], one_in=3)
)
def test_preset_trains_and_survives_saving(name, digits, tmp_path):
    model = make(name, **FEWER.get(name, {}))
    assert type(model) is keras_vae.VAE
    model.compile("adam", run_eagerly=True)  # two steps: not worth compiling
    before = [w.numpy() for w in model.trainable_weights]
    history = model.fit(data_of(name, digits[:32]), batch_size=16, epochs=1, verbose=0)
    assert int(model.state.step) == 2
    assert np.isfinite(history.history["loss"]).all()
    moved = [(w.numpy() != b).any() for w, b in zip(model.trainable_weights, before)]
    assert any(moved)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert [type(part) for part in parts_of(loaded)] == [type(p) for p in parts_of(model)]
    for first, second in zip(loaded.weights, model.weights, strict=True):
        np.testing.assert_array_equal(first.numpy(), second.numpy())
    condition = {"condition": [1, 2, 3]} if name == "ConditionalVAE" else {}
    first, second = (m.reconstruct(digits[:3], **condition) for m in (loaded, model))
    np.testing.assert_array_equal(first, second)


def parts_of(model):
    return [model.posterior, model.prior, model.likelihood, model.objective]


@every_preset
def test_preset_has_the_parts_of_its_paper(name):
    model = make(name)
    for part, (plain_class, plain_arguments) in PLAIN.items():
        expected, arguments = SAYS[name].get(part, (plain_class, plain_arguments))
        found = getattr(model, part)
        assert type(found).__name__ == expected, part
        told = {key: getattr(found, key) for key in arguments}
        assert told == arguments, part


def test_every_preset_is_told_here():
    assert sorted(SAYS) == sorted(PAPERS)


def test_capacity_of_the_annealed_vae_rises_to_25_nats_in_100_000_steps():
    capacity = make("AnnealedVAE").objective.capacity
    assert [float(capacity(step)) for step in (0, 50_000, 100_000)] == [0.0, 12.5, 25.0]
    assert capacity.settles_after() == 100_000


def test_blocks_of_the_joint_vae():
    model = make("JointVAE")
    normal, categorical = model.posterior.posteriors
    assert type(normal).__name__ == "DiagonalNormal"
    assert normal.latent_dim == 3
    assert type(categorical).__name__ == "RelaxedCategorical"
    assert (categorical.categories, categorical.vectors) == (10, 1)
    assert categorical.temperature == 0.67
    assert [type(p).__name__ for p in model.prior.priors] == ["StandardNormal", "Categorical"]
    # Both capacities are on the line that reaches 5 nats after 25,000 updates, until the
    # discrete one has reached the most that one of ten categories can hold.
    of_normal, of_categorical = model.objective.capacity
    for step in (0, 5_000, 11_000):
        assert float(of_normal(step)) == pytest.approx(step / 5_000, rel=1e-5)
        assert float(of_categorical(step)) == pytest.approx(step / 5_000, rel=1e-4)
    assert float(of_normal(25_000)) == 5.0
    assert float(of_categorical(25_000)) == pytest.approx(math.log(10), rel=1e-6)


def test_capacities_of_the_joint_vae_are_taken_as_given_where_they_can_be_reached():
    changes = {"vectors": 4, "capacity": 7.0, "discrete_capacity": 6.0, "steps": 10}
    of_normal, of_categorical = make("JointVAE", **changes).objective.capacity
    assert (float(of_normal(10)), float(of_categorical(10))) == (7.0, 6.0)
    assert float(of_categorical(5)) == 3.0
    _, none = make("JointVAE", discrete_capacity=0.0).objective.capacity
    assert float(none(30_000)) == 0.0


def test_flows_of_the_flow_models():
    def kinds(model):
        assert type(model.posterior.base).__name__ == "DiagonalNormal"
        return [type(flow).__name__ for flow in model.posterior.flows]

    iaf = make("IAFVAE")
    assert kinds(iaf) == ["IAF", "Permutation", "IAF"]
    first = iaf.posterior.flows[0]
    assert (tuple(first.hidden), first.context_size) == ((64, 64), 16)
    for name, kind in (("PlanarVAE", "Planar"), ("RadialVAE", "Radial")):
        model = make(name)
        assert kinds(model) == [kind] * 10
        assert all(flow.amortised for flow in model.posterior.flows)


def test_missing_iwae_takes_missing_values_and_conditional_vae_conditions():
    assert make("MissingIWAE").missing == "nan"
    assert make("ConditionalVAE").condition_shape == (10,)


def test_other_arguments_reach_the_model():
    mixture = keras_vae.priors.NormalMixture(components=2)
    model = make("BetaVAE", beta=2.0, prior=mixture, condition_shape=(10,))
    assert model.prior is mixture
    assert (model.objective.beta, model.seed, model.condition_shape) == (2.0, 1, (10,))


def test_what_a_preset_chooses_cannot_be_given():
    with pytest.raises(TypeError, match="multiple values for keyword argument 'objective'"):
        make("BetaVAE", objective=keras_vae.objectives.IWAE())


@pytest.mark.parametrize(
    ("name", "wrong", "message"),
    [
        ("AnnealedVAE", {"capacity": -1.0}, "`capacity` must be >= 0"),
        ("AnnealedVAE", {"steps": 0}, "`steps` must be positive"),
        ("IAFVAE", {"length": 0}, "`length` must be an integer >= 1"),
        ("JointVAE", {"capacity": -1.0}, "`capacity` must be >= 0"),
        ("JointVAE", {"discrete_capacity": -1.0}, "`discrete_capacity` must be >= 0"),
        ("JointVAE", {"categories": 0}, "`categories` must be an integer >= 2"),
        ("PlanarVAE", {"length": 1.5}, "`length` must be an integer >= 1"),
        ("RadialVAE", {"length": -1}, "`length` must be an integer >= 1"),
    ],
)
def test_wrong_arguments_are_named(name, wrong, message):
    with pytest.raises(ValueError, match=message):
        make(name, **wrong)


@every_preset
def test_signature_and_docstring_tell_all_arguments(name):
    preset = getattr(presets, name)
    parameters = inspect.signature(preset).parameters
    assert list(parameters)[:2] == ["encoder", "decoder"]
    common = {"encoder", "decoder", "latent_dim", "likelihood", "event_shape", "kwargs"}
    documentation = " ".join(inspect.getdoc(preset).split())
    for argument, parameter in parameters.items():
        if argument not in common:
            assert parameter.kind is inspect.Parameter.KEYWORD_ONLY, argument
            assert f" {argument}: " in documentation
            told = documentation.split(f" {argument}: ")[1].split("Defaults to `")[1:]
            if parameter.default is not inspect.Parameter.empty:
                assert ast.literal_eval(told[0].split("`")[0]) == parameter.default, argument
        elif argument != "kwargs":
            assert f"`{argument}`" in presets.__doc__, argument
    assert "Reference: " in documentation
