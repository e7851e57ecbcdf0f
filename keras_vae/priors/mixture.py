"""A trained mixture of normals as a prior.

Floor 2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from keras_vae import numerics
from keras_vae.arguments import require_number, require_one_of, require_size
from keras_vae.component import register
from keras_vae.numerics import NoiseSpec
from keras_vae.priors.base import Prior
from keras_vae.terms import Context

__all__ = ["NormalMixture"]

tfd = tfp.distributions


@register("priors")
class NormalMixture(Prior):
    """A mixture of normals whose weights, means and covariances are trained.

    It can also be fitted to the latents of a trained model: `fit_to`.

    Args:
        components: Number of components. Defaults to `10`.
        spread: Standard deviation of the means at the start; they must differ for the
            components to part ways. Defaults to `1.0`.
        covariance: `"diagonal"` or `"full"`. Defaults to `"diagonal"`.
        **kwargs: As in any Keras layer.

    Raises:
        ValueError: If `components < 1`, `spread` is negative or `covariance` unknown.

    Example:
    >>> p = keras_vae.priors.NormalMixture(components=5)
    >>> p.build((2,))
    >>> p.distribution(Context()).mixture_distribution.probs_parameter().shape
    TensorShape([5])

    Reference: Dilokthanakul et al. (2016), Deep Unsupervised Clustering with Gaussian
    Mixture Variational Autoencoders; Tomczak and Welling (2018), VAE with a VampPrior, 2
    (there the "MoG" baseline).
    """

    def __init__(
        self,
        components: int = 10,
        spread: float = 1.0,
        covariance: str = "diagonal",
        **kwargs: Any,
    ) -> None:
        require_size("components", components)
        require_number("spread", spread, 0)
        require_one_of("covariance", covariance, ("diagonal", "full"))
        super().__init__(**kwargs)
        self.components = components
        self.spread = spread
        self.covariance = covariance

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
        if self.covariance == "full":
            below = self._dim * (self._dim - 1) // 2
            self.below_diagonal = self.add_weight(
                (self.components, below), "zeros", name="below_diagonal"
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
        if self.covariance == "full":
            factor = tf.gather(self._factor(), index)
            return loc + tf.linalg.matvec(factor, noise["epsilon"])
        return loc + tf.gather(self._scale(), index) * noise["epsilon"]

    def distribution(self, context: Context) -> tfp.distributions.Distribution:
        loc = tf.convert_to_tensor(self.loc)
        if self.covariance == "full":
            components = tfd.MultivariateNormalTriL(loc, self._factor())
        else:
            components = tfd.Independent(tfd.Normal(loc, self._scale()), len(self.latent_shape))
        weights = tfd.Categorical(logits=tf.convert_to_tensor(self.logits))
        return tfd.MixtureSameFamily(weights, components)

    def fit_to(self, latents: np.ndarray) -> None:
        """Fit the mixture to latents by expectation maximisation, with scikit-learn.

        Args:
            latents: `[examples, *latent_shape]`, at least as many as components.

        Raises:
            ValueError: If there are too few latents, or they have another shape.

        Reference: Ghosh et al. (2020), From Variational to Deterministic Autoencoders,
        section 4.
        """
        from sklearn.mixture import GaussianMixture

        shape = np.shape(latents)
        if shape[1:] != self.latent_shape or shape[0] < self.components:
            raise ValueError(
                f"`latents` must hold at least {self.components} latents of shape "
                f"{self.latent_shape}. Received: shape {shape}."
            )
        kind = "full" if self.covariance == "full" else "diag"
        fitted = GaussianMixture(self.components, covariance_type=kind, random_state=0)
        fitted.fit(np.asarray(latents, "float64"))
        self.logits.assign(np.log(fitted.weights_))
        self.loc.assign(fitted.means_)
        if self.covariance == "diagonal":
            scales = np.sqrt(fitted.covariances_)
        else:
            factor = np.linalg.cholesky(fitted.covariances_)
            scales = np.diagonal(factor, axis1=-2, axis2=-1)
            self.below_diagonal.assign(factor[:, *np.tril_indices(self._dim, -1)])
        excess = np.maximum(scales - numerics.SCALE_FLOOR, numerics.SCALE_FLOOR)
        self.raw_scale.assign(excess + np.log(-np.expm1(-excess)))

    def _scale(self) -> tf.Tensor:
        return numerics.positive(tf.convert_to_tensor(self.raw_scale))

    def _factor(self) -> tf.Tensor:
        """Cholesky factors of the covariances, `[components, latent_dim, latent_dim]`."""
        rows, columns = np.tril_indices(self._dim, -1)
        # Entries of the matrix as a selection of those below the diagonal: a product, which
        # every runtime has, where a scatter is not.
        place = np.zeros((len(rows), self._dim * self._dim))
        place[np.arange(len(rows)), rows * self._dim + columns] = 1
        below = tf.convert_to_tensor(self.below_diagonal)
        filled = tf.matmul(below, tf.constant(place, below.dtype))
        lower = tf.reshape(filled, (-1, self._dim, self._dim))
        return tf.linalg.set_diag(lower, self._scale())

    @property
    def _dim(self) -> int:
        return self.latent_shape[0]
