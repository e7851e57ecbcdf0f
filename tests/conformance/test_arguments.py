"""Constructor arguments of every part: scalars of NumPy and TensorFlow, and wrong kinds."""

import inspect
import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.conformance.case import FAMILIES
from tests.conformance.cases import CASES, cases_of, config_of

every_part = pytest.mark.parametrize("case", cases_of(*FAMILIES))
WRONG = {
    "int": (1.5, True, "a", np.float32(2), -1, 10**9),
    "float": ("a", True, None, ["a"], float("nan"), 1j),
    "bool": ("yes", 1, None, 0.0),
}
# Where other numbers are right.
FREE = {"alpha", "axis", "end", "gamma", "lambda_", "offset", "start", "trials", "value"}
FREE |= {"period", "steps", "cycles"}
ANY_SIZE = {"data_size", "end_token", "seed"}


def of_numpy(value):
    """The same value as NumPy has it."""
    if isinstance(value, bool):
        return np.bool_(value)
    if isinstance(value, int):
        return np.int64(value)
    if isinstance(value, float):
        return np.float64(value)
    if isinstance(value, (list, tuple)):
        return type(value)(of_numpy(item) for item in value)
    return value


def of_tensorflow(value):
    """The same value as a tensor or shape of TensorFlow, or as an array without axes."""
    if isinstance(value, int) and not isinstance(value, bool):
        return tf.constant(value)
    if isinstance(value, (list, tuple)) and all(type(v) is int for v in value):
        return tf.TensorShape(value) if all(v >= 0 for v in value) else np.array(value)
    return np.asarray(value) if isinstance(value, float) else value


def arguments_of(case):
    """The arguments of a case and those left to their defaults."""
    parameters = inspect.signature(case.cls).parameters
    defaults = {n: p.default for n, p in parameters.items() if p.default is not p.empty}
    return {**defaults, **case.given()}


def plain_values(config):
    """Values of a config that are numbers, texts and lists of such; Keras names tuples."""
    found = {}
    for name, value in config.items():
        is_tuple = isinstance(value, dict) and value.get("class_name") == "__tuple__"
        items = value["config"]["value"] if is_tuple else value
        items = items if isinstance(items, (list, tuple)) else [items]
        if not any(isinstance(item, dict) for item in items) and name != "name":
            found[name] = [(type(item), item) for item in items]
    return found


@every_part
@pytest.mark.parametrize("convert", [of_numpy, of_tensorflow])
def test_scalars_of_numpy_and_tensorflow_become_those_of_python(case, convert):
    plain = case.cls(**arguments_of(case))
    part = case.cls(**{n: convert(value) for n, value in arguments_of(case).items()})
    json.dumps(keras.saving.serialize_keras_object(part))
    expected = plain_values(config_of(plain)["config"])
    assert plain_values(config_of(part)["config"]) == expected


def wrong_arguments():
    """For each class, argument and wrong value a name and these three."""
    found = {}
    for case in {case.cls: case for case in CASES}.values():
        for name, parameter in inspect.signature(case.cls).parameters.items():
            kind, *others = str(parameter.annotation).split(" | ")
            for value in WRONG.get(kind, ()):
                number = not isinstance(value, (str, bool, complex, list, type(None)))
                right = name in FREE and number and value == value
                right = right or (name in ANY_SIZE and value == 10**9)
                if not right and not (value is None and "None" in others):
                    found[f"{case.cls.__name__} {name}={value!r}"] = case, name, value
    return found


WRONG_ARGUMENTS = wrong_arguments()


@pytest.mark.parametrize("key", WRONG_ARGUMENTS)
def test_wrong_kinds_of_arguments_are_refused_by_name(key):
    case, name, value = WRONG_ARGUMENTS[key]
    with pytest.raises(ValueError, match=f"`{name}`"):
        case.cls(**{**case.given(), name: value})
