"""The cases of keras_vae.likelihoods: one line per class, or per mode of it."""

import numpy as np

from keras_vae import likelihoods
from tests.conformance.case import Case, bits, reals


def counts(rng, shape):
    """Data of a likelihood of whole numbers from 0 on: a few zeros, a few large ones."""
    return rng.negative_binomial(1, 0.2, size=shape).astype("float64")


def fractions(rng, shape):
    """Data of a likelihood of values strictly between 0 and 1."""
    return rng.uniform(0.02, 0.98, size=shape)


def positives(rng, shape):
    """Data of a likelihood of positive values."""
    return rng.exponential(size=shape) + 0.01


def grey_levels(rng, shape):
    """8-bit images, divided by 255."""
    return rng.integers(0, 256, size=shape) / 255


def numbers_below(size):
    """Data of a likelihood of the whole numbers below a size."""
    return lambda rng, shape: rng.integers(0, size, size=shape).astype("float64")


def endless(rng, shape):
    """Sequences of categories 0 and 2: the end, 1, comes last or not at all."""
    x = 2.0 * rng.integers(0, 2, size=shape)
    x[:, -1] = rng.integers(0, 3, size=x[:, -1].shape)
    return x


def mixed_columns():
    """Columns of all kinds, two of them alike."""
    return {
        "columns": {
            "real": likelihoods.Normal("learned"),
            "category": likelihoods.Categorical(3),
            "other real": likelihoods.Normal("learned"),
            "count": likelihoods.Poisson(),
            "robust": likelihoods.StudentT(df=5.0, scale="predicted"),
            "level": likelihoods.Ordinal(4),
            "positive": likelihoods.LogNormal(0.7),
        },
        "column_weights": {"real": 0.5},
    }


def mixed_rows(rng, shape):
    """Data of `mixed_columns`, `[..., 7]`."""
    kinds = (reals, numbers_below(3), reals, counts, reals, numbers_below(4), positives)
    return np.stack([kind(rng, shape[:-1]) for kind in kinds], axis=-1)


PREDICTED = {"dispersion": "predicted"}

CASES = [
    Case(likelihoods.Bernoulli, data=bits),
    Case(likelihoods.Beta, data=fractions),
    Case(likelihoods.Binomial, {"trials": 4}, data=numbers_below(5)),
    Case(likelihoods.Categorical, {"classes": 3}, data=numbers_below(3)),
    Case(likelihoods.Categorical, {"classes": 3, "end_token": 1}, "ends", data=endless),
    Case(likelihoods.Columns, mixed_columns, data=mixed_rows, event_shape=(7,)),
    Case(likelihoods.ContinuousBernoulli, data=fractions),
    Case(likelihoods.DiscretizedLogistic, {"components": 3}, data=grey_levels),
    Case(
        likelihoods.DiscretizedLogistic,
        {"components": 1, "levels": 5},
        "five-levels",
        data=lambda rng, shape: rng.integers(0, 5, size=shape) / 4,
    ),
    Case(likelihoods.Laplace, {"scale": 0.7}, "fixed"),
    Case(likelihoods.Laplace, {"scale": "predicted", "min_scale": 0.01}, "predicted"),
    Case(likelihoods.Laplace, {"scale": "optimal"}, "optimal"),
    Case(likelihoods.LogNormal, {"scale": 0.7}, "fixed", data=positives),
    Case(likelihoods.LogNormal, {"scale": "learned"}, "learned", data=positives),
    Case(likelihoods.Logistic, {"scale": "learned"}, "learned"),
    Case(likelihoods.Logistic, {"scale": "predicted"}, "predicted"),
    Case(likelihoods.NegativeBinomial, data=counts),
    Case(likelihoods.NegativeBinomial, PREDICTED, "predicted", data=counts),
    Case(likelihoods.NegativeBinomial, {"library": "observed"}, "library", data=counts),
    Case(likelihoods.Normal, {"scale": 0.7}, "fixed"),
    Case(likelihoods.Normal, {"scale": "learned"}, "learned"),
    Case(likelihoods.Normal, {"scale": "predicted", "min_scale": 0.01}, "predicted"),
    Case(likelihoods.Normal, {"scale": "optimal"}, "optimal"),
    Case(likelihoods.Ordinal, {"levels": 4}, data=numbers_below(4)),
    Case(likelihoods.Poisson, data=counts),
    Case(likelihoods.StudentT, {"df": 5.0, "scale": 0.7}, "fixed"),
    Case(likelihoods.StudentT, {"scale": "learned"}, "learned"),
    Case(likelihoods.StudentT, {"df": 3.0, "scale": "predicted"}, "predicted"),
    Case(likelihoods.ZeroInflatedNegativeBinomial, data=counts),
    Case(
        likelihoods.ZeroInflatedNegativeBinomial,
        {**PREDICTED, "library": "observed"},
        "predicted-library",
        data=counts,
    ),
]
