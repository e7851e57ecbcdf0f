"""Data sets to begin with, bits and real values drawn from grey ones, arrays on disk.

Floor 0.
"""

from keras_vae.data.drawing import binarize, dequantize, dynamic_binarization
from keras_vae.data.sets import LabelledImages, load_digits, load_mnist
from keras_vae.data.streaming import stream

__all__ = [
    "LabelledImages",
    "binarize",
    "dequantize",
    "dynamic_binarization",
    "load_digits",
    "load_mnist",
    "stream",
]
