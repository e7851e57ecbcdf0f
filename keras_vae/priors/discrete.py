"""Discrete priors, for the relaxed posteriors.

Their probability mass functions are extended to relaxed latents in a linear way, as those of
the posteriors are: log p(E z) = E log p(z), so that the KL is closed.

Floor 2.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from keras_vae import numerics
from keras_vae.arguments import require_size
from keras_vae.component import register
from keras_vae.numerics import NoiseSpec
from keras_vae.priors.base import Prior
from keras_vae.terms import Context

__all__ = ["Bernoulli", "Categorical"]

tfd, tfb = tfp.distributions, tfp.bijectors


@register("priors")
class Categorical(Prior):
    """Independent one-hot vectors, for `posteriors.RelaxedCategorical`.

    Args:
        categories: Length of a one-hot vector, at least 2.
        vectors: Number of one-hot vectors. Defaults to `1`.
        learned: Whether probabilities are trained; they are equal at the start. Defaults to
            `False`.
        **kwargs: As in any Keras layer.

    Raises:
        ValueError: If `categories < 2` or `vectors < 1`.

    Example:
    >>> p = keras_vae.priors.Categorical(categories=4)
    >>> p.build((4,))
    >>> round(float(p.log_prob(tf.one_hot(2, 4), Context())), 4)
    -1.3863

    Reference: Jang, Gu and Poole (2017), Categorical Reparameterization with Gumbel-Softmax,
    section 4.2.
    """

    space = "one-hot vectors"

    def __init__(
        self, categories: int, vectors: int = 1, learned: bool = False, **kwargs: Any
    ) -> None:
        require_size("categories", categories, 2)
        require_size("vectors", vectors)
        super().__init__(**kwargs)
        self.categories = categories
        self.vectors = vectors
        self.learned = learned
        self.space = f"{vectors} one-hot vectors of {categories} categories"

    def build(self, latent_shape: tuple[int, ...]) -> None:
        if self.built:
            return
        super().build(latent_shape)
        shape = (self.vectors, self.categories)
        self.logits = self.add_weight(shape, "zeros", trainable=self.learned, name="logits")

    def noise_spec(self) -> dict[str, NoiseSpec]:
        return {"category": NoiseSpec("uniform", (self.vectors,))}

    def sample(self, noise: Mapping[str, tf.Tensor], context: Context) -> tf.Tensor:
        # Inverse distribution function; the last edge is left out so that rounding in the
        # cumulative sum cannot point past the last category.
        edges = tf.cumsum(tf.nn.softmax(self.logits), axis=-1)[:, :-1]
        above = tf.cast(noise["category"][..., None] >= edges, tf.int32)
        z = tf.one_hot(tf.reduce_sum(above, axis=-1), self.categories, dtype=edges.dtype)
        return tf.reshape(z, tf.concat([tf.shape(z)[:-2], self.latent_shape], axis=0))

    def distribution(self, context: Context) -> tfp.distributions.Distribution:
        logits = tf.convert_to_tensor(self.logits)
        one_hot = tfd.OneHotCategorical(logits, dtype=logits.dtype)
        shape = [self.vectors, self.categories]
        return tfd.TransformedDistribution(
            tfd.Independent(one_hot, 1), tfb.Reshape(list(self.latent_shape), shape)
        )

    def log_prob(self, z: tf.Tensor, context: Context) -> tf.Tensor:
        return tf.reduce_sum(self._by_vector(z), axis=-1)

    def kl_groups(self, posterior: Any) -> int:
        return self.vectors

    def closed_form_kl(self, posterior: Any, params: tf.Tensor) -> tf.Tensor | None:
        return -self._by_vector(posterior.mean(params)) - posterior.entropy(params)

    def _by_vector(self, z: tf.Tensor) -> tf.Tensor:
        """Log p of each one-hot vector, `[..., vectors]`."""
        shape = tf.concat([tf.shape(z)[:-1], [self.vectors, self.categories]], axis=0)
        return tf.reduce_sum(tf.reshape(z, shape) * tf.nn.log_softmax(self.logits), axis=-1)


@register("priors")
class Bernoulli(Prior):
    """Independent bits, for `posteriors.RelaxedBernoulli`.

    Args:
        probability: Of a 1, in (0, 1). Defaults to `0.5`.
        **kwargs: As in any Keras layer.

    Raises:
        ValueError: If `probability` is not between 0 and 1.

    Example:
    >>> p = keras_vae.priors.Bernoulli()
    >>> p.build((2,))
    >>> round(float(p.log_prob(tf.constant([0.0, 1.0]), Context())), 4)
    -1.3863

    Reference: Maddison, Mnih and Teh (2017), The Concrete Distribution, section 5.
    """

    factorised = True
    space = "bits"

    def __init__(self, probability: float = 0.5, **kwargs: Any) -> None:
        if not 0 < probability < 1:
            raise ValueError(
                f"`probability` must be in (0, 1). Received: probability={probability}."
            )
        super().__init__(**kwargs)
        self.probability = probability

    def noise_spec(self) -> dict[str, NoiseSpec]:
        return {"uniform": NoiseSpec("uniform", self.latent_shape)}

    def sample(self, noise: Mapping[str, tf.Tensor], context: Context) -> tf.Tensor:
        uniform = noise["uniform"]
        return tf.cast(uniform < self.probability, uniform.dtype)

    def distribution(self, context: Context) -> tfp.distributions.Distribution:
        dtype = numerics.density_dtype()
        probabilities = tf.fill(self.latent_shape, tf.constant(self.probability, dtype))
        bits = tfd.Bernoulli(probs=probabilities, dtype=dtype)
        return tfd.Independent(bits, len(self.latent_shape))

    def log_prob(self, z: tf.Tensor, context: Context) -> tf.Tensor:
        return tf.reduce_sum(self.log_prob_per_dimension(z), axis=-1)

    def log_prob_per_dimension(self, z: tf.Tensor, context: Context | None = None) -> tf.Tensor:
        return z * math.log(self.probability) + (1 - z) * math.log1p(-self.probability)

    def closed_form_kl(self, posterior: Any, params: tf.Tensor) -> tf.Tensor | None:
        cross_entropy = -self.log_prob_per_dimension(posterior.mean(params))
        return cross_entropy - posterior.entropy(params)
