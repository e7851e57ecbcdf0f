"""The model: two networks and four parts.

Floor 4. Kingma and Welling (2014), Auto-Encoding Variational Bayes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from keras_vae import numerics
from keras_vae.component import FromSignature, register
from keras_vae.likelihoods import Likelihood
from keras_vae.models.composition import check_composition
from keras_vae.models.heads import attach_head, features_of
from keras_vae.models.state import TrainingState
from keras_vae.models.training import WATCHED, Noise
from keras_vae.models.verbs import Verbs
from keras_vae.objectives import ELBO, LogLikelihood, Objective
from keras_vae.posteriors import Posterior
from keras_vae.priors import Prior, StandardNormal
from keras_vae.terms import Context, Draw, ElboTerms, LogJointGradient

__all__ = ["VAE"]


@register("models")
class VAE(FromSignature, Verbs):
    """A variational autoencoder: two networks and four parts.

    Compile and train it like any Keras model: `compile(optimizer)`, `fit(x)`. The loss is
    the objective, in nats per example. History holds `loss`, `elbo` (at beta 1),
    `log_likelihood`, `kl`, the scheduled values, and `val_*` of each; a posterior without
    density has no `elbo` and no `kl`.

    `fit(x)` reconstructs x; `fit(x, y)` reconstructs y from x (denoising). Data may be NumPy
    arrays, a `tf.data.Dataset` or a `keras.utils.PyDataset`, with sample weights as in
    Keras.

    Args:
        encoder: Any Keras model or layer, `x [batch, *event_shape]` -> features.
        decoder: Any Keras model or layer, `z [batch, latent_dim]` -> features.
        posterior: q(z|x), from `keras_vae.posteriors`.
        prior: p(z), from `keras_vae.priors`. Defaults to `StandardNormal()`.
        likelihood: p(x|z), from `keras_vae.likelihoods`.
        objective: From `keras_vae.objectives`. Defaults to `ELBO()`, or to
            `LogLikelihood()` if the posterior has no density.
        event_shape: Shape of one example, such as `(28, 28, 1)`.
        encoder_head: `False` if the encoder emits the posterior's parameters itself.
            Defaults to `True`: the model adds a dense head.
        decoder_head: The same for the decoder and the likelihood's parameters.
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
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        prior = StandardNormal() if prior is None else prior
        if objective is None:
            has_density = getattr(posterior, "has_density", True)
            objective = ELBO() if has_density else LogLikelihood()
        check_composition(posterior, prior, likelihood, objective)
        event_shape = _as_event_shape(event_shape)
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
        self.seed = seed
        self._functions: dict[str, Any] = {}  # the verbs, compiled
        self.state = TrainingState(WATCHED, numerics.new_seed() if seed is None else seed)
        self.track()
        self.build((None, *event_shape))

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make heads and all weights. Called by the constructor."""
        if self.built:
            return
        event_shape = self.event_shape
        self.posterior.build(None)
        self.prior.bind(event_shape, self.likelihood.support)
        self.prior.build(self.posterior.latent_shape)
        self.likelihood.build(event_shape)
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
        for network in (self.encoder, self.decoder):
            if hasattr(network, "bind") and not network.built:
                network.bind(event_shape)
        features = features_of("encoder", self.encoder, event_shape)
        self._to_posterior = attach_head(
            "encoder",
            self.encoder,
            features,
            self.posterior.params_shape,
            wanted=self.encoder_head,
            dtype=self.dtype_policy,
        )
        features = features_of("decoder", self.decoder, self.posterior.latent_shape)
        self._to_likelihood = attach_head(
            "decoder",
            self.decoder,
            features,
            self.likelihood.params_shape(event_shape),
            wanted=self.decoder_head,
            dtype=self.dtype_policy,
        )
        self.built = True

    def get_build_config(self) -> None:
        """Nothing to save: the constructor builds."""
        return

    # The two networks, with their heads.

    def posterior_params(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Parameters of q(z|x), `[batch, *params_shape]`."""
        features = self.encoder(x, training=training)
        return numerics.as_density(self._to_posterior(features, training=training))

    def likelihood_params(self, z: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Parameters of p(x|z), `[*leading, *params_shape]`, of z `[*leading, latent_dim]`."""
        latent_shape = self.posterior.latent_shape
        leading = tf.shape(z)[: z.shape.rank - len(latent_shape)]
        features = self.decoder(tf.reshape(z, (-1, *latent_shape)), training=training)
        params = numerics.as_density(self._to_likelihood(features, training=training))
        return tf.reshape(params, tf.concat([leading, params.shape[1:]], axis=0))

    def call(self, x: Any, training: bool = False) -> tf.Tensor:
        """Reconstruct: the likelihood's mean at the posterior's mean, `[batch, *event]`."""
        z = self.posterior.point(self.posterior_params(numerics.as_density(x), training))
        return self.likelihood.point(self.likelihood_params(z, training))

    # The bound.

    def context(self, *, training: bool = False) -> Context:
        """What parts may know about the present step."""
        return Context(
            step=tf.convert_to_tensor(self.state.step),
            training=training,
            data_size=tf.convert_to_tensor(self.state.data_size),
            encode=lambda x: self.posterior_params(x, training),
            decode=lambda z: self.likelihood_params(z, training),
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
            name, each `[sample, batch, *shape]`.
        """
        leading = [self.objective.samples if samples is None else samples, tf.shape(x)[0]]
        specs = {"posterior": self.posterior.noise_spec()}
        if "prior_latents" in self.objective.requires:
            specs["prior"] = self.prior.noise_spec()
        return {
            name: numerics.draw_noise(spec, leading, numerics.fold_in(key, index))
            for index, (name, spec) in enumerate(specs.items())
        }

    def elbo_terms(
        self, x: tf.Tensor, target: tf.Tensor, noise: Noise, context: Context
    ) -> ElboTerms:
        """Everything an objective may look at.

        Args:
            x: What the encoder sees, `[batch, *event]`.
            target: What is to be reconstructed, `[batch, *event]`.
            noise: As from `draw_noise`.
            context: As from `context`.
        """
        requires = self.objective.requires
        params = self.posterior_params(x, context.training)
        draw = self.posterior.sample_and_log_prob(params, noise["posterior"], context)
        log_prior = kl = gradient = None
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(draw.latents)
            decoded = self.likelihood_params(draw.latents, context.training)
            log_likelihood = self.likelihood.log_prob(decoded, target, context.mask, context)
            if self.posterior.has_density:
                log_prior = self.prior.log_prob(draw.latents, context)
                log_joint = log_likelihood + log_prior
        if "log_joint_gradient" in requires:
            of_joint = tape.gradient(log_joint, draw.latents)
            gradient = self._log_joint_gradient(of_joint, params, draw, context)
        if self.posterior.has_density:
            kl = self.prior.kl(self.posterior, params, draw, context)
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
        )

    def _log_joint_gradient(
        self, of_joint: tf.Tensor, params: tf.Tensor, draw: Draw, context: Context
    ) -> LogJointGradient:
        z = tf.stop_gradient(draw.latents)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(z)
            log_posterior = self.posterior.log_prob(tf.stop_gradient(params), z, context)
        of_posterior = tape.gradient(log_posterior, z)
        return LogJointGradient(tf.stop_gradient(of_joint), tf.stop_gradient(of_posterior))


def _as_event_shape(event_shape: Any) -> tuple[int, ...]:
    sizes = tuple(event_shape) if isinstance(event_shape, (list, tuple)) else ()
    if not sizes or not all(isinstance(size, int) and size > 0 for size in sizes):
        raise ValueError(
            f"`event_shape` must be a tuple of positive integers, such as (28, 28, 1). "
            f"Received: event_shape={event_shape!r}."
        )
    return sizes
