"""What people do with a trained model.

Floor 6.
"""

from keras_vae.tasks.anomaly import Threshold, anomaly_score, attribution, threshold

__all__ = ["Threshold", "anomaly_score", "attribution", "threshold"]
