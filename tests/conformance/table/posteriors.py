"""The cases of keras_vae.posteriors: one line per class, or per mode of it."""

from keras_vae import flows, posteriors, schedules
from tests.conformance.case import LATENT_DIM, Case

CASES = [
    Case(posteriors.Deterministic, {"latent_dim": LATENT_DIM}),
    Case(posteriors.DiagonalNormal, {"latent_dim": LATENT_DIM}),
    Case(
        posteriors.Flow,
        lambda: {
            "base": posteriors.DiagonalNormal(LATENT_DIM),
            "flows": [
                flows.IAF([5], context_size=2),
                flows.Permutation(),
                flows.IAF([5], context_size=3),
            ],
        },
    ),
    Case(
        posteriors.Flow,
        lambda: {
            "base": posteriors.FullCovarianceNormal(LATENT_DIM),
            "flows": [flows.Planar(amortised=True), flows.Radial()],
        },
        "planar",
    ),
    Case(
        posteriors.Joint,
        lambda: {"posteriors": [posteriors.DiagonalNormal(1), posteriors.Laplace(1)]},
    ),
    Case(posteriors.Laplace, {"latent_dim": LATENT_DIM}),
    Case(posteriors.LogisticNormal, {"latent_dim": LATENT_DIM}),
    Case(
        posteriors.RelaxedBernoulli,
        {"latent_dim": LATENT_DIM, "temperature": schedules.LinearWarmup(10, 1.0, 0.3)},
    ),
    Case(posteriors.RelaxedCategorical, {"categories": LATENT_DIM, "temperature": 0.7}),
    Case(posteriors.FullCovarianceNormal, {"latent_dim": LATENT_DIM}),
    Case(posteriors.PoincareNormal, {"latent_dim": LATENT_DIM, "curvature": 0.7}),
    Case(posteriors.PowerSpherical, {"latent_dim": LATENT_DIM}),
    Case(posteriors.VonMisesFisher, {"latent_dim": LATENT_DIM}),
]
