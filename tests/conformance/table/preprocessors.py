"""The cases of keras_vae.preprocessors: one line per class, or per mode of it."""

from keras_vae import preprocessors
from tests.conformance.case import Case


def unit(rng, shape):
    """Values in [0, 1]."""
    return rng.uniform(size=shape)


def pcm(rng, shape):
    """16-bit samples of sound."""
    return rng.integers(-(2**15), 2**15, size=shape).astype("float64")


def chained():
    parts = [
        preprocessors.Rescaling(0.5, 0.25),
        preprocessors.Reshape((4, 16)),
        preprocessors.Logit(low=-3.0, high=4.0),
        preprocessors.Standardization((0, 1)),
    ]
    return {"parts": parts}


CASES = [
    Case(preprocessors.Chain, chained, data=unit),
    Case(preprocessors.Identity),
    Case(preprocessors.Logit, data=unit),
    Case(preprocessors.Logit, {"low": -1.0, "high": 3.0, "margin": 0.1}, "interval", data=unit),
    Case(preprocessors.MuLaw, {"raw_dtype": "int16"}, data=pcm),
    Case(preprocessors.MuLaw, {"mu": 15.0, "full_scale": 1.0}, "floats"),
    Case(preprocessors.Rescaling, {"raw_dtype": "uint8"}),
    Case(preprocessors.Rescaling, {"scale": -2.0, "offset": 1.0}, "reflected"),
    Case(preprocessors.Reshape, {"shape": (4, 16)}),
    Case(preprocessors.Standardization),
    Case(preprocessors.Standardization, {"axis": ()}, "all"),
    Case(preprocessors.Standardization, {"axis": [0, -2]}, "places"),
]
