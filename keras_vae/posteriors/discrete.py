"""Discrete posteriors, relaxed in training so that gradients pass.

The relaxation is a distribution of its own, whose density nobody evaluates here: terms are
those of the discrete model, with its probability mass function extended to relaxed latents as
log q(z|x) = sum_k z_k log pi_k, which is exact where z is one-hot (Maddison, Mnih and Teh
2017, appendix C.3.2). What is maximised in training is therefore not a bound; what is
evaluated, where draws are hard, is a true bound of the discrete model.

Floor 2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from keras_vae import numerics
from keras_vae.arguments import require_positive, require_size
from keras_vae.component import register
from keras_vae.numerics import NoiseSpec
from keras_vae.posteriors.base import Posterior
from keras_vae.schedules import Schedule, value_at
from keras_vae.terms import Context, Draw

__all__ = ["RelaxedBernoulli", "RelaxedCategorical"]

tfd, tfb = tfp.distributions, tfp.bijectors
# Added to variances, whose root has no finite gradient at 0.
_SMALLEST = 1e-12


@register("posteriors")
class RelaxedCategorical(Posterior):
    """One-hot vectors, relaxed by Gumbel-softmax in training and hard elsewhere.

    A latent is `vectors` one-hot vectors in a row: `latent_dim = categories * vectors`.
    Parameters `[batch, latent_dim]`: logits. The training objective is a relaxation; what is
    evaluated is a true bound of the discrete model. Importance weights of relaxed latents
    mean nothing, so that objectives with one latent per example suit it best.

    Args:
        categories: Length of a one-hot vector, at least 2.
        vectors: Number of one-hot vectors. Defaults to `1`.
        temperature: Of the relaxation, a number or a `Schedule`: near 0 relaxed draws are
            nearly one-hot, and their gradients vary much. Defaults to `0.5`.
        **kwargs: As in any Keras layer.

    Raises:
        ValueError: If `categories < 2`, `vectors < 1` or `temperature` is not positive.

    Example:
    >>> q = keras_vae.posteriors.RelaxedCategorical(categories=10, vectors=2)
    >>> q.latent_shape, q.space
    ((20,), '2 one-hot vectors of 10 categories')

    Reference: Jang, Gu and Poole (2017), Categorical Reparameterization with Gumbel-Softmax,
    equation 2; Maddison, Mnih and Teh (2017), The Concrete Distribution, equation 10.
    """

    reparameterised = False
    space = "one-hot vectors"
    derived_arguments = ("latent_dim",)

    def __init__(
        self,
        categories: int,
        vectors: int = 1,
        temperature: float | Schedule = 0.5,
        **kwargs: Any,
    ) -> None:
        require_size("categories", categories, 2)
        require_size("vectors", vectors)
        _require_temperature(temperature)
        super().__init__(categories * vectors, **kwargs)
        self.categories = categories
        self.vectors = vectors
        self.temperature = temperature
        self.space = f"{vectors} one-hot vectors of {categories} categories"

    @property
    def params_shape(self) -> tuple[int, ...]:
        return self.latent_shape

    def noise_spec(self) -> dict[str, NoiseSpec]:
        return {"uniform": NoiseSpec("uniform", self.latent_shape)}

    def sample_and_log_prob(
        self, params: tf.Tensor, noise: Mapping[str, tf.Tensor], context: Context
    ) -> Draw:
        gumbel = -tf.math.log(-tf.math.log(numerics.open_uniform(noise["uniform"])))
        perturbed = params + gumbel
        if context.training:
            temperature = value_at(self.temperature, context.step)
            latents = self._flat(tf.nn.softmax(self._by_vector(perturbed) / temperature))
        else:
            latents = self._hard(perturbed)  # exact: Maddison et al., section 2.1
        return Draw(latents, self.log_prob(params, latents, context))

    def log_prob(self, params: tf.Tensor, z: tf.Tensor, context: Context) -> tf.Tensor:
        return tf.reduce_sum(z * self._flat(self._log_probabilities(params)), axis=-1)

    def distribution(self, params: tf.Tensor) -> tfp.distributions.Distribution:
        one_hot = tfd.OneHotCategorical(self._by_vector(params), dtype=params.dtype)
        shape = [self.vectors, self.categories]
        return tfd.TransformedDistribution(
            tfd.Independent(one_hot, 1), tfb.Reshape([self.latent_dim], shape)
        )

    def point(self, params: tf.Tensor) -> tf.Tensor:
        """The mode, `[batch, latent_dim]`: one-hot, unlike the mean."""
        return self._hard(params)

    def mean(self, params: tf.Tensor) -> tf.Tensor:
        return self._flat(keras.ops.softmax(self._by_vector(params), axis=-1))

    def scale(self, params: tf.Tensor) -> tf.Tensor:
        p = self.mean(params)
        return keras.ops.sqrt(p * (1 - p) + _SMALLEST)

    def entropy(self, params: tf.Tensor) -> tf.Tensor:
        log_p = self._log_probabilities(params)
        return -tf.reduce_sum(tf.exp(log_p) * log_p, axis=-1)

    def second_moment(self, params: tf.Tensor) -> tf.Tensor:
        return self.mean(params)

    def absolute_moment(self, params: tf.Tensor) -> tf.Tensor:
        return self.mean(params)

    def _log_probabilities(self, params: tf.Tensor) -> tf.Tensor:
        return tf.nn.log_softmax(self._by_vector(params))

    def _hard(self, values: tf.Tensor) -> tf.Tensor:
        largest = keras.ops.argmax(self._by_vector(values), axis=-1)
        return self._flat(keras.ops.one_hot(largest, self.categories, dtype=values.dtype))

    def _by_vector(self, values: tf.Tensor) -> tf.Tensor:
        shape = (*_leading(values, 1), self.vectors, self.categories)
        return keras.ops.reshape(values, shape)

    def _flat(self, values: tf.Tensor) -> tf.Tensor:
        return keras.ops.reshape(values, (*_leading(values, 2), self.latent_dim))


@register("posteriors")
class RelaxedBernoulli(Posterior):
    """Bits, relaxed to numbers in (0, 1) in training and hard elsewhere.

    Parameters `[batch, latent_dim]`: logits of a 1. The training objective is a relaxation;
    what is evaluated is a true bound of the discrete model.

    Args:
        latent_dim: Number of bits.
        temperature: Of the relaxation, a number or a `Schedule`: near 0 relaxed draws are
            nearly 0 or 1, and their gradients vary much. Defaults to `0.5`.
        **kwargs: As in any Keras layer.

    Raises:
        ValueError: If `latent_dim` is not a positive integer or `temperature` not positive.

    Example:
    >>> q = keras_vae.posteriors.RelaxedBernoulli(latent_dim=3)
    >>> q.point(tf.constant([[-1.0, 2.0, 0.5]])).numpy().tolist()
    [[0.0, 1.0, 1.0]]

    Reference: Maddison, Mnih and Teh (2017), The Concrete Distribution, appendix B; Jang, Gu
    and Poole (2017), Categorical Reparameterization with Gumbel-Softmax.
    """

    reparameterised = False
    factorised = True
    space = "bits"

    def __init__(
        self, latent_dim: int, temperature: float | Schedule = 0.5, **kwargs: Any
    ) -> None:
        _require_temperature(temperature)
        super().__init__(latent_dim, **kwargs)
        self.temperature = temperature

    @property
    def params_shape(self) -> tuple[int, ...]:
        return self.latent_shape

    def noise_spec(self) -> dict[str, NoiseSpec]:
        return {"uniform": NoiseSpec("uniform", self.latent_shape)}

    def sample_and_log_prob(
        self, params: tf.Tensor, noise: Mapping[str, tf.Tensor], context: Context
    ) -> Draw:
        uniform = numerics.open_uniform(noise["uniform"])
        perturbed = params + tf.math.log(uniform) - tf.math.log(1 - uniform)
        if context.training:
            latents = tf.sigmoid(perturbed / value_at(self.temperature, context.step))
        else:
            latents = _is_positive(perturbed)
        return Draw(latents, self.log_prob(params, latents, context))

    def log_prob(self, params: tf.Tensor, z: tf.Tensor, context: Context) -> tf.Tensor:
        return tf.reduce_sum(self.log_prob_per_dimension(params, z), axis=-1)

    def log_prob_per_dimension(self, params: tf.Tensor, z: tf.Tensor) -> tf.Tensor:
        return z * params - tf.math.softplus(params)

    def distribution(self, params: tf.Tensor) -> tfp.distributions.Distribution:
        return tfd.Independent(tfd.Bernoulli(params, dtype=params.dtype), 1)

    def point(self, params: tf.Tensor) -> tf.Tensor:
        """The mode, `[batch, latent_dim]`: 0 or 1, unlike the mean."""
        return _is_positive(params)

    def mean(self, params: tf.Tensor) -> tf.Tensor:
        return keras.ops.sigmoid(params)

    def scale(self, params: tf.Tensor) -> tf.Tensor:
        p = self.mean(params)
        return keras.ops.sqrt(p * (1 - p) + _SMALLEST)

    def entropy(self, params: tf.Tensor) -> tf.Tensor:
        return tf.math.softplus(params) - params * tf.sigmoid(params)

    def second_moment(self, params: tf.Tensor) -> tf.Tensor:
        return self.mean(params)

    def absolute_moment(self, params: tf.Tensor) -> tf.Tensor:
        return self.mean(params)


def _leading(values: tf.Tensor, event_rank: int) -> list[Any]:
    # Symbolic tensors do not know the size of their batch.
    sizes = keras.ops.shape(values)[:-event_rank]
    return [-1 if size is None else size for size in sizes]


def _is_positive(values: tf.Tensor) -> tf.Tensor:
    return keras.ops.cast(values > 0, values.dtype)


def _require_temperature(temperature: float | Schedule) -> None:
    if not isinstance(temperature, Schedule):
        require_positive("temperature", temperature)
