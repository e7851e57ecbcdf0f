"""The prior that averages the posterior over trained pseudo-inputs.

Floor 2. Tomczak and Welling (2018), VAE with a VampPrior.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from keras_vae import numerics
from keras_vae.arguments import require_one_of, require_size
from keras_vae.component import register
from keras_vae.numerics import NoiseSpec
from keras_vae.priors.base import Prior
from keras_vae.terms import Context, Support

__all__ = ["VampPrior"]

tfd = tfp.distributions


@register("priors")
class VampPrior(Prior):
    """The average of q(z|u) over trained pseudo-inputs u: a mixture as rich as the posterior.

    Pseudo-inputs are what the encoder sees of examples that do not exist: numbers of a table
    count standard deviations of their column, counts are logarithms, categories relaxed
    one-hot vectors, and values without bounds standard deviations of their channel. They
    start as training examples, with what is missing filled in by column, are trained with the
    networks, and stay within what the encoder can see. The prior asks the model's encoder and
    posterior, whose density must be known everywhere. The KL is a Monte Carlo estimate.

    Layers of the encoder that compare examples, such as batch normalisation, see the
    pseudo-inputs as a batch of their own.

    Args:
        components: Number of pseudo-inputs. Defaults to `500`.
        units: `"encoder"`: as above. `"data"`: pseudo-inputs are values of x, in whose units
            they hardly move where these are large; models saved before there was a choice
            have it. Defaults to `"encoder"`.
        **kwargs: As in any Keras layer.

    Raises:
        ValueError: If `components < 1`, or `units` is none of its options.

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
    #: Of what the encoder sees of one example, where pseudo-inputs are that.
    _view_shape: tuple[int, ...] | None = None
    _counts_deviations = False

    def __init__(self, components: int = 500, units: str = "encoder", **kwargs: Any) -> None:
        require_size("components", components)
        require_one_of("units", units, ("encoder", "data"))
        super().__init__(**kwargs)
        self.components = components
        self.units = units
        self.adapt_rows = components

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """Rebuild the prior; without `units`, as it was before there was a choice."""
        return super().from_config({"units": "data", **config})

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

    def bind_view(self, likelihood: Any) -> None:
        if self.units == "data":
            return
        self._view_shape = tuple(likelihood.encoder_input_shape(self.event_shape))
        self._constrained: Callable[[tf.Tensor], tf.Tensor] = likelihood.constrained_view
        self._counts_deviations = likelihood.units == "affine"

    def build(self, latent_shape: tuple[int, ...]) -> None:
        if self.built:
            return
        super().build(latent_shape)
        lower, upper = self.support.lower, self.support.upper  # type: ignore[union-attr]
        start = keras.initializers.RandomNormal(stddev=1.0)
        if lower is not None and upper is not None:
            start = keras.initializers.RandomUniform(lower, upper)
        shape = self._view_shape or self.event_shape or ()
        # Put back after each update rather than clipped at each use: a clipped value has no
        # gradient and would never return.
        self.pseudo_inputs = self.add_weight(
            (self.components, *shape), start, constraint=self._allowed, name="pseudo_inputs"
        )
        if self._counts_deviations:
            fixed = {"trainable": False}
            self.centre = self.add_weight(shape[-1:], "zeros", name="centre", **fixed)
            self.spread = self.add_weight(shape[-1:], "ones", name="spread", **fixed)
        self.pseudo_inputs.assign(self._allowed(tf.convert_to_tensor(self.pseudo_inputs)))

    def get_build_config(self) -> None:
        """Nothing to save: the model that holds the prior binds and builds it."""
        return

    def adapt(self, x: np.ndarray, context: Context) -> None:
        rows = np.asarray(x, "float64")[: self.components]
        if np.isnan(rows).all():
            return  # nothing is known of any
        seen = rows
        if self._view_shape is not None and context.view is not None:
            seen = np.asarray(context.view(numerics.as_density(rows)), "float64")
        if seen.shape == rows.shape:
            seen = _filled_by_column(seen, np.isnan(rows))
        if self._counts_deviations:
            seen = self._in_deviations(seen)
        values = self.pseudo_inputs.numpy()
        values[: len(rows)] = seen
        self.pseudo_inputs.assign(self._allowed(tf.constant(values)))

    def _in_deviations(self, seen: np.ndarray) -> np.ndarray:
        over = tuple(range(seen.ndim - 1))
        varies = seen.min(over) < seen.max(over)
        centre, spread = seen.mean(over), np.where(varies, seen.std(over), 1.0)
        self.centre.assign(centre)
        self.spread.assign(spread)
        scaled: np.ndarray = (seen - centre) / spread
        return scaled

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
        seen = tf.convert_to_tensor(self.pseudo_inputs)
        if self._counts_deviations:
            seen = tf.convert_to_tensor(self.centre) + tf.convert_to_tensor(self.spread) * seen
        if self._view_shape is not None and context.encode_view is not None:
            return context.encode_view(seen)
        return context.encode(seen)

    def _allowed(self, values: tf.Tensor) -> tf.Tensor:
        if self._view_shape is not None:
            return self._constrained(values)
        support = self.support or Support()
        if support.lower is not None:
            values = keras.ops.maximum(values, support.lower)
        if support.upper is not None:
            values = keras.ops.minimum(values, support.upper)
        return values


def _filled_by_column(values: np.ndarray, missing: np.ndarray) -> np.ndarray:
    """Values with the mean of their place, over other examples, where they are missing."""
    if not missing.any():
        return values
    known = np.ma.masked_array(values, missing)
    means = known.mean(axis=0).filled(known.mean())
    return np.where(missing, means, values)
