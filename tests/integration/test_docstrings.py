"""The examples in docstrings run and print what they say."""

import doctest
import importlib
import inspect
import pkgutil
import re

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_vae
from keras_vae.terms import Context
from tests.conformance.case import FAMILIES
from tests.conformance.cases import sampled

# What a reader is assumed to have imported.
NAMESPACE = {"keras_vae": keras_vae, "keras": keras, "np": np, "tf": tf, "Context": Context}
# Modules that begin to work when run.
NOT_IMPORTED = {"keras_vae.__main__"}


def modules():
    found = pkgutil.walk_packages(keras_vae.__path__, "keras_vae.")
    return ["keras_vae", *(m.name for m in found if m.name not in NOT_IMPORTED)]


def examples():
    """All docstrings with examples, each once, where it is written."""
    finder = doctest.DocTestFinder(exclude_empty=True)
    for name in modules():
        module = importlib.import_module(name)
        for test in finder.find(module, name, extraglobs=NAMESPACE):
            if test.examples:
                yield pytest.param(test, id=test.name.removeprefix("keras_vae."))


def marked():
    """All examples; most of those that train or export a model as thorough."""
    quick, long = [], []
    for parameter in examples():
        (example,) = parameter.values
        trains = re.search(r"\.fit\(|export_\w+\(|report\(", example.docstring)
        is_long = trains or "models.presets" in parameter.id
        (long if is_long else quick).append(parameter)
    return [*quick, *sampled(long, one_in=4)]


@pytest.mark.parametrize("example", marked())
def test_example_runs(example, capsys):
    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    report = []
    doctest.DocTestRunner(optionflags=options).run(example, out=report.append)
    assert not report, "".join(report)


@pytest.mark.parametrize("family", [*FAMILIES, "models", "models.presets"])
def test_everything_users_call_has_an_example(family):
    module = importlib.import_module(f"keras_vae.{family}")
    bases = {base.__name__ for base in FAMILIES.values()}
    for name in module.__all__:
        thing = getattr(module, name)
        called = name[0].isupper() and name not in bases and not is_record(thing)
        if called:
            assert ">>>" in inspect.getdoc(thing), f"{name} has no example"


def is_record(thing):
    return isinstance(thing, type) and issubclass(thing, tuple)
