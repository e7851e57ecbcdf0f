"""No composition of parts makes numbers that are not finite, within the ranges promised."""

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tests.conformance.cases import CASES
from tests.properties import Composition, compositions


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


def test_a_step_out_of_range_is_noticed():
    cases = {case.key: case for case in CASES}
    composition = Composition(
        cases["posteriors", "DiagonalNormal"],
        cases["priors", "StandardNormal"],
        cases["likelihoods", "Normal-fixed"],
        cases["objectives", "IWAE"],
        encoder="tanh",
        preprocessor="none",
        data="typical",
        rows=3,
        missing=False,
        of_posterior=1.0,
        of_likelihood=1e30,  # whose square leaves float32
        seed=0,
    )
    assert "log_likelihood" in composition.trouble()
