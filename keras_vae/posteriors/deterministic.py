"""The posterior of an autoencoder: a point.

Floor 2.
"""

from __future__ import annotations

from collections.abc import Mapping

import tensorflow as tf
import tensorflow_probability as tfp

from keras_vae.component import register
from keras_vae.numerics import NoiseSpec
from keras_vae.posteriors.base import Posterior
from keras_vae.terms import Context, Draw

__all__ = ["Deterministic"]


@register("posteriors")
class Deterministic(Posterior):
    """A single code for each x: turns the model into a plain autoencoder.

    It has no density, so there is no KL and no bound on log p(x): the objective must be one
    that needs neither, such as `objectives.LogLikelihood`.

    Args:
        latent_dim: Number of latent dimensions.
        **kwargs: As in any Keras layer.

    Raises:
        ValueError: If `latent_dim` is not a positive integer.

    Example:
    >>> q = keras_vae.posteriors.Deterministic(latent_dim=2)
    >>> q.has_density
    False

    Reference: Hinton and Salakhutdinov (2006), Reducing the Dimensionality of Data with
    Neural Networks.
    """

    has_density = False
    evaluable = False

    @property
    def params_shape(self) -> tuple[int, ...]:
        return self.latent_shape

    def noise_spec(self) -> dict[str, NoiseSpec]:
        return {}

    def sample_and_log_prob(
        self, params: tf.Tensor, noise: Mapping[str, tf.Tensor], context: Context
    ) -> Draw:
        return Draw(params[None], None)

    def distribution(self, params: tf.Tensor) -> tfp.distributions.Distribution:
        return tfp.distributions.VectorDeterministic(params)

    def mean(self, params: tf.Tensor) -> tf.Tensor:
        return params

    def scale(self, params: tf.Tensor) -> tf.Tensor:
        return tf.zeros_like(params)

    def log_prob(self, params: tf.Tensor, z: tf.Tensor, context: Context) -> tf.Tensor:
        # TFP gives 0 here, which would make a Monte Carlo KL a silent L2 penalty.
        raise ValueError("A Deterministic posterior has no density: log q(z|x) does not exist.")
