"""The cases of keras_vae.objectives: one line per class, or per mode of it."""

from keras_vae import objectives, schedules
from tests.conformance.case import Case

CASES = [
    Case(objectives.ELBO, {"beta": 0.5, "samples": 2}, "beta"),
    Case(objectives.ELBO, {"beta": schedules.LinearWarmup(10)}, "schedule"),
    Case(objectives.IWAE, {"samples": 4}),
    Case(objectives.LogLikelihood),
]
