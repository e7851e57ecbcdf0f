"""Bodies of encoders and decoders, without heads."""

from keras_vae.networks.base import Network
from keras_vae.networks.conv import ConvDecoder, ConvEncoder
from keras_vae.networks.mlp import MLP

__all__ = ["MLP", "ConvDecoder", "ConvEncoder", "Network"]
