"""Raw data to the values that a model is about, and back: kept, and exported, with the model.

Floor 1.
"""

from keras_vae.preprocessors.base import Preprocessor
from keras_vae.preprocessors.elementwise import (
    Identity,
    Logit,
    MuLaw,
    Rescaling,
    Standardization,
)
from keras_vae.preprocessors.structure import Chain, Reshape

__all__ = [
    "Chain",
    "Identity",
    "Logit",
    "MuLaw",
    "Preprocessor",
    "Rescaling",
    "Reshape",
    "Standardization",
]
