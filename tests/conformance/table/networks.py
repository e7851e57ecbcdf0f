"""The cases of keras_vae.networks: one line per class, or per mode of it."""

from keras_vae import networks
from tests.conformance.case import LATENT_DIM, Case

#: Six elements of three channels, and of one: real numbers, or token ids.
SEQUENCE = (6, 3)
TOKENS = (6, 1)
VOCABULARY = 5


def tokens(rng, shape):
    """Token ids."""
    return rng.integers(0, VOCABULARY, size=shape).astype("float64")


def decoders(cls, arguments, width, **changes):
    """The modes of a decoder of sequences: plain, of real vectors and of tokens."""
    shapes = {"input_shape": (LATENT_DIM,), "output_shape": (6, width)}
    history = {"autoregressive": True, **changes}
    words = {**history, "vocabulary": VOCABULARY, "word_dropout": 0.3}
    return [
        Case(cls, arguments, "plain", event_shape=SEQUENCE, **shapes),
        Case(cls, {**arguments, **history}, "vectors", event_shape=SEQUENCE, **shapes),
        Case(cls, {**arguments, **words}, "tokens", tokens, event_shape=TOKENS, **shapes),
    ]


CASES = [
    Case(
        networks.MLP,
        {"units": [6, 5], "activation": "tanh", "dropout": 0.1},
        "encoder",
        output_shape=(5,),
    ),
    Case(
        networks.MLP,
        {"units": (7,), "spectral_normalization": True},
        "decoder",
        input_shape=(LATENT_DIM,),
        output_shape=(7,),
    ),
    Case(
        networks.ConvEncoder,
        {"filters": (3, 4), "batch_normalization": True},
        output_shape=(2, 2, 4),
    ),
    Case(
        networks.ConvEncoder,
        {"filters": (3,), "spectral_normalization": True},
        "spectral",
        output_shape=(4, 4, 3),
    ),
    Case(
        networks.ConvDecoder,
        {"filters": [4, 3], "kernel_size": 5},
        input_shape=(LATENT_DIM,),
        output_shape=(8, 8, 3),
    ),
    Case(
        networks.ConvDecoder,
        {"filters": [4, 3], "spectral_normalization": True},
        "spectral",
        input_shape=(LATENT_DIM,),
        output_shape=(8, 8, 3),
    ),
    Case(
        networks.ResidualMLP,
        {"units": 6, "blocks": 3, "activation": "tanh", "dropout": 0.1},
        output_shape=(6,),
    ),
    Case(
        networks.ResidualEncoder,
        {"filters": [4, 6], "blocks": 2, "activation": "elu", "groups": 2},
        output_shape=(2, 2, 6),
    ),
    Case(
        networks.ResidualDecoder,
        {"filters": (4, 2), "blocks": 2, "strides": 3, "groups": 2},
        input_shape=(LATENT_DIM,),
        output_shape=(8, 8, 2),
    ),
    Case(
        networks.RecurrentEncoder,
        {"units": [4, 3], "cell": "lstm", "end_token": 1},
        input_shape=SEQUENCE,
        output_shape=(6,),
        event_shape=SEQUENCE,
    ),
    Case(
        networks.RecurrentEncoder,
        {"units": (4,), "bidirectional": False},
        "forward",
        input_shape=SEQUENCE,
        output_shape=(4,),
        event_shape=SEQUENCE,
    ),
    Case(
        networks.ConvEncoder1D,
        {"filters": [4, 3], "kernel_size": 2, "activation": "tanh", "end_token": 1},
        input_shape=SEQUENCE,
        output_shape=(3,),
        event_shape=SEQUENCE,
    ),
    Case(
        networks.TransformerEncoder,
        {"depth": 1, "heads": 2, "width": 6, "dropout": 0.1, "end_token": 1},
        input_shape=SEQUENCE,
        output_shape=(6,),
        event_shape=SEQUENCE,
    ),
    *decoders(networks.RecurrentDecoder, {"units": [4, 3]}, 3, cell="lstm"),
    *decoders(
        networks.CausalConvDecoder,
        {"filters": 4, "dilations": [1, 2], "kernel_size": 2},
        4,
    ),
    *decoders(
        networks.TransformerDecoder, {"depth": 1, "heads": 2, "width": 6, "dropout": 0.1}, 6
    ),
]
