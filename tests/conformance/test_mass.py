"""Total probability of raw data: every likelihood behind every preprocessor.

Discrete values are enumerated, densities integrated: over raw data where log p is theirs
(`raw=True`), over values where it is the values'. Elements are independent given z, so that
the total is a product of sums over one element each.
"""

import numpy as np
import pytest
import tensorflow as tf

from keras_vae import likelihoods, preprocessors
from keras_vae.models.checks import Wanted, check_array
from keras_vae.models.raw_units import check_raw, raw_log_det
from tests.conformance.cases import CASES

BEHIND = [case for case in CASES if case.family == "preprocessors"]
GIVEN = [case for case in CASES if case.family == "likelihoods"]
IMAGE = (1, 1, 1)
# Values of continuous elements, denser around 0, and of discrete ones.
REALS = 30 * np.sinh(np.linspace(-8, 8, 2401)) / np.sinh(8)
UNIT = 1 / (1 + np.exp(-np.linspace(-25, 25, 1201)))
POSITIVES = np.exp(np.linspace(-25, 12, 1201))
COUNTS = np.arange(400.0)


def preprocessor_of(case, event_shape):
    """The case's, for small events."""
    arguments = case.given()
    flat = (int(np.prod(event_shape)), 1)
    if case.cls is preprocessors.Reshape:
        arguments["shape"] = flat
    if case.cls is preprocessors.Chain:
        reshape = preprocessors.Reshape(flat)
        arguments["parts"] = [
            reshape if isinstance(part, preprocessors.Reshape) else part
            for part in arguments["parts"]
        ]
    part = case.cls(**arguments)
    part.build(event_shape)
    if part.adapt_rows:
        rng = np.random.default_rng(3)
        part.adapt(case.data(rng, (50, *part.raw_shape(event_shape))))
    return part


def values_of(likelihood):
    """Values of one element: all of a discrete one, the nodes of a continuous one."""
    support = likelihood.support
    if isinstance(likelihood, likelihoods.DiscretizedLogistic):
        return np.arange(likelihood.levels) / (likelihood.levels - 1)
    if likelihood.discrete:
        last = COUNTS[-1] if support.upper is None else support.upper
        return np.arange(last + 1)
    if support.upper is not None:
        return UNIT if support.open else np.concatenate([[0.0], UNIT, [1.0]])
    return REALS if support.lower is None else POSITIVES


def typical_of(likelihood):
    own = values_of(likelihood)
    return own[1 if likelihood.discrete else len(own) // 2]


def total(log_prob, axis, discrete):
    if discrete:
        return np.exp(log_prob).sum()
    return abs(np.trapezoid(np.exp(log_prob), axis))


def all_integers(part, x):
    """Raw integers between the ends of x, behind one example of it."""
    limits = np.iinfo(part.raw_dtype)
    low, high = max(limits.min, np.min(x)), min(limits.max, np.max(x))
    raw = np.arange(np.ceil(low), np.floor(high) + 1).reshape(-1, *x.shape[1:])
    return tf.concat([x[:1], raw], 0)


def masses(case, preprocessor, raw):
    """Total mass of values or of raw data; ValueError where the package refuses the data."""
    event_shape = case.event_shape if len(case.event_shape) == 1 else IMAGE
    likelihood = case.make_built(event_shape)
    part = preprocessor_of(preprocessor, event_shape)
    rng = np.random.default_rng(1)
    params = tf.constant(rng.normal(size=(1, 1, *likelihood.params_shape(event_shape))))
    columns = getattr(likelihood, "columns", {"x": likelihood}).values()
    typical = np.array([typical_of(column) for column in columns])
    result, at_typical = 1.0, None
    for place, column in enumerate(columns):
        own = values_of(column)
        rows = np.repeat(typical[None], len(own) + 1, axis=0)
        rows[1:, place] = own
        shape = part.raw_shape(event_shape)
        x = part.inverse(tf.constant(rows.reshape(-1, *event_shape)))
        if raw and part.raw_dtype and likelihood.cell(x) is not None:
            x = all_integers(part, x)  # of which several may share a level
        check_array("x", x.numpy(), Wanted(shape, likelihood, False, part.forward))
        if raw:
            check_raw(part, likelihood, x.numpy())
        log_prob = likelihood.log_prob(params, part.forward(x))[0]
        if raw:
            log_prob += raw_log_det(part, likelihood, x)
        at_typical, *log_probs = log_prob.numpy()
        axis = x.numpy().reshape(len(x), -1)[1:, place] if raw else own
        result *= total(np.array(log_probs), axis, column.discrete)
    return result / np.exp(at_typical * (len(typical) - 1))


REASONS = {
    "given its total count": "",
    "outside the support": "Logit MuLaw Standardization Chain",
    "must be finite": "Logit MuLaw Chain",  # large values have no raw ones in float64
    "must be axes of an example": "Standardization Chain",
}


@pytest.mark.parametrize("raw", [False, True])
@pytest.mark.parametrize("preprocessor", BEHIND, ids=lambda case: case.name)
def test_total_mass_is_one(preprocessor, raw, float64):
    found, refused = {}, {}
    for case in GIVEN:
        if case.make().given is not None:  # no probability of x at all
            refused[case.name] = f"given {case.make().given}"
            continue
        try:
            found[case.name] = masses(case, preprocessor, raw)
        except ValueError as error:
            refused[case.name] = str(error)
    assert {name: mass for name, mass in found.items() if not abs(mass - 1) < 0.01} == {}
    assert len(found) >= 10
    for name, reason in refused.items():
        where = next(where for text, where in REASONS.items() if text in reason)
        assert not where or preprocessor.cls.__name__ in where.split(), (name, reason)
