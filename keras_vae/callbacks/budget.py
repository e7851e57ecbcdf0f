"""Training for a given time.

Floor 6.
"""

from __future__ import annotations

import time
from typing import Any

import keras

from keras_vae.arguments import require_positive

__all__ = ["TimeLimit"]


class TimeLimit(keras.callbacks.Callback):
    """Stops training when time is up, after the batches that are under way.

    The clock runs from the beginning of `fit`: tracing and compiling count, too. With
    `EarlyStopping` beside it, the best weights are restored as at any end.

    Args:
        minutes: More than 0.

    Attributes:
        expired: Whether it was this callback that stopped the training.

    Raises:
        ValueError: If `minutes` is not positive.

    Example:
    >>> vae = keras_vae.VAE(
    ...     keras_vae.networks.MLP([8]),
    ...     keras_vae.networks.MLP([8]),
    ...     keras_vae.posteriors.DiagonalNormal(latent_dim=2),
    ...     likelihood=keras_vae.likelihoods.Bernoulli(),
    ...     event_shape=(4,),
    ... )
    >>> vae.compile("adam")
    >>> limit = keras_vae.callbacks.TimeLimit(minutes=0.05)
    >>> history = vae.fit(np.zeros([32, 4]), epochs=100_000, callbacks=limit, verbose=0)
    >>> limit.expired
    True
    """

    def __init__(self, minutes: float) -> None:
        super().__init__()
        require_positive("minutes", minutes)
        self.minutes = minutes
        self.expired = False

    def on_train_begin(self, logs: Any = None) -> None:
        """Start the clock."""
        self.expired = False
        self._end = time.monotonic() + 60 * self.minutes

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Look at the clock."""
        if time.monotonic() >= self._end:
            self.expired = self.model.stop_training = True
