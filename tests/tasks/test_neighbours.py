"""Neighbours against all distances, computed one by one in another way."""

import numpy as np
import pytest
import tensorflow as tf

import keras_vae
from keras_vae import likelihoods, networks, posteriors, priors
from keras_vae.evaluation import distances
from keras_vae.geometry import poincare
from keras_vae.tasks import nearest, neighbours

CURVATURE = 0.7


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


def euclidean(u, v):
    return np.sqrt(np.sum((u - v) ** 2))


def angle(u, v):
    return np.arctan2(np.linalg.norm(np.cross(u, v)), u @ v)


def hyperbolic(u, v):
    # The length of the tangent vector at u that leads to v.
    u, v = (tf.constant(z, tf.float64)[None] for z in (u, v))
    tangent = poincare.logarithm(poincare.translate(-u, v, CURVATURE), CURVATURE)
    return np.linalg.norm(tangent)


SPACES = {
    "flat": (euclidean, {}),
    "sphere": (
        angle,
        {"posterior": posteriors.VonMisesFisher(3), "prior": priors.SphericalUniform()},
    ),
    "ball": (
        hyperbolic,
        {
            "posterior": posteriors.PoincareNormal(3, CURVATURE),
            "prior": priors.PoincareNormal(CURVATURE),
        },
    ),
}


@pytest.mark.parametrize("space", SPACES)
def test_neighbours_are_those_of_all_distances(space, rng, monkeypatch):
    distance, parts = SPACES[space]
    vae = make(**parts)
    x, queries = 5 * rng.normal(size=(40, 4)), 5 * rng.normal(size=(7, 4))
    monkeypatch.setattr(distances, "_HELD", 3 * len(x))  # three queries at a time
    found = nearest(vae, queries, x, k=6)
    codes, asked = (vae.encode(each).astype("float64") for each in (x, queries))
    apart = np.array([[distance(u, v) for v in codes] for u in asked])
    order = np.argsort(apart, axis=1)[:, :6]
    np.testing.assert_array_equal(found.indices, order)
    expected = np.take_along_axis(apart, order, axis=1)
    np.testing.assert_allclose(found.distances, expected, rtol=1e-5)


@pytest.mark.parametrize("space", SPACES)
def test_examples_are_their_own_neighbours(space, rng):
    vae = make(**SPACES[space][1])
    x = rng.normal(size=(30, 4))
    found = nearest(vae, x[:9], x, k=30)
    np.testing.assert_array_equal(found.indices[:, 0], np.arange(9))
    np.testing.assert_allclose(found.distances[:, 0], 0, atol=1e-6)
    np.testing.assert_array_equal(np.sort(found.indices, axis=1), [np.arange(30)] * 9)


def test_distances_in_the_ball_order_unlike_euclidean_ones():
    # From the centre outwards lengths grow: the nearer point of the two is the one inside.
    a, b = np.array([[0.8, 0.0]]), np.array([[0.95, 0.0], [0.6, 0.0]])
    outer, inner = neighbours._ball_distances(a, b, distances.squared_distances(a, b), 1.0)[0]
    # Along a radius: 2 artanh(|z|).
    np.testing.assert_allclose(outer, 2 * (np.arctanh(0.95) - np.arctanh(0.8)))
    np.testing.assert_allclose(inner, 2 * (np.arctanh(0.8) - np.arctanh(0.6)))
    assert inner < outer


def test_each_side_has_its_condition(rng):
    vae = make(condition_shape=(2,))
    x = rng.normal(size=(20, 4))
    labels = np.arange(20) % 2
    found = nearest(vae, x[:5], x, 1, condition=labels, query_condition=labels[:5])
    np.testing.assert_array_equal(found.indices[:, 0], np.arange(5))
    np.testing.assert_allclose(found.distances, 0, atol=1e-5)
    other = nearest(vae, x[:5], x, 1, condition=labels, query_condition=1 - labels[:5])
    assert np.all(other.distances > 1e-3)


@pytest.mark.parametrize(("k", "message"), [(0, "`k` must be an integer"), (4, "at most")])
def test_bad_k(k, message):
    with pytest.raises(ValueError, match=message):
        nearest(make(), np.zeros([1, 4]), np.zeros([3, 4]), k)


def test_of_equally_near_examples_the_first_come_first():
    x = np.repeat(np.eye(4), 5, axis=0)[::-1]
    found = nearest(make(), x, x, k=3)
    # Copies are encoded in other places of the batch: equal but for rounding, at most.
    assert np.all(found.distances < 1e-6)
    apart = np.array([[2.0, 1.0, 1.0, 0.0, 1.0], [3.0, 3.0, 3.0, 3.0, 3.0]])
    places, values = neighbours._smallest([(slice(0, 2), apart)], 3)
    np.testing.assert_array_equal(places, [[3, 1, 2], [0, 1, 2]])
    np.testing.assert_array_equal(values, [[0, 1, 1], [3, 3, 3]])
