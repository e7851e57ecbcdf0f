"""Normal priors.

Floor 2.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from keras_vae import numerics
from keras_vae.arguments import require_sizes
from keras_vae.component import register
from keras_vae.numerics import NoiseSpec
from keras_vae.priors.base import Prior
from keras_vae.terms import Context, Draw

__all__ = ["ConditionalNormal", "StandardNormal"]

tfd = tfp.distributions
_HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)


@register("priors")
class StandardNormal(Prior):
    """Independent normals with mean 0 and variance 1: the default.

    Its KL is closed for every posterior that knows its entropy and second moments:
    KL = -H(q) + sum_i (E[z_i**2] + log(2 pi)) / 2.

    Example:
    >>> p = keras_vae.priors.StandardNormal()
    >>> p.build((2,))
    >>> round(float(p.log_prob(tf.zeros([2]), Context())), 4)
    -1.8379

    Reference: Kingma and Welling (2014), Auto-Encoding Variational Bayes, appendix B.
    """

    factorised = True

    def noise_spec(self) -> dict[str, NoiseSpec]:
        return {"epsilon": NoiseSpec("normal", self.latent_shape)}

    def sample(self, noise: Mapping[str, tf.Tensor], context: Context) -> tf.Tensor:
        return noise["epsilon"]

    def distribution(self, context: Context) -> tfp.distributions.Distribution:
        zeros = tf.zeros(self.latent_shape, numerics.density_dtype())
        return tfd.Independent(tfd.Normal(zeros, tf.ones_like(zeros)), len(self.latent_shape))

    def log_prob(self, z: tf.Tensor, context: Context) -> tf.Tensor:
        return numerics.sum_over_event(-0.5 * z**2 - _HALF_LOG_TWO_PI, len(self.latent_shape))

    def closed_form_kl(self, posterior: Any, params: tf.Tensor) -> tf.Tensor | None:
        entropy, second_moment = posterior.entropy(params), posterior.second_moment(params)
        if entropy is None or second_moment is None:
            return None
        cross_entropy = 0.5 * second_moment + _HALF_LOG_TWO_PI
        if not posterior.factorised:
            cross_entropy = tf.reduce_sum(cross_entropy, axis=-1, keepdims=True)
        return cross_entropy - entropy


@register("priors")
class ConditionalNormal(Prior):
    """Independent normals whose means and scales a small network tells from the condition.

    The network is dense, on the condition as a vector. At the start it says mean 0 and scale
    1 for each condition. The KL is closed for every posterior that knows its entropy and
    moments.

    Args:
        units: Sizes of the hidden layers, with SiLU. Defaults to `(64,)`.
        **kwargs: As in any Keras layer.

    Raises:
        ValueError: If a size is not a positive integer.

    Example:
    >>> p = keras_vae.priors.ConditionalNormal(units=[16])
    >>> p.bind((8, 8, 1), keras_vae.likelihoods.Bernoulli().support, condition_shape=(10,))
    >>> p.build((2,))
    >>> p.distribution(Context(condition=tf.eye(10))).batch_shape
    TensorShape([10])

    Reference: Sohn, Lee and Yan (2015), Learning Structured Output Representation using Deep
    Conditional Generative Models, equation 4.
    """

    factorised = True
    needs_condition = True

    def __init__(self, units: Sequence[int] = (64,), **kwargs: Any) -> None:
        if len(units) > 0:  # none: a linear map
            require_sizes("units", units)
        super().__init__(**kwargs)
        self.units = units

    def build(self, latent_shape: tuple[int, ...]) -> None:
        if self.built:
            return
        if self.condition_shape is None:
            raise ValueError(
                "A ConditionalNormal prior needs conditions. Received: condition_shape=None. "
                "Pass condition_shape=... to the model."
            )
        super().build(latent_shape)
        dtype = self.dtype_policy
        hidden = [keras.layers.Dense(size, "silu", dtype=dtype) for size in self.units]
        size = math.prod(self.latent_shape)
        last = [
            keras.layers.Dense(size, kernel_initializer="zeros", dtype=dtype, name="loc"),
            keras.layers.Dense(
                size,
                kernel_initializer="zeros",
                bias_initializer=keras.initializers.Constant(numerics.inverse_positive(1.0)),
                dtype=dtype,
                name="raw_scale",
            ),
        ]
        self.body = keras.Sequential([keras.layers.Flatten(dtype=dtype), *hidden], name="body")
        self.body.build((None, *self.condition_shape))
        self.to_loc, self.to_raw_scale = last
        for layer in last:
            layer.build(self.body.output_shape)

    def get_build_config(self) -> None:
        """Nothing to save: the model that holds the prior binds and builds it."""
        return

    def noise_spec(self) -> dict[str, NoiseSpec]:
        return {"epsilon": NoiseSpec("normal", self.latent_shape)}

    def sample(self, noise: Mapping[str, tf.Tensor], context: Context) -> tf.Tensor:
        loc, scale = self._loc_and_scale(context)
        return loc + scale * noise["epsilon"]

    def distribution(self, context: Context) -> tfp.distributions.Distribution:
        """p(z|condition), with batch `[batch]` and event `latent_shape`."""
        return tfd.Independent(tfd.Normal(*self._loc_and_scale(context)), 1)

    def kl(self, posterior: Any, params: tf.Tensor, draw: Draw, context: Context) -> tf.Tensor:
        entropy = posterior.entropy(params)
        if entropy is None or not posterior.has_moments:
            return self.monte_carlo_kl(posterior, params, draw, context)
        loc, scale = self._loc_and_scale(context)
        square = posterior.scale(params) ** 2 + (posterior.mean(params) - loc) ** 2
        cross_entropy = 0.5 * square / scale**2 + tf.math.log(scale) + _HALF_LOG_TWO_PI
        if not posterior.factorised:
            cross_entropy = tf.reduce_sum(cross_entropy, axis=-1, keepdims=True)
        return cross_entropy - entropy

    def _loc_and_scale(self, context: Context) -> tuple[tf.Tensor, tf.Tensor]:
        """Means and scales, each `[batch, latent_dim]`."""
        if context.condition is None:
            raise ValueError(
                "A ConditionalNormal prior needs a condition. Received: context.condition=None."
            )
        features = self.body(context.condition)
        return self.to_loc(features), numerics.positive(self.to_raw_scale(features))
