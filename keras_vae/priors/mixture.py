"""Mixture priors.

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
from keras_vae.terms import Context, Support

__all__ = ["NormalMixture", "VampPrior"]

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


@register("priors")
class VampPrior(Prior):
    """The average of q(z|u) over trained pseudo-inputs u: a mixture as rich as the posterior.

    Pseudo-inputs `[components, *event_shape]` are data that the encoder sees; they start as
    training examples, are trained with the networks, and stay within the support of the
    data. The prior has no other weights: it asks the model's encoder and posterior, whose
    density must be known everywhere. The KL is a Monte Carlo estimate.

    Layers of the encoder that compare examples, such as batch normalisation, see the
    pseudo-inputs as a batch of their own.

    Args:
        components: Number of pseudo-inputs. Defaults to `500`.
        **kwargs: As in any Keras layer.

    Raises:
        ValueError: If `components < 1`.

    Example:
    >>> p = keras_vae.priors.VampPrior(components=50)
    >>> q = keras_vae.posteriors.DiagonalNormal(latent_dim=2)
    >>> p.bind((8, 8, 1), keras_vae.likelihoods.Bernoulli().support, posterior=q)
    >>> p.build(q.latent_shape)
    >>> tuple(p.pseudo_inputs.shape)
    (50, 8, 8, 1)

    Reference: Tomczak and Welling (2018), VAE with a VampPrior, equation 9.
    """

    space = "those of the posterior"

    def __init__(self, components: int = 500, **kwargs: Any) -> None:
        require_size("components", components)
        super().__init__(**kwargs)
        self.components = components
        self.adapt_rows = components

    def why_not(self, posterior: Any) -> str | None:
        if posterior.evaluable:
            return None
        return (
            f"a VampPrior is a mixture of densities q(z|u), but {type(posterior).__name__} "
            f"cannot be evaluated at a given z; use a posterior such as "
            f"posteriors.DiagonalNormal"
        )

    def bind(
        self,
        event_shape: tuple[int, ...],
        support: Support,
        condition_shape: tuple[int, ...] | None = None,
        posterior: Any = None,
    ) -> None:
        if condition_shape is not None:
            raise ValueError(
                "A VampPrior has no conditions for its pseudo-inputs. Received: "
                f"condition_shape={condition_shape}. Use priors.ConditionalNormal()."
            )
        super().bind(event_shape, support, condition_shape, posterior)
        self.space = posterior.space
        self.posterior_noise = posterior.noise_spec()

    def build(self, latent_shape: tuple[int, ...]) -> None:
        if self.built:
            return
        super().build(latent_shape)
        lower, upper = self.support.lower, self.support.upper  # type: ignore[union-attr]
        bounded = lower is not None and upper is not None
        start = keras.initializers.RandomNormal(stddev=1.0)
        if bounded:
            start = keras.initializers.RandomUniform(lower, upper)
        # Put back after each update rather than clipped at each use: a clipped value has no
        # gradient and would never return.
        self.pseudo_inputs = self.add_weight(
            (self.components, *(self.event_shape or ())),
            start,
            constraint=self._within_support,
            name="pseudo_inputs",
        )
        self.pseudo_inputs.assign(self._within_support(self.pseudo_inputs))

    def get_build_config(self) -> None:
        """Nothing to save: the model that holds the prior binds and builds it."""
        return

    def adapt(self, x: np.ndarray, context: Context) -> None:
        rows = np.asarray(x, "float64")[: self.components]
        values, observed = self.pseudo_inputs.numpy(), ~np.isnan(rows)
        filler = rows[observed].mean() if observed.any() else values[: len(rows)]
        values[: len(rows)] = np.where(observed, rows, filler)
        self.pseudo_inputs.assign(self._within_support(tf.constant(values)))

    def noise_spec(self) -> dict[str, NoiseSpec]:
        own = {"component": NoiseSpec("uniform", ())}
        return {**own, **{f"posterior_{n}": s for n, s in self.posterior_noise.items()}}

    def sample(self, noise: Mapping[str, tf.Tensor], context: Context) -> tf.Tensor:
        uniform = noise["component"]
        leading = tf.shape(uniform)
        # Below `components`, rounded too: the largest number below 1 is far enough from it.
        index = tf.cast(tf.reshape(uniform, [-1]) * self.components, tf.int32)
        params = tf.gather(self._params(context), index)
        flat = {
            name: tf.reshape(noise[f"posterior_{name}"], (1, tf.size(uniform), *spec.shape))
            for name, spec in self.posterior_noise.items()
        }
        z = context.posterior.sample_and_log_prob(params, flat, context).latents
        return tf.reshape(z, tf.concat([leading, self.latent_shape], axis=0))

    def distribution(self, context: Context) -> tfp.distributions.Distribution:
        weights = tfd.Categorical(logits=tf.zeros(self.components, numerics.density_dtype()))
        params = self._params(context)
        return tfd.MixtureSameFamily(weights, context.posterior.distribution(params))

    def log_prob(self, z: tf.Tensor, context: Context) -> tf.Tensor:
        leading = tf.shape(z)[: z.shape.rank - len(self.latent_shape)]
        flat = tf.reshape(z, (-1, *self.latent_shape))
        params = self._params(context)
        each = context.posterior.log_prob_of_each(params, flat, context)
        return tf.reshape(numerics.log_mean_exp(each, axis=-1), leading)

    def _params(self, context: Context) -> tf.Tensor:
        """Parameters of q(z|u) for each pseudo-input."""
        if context.encode is None or context.posterior is None:
            raise ValueError("A VampPrior needs the model's `context`. Received: none.")
        return context.encode(tf.convert_to_tensor(self.pseudo_inputs))

    def _within_support(self, values: tf.Tensor) -> tf.Tensor:
        support = self.support or Support()
        if support.lower is not None:
            values = keras.ops.maximum(values, support.lower)
        if support.upper is not None:
            values = keras.ops.minimum(values, support.upper)
        return values
