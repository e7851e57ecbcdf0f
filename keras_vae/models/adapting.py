"""Statistics of the training data, for loops of one's own.

Floor 4.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from keras_vae.models import update
from keras_vae.models.feeding import Fed

__all__ = ["Adapting"]


class Adapting(Fed):
    """A model whose parts are shown the training data before they are trained."""

    def adapt(self, x: Any, y: Any = None) -> None:
        """Show the parts the training data, as the first `fit` does by itself.

        For loops of one's own over `train_step` or `train_on_batch`: preprocessors take means
        and scales from the data, priors and likelihoods where they start from. Without, a
        training step raises an error. Methods such as `encode` and `generate` run before, too,
        with what an untrained model starts from.

        Args:
            x: As in `fit`: all training data, or a good share of it.
            y: As in `fit`. Defaults to `None`.

        Raises:
            ValueError: If data is bad, or the model was trained on what it was shown before.
        """
        if int(self.state.adapted.numpy()) and int(self.state.step.numpy()):
            raise ValueError(
                "`adapt` comes before training: the weights were learned from data as the "
                "parts see it now. Make a new model to start anew."
            )
        self.state.adapted.assign(0)
        x, y = self._adapt_preprocessor(x, y, 0.0)
        x, y, size = self.checked_data(x, y)
        self.state.data_size.assign(size)
        self._adapt(x, y)

    def require_adapted(self, *, training: bool) -> None:
        """Raise a ValueError if parts want to see the training data and have not.

        Args:
            training: Whether those that only start from it count, too.
        """
        parts = [self.preprocessor, *([self.prior, self.likelihood] if training else [])]
        waiting = [type(p).__name__ for p in parts if p is not None and p.adapt_rows]
        if not waiting or update.number_of_replicas() > 1:
            return  # replicas train by `fit`, which adapts
        with tf.init_scope():
            adapted = int(self.state.adapted.numpy())
        if not adapted:
            raise ValueError(
                f"The model has not seen its training data, from which it takes statistics. "
                f"Received: {', '.join(waiting)}. Call `vae.adapt(x)` with the training data "
                f"before the first batch; `fit` does so by itself."
            )
