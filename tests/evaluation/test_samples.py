"""Distances of samples where they are known, and by other routes."""

import itertools
from fractions import Fraction

import keras
import numpy as np
import pytest
import scipy.linalg
import sklearn.metrics

import keras_vae
from keras_vae.evaluation import (
    copying,
    feature_network,
    frechet_distance,
    kernel_distance,
    precision_recall,
    reconstruction_errors,
)


@pytest.fixture
def two(rng):
    mixing = rng.normal(size=(4, 4))
    return rng.normal(size=(600, 4)) @ mixing, rng.normal(size=(500, 4)) * [1, 2, 1, 0.5] + 0.3


def test_frechet_distance_by_matrix_roots(two):
    real, generated = two
    first, second = np.cov(real.T), np.cov(generated.T)
    root = scipy.linalg.sqrtm(first @ second).real
    expected = np.sum((real.mean(0) - generated.mean(0)) ** 2)
    expected += np.trace(first + second - 2 * root)
    np.testing.assert_allclose(frechet_distance(real, generated), expected, rtol=1e-8)
    assert 0 <= frechet_distance(real, real) < 1e-8
    np.testing.assert_allclose(frechet_distance(generated, real), expected, rtol=1e-8)


def test_frechet_distance_of_features_that_depend_on_each_other(rng):
    # A singular covariance: the root must not become complex.
    real = rng.normal(size=(300, 2)) @ rng.normal(size=(2, 6))
    shifted = frechet_distance(real, real + np.arange(6))
    np.testing.assert_allclose(shifted, np.sum(np.arange(6) ** 2), rtol=1e-6)


def test_kernel_distance_by_hand(two):
    real, generated = two
    size = 500
    found = kernel_distance(real[:size], generated, subsets=2, size=size)
    a, b, c = (
        sklearn.metrics.pairwise.polynomial_kernel(*pair, degree=3)
        for pair in ((real[:size],) * 2, (generated,) * 2, (real[:size], generated))
    )
    off = ~np.eye(size, dtype=bool)
    expected = a[off].mean() + b[off].mean() - 2 * c.mean()
    np.testing.assert_allclose(found.value, expected, rtol=1e-8)


def test_kernel_distance_is_about_zero_for_the_same(rng):
    values = rng.normal(size=(2, 2000, 5))
    found = kernel_distance(*values, subsets=50, size=200)
    assert abs(found.value) < 3 * found.standard_error


def test_null_values_of_the_kernel_distance_lie_within_their_standard_errors(rng):
    def share(count, make):
        found = [kernel_distance(make(), make(), subsets=10, seed=i) for i in range(count)]
        return np.mean([abs(value) <= 1.96 * error for value, error in found])

    # 2,000 repeats are in benchmarks/results/intervals.json. Of 300, three binomial standard
    # deviations around 95% are 91.2 to 98.8%.
    assert 0.912 < share(300, lambda: rng.normal(size=(100, 8))) < 0.988
    assert 0.912 < share(300, lambda: np.maximum(rng.normal(size=(150, 16)), 0)) < 0.988


def test_kernel_distance_has_the_standard_error_of_other_data(rng):
    def one(seed):
        return kernel_distance(
            rng.normal(size=(200, 4)), 0.5 + rng.normal(size=(150, 4)), subsets=10, seed=seed
        )

    found = np.array([one(seed) for seed in range(200)])
    # The standard deviation of 200 values is known to 5%.
    np.testing.assert_allclose(found[:, 0].std(), np.median(found[:, 1]), rtol=0.2)


def test_kernel_distance_of_equal_and_of_few_rows(rng):
    same = rng.normal(size=(50, 3))
    assert kernel_distance(same, same).value < 0  # equal pairs count between sets alone
    few = kernel_distance(same[:3], same[3:6])
    assert np.isfinite(few.value)
    assert few.standard_error == np.inf
    assert np.isfinite(kernel_distance(same, same + 1, size=2)).all()


