"""The cases of keras_vae.networks: one line per class, or per mode of it."""

from keras_vae import networks
from tests.conformance.case import LATENT_DIM, Case

CASES = [
    Case(
        networks.MLP,
        {"units": [6, 5], "activation": "tanh", "dropout": 0.1},
        "encoder",
        output_shape=(5,),
    ),
    Case(
        networks.MLP,
        {"units": (7,)},
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
        networks.ConvDecoder,
        {"filters": [4, 3], "kernel_size": 5},
        input_shape=(LATENT_DIM,),
        output_shape=(8, 8, 3),
    ),
]
