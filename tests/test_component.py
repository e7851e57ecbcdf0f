"""Constructor arguments are the config, whatever they are."""

import json

import keras
import numpy as np
import pytest

from keras_vae import numerics, objectives, schedules
from keras_vae.component import Component, FromSignature, register


@register("tests")
class Part(Component):
    """A part with arguments of many kinds."""

    def __init__(self, width, *, inner=None, sizes=(), activation=None, **kwargs):
        super().__init__(**kwargs)
        self.width = width
        self.inner = inner
        self.sizes = sizes
        self.activation = activation


@register("tests")
class Warmed(objectives.ELBO):
    """A part that hands further arguments on to its base."""

    def __init__(self, power=1.0, **kwargs):
        super().__init__(**kwargs)
        self.power = power


def again(part):
    serialised = keras.saving.serialize_keras_object(part)
    return keras.saving.deserialize_keras_object(json.loads(json.dumps(serialised)))


def test_registered_names_keep_families_apart():
    assert keras.saving.get_registered_name(Part) == "keras_vae.tests>Part"
    assert keras.saving.get_registered_object("keras_vae.tests>Part") is Part


def test_argument_names_leave_out_self_and_kwargs():
    assert Part.argument_names() == ["width", "inner", "sizes", "activation"]
    assert Component.argument_names() == []


def test_config_holds_arguments_of_every_kind():
    inner = Part(1, name="within")
    part = Part(
        2.5,
        inner=inner,
        sizes=[1, 2, [3, 4]],
        activation=keras.activations.gelu,
        name="outer",
        trainable=False,
    )
    loaded = again(part)
    assert isinstance(loaded.inner, Part)
    assert (loaded.inner.width, loaded.inner.name) == (1, "within")
    assert loaded.width == 2.5
    assert loaded.sizes == [1, 2, [3, 4]]
    assert loaded.activation is keras.activations.gelu
    assert loaded.name == "outer"
    assert loaded.trainable is False
    assert again(loaded).get_config() == loaded.get_config()


def test_lists_of_keras_objects_are_rebuilt():
    loaded = again(Part(1, sizes=[schedules.Constant(0.5), schedules.LinearWarmup(3)]))
    assert [type(item) for item in loaded.sizes] == [schedules.Constant, schedules.LinearWarmup]
    assert loaded.sizes[1].steps == 3


def test_dictionaries_of_keras_objects_are_rebuilt():
    loaded = again(Part(1, sizes={"warm": schedules.LinearWarmup(3), "plain": {"a": [1, 2]}}))
    assert loaded.sizes["warm"].steps == 3
    assert loaded.sizes["plain"] == {"a": [1, 2]}


def test_arguments_handed_on_to_a_base_class_are_in_the_config():
    loaded = again(Warmed(power=2.0, beta=schedules.LinearWarmup(7), samples=3))
    assert loaded.power == 2.0
    assert loaded.samples == 3
    assert loaded.beta.steps == 7


def test_missing_attribute_is_noticed_when_the_config_is_asked_for():
    class Forgetful(Component):
        def __init__(self, width, **kwargs):
            super().__init__(**kwargs)

    with pytest.raises(AttributeError, match="width"):
        Forgetful(3).get_config()


def test_mixin_works_without_keras():
    class Plain(FromSignature):
        def __init__(self, size=1):
            self.size = size

    assert Plain(4).get_config() == {"size": 4}
    assert Plain.from_config({"size": 4}).size == 4


def test_parts_compute_in_at_least_float32():
    for policy in ("mixed_float16", "mixed_bfloat16", "float32"):
        keras.config.set_dtype_policy(policy)
        try:
            part = Part(1)
        finally:
            keras.config.set_dtype_policy("float32")
        assert part.compute_dtype == "float32"
        assert part.variable_dtype == "float32"
    assert Part(1, dtype="float64").variable_dtype == "float64"


def test_parts_follow_floatx(float64):
    part = Part(1)
    assert part.compute_dtype == "float64"
    assert numerics.density_dtype() == "float64"


def test_parts_do_not_cast_their_inputs():
    class Echo(Component):
        def call(self, x):
            return x

    assert Echo()(np.ones(2, "float64")).dtype == "float64"
