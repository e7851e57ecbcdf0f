"""The model: two networks and four parts.

Floor 4. Kingma and Welling (2014), Auto-Encoding Variational Bayes.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_vae import numerics
from keras_vae.arguments import is_integer, require_shape
from keras_vae.component import register
from keras_vae.likelihoods import Likelihood
from keras_vae.models.composition import check_composition
from keras_vae.models.conditions import Conditions
from keras_vae.models.forking import note_process
from keras_vae.models.state import TrainingState
from keras_vae.models.tracing import CompiledFunctions
from keras_vae.models.training import WATCHED, Noise
from keras_vae.models.verbs import Verbs
from keras_vae.objectives import ELBO, LogLikelihood, Objective
from keras_vae.posteriors import Posterior
from keras_vae.preprocessors import Preprocessor
from keras_vae.priors import Prior, StandardNormal
from keras_vae.terms import Context, Draw, ElboTerms, LogJointGradient

__all__ = ["VAE"]


@register("models")
class VAE(Verbs):
    """A variational autoencoder: two networks and four parts.

    Compile and train it like any Keras model: `compile(optimizer)`, `fit(x)`. The loss is
    the objective, in nats per example. History holds `loss`, `elbo` (at beta 1),
    `log_likelihood`, `kl`, the scheduled values, and `val_*` of each; a posterior without
    density has no `elbo` and no `kl`.

    `fit(x)` reconstructs x; `fit(x, y)` reconstructs y from x (denoising). Data may be NumPy
    arrays, a `tf.data.Dataset` or a `keras.utils.PyDataset`, with sample weights as in
    Keras. A conditional model takes `{"x": ..., "condition": ...}` in place of x.

    Args:
        encoder: Any Keras model or layer, `x [batch, *event_shape]` -> features.
        decoder: Any Keras model or layer, `z [batch, latent_dim]` -> features. One with a true
            attribute `autoregressive` is also given the target, shifted by one along the
            first axis of the event, and writes sequences step by step.
        posterior: q(z|x), from `keras_vae.posteriors`.
        prior: p(z), from `keras_vae.priors`. Defaults to `StandardNormal()`.
        likelihood: p(x|z), from `keras_vae.likelihoods`.
        objective: From `keras_vae.objectives`. Defaults to `ELBO()`, or to
            `LogLikelihood()` if the posterior has no density.
        event_shape: Shape of one example, such as `(28, 28, 1)`.
        encoder_head: `False` if the encoder emits the posterior's parameters itself.
            Defaults to `True`: the model adds a dense head.
        decoder_head: The same for the decoder and the likelihood's parameters.
        condition_shape: Shape of what the model is conditioned on, such as `(10,)` for one
            of ten labels, which may be given as integers. Networks whose `call` takes
            `condition` get it so; others as further elements or channels of their input.
            Defaults to `None`: no condition.
        condition_dropout: Share of training examples whose condition is dropped; the model
            can then be used with and without. Defaults to `0.0`.
        missing: `"nan"` if NaN in x stands for values that are missing: they do not count in
            the bound (Mattei and Frellsen 2019, equation 3), and the encoder sees x with
            something in their place and, as further channels, what was observed. Defaults to
            `None`: NaN is an error.
        preprocessor: From `keras_vae.preprocessors`. All methods and exports then take and
            return raw data; bounds and parts are of what the preprocessor makes of it.
            Defaults to `None`: data are as the likelihood wants them.
        seed: Of all noise drawn in training and evaluation. Defaults to `None`: taken from
            Python's generator, which `keras.utils.set_random_seed` sets.
        **kwargs: As in any Keras model.

    Raises:
        TypeError: If a network or part is of the wrong kind.
        ValueError: If shapes do not fit or parts do not go together.

    Example:
    >>> vae = keras_vae.VAE(
    ...     encoder=keras_vae.networks.MLP([32]),
    ...     decoder=keras_vae.networks.MLP([32]),
    ...     posterior=keras_vae.posteriors.DiagonalNormal(latent_dim=2),
    ...     likelihood=keras_vae.likelihoods.Bernoulli(),
    ...     event_shape=(8, 8, 1),
    ... )
    >>> vae.compile(optimizer="adam")
    >>> history = vae.fit(np.zeros([64, 8, 8, 1]), epochs=2, verbose=0)
    >>> sorted(history.history)
    ['elbo', 'kl', 'log_likelihood', 'loss']
    >>> vae.encode(np.zeros([3, 8, 8, 1])).shape
    (3, 2)

    Reference: Kingma and Welling (2014), Auto-Encoding Variational Bayes.
    """

    def __init__(
        self,
        encoder: Any,
        decoder: Any,
        posterior: Posterior,
        prior: Prior | None = None,
        *,
        likelihood: Likelihood,
        objective: Objective | None = None,
        event_shape: Sequence[int],
        encoder_head: bool = True,
        decoder_head: bool = True,
        condition_shape: Sequence[int] | None = None,
        condition_dropout: float = 0.0,
        missing: str | None = None,
        preprocessor: Preprocessor | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        prior = StandardNormal() if prior is None else prior
        if objective is None:
            has_density = getattr(posterior, "has_density", True)
            objective = ELBO() if has_density else LogLikelihood()
        check_composition(posterior, prior, likelihood, objective)
        event_shape = require_shape("event_shape", event_shape, "(28, 28, 1)")
        conditions = Conditions(condition_shape, condition_dropout)
        if prior.needs_condition and conditions.shape is None:
            raise ValueError(
                f"A {type(prior).__name__} prior depends on a condition, but the model has "
                f"none. Pass condition_shape=..., or use another prior."
            )
        if missing not in (None, "nan"):
            raise ValueError(f"`missing` must be None or 'nan'. Received: missing={missing!r}.")
        if missing and not likelihood.maskable:
            raise ValueError(
                f"A {type(likelihood).__name__} likelihood cannot leave out parts of an event, "
                f"so that values may not be missing. Received: missing={missing!r}. Use "
                f"another likelihood, or impute first."
            )
        if preprocessor is not None:
            _check_preprocessor(preprocessor, missing)
        if seed is not None and not (is_integer(seed) and abs(seed) < 2**63):
            raise ValueError(f"`seed` must be an integer or None. Received: seed={seed!r}.")
        note_process()
        # The networks cast for themselves; log-densities keep their precision.
        super().__init__(autocast=False, **kwargs)
        self.encoder = encoder
        self.decoder = decoder
        self.posterior = posterior
        self.prior = prior
        self.likelihood = likelihood
        self.objective = objective
        self.event_shape = event_shape
        self.encoder_head = encoder_head
        self.decoder_head = decoder_head
        self.condition_shape = condition_shape
        self.condition_dropout = condition_dropout
        self.missing = missing
        self.preprocessor = preprocessor
        self.seed = seed
        self.conditions = conditions
        self._functions = CompiledFunctions()  # of the methods
        self.state = TrainingState(WATCHED, numerics.new_seed() if seed is None else seed)
        self.track()
        self.build((None, *event_shape))

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make heads and all weights. Called by the constructor."""
        if self.built:
            return
        event_shape = self.event_shape
        if self.preprocessor is not None:
            self.preprocessor.build(event_shape)
            if self.preprocessor.event_shape != event_shape:
                raise ValueError(
                    f"`preprocessor` was built for events of shape "
                    f"{self.preprocessor.event_shape}. Received: event_shape={event_shape}. "
                    f"Use a fresh one for each model."
                )
        self.posterior.build(None)
        self.prior.bind(
            event_shape,
            self.likelihood.support,
            self.conditions.prepared_shape,
            posterior=self.posterior,
        )
        self.likelihood.build(event_shape)
        self.prior.bind_view(self.likelihood)
        self.prior.build(self.posterior.latent_shape)
        self.objective.build(event_shape)
        self.state.build()
        if tuple(self.likelihood.event_shape) != event_shape:
            raise ValueError(
                f"`likelihood` was built for events of shape {self.likelihood.event_shape}. "
                f"Received: event_shape={event_shape}. Use a fresh one for each model."
            )
        if tuple(self.prior.latent_shape) != self.posterior.latent_shape:
            raise ValueError(
                f"`prior` was built for latents of shape {self.prior.latent_shape}, but the "
                f"posterior's have {self.posterior.latent_shape}. Use a fresh one."
            )
        self.build_networks()
        self.settle_trainability()
        self.fix()
        self.built = True

    def get_build_config(self) -> None:
        """Nothing to save: the constructor builds."""
        return

    # The bound.

    def context(
        self,
        *,
        training: bool = False,
        condition: tf.Tensor | None = None,
        target: tf.Tensor | None = None,
    ) -> Context:
        """What parts may know about the present step.

        Args:
            training: Whether it is a training step.
            condition: `[batch, *conditions.prepared_shape]`. Defaults to `None`: none, or
                none known.
            target: `[batch, *event]`: what an autoregressive decoder predicts where an
                objective decodes. Defaults to `None`: it cannot.
        """
        if target is not None and self.missing:
            target = self.likelihood.filled(target, ~tf.math.is_nan(target))

        def encode(x: tf.Tensor) -> tf.Tensor:
            with self.added_losses.ignored():
                return self.posterior_params(x, training)

        def encode_view(view: tf.Tensor) -> tf.Tensor:
            with self.added_losses.ignored():
                return self.posterior_params_of_view(self.observed_view(view), training)

        def decode(z: tf.Tensor) -> tf.Tensor:
            with self.added_losses.ignored():
                return self.likelihood_params(z, training, condition, target)

        return Context(
            step=tf.convert_to_tensor(self.state.step),
            training=training,
            condition=condition,
            data_size=tf.convert_to_tensor(self.state.data_size),
            encode=encode,
            view=self.filled_view,
            encode_view=encode_view,
            decode=decode,
            posterior=self.posterior,
        )

    def draw_noise(self, x: tf.Tensor, key: tf.Tensor, samples: int | None = None) -> Noise:
        """Draw all noise of a step. The one place that does; override it to hand noise in.

        Args:
            x: The step's input, `[batch, *event]`.
            key: int32 tensor of shape `[2]`.
            samples: Latents per example. Defaults to `None`: the objective's.

        Returns:
            `"posterior"` and, if the objective wants latents of it, `"prior"`: their noise by
            name, each `[sample, batch, *shape]`; and `"condition"`, `[batch]`, if conditions
            are dropped.
        """
        rows = tf.shape(x)[0]
        leading = [self.objective.samples if samples is None else samples, rows]
        specs = {"posterior": self.posterior.noise_spec()}
        if "prior_latents" in self.objective.requires:
            specs["prior"] = self.prior.noise_spec()
        noise = {
            name: numerics.draw_noise(spec, leading, numerics.fold_in(key, index))
            for index, (name, spec) in enumerate(specs.items())
        }
        if self.conditions.optional:
            spec = {"dropout": numerics.NoiseSpec("uniform", ())}
            noise["condition"] = numerics.draw_noise(spec, [rows], numerics.fold_in(key, 2))
        return noise

    def elbo_terms(
        self,
        x: tf.Tensor,
        target: tf.Tensor,
        noise: Noise,
        context: Context,
        requires: Collection[str] | None = None,
    ) -> ElboTerms:
        """Everything an objective may look at.

        Args:
            x: What the encoder is given, `[batch, *event]`.
            target: What is to be reconstructed, `[batch, *event]`.
            noise: As from `draw_noise`.
            context: As from `context`.
            requires: The optional terms wanted. Defaults to `None`: the objective's.
        """
        requires = self.objective.requires if requires is None else requires
        context, target = self.masked(context, target)
        params = self.posterior_params(x, context.training, context.condition)
        draw = self.posterior.sample_and_log_prob(params, noise["posterior"], context)
        log_prior = kl = gradient = None
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(draw.latents)
            decoded = self.likelihood_params(
                draw.latents, context.training, context.condition, target
            )
            observed = (decoded, target, context.mask, context)
            log_likelihood = self.likelihood.log_prob(*observed)
            weighted = self.likelihood.weighted_log_prob(*observed)
            if self.posterior.has_density:
                log_prior = self.prior.log_prob(draw.latents, context)
                log_joint = log_prior + (log_likelihood if weighted is None else weighted)
        if "log_joint_gradient" in requires:
            of_joint = tape.gradient(log_joint, draw.latents)
            gradient = self._log_joint_gradient(of_joint, params, draw, context)
        if self.posterior.has_density:
            known = draw._replace(log_prior=log_prior)
            kl = self.prior.kl(self.posterior, params, known, context)
        return ElboTerms(
            log_likelihood=log_likelihood,
            log_prior=log_prior,
            log_posterior=draw.log_prob,
            kl=kl,
            latents=draw.latents,
            x=target if "x" in requires else None,
            reconstruction=(
                self.likelihood.mean(decoded) if "reconstruction" in requires else None
            ),
            prior_latents=(
                self.prior.sample(noise["prior"], context)
                if "prior_latents" in requires
                else None
            ),
            posterior_params=params if "posterior_params" in requires else None,
            log_joint_gradient=gradient,
            kl_blocks=self.prior.kl_blocks(self.posterior),
            weighted_log_likelihood=weighted,
        )

    def _log_joint_gradient(
        self, of_joint: tf.Tensor, params: tf.Tensor, draw: Draw, context: Context
    ) -> LogJointGradient:
        z = tf.stop_gradient(draw.latents)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(z)
            with self.added_losses.ignored():
                log_posterior = self.posterior.log_prob(tf.stop_gradient(params), z, context)
        of_posterior = tape.gradient(log_posterior, z)
        return LogJointGradient(tf.stop_gradient(of_joint), tf.stop_gradient(of_posterior))


def _check_preprocessor(preprocessor: Any, missing: str | None) -> None:
    if not isinstance(preprocessor, Preprocessor):
        raise TypeError(
            f"`preprocessor` must be one of keras_vae.preprocessors. "
            f"Received: {preprocessor!r}."
        )
    raw_dtype = preprocessor.raw_dtype
    if missing and raw_dtype is not None and np.dtype(raw_dtype).kind != "f":
        raise ValueError(
            f"Values that are missing are NaN, which raw data of type {raw_dtype} cannot "
            f"hold. Leave out `raw_dtype`: the preprocessor then takes floats."
        )
