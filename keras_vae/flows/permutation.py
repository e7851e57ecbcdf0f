"""The order of dimensions.

Floor 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from keras_vae.arguments import require_integer
from keras_vae.component import register
from keras_vae.flows.base import Bijection

__all__ = ["Permutation"]


@register("flows")
class Permutation(Bijection):
    """Another order of the dimensions, to stand between couplings or autoregressive flows.

    Args:
        seed: Of a random order, always the same for the same seed. Defaults to `None`: the
            order is reversed.
        **kwargs: As in any Keras layer.

    Raises:
        ValueError: If `seed` is neither `None` nor an integer >= 0.

    Example:
    >>> flow = keras_vae.flows.Permutation()
    >>> flow.build((3,))
    >>> flow.forward(tf.constant([1.0, 2.0, 3.0]), None)[0].numpy().tolist()
    [3.0, 2.0, 1.0]
    """

    def __init__(self, seed: int | None = None, **kwargs: Any) -> None:
        if seed is not None:
            require_integer("seed", seed, 0)
        super().__init__(**kwargs)
        self.seed = seed

    def order(self) -> np.ndarray:
        """Which dimension of z each dimension of y is."""
        if self.seed is None:
            return np.arange(self.dim)[::-1]
        # The old generator: NumPy keeps its numbers the same in all versions.
        return np.random.RandomState(self.seed).permutation(self.dim)

    def forward(self, z: tf.Tensor, params: tf.Tensor | None) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.gather(z, self.order(), axis=-1), tf.zeros_like(z[..., 0])

    def inverse(self, y: tf.Tensor, params: tf.Tensor | None) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.gather(y, np.argsort(self.order()), axis=-1), tf.zeros_like(y[..., 0])