def test_kernel_distance_keeps_its_digits_far_from_zero(rng):
    a, b = 1e6 + 1e-3 * rng.normal(size=(2, 8, 2))
    found = kernel_distance(a, b, subsets=2, size=8).value

    def exact(one, other, pairs):
        rows = [[[Fraction(value) for value in row] for row in rows] for rows in (one, other)]
        kernels = [
            (sum(x * y for x, y in zip(rows[0][i], rows[1][j])) / 2 + 1) ** 3 for i, j in pairs
        ]
        return sum(kernels) / len(kernels)

    pairs = list(itertools.product(range(8), repeat=2))
    apart = [(i, j) for i, j in pairs if i != j]
    expected = exact(a, a, apart) + exact(b, b, apart) - 2 * exact(a, b, pairs)
    # The kernel is 1e36; by itself it would leave nothing right of 1e18.
    np.testing.assert_allclose(found, float(expected), rtol=1e-4)


def test_precision_and_recall_of_parts(rng):
    real = np.concatenate([rng.normal(size=(300, 2)), rng.normal(size=(300, 2)) + 50])
    half = rng.normal(size=(600, 2))
    found = precision_recall(real, half)
    assert found.precision > 0.95
    assert abs(found.recall - 0.5) < 0.05
    assert abs(found.coverage - 0.5) < 0.05
    outside = precision_recall(real, half + np.array([0, 25]))
    assert max(outside) < 0.05
    same = precision_recall(real, real[::-1])
    assert (same.precision, same.recall, same.coverage) == (1, 1, 1)


def test_density_of_the_same_distribution_is_one(rng):
    found = precision_recall(rng.normal(size=(2000, 3)), rng.normal(size=(2000, 3)))
    np.testing.assert_allclose(found.density, 1.0, atol=0.05)
    # Naeem et al. (2020), equation 9: the expected coverage at k = 5 of many examples.
    np.testing.assert_allclose(found.coverage, 1 - 1 / 2**5, atol=0.02)


@pytest.mark.parametrize("neighbours", [1, 3, 5])
@pytest.mark.parametrize("features", [2, 40])
@pytest.mark.parametrize("centre", [0.0, 1e6])
def test_density_of_data_against_themselves_counts_each_its_own(
    rng, neighbours, features, centre
):
    rows = centre + 1e-3 * rng.normal(size=(300, features))
    found = precision_recall(rows, rows[::-1], neighbours=neighbours)
    assert found.precision == found.recall == found.coverage == 1
    np.testing.assert_allclose(found.density, (neighbours + 1) / neighbours)


@pytest.mark.parametrize("features", [3, 30])
def test_two_far_clusters_are_told_apart_by_their_small_distances(rng, features):
    # Centring does not help here: each cluster is far from the mean.
    near = rng.normal(size=(200, features))
    far = np.where(np.arange(200)[:, None] % 2, 1e6, -1e6) + 1e-3 * near
    # Within clusters as the two halves by themselves.
    halves = [precision_recall(near[i::2], near[i::2][::-1]) for i in (0, 1)]
    found = precision_recall(far, far[::-1])
    np.testing.assert_allclose(found, np.mean(halves, axis=0))


def test_exact_copies_lie_among_their_originals(rng):
    rows = rng.integers(0, 3, size=(60, 2)).astype(float)  # nine values: many ties
    found = precision_recall(rows, rows[::-1])
    assert (found.precision, found.recall, found.coverage) == (1, 1, 1)
    test, train = rng.normal(size=(2, 50, 20))
    found = copying(np.concatenate([train, train]), test, train)
    np.testing.assert_array_equal(found.distances, 0.0)
    np.testing.assert_array_equal(found.nearest, np.arange(50))  # the first of two


def test_precision_by_brute_force(two):
    real, generated = (rows[:60] for rows in two)
    within = sklearn.metrics.pairwise_distances(real)
    reach = np.sort(within, axis=1)[:, 5]  # the first is itself
    inside = sklearn.metrics.pairwise_distances(real, generated) <= reach[:, None]
    found = precision_recall(real, generated)
    np.testing.assert_allclose(found.precision, inside.any(axis=0).mean())
    np.testing.assert_allclose(found.coverage, inside.any(axis=1).mean())
    np.testing.assert_allclose(found.density, inside.sum() / (5 * 60))


def test_copies_are_noticed_and_new_data_are_not(rng):
    train, test, new = rng.normal(size=(3, 400, 5))
    honest = copying(train, test, new)
    assert abs(honest.closer - 0.5) < 0.07
    assert honest.p_value > 0.01
    copies = copying(train, test, train[::-1] + 1e-3 * new)
    assert copies.closer > 0.99
    np.testing.assert_array_equal(copies.nearest, np.arange(400)[::-1])
    assert copying(train, test, 5 * new).closer < 0.2


