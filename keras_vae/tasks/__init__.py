"""What people do with a trained model.

Floor 6.
"""

from keras_vae.models.traversal import traverse
from keras_vae.tasks.anomaly import anomaly_score, attribution
from keras_vae.tasks.augmentation import augment
from keras_vae.tasks.imputation import impute
from keras_vae.tasks.latents import direction, edit, interpolate
from keras_vae.tasks.neighbours import Neighbours, nearest
from keras_vae.tasks.scikit import VAEOutlierDetector, VAETransformer
from keras_vae.tasks.thresholds import Threshold, threshold

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
