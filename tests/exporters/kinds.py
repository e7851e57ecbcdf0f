"""Kinds of models to be exported: networks of all sorts, each with another likelihood."""

import pytest

from keras_vae import likelihoods, networks, preprocessors
from tests.exporters.support import make_model


def convolutions(**changes):
    return {
        "encoder": networks.ConvEncoder([4, 4], batch_normalization=True),
        "decoder": networks.ConvDecoder([8, 4], batch_normalization=True),
        **changes,
    }


def recurrent(cell, **changes):
    return {
        "encoder": networks.RecurrentEncoder([4], cell=cell),
        "decoder": networks.RecurrentDecoder([4], cell=cell),
        "event_shape": (5, 2),
        **changes,
    }


def transformer(**changes):
    options = {"depth": 1, "heads": 2, "width": 8}
    return {
        "encoder": networks.TransformerEncoder(**options),
        "decoder": networks.TransformerDecoder(**options),
        "event_shape": (5, 2),
        **changes,
    }


_CHANGES = {
    "mlp-bernoulli": dict,
    "mlp-categorical": lambda: {"likelihood": likelihoods.Categorical(4), "event_shape": (6,)},
    "mlp-counts": lambda: {
        "likelihood": likelihoods.NegativeBinomial(),
        "event_shape": (6,),
    },
    "conv-normal": lambda: convolutions(likelihood=likelihoods.Normal("predicted")),
    "conv-discretized": lambda: convolutions(
        likelihood=likelihoods.DiscretizedLogistic(), event_shape=(8, 8, 3)
    ),
    "residual-bernoulli": lambda: {"decoder": networks.ResidualDecoder([4, 4])},
    "gru-categorical": lambda: recurrent("gru", likelihood=likelihoods.Categorical(4)),
    "lstm-normal": lambda: recurrent("lstm", likelihood=likelihoods.Normal("predicted")),
    "transformer-normal": lambda: transformer(likelihood=likelihoods.Normal()),
    "transformer-categorical": lambda: transformer(likelihood=likelihoods.Categorical(4)),
    "missing": lambda: {"missing": "nan"},
    "raw-images": lambda: convolutions(
        likelihood=likelihoods.Normal(),
        preprocessor=preprocessors.Chain(
            [
                preprocessors.Rescaling(raw_dtype="uint8"),
                preprocessors.Reshape((8, 8)),
                preprocessors.Standardization(),
            ]
        ),
    ),
    "raw-table": lambda: {
        "likelihood": likelihoods.Normal("predicted"),
        "event_shape": (6,),
        "missing": "nan",
        "preprocessor": preprocessors.Standardization(),
    },
    "conditional": lambda: {"condition_shape": (4,), "condition_dropout": 0.1},
}

# Run each time: the one that differs most; `make_autoregressive` is of loops, too.
_SAMPLED = ("raw-images",)
#: For `pytest.mark.parametrize`.
KINDS = [
    pytest.param(name, id=name, marks=() if name in _SAMPLED else pytest.mark.thorough)
    for name in _CHANGES
]


def make_kind(name):
    return make_model(**_CHANGES[name]())


def make_autoregressive():
    decoder = networks.RecurrentDecoder([4], autoregressive=True)
    return make_model(**recurrent("gru", decoder=decoder, likelihood=likelihoods.Normal()))


def largest_error(manifest, *signatures):
    """Over batches of usual inputs, as a share of the output's scale."""
    entries = [manifest.signatures[name] for name in signatures or manifest.signatures]
    return max(entry.max_error[rows] for entry in entries for rows in ("1", "3", "64"))
