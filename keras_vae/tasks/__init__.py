"""What people do with a trained model.

Floor 6.
"""

from keras_vae.models.traversal import traverse
from keras_vae.tasks.anomaly import Threshold, anomaly_score, attribution, threshold
from keras_vae.tasks.augmentation import augment
from keras_vae.tasks.imputation import impute
from keras_vae.tasks.latents import direction, edit, interpolate
from keras_vae.tasks.neighbours import Neighbours, nearest
from keras_vae.tasks.scikit import VAEOutlierDetector, VAETransformer

__all__ = [
    "Neighbours",
    "Threshold",
    "VAEOutlierDetector",
    "VAETransformer",
    "anomaly_score",
    "attribution",
    "augment",
    "direction",
    "edit",
    "impute",
    "interpolate",
    "nearest",
    "threshold",
    "traverse",
]
