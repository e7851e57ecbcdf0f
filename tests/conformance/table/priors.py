"""The cases of keras_vae.priors: one line per class, or per mode of it."""

import numpy as np

from keras_vae import flows, posteriors, priors
from tests.conformance.case import LATENT_DIM, Case, bits


def joint_posterior():
    """Two blocks of one dimension."""
    return posteriors.Joint([posteriors.DiagonalNormal(1), posteriors.Laplace(1)])


def proportions(rng, shape):
    """Points of the simplex."""
    return rng.dirichlet(np.ones(shape[-1]), size=shape[:-1])


def one_hot(rng, shape):
    """One-hot vectors."""
    return np.eye(shape[-1])[rng.integers(0, shape[-1], size=shape[:-1])]


def on_the_sphere(rng, shape):
    """Points of the unit sphere."""
    z = rng.normal(size=shape)
    return z / np.linalg.norm(z, axis=-1, keepdims=True)


def in_the_ball(rng, shape):
    """Points of the unit ball."""
    return on_the_sphere(rng, shape) * rng.uniform(size=(*shape[:-1], 1))


CASES = [
    Case(priors.Bernoulli, {"probability": 0.3}, latents=bits),
    Case(priors.Categorical, {"categories": LATENT_DIM, "learned": True}, latents=one_hot),
    Case(priors.ConditionalNormal, {"units": [5, 4]}),
    Case(priors.Dirichlet, {"concentration": [0.6, 2.0]}, latents=proportions),
    Case(
        priors.Flow,
        lambda: {
            "flows": [
                flows.SplineCoupling(bins=3, limit=2.0, hidden=[5]),
                flows.Permutation(),
                flows.MAF(hidden=[5]),
            ]
        },
    ),
    Case(
        priors.Joint,
        lambda: {"priors": [priors.StandardNormal(), priors.Laplace(0.7)]},
        posterior=joint_posterior,
    ),
    Case(priors.Laplace, {"scale": 0.8}),
    Case(priors.NormalMixture, {"components": 3, "spread": 2.0}),
    Case(priors.NormalMixture, {"components": 3, "covariance": "full"}, "full"),
    Case(priors.PoincareNormal, {"curvature": 0.7, "scale": 0.8}, latents=in_the_ball),
    Case(priors.SphericalUniform, latents=on_the_sphere, flat=True),
    Case(priors.StandardNormal),
    Case(priors.VampPrior, {"components": 3}),
]
