"""Bodies of encoders and decoders, without heads."""

from keras_vae.networks.base import Network
from keras_vae.networks.conv import ConvDecoder, ConvEncoder
from keras_vae.networks.conv1d import CausalConvDecoder, ConvEncoder1D
from keras_vae.networks.mlp import MLP
from keras_vae.networks.recurrent import RecurrentDecoder, RecurrentEncoder
from keras_vae.networks.residual import ResidualDecoder, ResidualEncoder, ResidualMLP
from keras_vae.networks.transformer import TransformerDecoder, TransformerEncoder

__all__ = [
    "MLP",
    "CausalConvDecoder",
    "ConvDecoder",
    "ConvEncoder",
    "ConvEncoder1D",
    "Network",
    "RecurrentDecoder",
    "RecurrentEncoder",
    "ResidualDecoder",
    "ResidualEncoder",
    "ResidualMLP",
    "TransformerDecoder",
    "TransformerEncoder",
]
