"""What every model must do, whatever it is composed of.

The compositions are made from the table of `cases.py`: as few as hold every case once.
"""

import itertools

import keras
import numpy as np
import pytest

import keras_vae
from keras_vae.models.composition import why_invalid
from tests.conformance.case import CONDITION_SHAPE, EVENT_SHAPE
from tests.conformance.cases import CASES, sampled

SLOTS = ("posterior", "prior", "likelihood", "objective")


def compositions():
    """Valid combinations of cases by slot, until each case was in one."""
    families = ("posteriors", "priors", "likelihoods", "objectives")
    parts = {
        s: [c for c in CASES if (c.family, c.event_shape) == (f, EVENT_SHAPE)]
        for s, f in zip(SLOTS, families)
    }
    # Those of other events are put into models by tests of their own.
    networks = [c for c in CASES if (c.family, c.event_shape) == ("networks", EVENT_SHAPE)]
    bodies = {
        "encoder": [c for c in networks if c.input_shape == EVENT_SHAPE],
        "decoder": [c for c in networks if c.input_shape != EVENT_SHAPE],
    }
    made = {case.key: case.make() for cases in parts.values() for case in cases}
    for case in parts["likelihood"]:
        made[case.key].build(EVENT_SHAPE)
    weighing = {case.key for case in parts["prior"] if made[case.key].argument_names()}
    valid = []
    for chosen in itertools.product(*parts.values()):
        keys = [case.key for case in chosen]
        if is_valid(*(made[key] for key in keys), keys[1] in weighing):
            valid.append((frozenset(keys), chosen))
    waiting = {case.key for cases in (*parts.values(), *bodies.values()) for case in cases}
    result = []
    while waiting:
        _, best = max(valid, key=lambda keys_and_cases: len(keys_and_cases[0] & waiting))
        composition = dict(zip(SLOTS, best))
        for slot, cases in bodies.items():
            composition[slot] = cases[len(result) % len(cases)]
        covered = {case.key for case in composition.values()}
        assert covered & waiting, f"no valid composition holds {waiting}"
        waiting -= covered
        result.append(composition)
    return result


def is_valid(posterior, prior, likelihood, objective, prior_may_have_weights):
    # An objective that never looks at a part would leave its weights untrained.
    untrained = "density" not in objective.requires and prior_may_have_weights
    if not objective.uses_log_likelihood:
        untrained = untrained or likelihood.trainable_variables
    return not untrained and why_invalid(posterior, prior, likelihood, objective) is None


def name_of(composition):
    return "-".join(composition[slot].name for slot in SLOTS)


COMPOSITIONS = compositions()


@pytest.mark.slow
@pytest.mark.parametrize(
    "composition",
    sampled([pytest.param(c, id=name_of(c)) for c in COMPOSITIONS], one_in=30),
)
def test_model_trains_evaluates_and_survives_saving(composition, tmp_path):
    parts = {slot: case.make() for slot, case in composition.items()}
    x = composition["likelihood"].data(np.random.default_rng(0), (40, *EVENT_SHAPE))
    condition = None
    if parts["prior"].needs_condition:
        parts["condition_shape"] = CONDITION_SHAPE
        condition = np.random.default_rng(1).normal(size=(40, *CONDITION_SHAPE))
    vae = keras_vae.VAE(**parts, event_shape=EVENT_SHAPE, seed=3)
    train, test = given(x[:32], condition), given(x[32:], condition)
    untrained = [w.numpy() for w in vae.trainable_variables]

    vae.compile(keras.optimizers.Adam(1e-2))
    history = vae.fit(train, batch_size=16, validation_data=test, verbose=0).history
    assert set(history) == expected_keys(vae)
    assert all(np.isfinite(values).all() for values in history.values())
    assert int(vae.state.step) == int(vae.state.noise_counter) == 2
    for before, variable in zip(untrained, vae.trainable_variables):
        assert np.any(before != variable.numpy()), f"{variable.path} was not trained"

    trained = {v.path: v.numpy() for v in vae.variables if not is_of_evaluation(v)}
    metrics = vae.evaluate(test, verbose=0, return_dict=True)
    assert vae.evaluate(test, verbose=0, return_dict=True) == metrics
    assert metrics == {k: history[f"val_{k}"][0] for k in metrics}
    for variable in vae.variables:
        if variable.path in trained:
            np.testing.assert_array_equal(trained[variable.path], variable.numpy())

    vae.save(tmp_path / "vae.keras")
    again = keras.saving.load_model(tmp_path / "vae.keras")
    assert len(vae.variables) == len(again.variables)
    for one, two in zip(vae.variables, again.variables):
        np.testing.assert_array_equal(one.numpy(), two.numpy(), err_msg=one.path)
    for one, two in zip(vae.optimizer.variables, again.optimizer.variables):
        np.testing.assert_array_equal(one.numpy(), two.numpy(), err_msg=one.path)
    expected, results = outputs(vae, x, condition), outputs(again, x, condition)
    for name, values in expected.items():
        np.testing.assert_array_equal(values, results[name], err_msg=name)
    assert again.evaluate(test, verbose=0, return_dict=True) == metrics


