"""Schedules against numbers known in another way."""

import numpy as np
import pytest
import scipy.special
import tensorflow as tf

from keras_vae.schedules import (
    Constant,
    Cyclical,
    LinearWarmup,
    Schedule,
    Sigmoid,
    value_at,
)


def values(schedule, steps):
    return [float(schedule(tf.constant(step, tf.int64))) for step in steps]


def test_constant():
    assert values(Constant(0.25), [0, 10, 10**9]) == [0.25] * 3
    assert values(Constant(), [0]) == [1.0]


def test_linear_warmup_interpolates_and_stays():
    steps = [0, 5, 10, 20, 21, 10**9]
    expected = np.interp(steps, [0, 20], [0.2, 1.5])
    np.testing.assert_allclose(values(LinearWarmup(20, 0.2, 1.5), steps), expected, rtol=1e-6)
    assert values(LinearWarmup(1), [0, 1, 2]) == [0.0, 1.0, 1.0]


def test_cyclical_rises_in_each_period():
    # Fu et al. (2019), equations 6-7, with M cycles of T / M steps: tau = (t mod T/M) / (T/M)
    # and beta = tau / R below R, else 1.
    schedule = Cyclical(period=10, rise=0.4, start=0.5, end=1.5)
    steps = np.arange(35)
    tau = (steps % 10) / 10
    expected = 0.5 + np.minimum(tau / 0.4, 1.0)
    np.testing.assert_allclose(values(schedule, steps), expected, rtol=1e-6)


def test_cyclical_stays_at_the_end_after_its_cycles():
    schedule = Cyclical(period=4, cycles=2)
    assert values(schedule, [0, 1, 2, 4, 5, 7, 8, 9, 12]) == [0, 0.5, 1, 0, 0.5, 1, 1, 1, 1]


def test_cyclical_is_exact_at_steps_beyond_the_integers_of_float32():
    schedule = Cyclical(period=8, rise=1.0)
    assert values(schedule, [2**24 + 1, 2**40 + 3]) == [1 / 8, 3 / 8]


def test_sigmoid_is_the_logistic_function():
    steps = [0, 50, 100, 130, 1000]
    expected = 0.1 + 0.8 * scipy.special.expit((np.array(steps) - 100) / 20)
    schedule = Sigmoid(midpoint=100, width=20, start=0.1, end=0.9)
    np.testing.assert_allclose(values(schedule, steps), expected, rtol=1e-6)


def test_sigmoid_rises_by_nine_tenths_within_six_widths():
    schedule = Sigmoid(midpoint=600)  # of width 100
    low, high = values(schedule, [300, 900])
    np.testing.assert_allclose(high - low, 0.905, atol=5e-4)


def test_schedules_say_when_they_settle():
    assert Constant().settles_after() == 0
    assert LinearWarmup(20).settles_after() == 20
    # The last rise ends after ceil(0.25 * 10) updates of the third cycle.
    assert Cyclical(period=10, rise=0.25, cycles=3).settles_after() == 23
    assert Cyclical(period=10).settles_after() == 10  # for ever: one cycle
    expected = 100 + 20 * scipy.special.logit(0.99)
    assert Sigmoid(midpoint=100, width=20).settles_after() == np.ceil(expected)
    with pytest.raises(NotImplementedError, match="Schedule does not say when its value"):
        Schedule().settles_after()


def test_value_at_takes_numbers_and_schedules():
    assert float(value_at(0.5, None)) == 0.5
    assert float(value_at(LinearWarmup(10), tf.constant(5))) == 0.5


def test_a_schedule_without_a_step_is_refused():
    with pytest.raises(ValueError, match=r"needs `context\.step`\. Received: step=None"):
        value_at(LinearWarmup(10), None)


def test_schedule_itself_has_no_value():
    with pytest.raises(NotImplementedError):
        Schedule()(0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LinearWarmup(0), r"`steps` must be positive. Received: steps=0\."),
        (lambda: LinearWarmup(-3), r"`steps` must be positive. Received: steps=-3\."),
        (lambda: Cyclical(0), r"`period` must be positive. Received: period=0\."),
        (lambda: Cyclical(5, cycles=0), r"`cycles` must be positive. Received: cycles=0\."),
        (lambda: Cyclical(5, rise=0), r"`rise` must be in \(0, 1\]. Received: rise=0\."),
        (lambda: Cyclical(5, rise=1.5), r"`rise` must be in \(0, 1\]. Received: rise=1.5\."),
        (lambda: Sigmoid(0), r"`midpoint` must be positive. Received: midpoint=0\."),
        (lambda: Sigmoid(5, width=0), r"`width` must be positive. Received: width=0\."),
    ],
)
def test_bad_arguments_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
