"""Walks among latents against what is known of lines, circles and hyperbolic distances."""

import itertools

import numpy as np
import pytest

import keras_vae
from keras_vae import likelihoods, networks, posteriors, priors
from keras_vae.tasks import direction, edit, interpolate
from keras_vae.tasks.latents import _way


def make(posterior=None, **options):
    return keras_vae.VAE(
        networks.MLP([8]),
        networks.MLP([8]),
        posterior or posteriors.DiagonalNormal(3),
        likelihood=likelihoods.Normal(1.0),
        event_shape=(4,),
        seed=0,
        **options,
    )


SHARES = np.linspace(0, 1, 6, dtype="float32")[:, None]


def test_ends_are_reconstructions_and_the_way_is_decoded(rng):
    vae = make()
    a, b = rng.normal(size=(2, 5, 4)).astype("float32")
    way = interpolate(vae, a, b, steps=6)
    assert way.shape == (5, 6, 4)
    np.testing.assert_allclose(way[:, 0], vae.reconstruct(a), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(way[:, -1], vae.reconstruct(b), rtol=1e-5, atol=1e-5)
    z = 0.8 * vae.encode(a) + 0.2 * vae.encode(b)
    np.testing.assert_allclose(way[:, 1], vae.decode(z), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("path", ["spherical", "geodesic"])
def test_great_circles(path, rng):
    if path == "geodesic":
        vae = make(posteriors.VonMisesFisher(3), prior=priors.SphericalUniform())
    else:
        vae = make()
    a, b = rng.normal(size=(2, 3))
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    way = _way(vae, a, b, SHARES, path)
    np.testing.assert_allclose(np.linalg.norm(way, axis=1), 1, rtol=1e-6)
    steps = np.arccos(np.sum(way[1:] * way[:-1], axis=1))
    np.testing.assert_allclose(steps, np.arccos(a @ b) / 5, rtol=1e-3)
    np.testing.assert_allclose(way[[0, -1]], [a, b], atol=1e-6)


def test_lengths_change_evenly():
    way = _way(make(), np.array([1.0, 0, 0]), np.array([0, 3.0, 0]), SHARES, "spherical")
    np.testing.assert_allclose(np.linalg.norm(way, axis=1), 1 + 2 * SHARES[:, 0], rtol=1e-6)
    same = _way(make(), np.array([1.0, 0, 0]), np.array([2.0, 0, 0]), SHARES, "spherical")
    np.testing.assert_allclose(same[:, 0], 1 + SHARES[:, 0], rtol=1e-6)


def test_geodesics_of_the_ball_are_evenly_divided():
    curvature = 0.7
    vae = make(posteriors.PoincareNormal(3, curvature), prior=priors.PoincareNormal(curvature))
    a, b = np.array([[0.9, 0.2, 0.1], [-0.5, 0.8, 0.0]], "float32")
    way = _way(vae, a, b, SHARES, "geodesic").astype("float64")

    def distance(u, v):
        # The usual formula of the distance, in the ball of radius 1.
        u, v = np.sqrt(curvature) * u, np.sqrt(curvature) * v
        fraction = np.sum((u - v) ** 2) / ((1 - u @ u) * (1 - v @ v))
        return np.arccosh(1 + 2 * fraction) / np.sqrt(curvature)

    steps = [distance(u, v) for u, v in itertools.pairwise(way)]
    np.testing.assert_allclose(steps, distance(a, b) / 5, rtol=1e-4)
    np.testing.assert_allclose(way[[0, -1]], [a, b], atol=1e-5)


def test_conditions_go_with_their_pairs(rng):
    vae = make(condition_shape=(2,))
    a, b = rng.normal(size=(2, 4, 4)).astype("float32")
    way = interpolate(vae, a, b, steps=3, condition=[0, 1, 0, 1])
    for pair in range(4):
        alone = interpolate(
            vae, a[pair : pair + 1], b[pair : pair + 1], 3, condition=[pair % 2]
        )
        np.testing.assert_allclose(way[pair : pair + 1], alone, rtol=1e-5, atol=1e-5)


def test_directions_are_differences_of_means(rng):
    vae = make()
    x = rng.normal(size=(20, 4)).astype("float32")
    labels = np.arange(20) % 3 == 0
    found = direction(vae, x, labels)
    codes = vae.encode(x)
    np.testing.assert_allclose(
        found, codes[labels].mean(axis=0) - codes[~labels].mean(axis=0), rtol=1e-5, atol=1e-6
    )
    np.testing.assert_allclose(edit(vae, x, found, 0.0), vae.reconstruct(x), atol=1e-5)
    expected = vae.decode(codes - 2 * found)
    np.testing.assert_allclose(edit(vae, x, found, -2.0), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda vae, x: interpolate(vae, x, x[:1]), "equally many examples"),
        (lambda vae, x: interpolate(vae, x, x, steps=1), "steps"),
        (lambda vae, x: interpolate(vae, x, x, path="curved"), "`path` must be one of"),
        (lambda vae, x: direction(vae, x, [True] * 3), r"two classes\. Received: 1, True"),
        (lambda vae, x: direction(vae, x, [0, 1, 2]), r"two classes\. Received: 3, 0, 1, 2"),
        (lambda vae, x: direction(vae, x, [True]), "one label for each of 3"),
        (lambda vae, x: direction(vae, x, ["a", None, "b"]), "not be missing.*None in row 1"),
        (lambda vae, x: direction(vae, x, [1, "b", 2.0]), "one label|two classes"),
        (lambda vae, x: edit(vae, x, np.zeros(2)), r"`direction` must have shape \(3,\)"),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call(make(), np.zeros([3, 4]))


def test_latents_without_paths_say_so():
    vae = make(posteriors.RelaxedBernoulli(3), prior=priors.Bernoulli())
    with pytest.raises(ValueError, match="path='geodesic' needs latents"):
        interpolate(vae, np.zeros([1, 4]), np.ones([1, 4]))
    with pytest.raises(ValueError, match="which have directions"):
        edit(vae, np.zeros([1, 4]), np.zeros(3))


@pytest.mark.parametrize(
    "two", [(False, True), (0, 1), (1, 2), (-1, 1), ("cat", "dog"), (0.5, 2.5), (7, 8)]
)
def test_any_two_classes_have_a_direction(rng, two):
    vae, x = make(), rng.normal(size=(12, 4))
    places = np.arange(12) % 2
    expected = direction(vae, x, places == 1)
    np.testing.assert_array_equal(direction(vae, x, [two[place] for place in places]), expected)
    np.testing.assert_array_equal(direction(vae, x, np.eye(2)[places]), expected)
    swapped = direction(vae, x, places == 0)
    np.testing.assert_allclose(swapped, -expected, rtol=1e-6)
