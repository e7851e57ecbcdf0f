"""Posteriors on the simplex: latents are proportions.

Floor 2.
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

__all__ = ["LogisticNormal"]

tfd, tfb = tfp.distributions, tfp.bijectors
_HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)
# A proportion that underflows to 0 has the log-density of this one.
_SMALLEST = 1e-37


@register("posteriors")
class LogisticNormal(Posterior):
    """Proportions that add up to 1, whose log-ratios to the last one are independent normals.

    With K = `latent_dim` proportions, y ~ N in K - 1 dimensions and z = softmax([y, 0]).
    Parameters `[batch, 2 * (K - 1)]`: means of y, then scales before softplus. The density is
    that of the first K - 1 proportions, as TFP's and SciPy's is for Dirichlet:

        log q(z|x) = log N(y) - sum_k log z_k,  y_k = log(z_k / z_K)

    Mean and variance of z have no closed form: `point` is the softmax of the mean of y, where
    each log-ratio is at its median.

    Args:
        latent_dim: Number of proportions, at least 2.
        **kwargs: As in any Keras layer.

    Raises:
        ValueError: If `latent_dim` is not an integer above 1.

    Example:
    >>> q = keras_vae.posteriors.LogisticNormal(latent_dim=4)
    >>> q.point(tf.zeros([1, 6])).numpy().tolist()
    [[0.25, 0.25, 0.25, 0.25]]

    Reference: Atchison and Shen (1980), Logistic-Normal Distributions: Some Properties and
    Uses, equation 1.2.
    """

    has_moments = False
    space = "proportions"

    def __init__(self, latent_dim: int, **kwargs: object) -> None:
        super().__init__(latent_dim, **kwargs)
        if latent_dim < 2:
            raise ValueError(
                f"`latent_dim` must be at least 2: one proportion alone is always 1. "
                f"Received: latent_dim={latent_dim}."
            )

    @property
    def params_shape(self) -> tuple[int, ...]:
        return (2 * (self.latent_dim - 1),)

    def noise_spec(self) -> dict[str, NoiseSpec]:
        return {"epsilon": NoiseSpec("normal", (self.latent_dim - 1,))}

    def sample_and_log_prob(
        self, params: tf.Tensor, noise: Mapping[str, tf.Tensor], context: Context
    ) -> Draw:
        epsilon = noise["epsilon"]
        loc, scale = self._loc(params), self._scale(params)
        log_ratio = -0.5 * epsilon**2 - tf.math.log(scale) - _HALF_LOG_TWO_PI
        log_z = tf.nn.log_softmax(_with_last(loc + scale * epsilon))
        log_prob = tf.reduce_sum(log_ratio, axis=-1) - tf.reduce_sum(log_z, axis=-1)
        return Draw(tf.exp(log_z), log_prob)

    def log_prob(self, params: tf.Tensor, z: tf.Tensor, context: Context) -> tf.Tensor:
        log_z = tf.math.log(tf.maximum(z, _SMALLEST))
        epsilon = (log_z[..., :-1] - log_z[..., -1:] - self._loc(params)) / self._scale(params)
        log_ratio = -0.5 * epsilon**2 - tf.math.log(self._scale(params)) - _HALF_LOG_TWO_PI
        return tf.reduce_sum(log_ratio, axis=-1) - tf.reduce_sum(log_z, axis=-1)

    def distribution(self, params: tf.Tensor) -> tfp.distributions.Distribution:
        normal = tfd.Independent(tfd.Normal(self._loc(params), self._scale(params)), 1)
        return tfd.TransformedDistribution(normal, _to_simplex())

    def point(self, params: tf.Tensor) -> tf.Tensor:
        return keras.ops.softmax(_with_last(self._loc(params)), axis=-1)

    def _loc(self, params: tf.Tensor) -> tf.Tensor:
        return params[..., : self.latent_dim - 1]

    def _scale(self, params: tf.Tensor) -> tf.Tensor:
        return numerics.positive(params[..., self.latent_dim - 1 :])


def _with_last(y: tf.Tensor) -> tf.Tensor:
    return keras.ops.concatenate([y, keras.ops.zeros_like(y[..., :1])], axis=-1)


def _to_simplex() -> tfp.bijectors.Bijector:
    # TFP's own, SoftmaxCentered, does not run with NumPy 2.4.
    def shifted(shape: tf.TensorShape, by: int) -> tf.TensorShape:
        return shape[:-1].concatenate(shape[-1] + by)

    def shifted_tensor(shape: tf.Tensor, by: int) -> tf.Tensor:
        return tf.concat([shape[:-1], shape[-1:] + by], axis=0)

    return tfb.Inline(
        forward_fn=lambda y: tf.nn.softmax(_with_last(y)),
        inverse_fn=lambda z: tf.math.log(z[..., :-1]) - tf.math.log(z[..., -1:]),
        inverse_log_det_jacobian_fn=lambda z: -tf.reduce_sum(tf.math.log(z), axis=-1),
        forward_event_shape_fn=lambda shape: shifted(shape, 1),
        forward_event_shape_tensor_fn=lambda shape: shifted_tensor(shape, 1),
        inverse_event_shape_fn=lambda shape: shifted(shape, -1),
        inverse_event_shape_tensor_fn=lambda shape: shifted_tensor(shape, -1),
        forward_min_event_ndims=1,
        inverse_min_event_ndims=1,
        name="additive_log_ratio",
    )
