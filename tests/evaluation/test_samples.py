"""Distances of samples where they are known, and by other routes."""

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
    assert abs(frechet_distance(real, real)) < 1e-8
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
    assert found.standard_error < 1e-6 * expected  # subsets of all are all the same


def test_kernel_distance_is_about_zero_for_the_same(rng):
    values = rng.normal(size=(2, 2000, 5))
    found = kernel_distance(*values, subsets=50, size=200)
    assert abs(found.value) < 5 * found.standard_error + 0.02


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
    with pytest.raises(ValueError, match="must be images"):
        feature_network(good, np.zeros(20))
