"""What people do with a trained model.

Floor 6.
"""

from keras_vae.tasks.anomaly import Threshold, anomaly_score, attribution, threshold
from keras_vae.tasks.latents import direction, edit, interpolate
from keras_vae.tasks.scikit import VAEOutlierDetector, VAETransformer

__all__ = [
    "Threshold",
    "VAEOutlierDetector",
    "VAETransformer",
    "anomaly_score",
    "attribution",
    "direction",
    "edit",
    "interpolate",
    "threshold",
]
