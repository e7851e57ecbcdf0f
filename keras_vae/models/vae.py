"""The model: two networks and four parts, and the one training step.

Floor 4. Kingma and Welling (2014), Auto-Encoding Variational Bayes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from keras_vae import numerics
from keras_vae.component import FromSignature, register
from keras_vae.likelihoods import Likelihood
from keras_vae.models import update
from keras_vae.models.checks import check_data, check_shape
from keras_vae.models.composition import check_composition
from keras_vae.models.gather import gather_terms, local_part
from keras_vae.models.guard import FiniteGuard
from keras_vae.models.heads import attach_head, features_of
from keras_vae.models.state import TrainingState
from keras_vae.models.verbs import Verbs
from keras_vae.objectives import ELBO, LogLikelihood, Objective
from keras_vae.posteriors import Posterior
from keras_vae.priors import Prior, StandardNormal
from keras_vae.terms import Bound, Context, Draw, ElboTerms, LogJointGradient

__all__ = ["VAE"]

Noise = Mapping[str, Mapping[str, tf.Tensor]]

# Terms that each training step looks at; the guard names those that were bad.
_WATCHED = (
    "x",
    "support",
    "log_likelihood",
    "log_prior",
    "log_posterior",
    "kl",
    "loss",
    "gradients",
)
# Steps run by one call from Python, unless `compile` is told otherwise.
_STEPS_PER_EXECUTION = 10


class _Outcome(NamedTuple):
    """One batch, evaluated."""

    loss: tf.Tensor
    logs: dict[str, tf.Tensor]
    finite: dict[str, tf.Tensor]
    reconstruction: tf.Tensor


@register("models")
class VAE(Verbs, FromSignature, keras.Model):
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
        self.state = TrainingState(_WATCHED, numerics.new_seed() if seed is None else seed)
        self._trackers = [keras.metrics.Mean(name=name) for name in self._logged_names()]
        self.build((None, *event_shape))

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make heads and all weights. Called by the constructor."""
        if self.built:
            return
        event_shape = tuple(input_shape[1:])
        for part, shape in (
            (self.posterior, None),
            (self.prior, self.posterior.latent_shape),
            (self.likelihood, event_shape),
            (self.objective, None),
            (self.state, None),
        ):
            if not part.built:
                part.build(shape)
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
        )
        features = features_of("decoder", self.decoder, self.posterior.latent_shape)
        self._to_likelihood = attach_head(
            "decoder",
            self.decoder,
            features,
            self.likelihood.params_shape(event_shape),
            wanted=self.decoder_head,
        )
        self.built = True

    def get_build_config(self) -> None:
        """Nothing to save: the constructor builds."""
        return None

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
        z = self.posterior.mean(self.posterior_params(numerics.as_density(x), training))
        return self.likelihood.mean(self.likelihood_params(z, training))

    # The bound.

    def context(self, *, training: bool = False) -> Context:
        """What parts may know about the present step."""
        return Context(
            step=tf.convert_to_tensor(self.state.step),
            training=training,
            data_size=tf.convert_to_tensor(self.state.data_size),
            encode=lambda x: self.posterior_params(x, training),
            decode=lambda z: self.likelihood_params(z, training),
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

    # Training and evaluation.

    def compile(  # noqa: D417
        self,
        optimizer: Any = "adam",
        loss: Any = None,
        *,
        steps_per_execution: int | None = None,
        jit_compile: bool | str = "auto",
        run_eagerly: bool = False,
        **kwargs: Any,
    ) -> None:
        """Prepare for training, as in Keras; there is no loss to choose.

        Args:
            optimizer: As in Keras. Defaults to `"adam"`.
            steps_per_execution: Steps run by one call from Python; callbacks see a batch end
                that often. Defaults to `None`: 10, or 1 when run eagerly or on replicas.
            jit_compile: Whether to compile with XLA. Defaults to `"auto"`: as Keras decides.
            run_eagerly: As in Keras. Defaults to `False`.
            **kwargs: As in Keras; `metrics` see the target and the reconstruction.

        Raises:
            ValueError: If a loss is given, or if the objective compares the examples of a
                batch and the optimizer accumulates gradients over several.
        """
        if loss is not None:
            raise ValueError(
                f"A VAE has no `loss` to choose: it maximises its objective. "
                f"Received: loss={loss!r}. Pass objective=... to the constructor, and the "
                f"reconstruction term as likelihood=..."
            )
        with self.distribute_strategy.scope():
            optimizer = keras.optimizers.get(optimizer)
        inner = optimizer.inner_optimizer if update.scales_loss(optimizer) else optimizer
        if self.objective.coupled and inner.gradient_accumulation_steps:
            raise ValueError(
                f"{type(self.objective).__name__} compares the examples of a batch, which "
                f"gradient accumulation splits. Received: gradient_accumulation_steps="
                f"{inner.gradient_accumulation_steps}. Use a larger batch instead."
            )
        if steps_per_execution is None:
            # TensorFlow 2.21 cannot run Keras's loop over several steps on several replicas
            # ("You must feed a value for placeholder tensor"), whatever the model.
            single = run_eagerly or self.distribute_strategy.num_replicas_in_sync > 1
            steps_per_execution = 1 if single else _STEPS_PER_EXECUTION
        super().compile(
            optimizer=optimizer,
            steps_per_execution=steps_per_execution,
            jit_compile=jit_compile,
            run_eagerly=run_eagerly,
            **kwargs,
        )
        self._chosen_jit_compile = jit_compile
        # Now rather than in the first step: a model saved before it was trained loads, and no
        # branch of the step has to make variables.
        if self.optimizer is not None and not self.optimizer.built:
            with self.distribute_strategy.scope():
                self.optimizer.build(self.trainable_variables)

    def get_compile_config(self) -> dict[str, Any] | None:
        """What `compile` was called with; `jit_compile="auto"` stays so."""
        config: dict[str, Any] | None = super().get_compile_config()
        return config and {**config, "jit_compile": self._chosen_jit_compile}

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile as the saved model was."""
        config = keras.saving.deserialize_keras_object(config)
        config.pop("loss", None)
        config.pop("loss_weights", None)
        self.compile(**config)

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Any = "auto",
        callbacks: Any = None,
        **kwargs: Any,
    ) -> keras.callbacks.History:
        """Train, as in Keras.

        Args:
            x: Arrays `[examples, *event]`, a `tf.data.Dataset` or a `PyDataset`.
            y: The reconstruction target if it is not x. Defaults to `None`.
            batch_size: As in Keras.
            epochs: As in Keras.
            verbose: As in Keras.
            callbacks: As in Keras; a guard against numbers that are not finite is added.
            **kwargs: As in Keras: `validation_data`, `sample_weight`, `shuffle` ...

        Returns:
            The Keras history, in nats per example.

        Raises:
            ValueError: If data is empty, of the wrong shape, not finite or outside the
                likelihood's support.
            FloatingPointError: If a term or gradient becomes NaN or infinite; the step is
                not applied.
        """
        size = check_data(x, y, self.event_shape, self.likelihood)
        validation = kwargs.get("validation_data")
        if validation is not None:
            val_x, val_y, val_weight = keras.utils.unpack_x_y_sample_weight(validation)
            check_data(val_x, val_y, self.event_shape, self.likelihood, "validation_")
            if val_weight is not None:
                kwargs["validation_data"] = (val_x, _target(val_x, val_y, val_weight), val_weight)
        if not hasattr(x, "shape") and not isinstance(x, keras.utils.PyDataset):
            kwargs.setdefault("shuffle", False)  # Keras warns of its own default for streams
        self.state.data_size.assign(size)
        if not int(self.state.adapted.numpy()):
            self.prior.adapt(x, self.context())
            self.state.adapted.assign(1)
        guard = FiniteGuard(
            self.state, f"{self.likelihood.support}: {self.likelihood.support.fix}"
        )
        if isinstance(callbacks, keras.callbacks.CallbackList):
            guard.set_model(self)
            callbacks.callbacks.insert(0, guard)
        else:
            callbacks = [guard, *_as_list(callbacks)]
        y = _target(x, y, kwargs.get("sample_weight"))
        return super().fit(
            x, y, batch_size, epochs, verbose=verbose, callbacks=callbacks, **kwargs
        )

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Any = "auto",
        sample_weight: Any = None,
        **kwargs: Any,
    ) -> Any:
        """Evaluate, as in Keras, with the same noise each time.

        Raises:
            ValueError: As `fit`.
        """
        if not kwargs.get("_use_cached_eval_dataset"):
            check_data(x, y, self.event_shape, self.likelihood)
        self.state.evaluation_counter.assign(0)
        y = _target(x, y, sample_weight)
        return super().evaluate(x, y, batch_size, verbose, sample_weight, **kwargs)

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        """One update; skipped if a number in it is not finite."""
        x, target, weight = self._unpack(data)
        noise = self.draw_noise(x, self.state.next_key(training=True))
        variables = self.trainable_variables
        statistics = [v for v in self.non_trainable_variables if v.dtype.startswith("float")]
        before = [tf.convert_to_tensor(v) for v in statistics]
        with tf.GradientTape() as tape:
            outcome = self._evaluate_batch(x, target, weight, noise, training=True)
            scaled_loss = self.optimizer.scale_loss(outcome.loss)
        gradients = tape.gradient(scaled_loss, variables)

        finite = dict(outcome.finite)
        if not update.scales_loss(self.optimizer):
            finite["gradients"] = update.all_finite(gradients)
        bad = tf.stack([~finite.get(name, tf.constant(True)) for name in _WATCHED])
        bad = update.any_replica(bad)
        good = ~tf.reduce_any(bad)
        self.state.record(bad)
        iterations = tf.identity(tf.convert_to_tensor(self.optimizer.iterations))
        update.apply_update(self.optimizer, gradients, variables, good)
        update.restore_unless(good, statistics, before)
        # Differs from 1 where gradients are accumulated or the loss scale is searched.
        applied = tf.convert_to_tensor(self.optimizer.iterations) - iterations
        self.state.step.assign_add(tf.cast(applied, tf.int64))
        return self._log(x, target, weight, outcome)

    def test_step(self, data: Any) -> dict[str, tf.Tensor]:
        """Evaluate one batch."""
        x, target, weight = self._unpack(data)
        noise = self.draw_noise(x, self.state.next_key(training=False))
        outcome = self._evaluate_batch(x, target, weight, noise, training=False)
        return self._log(x, target, weight, outcome)

    def _unpack(self, data: Any) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor | None]:
        x, y, weight = keras.utils.unpack_x_y_sample_weight(data)
        check_shape("x", x.shape, self.event_shape)
        x = numerics.as_density(x)
        target = x
        if y is not None:
            check_shape("y", y.shape, self.event_shape)
            target = numerics.as_density(y)
        if weight is not None:
            weight = tf.reshape(numerics.as_density(weight), [-1])
        return x, target, weight

    def _evaluate_batch(
        self,
        x: tf.Tensor,
        target: tf.Tensor,
        weight: tf.Tensor | None,
        noise: Noise,
        *,
        training: bool,
    ) -> _Outcome:
        context = self.context(training=training)
        terms = self.elbo_terms(x, target, noise, context)
        bound = self._bound(terms, context)
        followed = bound.value if bound.surrogate is None else bound.surrogate

        def summed(values: tf.Tensor) -> tf.Tensor:
            return tf.reduce_sum(values if weight is None else values * weight)

        local = numerics.as_density(tf.shape(x)[0])
        replicas = update.number_of_replicas()
        everywhere = local
        if replicas > 1:
            context_of_replicas = tf.distribute.get_replica_context()
            everywhere = context_of_replicas.all_reduce(tf.distribute.ReduceOp.SUM, local)
        extra = tf.add_n([numerics.as_density(loss) for loss in self.losses] or [0.0])
        # The optimizer adds gradients up over replicas.
        loss = -summed(followed) / everywhere + extra / replicas

        per_example = {"log_likelihood": tf.reduce_mean(terms.log_likelihood, axis=0)}
        if terms.kl is not None:
            per_example["kl"] = tf.reduce_sum(terms.kl, axis=-1)
            per_example["elbo"] = per_example["log_likelihood"] - per_example["kl"]
        logs = {name: tf.math.divide_no_nan(summed(v), local) for name, v in per_example.items()}
        logs["loss"] = extra - tf.math.divide_no_nan(summed(bound.value), local)
        logs.update(self.objective.scheduled(context))

        watched = {
            "x": [x, target],
            "log_likelihood": [terms.log_likelihood],
            "log_prior": [terms.log_prior],
            "log_posterior": [terms.log_posterior],
            "kl": [terms.kl],
            "loss": [loss],
        }
        finite = {name: update.all_finite(tensors) for name, tensors in watched.items()}
        finite["support"] = ~self.likelihood.support.violations(target)
        decoded = self.call(x) if self._compile_metrics is not None else target
        return _Outcome(loss, logs, finite, decoded)

    def _bound(self, terms: ElboTerms, context: Context) -> Bound:
        if not self.objective.coupled or update.number_of_replicas() == 1:
            return self.objective.bound(terms, context)
        bound = self.objective.bound(gather_terms(terms), context)
        return Bound(*(local_part(v, terms) for v in bound))

    def _logged_names(self) -> list[str]:
        names = ["log_likelihood", *self.objective.schedule_names()]
        return ["elbo", "kl", *names] if self.posterior.has_density else names

    def _log(
        self, x: tf.Tensor, target: tf.Tensor, weight: tf.Tensor | None, outcome: _Outcome
    ) -> dict[str, tf.Tensor]:
        for metric in self.metrics:
            if metric.name in outcome.logs:
                metric.update_state(outcome.logs[metric.name], sample_weight=tf.shape(x)[0])
        logs: dict[str, tf.Tensor] = self.compute_metrics(
            x, target, outcome.reconstruction, weight
        )
        return logs

    # What Keras loses: the state of the networks' Dropout layers.

    def save_own_variables(self, store: Any) -> None:
        """Save the networks' seed states too; Keras leaves them out."""
        super().save_own_variables(store)
        for index, state in enumerate(self._seed_states()):
            store[f"seed_state_{index}"] = state.numpy()

    def load_own_variables(self, store: Any) -> None:
        """Load what `save_own_variables` saved."""
        states = self._seed_states()
        names = {f"seed_state_{index}" for index in range(len(states))}
        super().load_own_variables({k: store[k] for k in store.keys() if k not in names})
        for index, state in enumerate(states):
            state.assign(store[f"seed_state_{index}"])

    def _seed_states(self) -> list[Any]:
        weights = {id(v) for v in self.weights}
        return [v for v in self.variables if id(v) not in weights]


def _as_event_shape(event_shape: Any) -> tuple[int, ...]:
    sizes = tuple(event_shape) if isinstance(event_shape, (list, tuple)) else ()
    if not sizes or not all(isinstance(size, int) and size > 0 for size in sizes):
        raise ValueError(
            f"`event_shape` must be a tuple of positive integers, such as (28, 28, 1). "
            f"Received: event_shape={event_shape!r}."
        )
    return sizes


def _target(x: Any, y: Any, sample_weight: Any) -> Any:
    # Keras silently drops the weights of data that has no y.
    return x if y is None and sample_weight is not None else y


def _as_list(callbacks: Any) -> list[Any]:
    if callbacks is None:
        return []
    return list(callbacks) if isinstance(callbacks, (list, tuple)) else [callbacks]
