"""Normal posteriors.

Floor 2. Kingma and Welling (2014), Auto-Encoding Variational Bayes, section 3 and appendix B.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from keras_vae import numerics
from keras_vae.component import register
from keras_vae.numerics import NoiseSpec
from keras_vae.posteriors.base import Posterior
from keras_vae.terms import Context, Draw

__all__ = ["DiagonalNormal", "FullCovarianceNormal"]

tfd = tfp.distributions
_HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)
_HALF_LOG_TWO_PI_E = _HALF_LOG_TWO_PI + 0.5


@register("posteriors")
class DiagonalNormal(Posterior):
    """Independent normals: the posterior of the plain VAE.

    Parameters `[batch, 2 * latent_dim]`: means, then scales before softplus.

    Args:
        latent_dim: Number of latent dimensions.
        **kwargs: As in any Keras layer.

    Raises:
        ValueError: If `latent_dim` is not a positive integer.

    Example:
    >>> q = keras_vae.posteriors.DiagonalNormal(latent_dim=2)
    >>> q.distribution(tf.zeros([3, 4])).mean().numpy().tolist()
    [[0.0, 0.0], [0.0, 0.0], [0.0, 0.0]]

    Reference: Kingma and Welling (2014), equation 9.
    """

    factorised = True

    @property
    def params_shape(self) -> tuple[int, ...]:
        return (2 * self.latent_dim,)

    def noise_spec(self) -> dict[str, NoiseSpec]:
        return {"epsilon": NoiseSpec("normal", self.latent_shape)}

    def sample_and_log_prob(
        self, params: tf.Tensor, noise: Mapping[str, tf.Tensor], context: Context
    ) -> Draw:
        epsilon = noise["epsilon"]
        loc, scale = self.mean(params), self.scale(params)
        # The standardised latent is the noise itself: cheaper and exacter than (z - m) / s.
        log_prob = -0.5 * epsilon**2 - tf.math.log(scale) - _HALF_LOG_TWO_PI
        return Draw(loc + scale * epsilon, tf.reduce_sum(log_prob, axis=-1))

    def distribution(self, params: tf.Tensor) -> tfp.distributions.Distribution:
        return tfd.Independent(tfd.Normal(self.mean(params), self.scale(params)), 1)

    def mean(self, params: tf.Tensor) -> tf.Tensor:
        return params[..., : self.latent_dim]

    def scale(self, params: tf.Tensor) -> tf.Tensor:
        return numerics.positive(params[..., self.latent_dim :])

    def entropy(self, params: tf.Tensor) -> tf.Tensor:
        return tf.math.log(self.scale(params)) + _HALF_LOG_TWO_PI_E

    def second_moment(self, params: tf.Tensor) -> tf.Tensor:
        return self.mean(params) ** 2 + self.scale(params) ** 2

    def absolute_moment(self, params: tf.Tensor) -> tf.Tensor:
        return _absolute_moment(self.mean(params), self.scale(params))

    def log_prob_of_each(self, params: tf.Tensor, z: tf.Tensor, context: Context) -> tf.Tensor:
        # The square is multiplied out: two matrix products in place of a tensor with an axis
        # for examples, components and dimensions. In float64, for its terms cancel.
        loc, scale, z = (
            tf.cast(t, tf.float64) for t in (self.mean(params), self.scale(params), z)
        )
        precision = scale**-2
        square = tf.matmul(z**2, precision, transpose_b=True) - 2 * tf.matmul(
            z, loc * precision, transpose_b=True
        )
        constant = tf.reduce_sum(
            0.5 * loc**2 * precision + tf.math.log(scale) + _HALF_LOG_TWO_PI, axis=-1
        )
        return tf.cast(-0.5 * square - constant, params.dtype)


@register("posteriors")
class FullCovarianceNormal(Posterior):
    """A normal with any covariance: latents may depend on each other given x.

    Parameters `[batch, d + d * (d + 1) / 2]` for `d = latent_dim`: the mean, then the
    lower triangle of the covariance's Cholesky factor, its diagonal before softplus.

    Args:
        latent_dim: Number of latent dimensions.
        **kwargs: As in any Keras layer.

    Raises:
        ValueError: If `latent_dim` is not a positive integer.

    Example:
    >>> q = keras_vae.posteriors.FullCovarianceNormal(latent_dim=2)
    >>> q.params_shape
    (5,)

    Reference: Kingma and Welling (2019), An Introduction to Variational Autoencoders, 2.5.1.
    """

    @property
    def params_shape(self) -> tuple[int, ...]:
        return (self.latent_dim + self.latent_dim * (self.latent_dim + 1) // 2,)

    def noise_spec(self) -> dict[str, NoiseSpec]:
        return {"epsilon": NoiseSpec("normal", self.latent_shape)}

    def sample_and_log_prob(
        self, params: tf.Tensor, noise: Mapping[str, tf.Tensor], context: Context
    ) -> Draw:
        epsilon = noise["epsilon"]
        factor = self.scale_tril(params)
        log_prob = tf.reduce_sum(-0.5 * epsilon**2 - _HALF_LOG_TWO_PI, axis=-1)
        latents = self.mean(params) + tf.linalg.matvec(factor, epsilon)
        return Draw(latents, log_prob - _log_determinant(factor))

    def distribution(self, params: tf.Tensor) -> tfp.distributions.Distribution:
        return tfd.MultivariateNormalTriL(self.mean(params), self.scale_tril(params))

    def mean(self, params: tf.Tensor) -> tf.Tensor:
        return params[..., : self.latent_dim]

    def scale(self, params: tf.Tensor) -> tf.Tensor:
        return keras.ops.sqrt(self._variance(params))

    def scale_tril(self, params: tf.Tensor) -> tf.Tensor:
        """Cholesky factor of the covariance, `[batch, latent_dim, latent_dim]`."""
        raw = tfp.math.fill_triangular(params[..., self.latent_dim :])
        return tf.linalg.set_diag(raw, numerics.positive(tf.linalg.diag_part(raw)))

    def entropy(self, params: tf.Tensor) -> tf.Tensor:
        log_determinant = _log_determinant(self.scale_tril(params))
        return (log_determinant + self.latent_dim * _HALF_LOG_TWO_PI_E)[..., None]

    def second_moment(self, params: tf.Tensor) -> tf.Tensor:
        return self.mean(params) ** 2 + self._variance(params)

    def absolute_moment(self, params: tf.Tensor) -> tf.Tensor:
        return _absolute_moment(self.mean(params), self.scale(params))

    def _variance(self, params: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(self.scale_tril(params) ** 2, axis=-1)


def _log_determinant(factor: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(tf.math.log(tf.linalg.diag_part(factor)), axis=-1)


def _absolute_moment(mean: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
    # E|z| of the folded normal: Leone, Nelson and Nottingham (1961), equation 5.
    ratio = mean / scale
    folded = scale * math.sqrt(2 / math.pi) * tf.exp(-0.5 * ratio**2)
    return folded + mean * tf.math.erf(ratio / math.sqrt(2))
