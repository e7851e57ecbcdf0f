"""The cases of keras_vae.priors: one line per class, or per mode of it."""

from keras_vae import priors
from tests.conformance.case import Case

CASES = [
    Case(priors.NormalMixture, {"components": 3, "spread": 2.0}),
    Case(priors.StandardNormal),
]
