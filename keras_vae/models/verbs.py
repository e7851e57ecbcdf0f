"""What one does with a trained model: encode, decode, reconstruct, generate, score.

Floor 4.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from keras_vae import estimators, numerics
from keras_vae.models.checks import check_array
from keras_vae.models.training import BoundModel
from keras_vae.networks import Network

__all__ = ["Verbs"]

# Rows that one call of a network gets, unless told otherwise: enough to keep the machine
# busy, few enough for the largest layer to stay small in memory.
_ROWS = 1024


class Verbs(BoundModel):
    """Methods that take and return arrays, in batches, through compiled functions.

    Each is compiled once per model, whatever the number of examples. Random ones take a
    `seed`; without it, Python's generator gives one (`keras.utils.set_random_seed`).

    Subclassing: set the attributes below, and implement the methods that raise here.
    """

    encoder: Any
    decoder: Any
    _to_posterior: keras.Sequential
    _to_likelihood: keras.Sequential
    _functions: dict[str, Any]  # compiled, by name

    def posterior_params(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Parameters of q(z|x), `[batch, *params_shape]`."""
        raise NotImplementedError

    def likelihood_params(self, z: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Parameters of p(x|z), `[*leading, *params_shape]`."""
        raise NotImplementedError

    def encode(
        self,
        x: Any,
        *,
        sample: bool = False,
        return_scale: bool = False,
        seed: int | None = None,
        batch_size: int = _ROWS,
    ) -> Any:
        """Latents of x: the posterior's mean, or a draw.

        Args:
            x: `[examples, *event_shape]`.
            sample: Whether to draw instead. Defaults to `False`.
            return_scale: Whether to return the standard deviations too. Defaults to `False`.
            seed: Of the draw. Defaults to `None`: a fresh one.
            batch_size: Examples at a time. Defaults to `1024`.

        Returns:
            `[examples, latent_dim]`, or a tuple of two such arrays.

        Raises:
            ValueError: If x has the wrong shape, is empty or not finite.
        """

        def encode(x: tf.Tensor, key: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            params = self.posterior_params(x)
            noise = numerics.draw_noise(
                self.posterior.noise_spec(), [1, tf.shape(x)[0]], numerics.fold_in(key, 0)
            )
            draw = self.posterior.sample_and_log_prob(params, noise, self.context())
            return self.posterior.point(params), self.posterior.scale(params), draw.latents[0]

        x = check_array("x", x, self.event_shape)
        mean, scale, draw = self._in_batches("encode", encode, x, batch_size, seed)
        latents = draw if sample else mean
        return (latents, scale) if return_scale else latents

    def decode(self, z: Any, *, batch_size: int = _ROWS) -> np.ndarray:
        """Mean of p(x|z).

        Args:
            z: `[examples, latent_dim]`.
            batch_size: Examples at a time. Defaults to `1024`.

        Returns:
            `[examples, *event_shape]`.

        Raises:
            ValueError: If z has the wrong shape, is empty or not finite.
        """

        def decode(z: tf.Tensor, key: tf.Tensor) -> tuple[tf.Tensor]:
            return (self.likelihood.point(self.likelihood_params(z)),)

        z = check_array("z", z, self.posterior.latent_shape)
        return self._in_batches("decode", decode, z, batch_size)[0]

    def reconstruct(self, x: Any, *, batch_size: int = _ROWS) -> np.ndarray:
        """Mean of p(x|z) at the posterior's mean, `[examples, *event_shape]`.

        The same as `predict`, without its progress bar and callbacks.
        """

        def reconstruct(x: tf.Tensor, key: tf.Tensor) -> tuple[tf.Tensor]:
            return (self.call(x),)

        x = check_array("x", x, self.event_shape)
        return self._in_batches("reconstruct", reconstruct, x, batch_size)[0]

    def generate(
        self,
        count: int,
        *,
        sample: bool = False,
        seed: int | None = None,
        batch_size: int = _ROWS,
    ) -> np.ndarray:
        """New data: latents from the prior, decoded.

        Args:
            count: How many.
            sample: Whether to draw from p(x|z) rather than return its mean. Defaults to
                `False`.
            seed: Of the draws. Defaults to `None`: a fresh one.
            batch_size: Examples at a time. Defaults to `1024`.

        Returns:
            `[count, *event_shape]`.

        Raises:
            ValueError: If `count` is not a positive integer.
        """
        if not isinstance(count, int) or count < 1:
            raise ValueError(f"`count` must be an integer >= 1. Received: count={count!r}.")

        def generate(rows: tf.Tensor, key: tf.Tensor) -> tuple[tf.Tensor]:
            noise = numerics.draw_noise(
                self.prior.noise_spec(), [tf.shape(rows)[0]], numerics.fold_in(key, 0)
            )
            params = self.likelihood_params(self.prior.sample(noise, self.context()))
            if sample:
                return (self.likelihood.sample(params, numerics.fold_in(key, 1)),)
            return (self.likelihood.point(params),)

        rows = np.zeros(count, "float32")
        return self._in_batches(f"generate {sample}", generate, rows, batch_size, seed)[0]

    def elbo(
        self,
        x: Any,
        *,
        samples: int = 1,
        seed: int | None = None,
        batch_size: int = _ROWS,
    ) -> np.ndarray:
        """Evidence lower bound of each example in nats, at beta 1 whatever the objective.

        Args:
            x: `[examples, *event_shape]`.
            samples: Latents drawn per example. Defaults to `1`.
            seed: Of the draws. Defaults to `None`: a fresh one.
            batch_size: Examples at a time. Defaults to `1024`.

        Returns:
            `[examples]`.

        Raises:
            ValueError: If x is bad, or the posterior has no density.
        """
        self._require_density("elbo")

        def elbo(x: tf.Tensor, key: tf.Tensor) -> tuple[tf.Tensor]:
            noise = self.draw_noise(x, key, samples)
            terms = self.elbo_terms(x, x, noise, self.context())
            kl = tf.reduce_sum(terms.kl, axis=-1)
            return (tf.reduce_mean(terms.log_likelihood, axis=0) - kl,)

        x = check_array("x", x, self.event_shape, self.likelihood)
        return self._in_batches(f"elbo {samples}", elbo, x, batch_size, seed)[0]

    def log_marginal(
        self,
        x: Any,
        *,
        samples: int = 5_000,
        seed: int | None = None,
        batch_size: int = 128,
    ) -> np.ndarray:
        """Importance-weighted estimate of log p(x) of each example, in nats.

        A lower bound in expectation that tightens with the number of samples. Memory does
        not grow with `samples` or with the number of examples.

        Args:
            x: `[examples, *event_shape]`.
            samples: Latents drawn per example. Defaults to `5000`.
            seed: Of the draws. Defaults to `None`: a fresh one.
            batch_size: Examples at a time. Defaults to `128`.

        Returns:
            `[examples]`.

        Raises:
            ValueError: If x is bad, `samples < 1`, or the posterior has no density.

        Reference: Burda, Grosse and Salakhutdinov (2016), equation 8.
        """
        self._require_density("log_marginal")
        if not isinstance(samples, int) or samples < 1:
            raise ValueError(f"`samples` must be an integer >= 1. Received: {samples!r}.")
        chunk = max(1, min(samples, 4 * _ROWS // batch_size))

        def log_marginal(x: tf.Tensor, key: tf.Tensor) -> tuple[tf.Tensor]:
            context = self.context()
            params = self.posterior_params(x)
            batch = tf.shape(x)[0]

            def draw(index: tf.Tensor) -> tf.Tensor:
                noise = numerics.draw_noise(
                    self.posterior.noise_spec(), [chunk, batch], numerics.fold_in(key, index)
                )
                draw = self.posterior.sample_and_log_prob(params, noise, context)
                z, log_posterior = draw.latents, draw.log_prob
                decoded = self.likelihood_params(z)
                log_likelihood = self.likelihood.log_prob(decoded, x, None, context)
                return log_likelihood + self.prior.log_prob(z, context) - log_posterior

            total = estimators.chunked_log_mean_exp(draw, samples, chunk, batch)
            return (tf.cast(total, numerics.density_dtype()),)

        x = check_array("x", x, self.event_shape, self.likelihood)
        name = f"log_marginal {samples} {chunk}"
        return self._in_batches(name, log_marginal, x, batch_size, seed)[0]

    # Distributions and plain models.

    def posterior_of(self, x: Any) -> tfp.distributions.Distribution:
        """q(z|x) as a TFP distribution with batch `[examples]`."""
        return self.posterior.distribution(self.posterior_params(numerics.as_density(x)))

    def likelihood_of(self, z: Any) -> tfp.distributions.Distribution:
        """p(x|z) as a TFP distribution with batch `[examples]`."""
        return self.likelihood.distribution(self.likelihood_params(numerics.as_density(z)))

    def prior_distribution(self) -> tfp.distributions.Distribution:
        """p(z) as a TFP distribution."""
        return self.prior.distribution(self.context())

    def encoder_model(self) -> keras.Model:
        """A plain Keras model x -> posterior mean that shares the weights.

        Made of stock layers where the network is one of `keras_vae.networks`: its file
        loads without keras_vae.
        """
        x = keras.Input(self.event_shape, name="x")
        params = self._to_posterior(_inlined(self.encoder)(x))
        mean = self.posterior.point(keras.ops.cast(params, numerics.density_dtype()))
        return keras.Model(x, mean, name="encoder")

    def decoder_model(self) -> keras.Model:
        """A plain Keras model z -> likelihood mean that shares the weights."""
        z = keras.Input(self.posterior.latent_shape, name="z")
        params = self._to_likelihood(_inlined(self.decoder)(z))
        mean = self.likelihood.point(keras.ops.cast(params, numerics.density_dtype()))
        return keras.Model(z, mean, name="decoder")

    def _require_density(self, verb: str) -> None:
        if not self.posterior.has_density:
            raise ValueError(
                f"`{verb}` needs log q(z|x), but a {type(self.posterior).__name__} posterior "
                f"has no density. Use a posterior with one, such as DiagonalNormal."
            )

    def _in_batches(
        self,
        name: str,
        function: Callable[..., Any],
        array: Any,
        batch_size: int,
        seed: int | None = 0,
    ) -> list[np.ndarray]:
        """Run a function over the rows of an array, compiled once under its name."""
        if not isinstance(batch_size, int) or batch_size < 1:
            raise ValueError(
                f"`batch_size` must be an integer >= 1. Received: batch_size={batch_size!r}."
            )
        if name not in self._functions:
            signature = [
                tf.TensorSpec((None, *array.shape[1:]), numerics.density_dtype()),
                tf.TensorSpec([2], tf.int32),
            ]
            self._functions[name] = tf.function(function, input_signature=signature)
        compiled = self._functions[name]
        key = numerics.key_from_seed(seed)
        parts = [
            compiled(
                numerics.as_density(array[start : start + batch_size]),
                numerics.fold_in(key, start // batch_size),
            )
            for start in range(0, len(array), batch_size)
        ]
        return [np.concatenate([t.numpy() for t in each]) for each in zip(*parts)]


def _inlined(network: Any) -> Callable[[Any], Any]:
    # `call` instead of `__call__` records the stock layers, not the network, in the graph.
    return network.call if isinstance(network, Network) else network
