"""What a new objective gets for free."""

import pytest
import tensorflow as tf

from keras_vae.objectives import Objective
from keras_vae.schedules import Constant, LinearWarmup
from keras_vae.terms import Context


class Weighted(Objective):
    def __init__(self, weight=1.0, offset=0.0, **kwargs):
        super().__init__(**kwargs)
        self.weight = weight
        self.offset = offset


def test_scheduled_arguments_are_found_by_their_type():
    objective = Weighted(weight=LinearWarmup(4), offset=Constant(2.0))
    assert objective.schedule_names() == ["weight", "offset"]
    reported = objective.scheduled(Context(step=tf.constant(1)))
    assert {name: float(value) for name, value in reported.items()} == {
        "weight": 0.25,
        "offset": 2.0,
    }
    assert Weighted(weight=3.0).schedule_names() == []


def test_defaults_ask_for_nothing():
    objective = Weighted()
    assert objective.requires == frozenset()
    assert objective.coupled is False
    assert objective.samples == 1


def test_the_base_leaves_the_bound_to_subclasses():
    with pytest.raises(NotImplementedError):
        Objective().bound(None, Context())
