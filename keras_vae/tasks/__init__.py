"""What people do with a trained model.

Floor 6.
"""

from keras_vae.tasks.anomaly import Threshold, anomaly_score, attribution, threshold
from keras_vae.tasks.latents import direction, edit, interpolate

__all__ = [
    "Threshold",
    "anomaly_score",
    "attribution",
    "direction",
    "edit",
    "interpolate",
    "threshold",
]
