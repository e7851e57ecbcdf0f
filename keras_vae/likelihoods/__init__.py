"""p(x|z): distributions over data, given latents."""

from keras_vae.likelihoods.base import Likelihood, Support
from keras_vae.likelihoods.bounded import Beta, ContinuousBernoulli, LogNormal
from keras_vae.likelihoods.categorical import Categorical, Ordinal
from keras_vae.likelihoods.continuous import Laplace, Logistic, StudentT
from keras_vae.likelihoods.count import Binomial, Poisson
from keras_vae.likelihoods.discrete import Bernoulli
from keras_vae.likelihoods.discretized import DiscretizedLogistic
from keras_vae.likelihoods.mixed import Columns
from keras_vae.likelihoods.negative_binomial import (
    NegativeBinomial,
    ZeroInflatedNegativeBinomial,
)
from keras_vae.likelihoods.normal import Normal

__all__ = [
    "Bernoulli",
    "Beta",
    "Binomial",
    "Categorical",
    "Columns",
    "ContinuousBernoulli",
    "DiscretizedLogistic",
    "Laplace",
    "Likelihood",
    "LogNormal",
    "Logistic",
    "NegativeBinomial",
    "Normal",
    "Ordinal",
    "Poisson",
    "StudentT",
    "Support",
    "ZeroInflatedNegativeBinomial",
]
