"""The cases of keras_vae.likelihoods: one line per class, or per mode of it."""

from keras_vae import likelihoods
from tests.conformance.case import Case, bits

CASES = [
    Case(likelihoods.Bernoulli, data=bits),
    Case(likelihoods.Normal, {"scale": 0.7}, "fixed"),
    Case(likelihoods.Normal, {"scale": "learned"}, "learned"),
    Case(likelihoods.Normal, {"scale": "predicted", "min_scale": 0.01}, "predicted"),
    Case(likelihoods.Normal, {"scale": "optimal"}, "optimal"),
]
