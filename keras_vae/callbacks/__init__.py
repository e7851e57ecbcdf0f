"""Callbacks that know what a variational autoencoder is.

Floor 6.
"""

from keras_vae.callbacks.budget import TimeLimit
from keras_vae.callbacks.collapse import CollapseMonitor, CollapseWarning
from keras_vae.callbacks.grids import ImageGrids
from keras_vae.callbacks.stopping import EarlyStopping
from keras_vae.models.backup import BackupAndRestore

__all__ = [
    "BackupAndRestore",
    "CollapseMonitor",
    "CollapseWarning",
    "EarlyStopping",
    "ImageGrids",
    "TimeLimit",
]
