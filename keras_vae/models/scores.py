"""How well a model explains data: bounds and estimates of log p(x), and what is missing in x.

Floor 4.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from keras_vae import estimators, numerics
from keras_vae.arguments import require_integer
from keras_vae.models.batching import ROWS, InBatches
from keras_vae.models.extremes import capped, without_nan
from keras_vae.models.raw_units import check_raw, raw_log_det
from keras_vae.streams import Stream

__all__ = ["Scores"]


class Scores(InBatches):
    """Methods that score x, one number per example, or fill its holes."""

    def elbo(
        self,
        x: Any,
        *,
        condition: Any = None,
        raw: bool = False,
        samples: int = 1,
        return_kl: bool = False,
        seed: int | None = None,
        batch_size: int = ROWS,
    ) -> Any:
        """Evidence lower bound of each example in nats, at beta 1 whatever the objective.

        On log p(x), or, with a likelihood that is `given` something of x, such as its total
        count, on log p(x | that): the two do not compare.

        Args:
            x: `[examples, *raw_shape]`.
            condition: One per example, or one for all. Defaults to `None`.
            raw: Whether it is to be that of raw data: densities per unit of theirs, where a
                preprocessor stretches them; probabilities of discrete likelihoods stay as
                they are. Defaults to `False`: of what comes out of the preprocessor.
            samples: Latents drawn per example. Defaults to `1`.
            return_kl: Whether to return the KL of each example, which is part of it, too.
                Defaults to `False`.
            seed: Of the draws. Defaults to `None`: a fresh one.
            batch_size: Examples at a time. Defaults to `1024`.

        Returns:
            `[examples]`, or a tuple of two such arrays. Of examples so extreme that numbers
            leave float32 on the way the bound is `-inf`.

        Raises:
            ValueError: If x is bad, or the posterior has no density; with `raw`, if x are
                between the values that a discrete likelihood has probabilities for.
        """
        self._require_density("elbo")
        samples = require_integer("samples", samples)

        def elbo(
            x: tf.Tensor, key: tf.Tensor, condition: Any = None
        ) -> tuple[tf.Tensor, tf.Tensor]:
            condition = self.conditions.prepared(condition, x)
            y = self.preprocessed(x)
            noise = self.draw_noise(y, key, samples)
            context = self.context(condition=condition)
            terms = self.elbo_terms(capped(y), y, noise, context, ())
            kl = tf.reduce_sum(terms.kl, axis=-1)
            bound = tf.reduce_mean(terms.log_likelihood, axis=0) - kl
            return bound + self.raw_log_det(x) if raw else bound, kl

        x, condition = self._scored_inputs(x, condition, raw)
        name = f"elbo {samples} {raw}"
        bound, kl = self.in_batches(name, elbo, x, batch_size, Stream.ELBO.key(seed), condition)
        bound, kl = without_nan(self, bound, -np.inf), without_nan(self, kl, np.inf)
        return (bound, kl) if return_kl else bound

    def log_marginal(
        self,
        x: Any,
        *,
        condition: Any = None,
        raw: bool = False,
        samples: int = 5_000,
        return_effective: bool = False,
        seed: int | None = None,
        batch_size: int = 128,
    ) -> Any:
        """Importance-weighted estimate of log p(x) of each example, in nats.

        Or of log p(x | what the likelihood is `given` of x), as in `elbo`. A lower bound in
        expectation that tightens with the number of samples. Memory does
        not grow with `samples` or with the number of examples.

        Args:
            x: `[examples, *raw_shape]`.
            condition: One per example, or one for all. Defaults to `None`.
            raw: Whether it is to be that of raw data: densities per unit of theirs, where a
                preprocessor stretches them; probabilities of discrete likelihoods stay as
                they are. Defaults to `False`: of what comes out of the preprocessor.
            samples: Latents drawn per example. Defaults to `5000`.
            return_effective: Whether to return, too, how many of the samples count: the
                effective number of importance samples of each example. Defaults to `False`.
            seed: Of the draws. Defaults to `None`: a fresh one.
            batch_size: Examples at a time. Defaults to `128`.

        Returns:
            `[examples]`, or a tuple of two such arrays; `-inf` as from `elbo`.

        Raises:
            ValueError: If x is bad, `samples < 1`, or the posterior has no density; with
                `raw`, as from `elbo`.

        Reference: Burda, Grosse and Salakhutdinov (2016), equation 8.
        """
        self._require_density("log_marginal")
        samples = require_integer("samples", samples)
        batch_size = require_integer("batch_size", batch_size)
        chunk = max(1, min(samples, ROWS // batch_size))

        def log_marginal(
            x: tf.Tensor, key: tf.Tensor, condition: Any = None
        ) -> tuple[tf.Tensor, tf.Tensor]:
            condition = self.conditions.prepared(condition, x)
            y = self.preprocessed(x)
            params = self.posterior_params(capped(y), condition=condition)

            def draw(index: tf.Tensor) -> tf.Tensor:
                key_of_chunk = numerics.fold_in(key, index)
                return self.weighted_draws(y, params, key_of_chunk, condition, chunk)[1]

            found = estimators.chunked_log_mean_exp(draw, samples, chunk, tf.shape(x)[0])
            value, effective = (tf.cast(v, numerics.density_dtype()) for v in found)
            return value + self.raw_log_det(x) if raw else value, effective

        x, condition = self._scored_inputs(x, condition, raw)
        name = f"log_marginal {raw} {samples} {chunk}"
        value, effective = self.in_batches(
            name, log_marginal, x, batch_size, Stream.LOG_MARGINAL.key(seed), condition
        )
        value, effective = without_nan(self, value, -np.inf), without_nan(self, effective, 0.0)
        return (value, effective) if return_effective else value

    def impute(
        self,
        x: Any,
        *,
        condition: Any = None,
        samples: int = 200,
        seed: int | None = None,
        batch_size: int = 32,
    ) -> np.ndarray:
        """Fill what is missing in x, NaN, with what is expected there given the rest.

        The expectation of p(x|z) over p(z|observed x), by self-normalised importance sampling
        from the encoder's q(z|x); for categories the most probable one.

        Args:
            x: `[examples, *raw_shape]`, NaN where missing.
            condition: One per example, or one for all. Defaults to `None`.
            samples: Latents drawn per example. Defaults to `200`.
            seed: Of the draws. Defaults to `None`: a fresh one.
            batch_size: Examples at a time. Defaults to `32`: all draws of a batch are held.

        Returns:
            `[examples, *raw_shape]`: x, without NaN.

        Raises:
            ValueError: If the model was not made with `missing="nan"`, x is bad, or the
                posterior has no density.

        Reference: Mattei and Frellsen (2019), MIWAE, equation 12.
        """
        self._require_density("impute")
        if self.missing is None:
            raise ValueError(
                "`impute` needs a model made with missing='nan'. For a model of complete data: "
                "keras_vae.tasks.impute(model, x, draws=None, method='metropolis')."
            )
        samples = require_integer("samples", samples)

        def impute(x: tf.Tensor, key: tf.Tensor, condition: Any = None) -> tuple[tf.Tensor]:
            condition = self.conditions.prepared(condition, x)
            y = self.preprocessed(x)
            params = self.posterior_params(y, condition=condition)
            decoded, log_weight = self.weighted_draws(y, params, key, condition, samples)
            weights = tf.nn.softmax(log_weight, axis=0)
            best = self.restored(self.likelihood.mixture_point(decoded, weights))
            return (tf.where(tf.math.is_nan(x), best, x),)

        x, condition = self.checked_inputs(x, condition, scored=True)
        name = f"impute {samples}"
        key = Stream.IMPUTE.key(seed)
        return self.in_batches(name, impute, x, batch_size, key, condition)[0]

    def weighted_draws(
        self,
        x: tf.Tensor,
        params: tf.Tensor,
        key: tf.Tensor,
        condition: tf.Tensor | None,
        samples: int,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Draw latents of q(z|x), decode them and weigh them by p(x, z) / q(z|x).

        Args:
            x: `[batch, *event]`.
            params: Of q(z|x), `[batch, *params_shape]`.
            key: Of the draws.
            condition: `[batch, *conditions.prepared_shape]`, or `None`.
            samples: Latents per example.

        Returns:
            Parameters of p(x|z), `[samples, batch, *params_shape]`, and log-weights in nats,
            `[samples, batch]`; of the observed part of x, where values are missing.
        """
        context, target = self.masked(self.context(condition=condition), x)
        noise = numerics.draw_noise(self.posterior.noise_spec(), [samples, tf.shape(x)[0]], key)
        draw = self.posterior.sample_and_log_prob(params, noise, context)
        decoded = self.likelihood_params(draw.latents, False, condition, target)
        log_likelihood = self.likelihood.log_prob(decoded, target, context.mask, context)
        log_prior = self.prior.log_prob(draw.latents, context)
        return decoded, log_likelihood + log_prior - draw.log_prob

    def raw_log_det(self, x: tf.Tensor) -> tf.Tensor:
        """What log p of raw data has more than log p of values, `[batch]`.

        The preprocessor's log-determinant, of elements that have a density.

        Args:
            x: Raw data, `[batch, *raw_shape]`.
        """
        return raw_log_det(self.preprocessor, self.likelihood, x)

    def _scored_inputs(self, x: Any, condition: Any, raw: bool) -> tuple[Any, Any]:
        x, condition = self.checked_inputs(x, condition, scored=True)
        if raw:
            check_raw(self.preprocessor, self.likelihood, x)
        return x, condition

    def _require_density(self, verb: str) -> None:
        if not self.posterior.has_density:
            raise ValueError(
                f"`{verb}` needs log q(z|x), but a {type(self.posterior).__name__} posterior "
                f"has no density. Use a posterior with one, such as DiagonalNormal."
            )
