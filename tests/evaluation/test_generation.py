"""The two-sample test against its definition, closed forms and its own promises."""

import itertools

import numpy as np
import pytest

from keras_vae.evaluation import median_distance, two_sample_test
from tests.twins import assert_mean_is


def by_definition(x, y, bandwidth):
    """Gretton et al. (2012), equation 3, summed term by term."""

    def k(a, b):
        return np.exp(-np.sum((a - b) ** 2) / (2 * bandwidth**2))

    m, n = len(x), len(y)
    return (
        sum(k(a, b) for a, b in itertools.permutations(x, 2)) / (m * (m - 1))
        + sum(k(a, b) for a, b in itertools.permutations(y, 2)) / (n * (n - 1))
        - 2 * sum(k(a, b) for a in x for b in y) / (m * n)
    )


def test_statistic_is_the_definition(rng):
    x, y = rng.normal(size=(7, 3)), rng.normal(size=(5, 3)) + 1
    result = two_sample_test(x, y, bandwidth=1.3)
    np.testing.assert_allclose(result.statistic, by_definition(x, y, 1.3), rtol=1e-10)
    assert result.bandwidth == 1.3
    pooled = median_distance(np.concatenate([x, y]))
    np.testing.assert_allclose(two_sample_test(x, y).bandwidth, pooled, rtol=1e-12)


def test_statistic_of_two_points_each():
    # Two points at 0 and two at 1: 1 + 1 - 2 * exp(-1 / 2).
    result = two_sample_test([[0.0], [0.0]], [[1.0], [1.0]], bandwidth=1.0)
    np.testing.assert_allclose(result.statistic, 2 - 2 * np.exp(-0.5), rtol=1e-12)
    # Of the six splits of four points into pairs, two are as far apart.
    assert abs(result.p_value - 1 / 3) < 0.1


def test_p_value_is_that_of_all_splits(rng):
    # Few enough points to try every split.
    x, y = rng.normal(size=(3, 2)), rng.normal(size=(4, 2)) + 1
    points = np.concatenate([x, y])
    given = by_definition(x, y, 1.0)
    splits = list(itertools.combinations(range(7), 3))
    as_large = [
        by_definition(points[list(s)], np.delete(points, s, axis=0), 1.0) >= given - 1e-12
        for s in splits
    ]
    result = two_sample_test(x, y, bandwidth=1.0, permutations=20_000)
    expected = np.mean(as_large)
    error = np.sqrt(expected * (1 - expected) / 20_000)
    assert abs(result.p_value - expected) < 5 * error + 1 / 20_000


def test_statistic_estimates_the_discrepancy_of_normals(rng):
    # Closed form for N(0, I) and N(shift, I) under a Gaussian kernel, in `d` dimensions.
    d, shift, h = 3, 0.8, 1.7
    scale = (h**2 / (h**2 + 2)) ** (d / 2)
    expected = 2 * scale * (1 - np.exp(-(shift**2) / (2 * (h**2 + 2))))
    estimates = []
    for _ in range(200):
        x, y = rng.normal(size=(40, d)), rng.normal(size=(60, d))
        y[:, 0] += shift
        result = two_sample_test(x, y, bandwidth=h, permutations=1)
        estimates.append(result.statistic)
    assert_mean_is(estimates, expected, rounding=0)


def test_p_values_are_uniform_if_there_is_no_difference(rng):
    p_values = [
        two_sample_test(
            rng.normal(size=(20, 2)), rng.normal(size=(15, 2)), permutations=99, seed=seed
        ).p_value
        for seed in range(500)
    ]
    for level in (0.05, 0.5, 0.9):
        assert_mean_is(np.less_equal(p_values, level), level, rounding=1e-9)


def test_differences_are_found(rng):
    x = rng.normal(size=(200, 5))
    wider = 1.5 * rng.normal(size=(200, 5))
    assert two_sample_test(x, wider).p_value == 1 / 1001
    near, far = (two_sample_test(x, x[::-1] + shift, bandwidth=2.0) for shift in (0.3, 0.6))
    assert 0 < near.statistic < far.statistic


def test_equal_samples_are_never_told_apart(rng):
    x = rng.normal(size=(30, 2))
    result = two_sample_test(x, x)
    assert result.statistic < 0
    assert result.p_value > 0.9


def test_results_repeat_with_their_seed(rng):
    x, y = rng.normal(size=(30, 2)), rng.normal(size=(30, 2)) + 0.2
    assert two_sample_test(x, y, seed=1) == two_sample_test(x, y, seed=1)
    assert two_sample_test(x, y, seed=1).p_value != two_sample_test(x, y, seed=2).p_value


def test_examples_may_have_any_shape_and_place(rng):
    x, y = rng.normal(size=(10, 2, 3)), rng.normal(size=(12, 2, 3))
    flat = two_sample_test(x.reshape(10, 6), y.reshape(12, 6))
    assert two_sample_test(x, y) == flat
    # Far from zero the expanded square would lose all digits were it not centred.
    far = two_sample_test(x + 1e6, y + 1e6)
    np.testing.assert_allclose(far.statistic, flat.statistic, rtol=1e-5)


@pytest.mark.parametrize(
    ("x", "y", "arguments", "message"),
    [
        (np.zeros([3, 2]), np.zeros([3, 4]), {}, "examples of one size. Received: 2 and 4"),
        (np.zeros([1, 2]), np.zeros([3, 2]), {}, "`x` must have at least two examples"),
        (np.zeros([3, 2]), np.full([3, 2], np.nan), {}, "`y` must be finite"),
        (
            np.zeros([3, 2]),
            np.zeros([3, 2]),
            {"bandwidth": 0.0},
            "`bandwidth` must be positive",
        ),
        (np.zeros([3, 2]), np.ones([3, 2]), {"bandwidth": -1}, "Received: bandwidth=-1"),
        (np.zeros([3, 2]), np.ones([3, 2]), {"permutations": 0}, "`permutations` must be"),
    ],
    ids=range(6),
)
def test_arguments_are_checked(x, y, arguments, message):
    with pytest.raises(ValueError, match=message):
        two_sample_test(x, y, **arguments)
