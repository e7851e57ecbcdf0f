"""Mixture priors.

Floor 2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from keras_vae import numerics
from keras_vae.component import register
from keras_vae.numerics import NoiseSpec
from keras_vae.priors.base import Prior
from keras_vae.terms import Context

__all__ = ["NormalMixture"]

tfd = tfp.distributions


@register("priors")
class NormalMixture(Prior):
    """A mixture of diagonal normals whose weights, means and scales are trained.

    Args:
        components: Number of components. Defaults to `10`.
        spread: Standard deviation of the means at the start; they must differ for the
            components to part ways. Defaults to `1.0`.
        **kwargs: As in any Keras layer.

    Raises:
        ValueError: If `components < 1` or `spread` is negative.

    Example:
    >>> p = keras_vae.priors.NormalMixture(components=5)
    >>> p.build((2,))
    >>> p.distribution(Context()).mixture_distribution.probs_parameter().shape
    TensorShape([5])

    Reference: Dilokthanakul et al. (2016), Deep Unsupervised Clustering with Gaussian
    Mixture Variational Autoencoders; Tomczak and Welling (2018), VAE with a VampPrior, 2
    (there the "MoG" baseline).
    """

    def __init__(self, components: int = 10, spread: float = 1.0, **kwargs: Any) -> None:
        if not isinstance(components, int) or components < 1:
            raise ValueError(
                f"`components` must be an integer >= 1. Received: components={components!r}."
            )
        if spread < 0:
            raise ValueError(f"`spread` must be >= 0. Received: spread={spread}.")
        super().__init__(**kwargs)
        self.components = components
        self.spread = spread

    def build(self, latent_shape: tuple[int, ...]) -> None:
        if self.built:
            return
        super().build(latent_shape)
        shape = (self.components, *self.latent_shape)
        self.logits = self.add_weight((self.components,), "zeros", name="logits")
        self.loc = self.add_weight(
            shape, keras.initializers.RandomNormal(stddev=self.spread), name="loc"
        )
        self.raw_scale = self.add_weight(
            shape,
            keras.initializers.Constant(numerics.inverse_positive(1.0)),
            name="raw_scale",
        )

    def noise_spec(self) -> dict[str, NoiseSpec]:
        return {
            "component": NoiseSpec("uniform", ()),
            "epsilon": NoiseSpec("normal", self.latent_shape),
        }

    def sample(self, noise: Mapping[str, tf.Tensor], context: Context) -> tf.Tensor:
        # Inverse distribution function; the last edge is left out so that rounding in the
        # cumulative sum cannot point past the last component.
        edges = tf.cumsum(tf.nn.softmax(self.logits))[:-1]
        index = tf.reduce_sum(tf.cast(noise["component"][..., None] >= edges, tf.int32), -1)
        loc = tf.gather(tf.convert_to_tensor(self.loc), index)
        scale = tf.gather(numerics.positive(tf.convert_to_tensor(self.raw_scale)), index)
        return loc + scale * noise["epsilon"]

    def distribution(self, context: Context) -> tfp.distributions.Distribution:
        components = tfd.Normal(
            tf.convert_to_tensor(self.loc),
            numerics.positive(tf.convert_to_tensor(self.raw_scale)),
        )
        return tfd.MixtureSameFamily(
            tfd.Categorical(logits=tf.convert_to_tensor(self.logits)),
            tfd.Independent(components, len(self.latent_shape)),
        )
