"""Losses that layers add to their model, counted once for each pass over the data.

Keras forgets the losses of a network when it is called again, and a model of a bound calls its
networks several times in a step: priors, penalties and metrics run them too.

Floor 4.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import keras
import tensorflow as tf

__all__ = ["AddedLosses"]


class AddedLosses(threading.local):
    """Losses of a model's networks in the present step.

    Replicas are traced in threads that take turns, and each has its own.

    Args:
        model: Keras model that the networks are part of.
    """

    def __init__(self, model: keras.Model) -> None:
        self._model = model
        self._found: list[tf.Tensor] | None = None

    @contextlib.contextmanager
    def counted(self) -> Iterator[list[tf.Tensor]]:
        """Count the losses of calls inside; yields the list that they come to stand in."""
        self._model._clear_losses()
        outer, self._found = self._found, []
        try:
            yield self._found
        finally:
            self._found = outer
            self._model._clear_losses()

    @contextlib.contextmanager
    def ignored(self) -> Iterator[None]:
        """Leave all losses as they were before the calls inside."""
        before = [(layer, list(layer._losses)) for layer in self._model._flatten_layers()]
        outer, self._found = self._found, None
        try:
            yield
        finally:
            self._found = outer
            for layer, losses in before:
                layer._losses.clear()
                layer._losses.extend(losses)

    def take(self, layer: keras.layers.Layer) -> None:
        """Move what a layer and those inside it have added to the list, if they are counted."""
        if self._found is not None:
            self._found += [loss for la in layer._flatten_layers() for loss in la._losses]
            layer._clear_losses()