@pytest.mark.slow
@pytest.mark.parametrize("samples", [1, 3])
@pytest.mark.parametrize(
    "jit_compile",
    [
        pytest.param(False, id="graph"),
        pytest.param(True, id="xla", marks=pytest.mark.thorough),
    ],
)
@pytest.mark.parametrize(
    "composition",
    sampled([pytest.param(c, id=name_of(c)) for c in COMPOSITIONS], one_in=1000),
)
def test_model_trains_on_a_last_batch_of_one_row(composition, jit_compile, samples):
    parts = {slot: case.make() for slot, case in composition.items()}
    if samples > 1:
        if "samples" not in parts["objective"].argument_names():
            pytest.skip("always draws one latent")
        given_arguments = {**composition["objective"].given(), "samples": samples}
        parts["objective"] = type(parts["objective"])(**given_arguments)
    x = composition["likelihood"].data(np.random.default_rng(0), (3, *EVENT_SHAPE))
    condition = None
    if parts["prior"].needs_condition:
        parts["condition_shape"] = CONDITION_SHAPE
        condition = np.random.default_rng(1).normal(size=(3, *CONDITION_SHAPE))
    vae = keras_vae.VAE(**parts, event_shape=EVENT_SHAPE, seed=3)
    vae.compile("sgd", jit_compile=jit_compile)
    history = vae.fit(given(x, condition), batch_size=2, verbose=0).history
    assert int(vae.state.step) == 2
    assert np.isfinite(history["loss"]).all()
    assert np.isfinite(
        vae.evaluate(given(x[:1], condition), verbose=0, return_dict=True)["loss"]
    )


def given(x, condition):
    """What `fit` takes: with as many conditions as examples, if there are any."""
    return x if condition is None else {"x": x, "condition": condition[: len(x)]}


def expected_keys(vae):
    keys = {"loss", "log_likelihood", *vae.objective.schedule_names()}
    keys |= set(vae.posterior.schedule_names())
    if vae.posterior.has_density:
        keys |= {"elbo", "kl"}
    return keys | {f"val_{key}" for key in keys}


def is_of_evaluation(variable):
    """Counters that an evaluation moves, by right."""
    return variable.path.endswith("evaluation_counter") or "metric" in variable.path


def outputs(vae, x, condition):
    """What a model makes of x, and out of nothing."""
    few = None if condition is None else condition[:3]
    results = {
        "point": vae.encode(x, condition=condition),
        "draw": vae.encode(x, condition=condition, sample=True, seed=5),
        "reconstruction": vae.reconstruct(x, condition=condition),
        "generated": vae.generate(3, condition=few, sample=True, seed=5),
    }
    if vae.posterior.has_moments:
        results["scale"] = vae.encode(x, condition=condition, return_scale=True)[1]
    if vae.posterior.has_density:
        results["elbo"] = vae.elbo(x, condition=condition, seed=5)
    return results
