"""No composition of parts makes numbers that are not finite, within the ranges promised."""

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tests.properties import compositions


@pytest.mark.slow
@pytest.mark.many_models
@settings(
    max_examples=30,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],  # no shrinking: an example names its parts already
    suppress_health_check=list(HealthCheck),
)
@given(compositions())
def test_training_on_extreme_values_stays_finite(composition):
    assert composition.trouble() == ""