def test_reconstruction_errors_by_hand(rng):
    x = rng.uniform(size=(6, 16, 16, 1)).astype("float32")
    found = reconstruction_errors(x, x)
    assert (found["mse"], found["ssim"]) == (0, 1)
    assert found["psnr"] > 90
    noisy = x + 0.1 * np.sign(rng.normal(size=x.shape)).astype("float32")
    found = reconstruction_errors(255 * x, 255 * noisy, peak=255.0)
    np.testing.assert_allclose(found["mse"], 25.5**2, rtol=1e-4)
    np.testing.assert_allclose(found["mae"], 25.5, rtol=1e-4)
    np.testing.assert_allclose(found["psnr"], 20.0, rtol=1e-4)
    assert 0 < found["ssim"] < 1
    halved = keras.Sequential([keras.Input((16, 16, 1)), keras.layers.Rescaling(0.5)])
    distance = reconstruction_errors(x, noisy, network=halved)["feature_distance"]
    np.testing.assert_allclose(distance, 0.05 * 16, rtol=1e-4)
    assert "ssim" not in reconstruction_errors(x[:, :8], noisy[:, :8])


def test_features_tell_digits_apart_and_noise_from_digits():
    images = keras_vae.data.load_digits()
    network = feature_network(images.x_train, images.y_train, epochs=10)
    train, test = (network.predict(x, verbose=0) for x in (images.x_train, images.x_test))
    assert train.shape[1] == 64
    assert keras_vae.evaluation.probe(train, images.y_train, test, images.y_test).linear > 0.9
    rng = np.random.default_rng(0)
    noise = network.predict(rng.uniform(size=images.x_test.shape), verbose=0)
    assert frechet_distance(train, noise) > 10 * frechet_distance(train, test)
    assert precision_recall(test, noise).precision < 0.5


def test_bad_input(rng):
    good = rng.normal(size=(20, 3))
    with pytest.raises(ValueError, match=r"matrices .* of equally many columns"):
        frechet_distance(good, good[:, :2])
    with pytest.raises(ValueError, match="must be finite"):
        frechet_distance(good, np.full_like(good, np.nan))
    with pytest.raises(ValueError, match="more than 5 rows"):
        precision_recall(good, good[:5])
    with pytest.raises(ValueError, match="arrays of one shape"):
        reconstruction_errors(good, good[:5])
    with pytest.raises(ValueError, match="`real` must be numbers"):
        frechet_distance([["a"]], good)
    with pytest.raises(ValueError, match="`generated` must have at least two examples"):
        kernel_distance(good, good[:1])
    with pytest.raises(ValueError, match="must be images"):
        feature_network(good, np.zeros(20))
    images = np.zeros((20, 8, 8, 1))
    with pytest.raises(ValueError, match=r"one label for each of 20 .*\(19,\)"):
        feature_network(images, np.zeros(19))
    with pytest.raises(ValueError, match=r"at least 2 classes\. Received: 3 alone"):
        feature_network(images, np.full(20, 3))
    with pytest.raises(ValueError, match=r"not be missing\. Received: None in row 1"):
        feature_network(images, ["a", None] * 10)
    with pytest.raises(ValueError, match="`epochs` must be"):
        feature_network(images, np.arange(20), epochs=-1)


def test_frechet_distance_is_never_below_zero(rng):
    for scale in (1.0, 1e3):
        for seed in range(5):
            rows = scale * np.random.default_rng(seed).normal(size=(40, 60))
            assert 0 <= frechet_distance(rows, rows) < 1e-6 * scale**2


@pytest.mark.parametrize("make", [str, lambda label: label - 5, bool])
def test_features_are_learned_of_any_classes(rng, make):
    images, labels = rng.uniform(size=(30, 8, 8, 1)), np.arange(30) % 3
    given = np.array([make(label) for label in labels.tolist()])
    assert feature_network(images, given, width=4, epochs=1).output_shape == (None, 4)
    one_hot = feature_network(images, np.eye(3)[labels], width=4, epochs=1)
    numbers = feature_network(images, labels, width=4, epochs=1)
    np.testing.assert_array_equal(one_hot(images), numbers(images))
