"""Densities fitted to the codes of a trained model, to generate from.

Floor 5. Ghosh, Sajjadi, Vergari, Black and Schoelkopf (2020), From Variational to
Deterministic Autoencoders, section 4.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_vae import numerics
from keras_vae.arguments import require_integer, require_positive, require_size, require_sizes
from keras_vae.component import register
from keras_vae.likelihoods import Normal
from keras_vae.models import VAE
from keras_vae.networks import MLP
from keras_vae.numerics import NoiseSpec
from keras_vae.posteriors import DiagonalNormal
from keras_vae.priors import Prior
from keras_vae.terms import Context

__all__ = ["Hypersphere", "TwoStage", "fit"]


def fit(
    vae: VAE, x: Any, prior: Prior, *, condition: Any = None, seed: int | None = 0
) -> Prior:
    """Fit a prior to the latents of data, once a model is trained.

    The prior a model was trained with need not be where its codes are: an autoencoder has
    none, and the codes of a VAE leave holes in theirs, from which nothing good is decoded.
    One draw of q(z|x) is taken per example, since it is draws that the decoder was trained
    on: together they are draws of the aggregated posterior. Those of a deterministic
    posterior are its codes.

    Args:
        vae: A trained model.
        x: `[examples, *event_shape]`, the training data.
        prior: What to fit, such as `priors.NormalMixture`, `priors.Flow` or one of this
            module; fresh, or fitted before to latents of the same shape.
        condition: Of each example, as in `VAE.encode`. Defaults to `None`.
        seed: Random seed of the draws, and of the weights and order of a prior that is trained.
            Defaults to `0`; `None` for a fresh one. The generators of Python, NumPy, Keras and
            TensorFlow stay as they are.

    Returns:
        The prior, built and fitted: for `vae.generate(n, prior=...)` and `vae.with_prior`.

    Raises:
        NotImplementedError: If the prior has nothing to fit, or no way to.
        TypeError: If `prior` is no prior.
        ValueError: If it is one of other latents.

    Example:
    >>> model = keras_vae.presets.Autoencoder(
    ...     keras_vae.networks.MLP([8]),
    ...     keras_vae.networks.MLP([8]),
    ...     latent_dim=3,
    ...     likelihood=keras_vae.likelihoods.Normal(),
    ...     event_shape=(4,),
    ... )
    >>> x = np.random.default_rng(0).normal(size=[50, 4])
    >>> sphere = keras_vae.samplers.fit(model, x, keras_vae.samplers.Hypersphere())
    >>> bool(np.allclose(sphere.loc, model.encode(x).mean(axis=0), atol=1e-5))
    True

    Reference: Ghosh et al. (2020), section 4 (ex-post density estimation).
    """
    if not isinstance(prior, Prior):
        raise TypeError(
            f"`prior` must be a keras_vae Prior. Received: a {type(prior).__name__}."
        )
    posterior = vae.posterior
    reason = prior.why_not(posterior)
    if reason is not None:
        raise ValueError(f"`prior` does not go with the model: {reason}.")
    if prior.built and tuple(prior.latent_shape) != tuple(posterior.latent_shape):
        raise ValueError(
            f"`prior` was built for latents of shape {prior.latent_shape}, but the model's "
            f"have {posterior.latent_shape}. Use a fresh one."
        )
    with numerics.keras_seeded(seed):
        if not prior.built:
            prior.bind(
                vae.event_shape,
                vae.likelihood.support,
                vae.conditions.prepared_shape,
                posterior,
            )
            prior.build(posterior.latent_shape)
        prior.fit_to(np.asarray(vae.encode(x, sample=True, condition=condition, seed=seed)))
    return prior


@register("samplers")
class TwoStage(Prior):
    """A second VAE, trained on the codes of the first.

    Codes are drawn as it generates: u from a standard normal, then z from its p(z|u), a
    normal around its decoder's output with one learned scale. It works on codes brought to
    mean 0 and variance 1.

    Its density is an integral over u without closed form: `log_prob` raises an error, and a
    model with this prior generates, but has no bound. Until it is fitted its draws mean
    nothing.

    Args:
        units: Widths of the hidden layers of both networks. Defaults to `(256, 256)`.
        latent_dim: Size of u. Defaults to `None`: that of a code, as in the reference.
        epochs: Of its training. Defaults to `100`.
        batch_size: Of its training. Defaults to `128`.
        learning_rate: Of its training, by Adam. Defaults to `1e-3`.
        **kwargs: As in any Keras layer.

    Raises:
        ValueError: If `epochs`, `batch_size` or `learning_rate` is not positive.

    Example:
    >>> second = keras_vae.samplers.TwoStage(units=[16], epochs=1)
    >>> second.build((3,))
    >>> second.fit_to(np.random.default_rng(0).normal(size=[64, 3]))
    >>> noise = keras_vae.numerics.draw_noise(
    ...     second.noise_spec(), [5], keras_vae.numerics.key_from_seed(0)
    ... )
    >>> second.sample(noise, Context()).shape
    TensorShape([5, 3])

    Reference: Dai and Wipf (2019), Diagnosing and Enhancing VAE Models, section 4.
    """

    def __init__(
        self,
        units: Sequence[int] = (256, 256),
        latent_dim: int | None = None,
        *,
        epochs: int = 100,
        batch_size: int = 128,
        learning_rate: float = 1e-3,
        **kwargs: Any,
    ) -> None:
        require_sizes("units", units)
        if latent_dim is not None:
            require_size("latent_dim", latent_dim)
        require_integer("epochs", epochs)
        require_integer("batch_size", batch_size)
        require_positive("learning_rate", learning_rate)
        super().__init__(**kwargs)
        self.units = units
        self.latent_dim = latent_dim
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate

    def build(self, latent_shape: tuple[int, ...]) -> None:
        if self.built:
            return
        super().build(latent_shape)
        # What is needed to draw, and no more: the encoder is forgotten after the training.
        self.decoder = self._second_vae().decoder_model()
        self.decoder.trainable = False
        options = {"dtype": self.dtype, "trainable": False}
        self.noise_scale = self.add_weight((), "ones", name="noise_scale", **options)
        self.loc = self.add_weight(self.latent_shape, "zeros", name="loc", **options)
        self.scale = self.add_weight(self.latent_shape, "ones", name="scale", **options)

    def fit_to(self, latents: np.ndarray) -> None:
        codes = np.asarray(latents, "float64")
        loc, scale = codes.mean(axis=0), codes.std(axis=0)
        scale = np.where(scale > 0, scale, 1.0)  # a constant one is drawn around itself
        second = self._second_vae()
        second.compile(keras.optimizers.Adam(self.learning_rate))
        second.fit(
            (codes - loc) / scale,
            epochs=self.epochs,
            batch_size=self.batch_size,
            verbose=0,
        )
        self.decoder.set_weights(second.decoder_model().get_weights())
        somewhere = tf.zeros([1, *second.posterior.latent_shape])
        deviation = second.likelihood_of(somewhere).stddev()
        self.noise_scale.assign(tf.reduce_mean(deviation))  # it is the same everywhere
        self.loc.assign(loc)
        self.scale.assign(scale)

    def noise_spec(self) -> dict[str, NoiseSpec]:
        return {
            "epsilon": NoiseSpec("normal", self.latent_shape),
            "latents": NoiseSpec("normal", self.decoder.input_shape[1:]),
        }

    def sample(self, noise: Mapping[str, tf.Tensor], context: Context) -> tf.Tensor:
        u, epsilon = noise["latents"], noise["epsilon"]
        size = u.shape[-1]
        mean = tf.reshape(self.decoder(tf.reshape(u, [-1, size])), tf.shape(epsilon))
        standard = numerics.as_density(mean) + self.noise_scale * epsilon
        return self.loc + self.scale * standard

    def log_prob(self, z: tf.Tensor, context: Context) -> tf.Tensor:
        raise ValueError(
            "The density of a TwoStage prior has no closed form: it can be drawn from alone. "
            "Use another one, such as priors.NormalMixture, where log p(z) is wanted."
        )

    def _second_vae(self) -> VAE:
        size = math.prod(self.latent_shape) if self.latent_dim is None else self.latent_dim
        return VAE(
            MLP(self.units),
            MLP(self.units),
            DiagonalNormal(size),
            likelihood=Normal(scale="learned"),
            event_shape=self.latent_shape,
        )


@register("samplers")
class Hypersphere(Prior):
    """Uniform directions from the centre of the codes, at log-normal distances.

    The crudest of all that can be fitted: it takes the codes to be equally dense in all
    directions, and keeps nothing but their mean and how far from it they are. In many
    dimensions the distances hardly differ, so that this is nearly a sphere. Where it does as
    well as a mixture or a flow, the codes have no structure worth modelling; use it to find
    out. Until it is fitted, it is close to a standard normal.

    Log p(z) = log p(r) - log S - (d - 1) log r, with r the distance, d the number of
    dimensions and S the surface of the unit sphere.

    Args:
        **kwargs: As in any Keras layer.

    Example:
    >>> p = keras_vae.samplers.Hypersphere()
    >>> p.build((2,))
    >>> p.fit_to(np.array([[3.0, 0.0], [0.0, 3.0], [-3.0, 0.0], [0.0, -3.0]]))
    >>> noise = {"direction": tf.constant([[5.0, 0.0]]), "radius": tf.constant([0.0])}
    >>> p.sample(noise, Context()).numpy().round(3).tolist()
    [[3.0, 0.0]]

    Reference: Davidson et al. (2018), Hyperspherical Variational Auto-Encoders, section 3
    (where the sphere has radius 1 and its centre at 0).
    """

    def build(self, latent_shape: tuple[int, ...]) -> None:
        if self.built:
            return
        super().build(latent_shape)
        # The length of a standard normal vector is about sqrt(d), give or take 1 / sqrt(2).
        size = math.prod(self.latent_shape)
        spread = numerics.inverse_positive(1 / math.sqrt(2 * size))
        self.loc = self.add_weight(self.latent_shape, "zeros", name="loc")
        self.log_radius = self.add_weight(
            (), keras.initializers.Constant(math.log(size) / 2), name="log_radius"
        )
        self.raw_spread = self.add_weight(
            (), keras.initializers.Constant(spread), name="raw_spread"
        )

    def fit_to(self, latents: np.ndarray) -> None:
        codes = np.asarray(latents, "float64").reshape(len(latents), -1)
        loc = codes.mean(axis=0)
        # A code at the very centre has no logarithm of its distance.
        radii = np.linalg.norm(codes - loc, axis=1)
        log_radii = np.log(np.maximum(radii, np.finfo("float32").tiny))
        self.loc.assign(loc.reshape(self.latent_shape))
        self.log_radius.assign(log_radii.mean())
        spread = max(float(log_radii.std()), 2 * numerics.SCALE_FLOOR)
        self.raw_spread.assign(numerics.inverse_positive(spread))

    def noise_spec(self) -> dict[str, NoiseSpec]:
        return {
            "direction": NoiseSpec("normal", self.latent_shape),
            "radius": NoiseSpec("normal", ()),
        }

    def sample(self, noise: Mapping[str, tf.Tensor], context: Context) -> tf.Tensor:
        direction = noise["direction"]
        spread = numerics.positive(tf.convert_to_tensor(self.raw_spread))
        radius = tf.exp(self.log_radius + spread * noise["radius"])
        factor = radius / self._length(direction)
        axes = [1] * len(self.latent_shape)
        factor = tf.reshape(factor, tf.concat([tf.shape(factor), axes], axis=0))
        return self.loc + factor * direction

    def log_prob(self, z: tf.Tensor, context: Context) -> tf.Tensor:
        size = math.prod(self.latent_shape)
        log_surface = math.log(2) + size / 2 * math.log(math.pi) - math.lgamma(size / 2)
        spread = numerics.positive(tf.convert_to_tensor(self.raw_spread))
        log_r = tf.math.log(self._length(z - self.loc))
        standard = (log_r - self.log_radius) / spread
        log_normal = -0.5 * standard**2 - tf.math.log(spread) - 0.5 * math.log(2 * math.pi)
        # The density of r is that of log r divided by r: with r**(d - 1), r**d in all.
        return log_normal - log_surface - size * log_r

    def _length(self, z: tf.Tensor) -> tf.Tensor:
        squares = numerics.sum_over_event(z**2, len(self.latent_shape))
        return tf.sqrt(tf.maximum(squares, np.finfo("float32").tiny))
