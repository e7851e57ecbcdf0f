"""What one does with a trained model: encode, decode, reconstruct, generate, score.

Floor 4.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Self

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from keras_vae import numerics
from keras_vae.arguments import require_integer, require_number, require_positive
from keras_vae.likelihoods import Categorical
from keras_vae.models.batching import ROWS
from keras_vae.models.checks import Wanted, check_array
from keras_vae.models.conditions import attach
from keras_vae.models.copying import copy_model
from keras_vae.models.heads import run_network
from keras_vae.models.scores import Scores
from keras_vae.priors import Prior
from keras_vae.streams import Stream

__all__ = ["Verbs"]


class Verbs(Scores):
    """Methods that take and return arrays, in batches, through compiled functions.

    Each is compiled once per model, whatever the number of examples. Random ones take a
    `seed`; without it, Python's generator gives one (`keras.utils.set_random_seed`).
    """

    def encode(
        self,
        x: Any,
        *,
        condition: Any = None,
        sample: bool = False,
        return_scale: bool = False,
        seed: int | None = None,
        batch_size: int = ROWS,
    ) -> Any:
        """Latents of x: the posterior's point - its mean, where that is a latent - or a draw.

        Args:
            x: `[examples, *raw_shape]`.
            condition: One per example, or one for all; labels may be integers. Defaults to
                `None`: no condition.
            sample: Whether to draw instead. Defaults to `False`.
            return_scale: Whether to return the standard deviations too. Defaults to `False`.
            seed: Of the draw. Defaults to `None`: a fresh one.
            batch_size: Examples at a time. Defaults to `1024`.

        Returns:
            `[examples, latent_dim]`, or a tuple of two such arrays.

        Raises:
            ValueError: If x has the wrong shape, is empty or not finite, or the scale is asked
                of a posterior whose scale is not known.
        """
        if return_scale and not self.posterior.has_moments:
            raise ValueError(
                f"The scale of a {type(self.posterior).__name__} posterior is not known in "
                f"closed form. Draw latents instead: encode(x, sample=True)."
            )

        def encode(
            x: tf.Tensor, key: tf.Tensor, condition: Any = None
        ) -> tuple[tf.Tensor, ...]:
            condition = self.conditions.prepared(condition, x)
            x = self.preprocessed(x)
            params = self.posterior_params(x, condition=condition)
            if not sample:
                point = self.posterior.point(params)
                return (point, self.posterior.scale(params)) if return_scale else (point,)
            noise = numerics.draw_noise(
                self.posterior.noise_spec(), [1, tf.shape(x)[0]], numerics.fold_in(key, 0)
            )
            context = self.context(condition=condition)
            z = self.posterior.sample_and_log_prob(params, noise, context).latents[0]
            return (z, self.posterior.scale(params)) if return_scale else (z,)

        x, condition = self.checked_inputs(x, condition)
        name = f"encode {sample} {return_scale}"
        # Without a draw Python's generator is not to be asked for a seed.
        key = Stream.ENCODE.key(seed if sample else 0)
        results = self.in_batches(name, encode, x, batch_size, key, condition)
        return tuple(results) if return_scale else results[0]

    def decode(self, z: Any, *, condition: Any = None, batch_size: int = ROWS) -> np.ndarray:
        """The value that stands for p(x|z): its mean, or for categories the most probable.

        Args:
            z: `[examples, latent_dim]`.
            condition: One per example, or one for all. Defaults to `None`.
            batch_size: Examples at a time. Defaults to `1024`.

        Returns:
            `[examples, *raw_shape]`.

        Raises:
            ValueError: If z has the wrong shape, is empty or not finite.
        """

        def decode(z: tf.Tensor, key: tf.Tensor, condition: Any = None) -> tuple[tf.Tensor]:
            condition = self.conditions.prepared(condition, z)
            return (self.decoded_points(z, condition),)

        z = check_array("z", z, Wanted(self.posterior.latent_shape))
        return self.in_batches("decode", decode, z, batch_size, condition=condition)[0]

    def reconstruct(
        self, x: Any, *, condition: Any = None, batch_size: int = ROWS
    ) -> np.ndarray:
        """Decode the latents that stand for x, `[examples, *raw_shape]`.

        The same as `predict`, without its progress bar and callbacks.

        Args:
            x: `[examples, *raw_shape]`.
            condition: One per example, or one for all. Defaults to `None`.
            batch_size: Examples at a time. Defaults to `1024`.
        """

        def reconstruct(
            x: tf.Tensor, key: tf.Tensor, condition: Any = None
        ) -> tuple[tf.Tensor]:
            condition = self.conditions.prepared(condition, x)
            params = self.posterior_params(self.preprocessed(x), condition=condition)
            return (self.decoded_points(self.posterior.point(params), condition),)

        x, condition = self.checked_inputs(x, condition)
        return self.in_batches("reconstruct", reconstruct, x, batch_size, None, condition)[0]

    def generate(
        self,
        count: int,
        *,
        condition: Any = None,
        prior: Prior | None = None,
        sample: bool = False,
        temperature: float = 1.0,
        top_p: float = 1.0,
        seed: int | None = None,
        batch_size: int = ROWS,
    ) -> np.ndarray:
        """New data: latents from the prior, decoded.

        Args:
            count: How many.
            condition: One for each, or one for all. Defaults to `None`.
            prior: Where latents come from, such as a density fitted to the codes of training
                data (`keras_vae.samplers`). Defaults to `None`: the model's.
            sample: Whether to draw from p(x|z) rather than return the value that stands for
                it. Defaults to `False`.
            temperature: Of draws of categories, such as tokens: logits are divided by it.
                Defaults to `1.0`.
            top_p: Draws of categories are of the most probable ones that have this share of
                the probability together (Holtzman et al. 2020). Defaults to `1.0`: of all.
            seed: Of the draws. Defaults to `None`: a fresh one.
            batch_size: Examples at a time. Defaults to `1024`.

        Returns:
            `[count, *raw_shape]`.

        Raises:
            ValueError: If `count` is not a positive integer, `prior` has other latents, or
                `temperature` or `top_p` is out of range or not for this likelihood.

        Reference: Holtzman, Buys, Du, Forbes and Choi (2020), The Curious Case of Neural Text
        Degeneration, section 3.1.
        """
        prior = self.prior if prior is None else self._fitting(prior)
        count = require_integer("count", count)

        def generate(
            rows: tf.Tensor, key: tf.Tensor, condition: Any = None
        ) -> tuple[tf.Tensor]:
            condition = self.conditions.prepared(condition, rows)
            noise = numerics.draw_noise(
                prior.noise_spec(), [tf.shape(rows)[0]], numerics.fold_in(key, 0)
            )
            z = prior.sample(noise, self.context(condition=condition))
            key_of_x = numerics.fold_in(key, 1) if sample else None
            adjust = (
                functools.partial(
                    self.likelihood.sharpened, temperature=rows[0, 0], top_p=rows[0, 1]
                )
                if adjusted
                else None
            )
            return (self.decoded_points(z, condition, key_of_x, adjust=adjust),)

        adjusted = self._adjustment(temperature, top_p, sample) is not None
        # Not in the name: a function is compiled for all temperatures.
        rows = np.tile(np.array([temperature, top_p], "float32"), (count, 1))
        # What is compiled holds the prior, so that no other one comes to have its id.
        own = "" if prior is self.prior else id(prior)
        name = f"generate {sample} {own} {adjusted}"
        return self.in_batches(
            name, generate, rows, batch_size, Stream.GENERATE.key(seed), condition
        )[0]

    def _adjustment(
        self, temperature: float, top_p: float, sample: bool
    ) -> Callable[[tf.Tensor], tf.Tensor] | None:
        """What is done to parameters before draws of categories."""
        require_positive("temperature", temperature)
        if not 0 < require_number("top_p", top_p) <= 1:
            raise ValueError(f"`top_p` must be above 0 and at most 1. Received: {top_p}.")
        if temperature == top_p == 1:
            return None
        if not (sample and isinstance(self.likelihood, Categorical)):
            raise ValueError(
                f"`temperature` and `top_p` are for draws from a Categorical likelihood. "
                f"Received: sample={sample} and a {type(self.likelihood).__name__}. Leave them "
                f"at 1, or pass sample=True."
            )
        return functools.partial(
            self.likelihood.sharpened, temperature=temperature, top_p=top_p
        )

    def with_prior(self, prior: Prior) -> Self:
        """Copy the model, but for its prior.

        Args:
            prior: Such as one fitted to the codes of training data (`keras_vae.samplers`).

        Returns:
            A new model with the same weights and that prior; not compiled.

        Raises:
            ValueError: If the prior does not go with the other parts.
        """
        return self.with_parts(prior=prior)

    def with_parts(self, **parts: Any) -> Self:
        """Copy the model with its weights, but for some parts.

        A built model does not change: this is the way to another `beta` after training.

        Args:
            **parts: Constructor arguments, such as `objective=ELBO(beta=4.0)`.

        Returns:
            A new model, not compiled.

        Raises:
            TypeError: If the constructor has no such argument.
            ValueError: If a part does not go with the others, or the networks do not fit.

        Example:
        >>> vae = keras_vae.VAE(
        ...     encoder=keras_vae.networks.MLP([8]),
        ...     decoder=keras_vae.networks.MLP([8]),
        ...     posterior=keras_vae.posteriors.DiagonalNormal(latent_dim=2),
        ...     likelihood=keras_vae.likelihoods.Bernoulli(),
        ...     event_shape=(8, 8, 1),
        ... )
        >>> vae.with_parts(objective=keras_vae.objectives.ELBO(beta=4.0)).objective.beta
        4.0
        """
        unknown = sorted(set(parts) - set(self.argument_names()))
        if unknown:
            raise TypeError(
                f"`with_parts` takes constructor arguments of {type(self).__name__}. "
                f"Received: {unknown}."
            )
        copy: Self = copy_model(self, **parts)
        return copy

    # Distributions and plain models.

    def posterior_of(self, x: Any, condition: Any = None) -> tfp.distributions.Distribution:
        """q(z|x) as a TFP distribution with batch `[examples]`."""
        x = self.preprocessed(x)
        params = self.posterior_params(x, condition=self._prepared(x, condition))
        return self.posterior.distribution(params)

    def likelihood_of(self, z: Any, condition: Any = None) -> tfp.distributions.Distribution:
        """p(x|z) as a TFP distribution with batch `[examples]`, of x as preprocessed."""
        z = numerics.as_density(z)
        params = self.likelihood_params(z, condition=self._prepared(z, condition))
        return self.likelihood.distribution(params)

    def prior_distribution(self, condition: Any = None) -> tfp.distributions.Distribution:
        """p(z) as a TFP distribution; given conditions, one for each."""
        condition = self.conditions.check("condition", condition, None)
        prepared = self.conditions.prepared(self.conditions.tensor(condition), tf.zeros([1]))
        return self.prior.distribution(self.context(condition=prepared))

    def encoder_model(self) -> keras.Model:
        """A plain Keras model x -> the posterior's point that shares the weights.

        Made of stock layers where the network is one of `keras_vae.networks`: its file
        loads without keras_vae. A conditional model's takes `[x, condition]`.
        """
        dtype = None if self.preprocessor is None else self.preprocessor.raw_dtype
        x = keras.Input(self.raw_shape, dtype=dtype, name="x")
        inputs, condition = self._with_condition_input(x)
        view = self.encoder_view(self.preprocessed(x))
        view, options = attach(self.encoder, view, condition, "encoder")
        params = self._to_posterior(run_network(self.encoder, view, inlined=True, **options))
        point = self.posterior.point(keras.ops.cast(params, numerics.density_dtype()))
        return keras.Model(inputs, point, name="encoder")

    def decoder_model(self) -> keras.Model:
        """A plain Keras model z -> the point of p(x|z) that shares the weights.

        A conditional model's takes `[z, condition]`.

        Raises:
            ValueError: If the decoder is autoregressive, which no single pass can be.
        """
        if self.autoregressive:
            raise ValueError("An autoregressive decoder is a loop, not a plain model.")
        z = keras.Input(self.posterior.latent_shape, name="z")
        inputs, condition = self._with_condition_input(z)
        features, options = attach(self.decoder, z, condition, "decoder")
        params = self._to_likelihood(
            run_network(self.decoder, features, inlined=True, **options)
        )
        point = self.likelihood.point(keras.ops.cast(params, numerics.density_dtype()))
        return keras.Model(inputs, self.restored(point), name="decoder")

    def _with_condition_input(self, x: Any) -> tuple[Any, Any]:
        shape = self.conditions.prepared_shape
        if shape is None:
            return x, None
        condition = keras.Input(shape, name="condition")
        return [x, condition], condition

    def _prepared(self, rows: tf.Tensor, condition: Any) -> tf.Tensor | None:
        condition = self.conditions.check("condition", condition, int(rows.shape[0] or 0))
        return self.conditions.prepared(self.conditions.tensor(condition), rows)

    def _fitting(self, prior: Prior) -> Prior:
        if not prior.built:
            raise ValueError(
                f"`prior` has not been fitted or built. Received: {type(prior).__name__}. See "
                f"keras_vae.samplers."
            )
        if tuple(prior.latent_shape) != self.posterior.latent_shape:
            raise ValueError(
                f"`prior` has latents of shape {prior.latent_shape}. Received: a model of "
                f"latents of shape {self.posterior.latent_shape}."
            )
        reason = prior.why_not(self.posterior)
        if reason is not None:
            raise ValueError(f"`prior` does not go with the model: {reason}.")
        return prior
