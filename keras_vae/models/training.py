"""The one training step, and what surrounds it: compile, fit, evaluate, save.

Floor 4. Models say how the terms of their bound are made; this module maximises it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from keras_vae import numerics
from keras_vae.likelihoods import Likelihood
from keras_vae.models import update
from keras_vae.models.checks import check_data, check_shape
from keras_vae.models.gather import gather_terms, local_part
from keras_vae.models.guard import FiniteGuard
from keras_vae.models.state import TrainingState
from keras_vae.objectives import Objective
from keras_vae.posteriors import Posterior
from keras_vae.priors import Prior
from keras_vae.terms import Bound, Context, ElboTerms

__all__ = ["WATCHED", "BoundModel", "Noise"]

Noise = Mapping[str, Mapping[str, tf.Tensor]]

# Terms that each training step looks at; the guard names those that were bad.
WATCHED = (
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


class BoundModel(keras.Model):
    """A Keras model that maximises a bound on log p(x).

    Subclassing: set the attributes below in the constructor, build all weights there, and
    implement `context`, `draw_noise`, `elbo_terms` and `call`. `train_step` stays as it is.
    """

    posterior: Posterior
    prior: Prior
    likelihood: Likelihood
    objective: Objective
    event_shape: tuple[int, ...]
    state: TrainingState
    built: bool

    def context(self, *, training: bool = False) -> Context:
        """What parts may know about the present step."""
        raise NotImplementedError

    def draw_noise(self, x: tf.Tensor, key: tf.Tensor, samples: int | None = None) -> Noise:
        """Draw all noise of a step."""
        raise NotImplementedError

    def elbo_terms(
        self, x: tf.Tensor, target: tf.Tensor, noise: Noise, context: Context
    ) -> ElboTerms:
        """Everything an objective may look at."""
        raise NotImplementedError

    def track(self) -> None:
        """Make the trackers of what is logged. Called once, by the constructor."""
        names = ["log_likelihood", *self.objective.schedule_names()]
        if self.posterior.has_density:
            names = ["elbo", "kl", *names]
        self._trackers = [keras.metrics.Mean(name=name) for name in names]

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
                kwargs["validation_data"] = (
                    val_x,
                    _target(val_x, val_y, val_weight),
                    val_weight,
                )
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
        bad = tf.stack([~finite.get(name, tf.constant(True)) for name in WATCHED])
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
        logs = {
            name: tf.math.divide_no_nan(summed(v), local) for name, v in per_example.items()
        }
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
        keys = [key for key in store.keys() if key not in names]  # noqa: SIM118 (no dict)
        super().load_own_variables({key: store[key] for key in keys})
        for index, state in enumerate(states):
            state.assign(store[f"seed_state_{index}"])

    def _seed_states(self) -> list[Any]:
        weights = {id(v) for v in self.weights}
        return [v for v in self.variables if id(v) not in weights]


def _target(x: Any, y: Any, sample_weight: Any) -> Any:
    # Keras silently drops the weights of data that has no y.
    return x if y is None and sample_weight is not None else y


def _as_list(callbacks: Any) -> list[Any]:
    if callbacks is None:
        return []
    return list(callbacks) if isinstance(callbacks, (list, tuple)) else [callbacks]
