"""The one training step.

Floor 4. Models say how the terms of their bound are made; this module maximises it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from keras_vae import numerics
from keras_vae.models import update
from keras_vae.models.adapting import Adapting
from keras_vae.models.batch import Batch, first_fault, weights_are_good
from keras_vae.models.forking import require_own_process
from keras_vae.models.gather import gather_terms, local_part
from keras_vae.models.losses import AddedLosses
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


class _Outcome(NamedTuple):
    """One batch, evaluated."""

    loss: tf.Tensor
    logs: dict[str, tf.Tensor]
    finite: dict[str, tf.Tensor]
    reconstruction: tf.Tensor


class BoundModel(Adapting):
    """A Keras model that maximises a bound on log p(x).

    Subclassing: set the attributes below in the constructor, build all weights there, and
    implement `context`, `draw_noise`, `elbo_terms` and `call`. `train_step` stays as it is.
    """

    built: bool
    added_losses: AddedLosses

    def draw_noise(self, x: tf.Tensor, key: tf.Tensor, samples: int | None = None) -> Noise:
        """Draw all noise of a step."""
        raise NotImplementedError

    def elbo_terms(
        self,
        x: tf.Tensor,
        target: tf.Tensor,
        noise: Noise,
        context: Context,
        requires: Collection[str] | None = None,
    ) -> ElboTerms:
        """Everything an objective may look at."""
        raise NotImplementedError

    def track(self) -> None:
        """Make the trackers of what is logged. Called once, by the constructor."""
        names = ["log_likelihood"]
        for part in (self.objective, self.posterior):
            names += part.schedule_names()
        if self.posterior.has_density:
            names = ["elbo", "kl", *names]
        self._trackers = [keras.metrics.Mean(name=name) for name in names]
        self.added_losses = AddedLosses(self)

    @property
    def losses(self) -> list[Any]:
        """Losses that layers have added, as in Keras, but for those of graphs long finished."""
        graph, building = tf.compat.v1.get_default_graph(), set()
        while graph is not None:
            building.add(id(graph))
            graph = getattr(graph, "outer_graph", None)
        return [
            loss
            for loss in super().losses
            if not tf.is_symbolic_tensor(loss) or id(loss.graph) in building
        ]

    @property
    def repeats_its_step(self) -> bool:
        """Whether `unguarded_step` is `train_step` but for the guard: no subclass's own."""
        return type(self).train_step is BoundModel.train_step

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        """One update; skipped if a number in it is not finite."""
        self.require_adapted(training=True)
        batch = self.unpack(data)
        noise = self.draw_noise(batch.x, self.state.next_key(training=True))
        variables = self.trainable_variables
        statistics = [v for v in self.non_trainable_variables if v.dtype.startswith("float")]
        statistics += update.projected_kernels(self)
        before = [tf.convert_to_tensor(v) for v in statistics]
        outcome, gradients = self._differentiate(batch, noise)
        finite = dict(outcome.finite)
        if not update.scales_loss(self.optimizer):
            finite["gradients"] = update.all_finite(gradients)
        bad = update.any_replica(_bad(finite))
        good = ~tf.reduce_any(bad)
        self.state.record(bad, self._fault(batch, bad))
        iterations = tf.identity(tf.convert_to_tensor(self.optimizer.iterations))
        update.apply_update(self.optimizer, gradients, variables, good)
        update.restore_unless(good, statistics, before)
        self._count_updates(iterations)
        return self._log(batch, outcome)

    def noise_ahead(self, data: Any, ahead: tf.Tensor) -> Noise:
        """Noise for data that is to be trained on so many steps from now."""
        x = self.unpack(data).x
        return self.draw_noise(x, self.state.key(training=True, ahead=ahead))

    def unguarded_step(self, data: Any, noise: Noise) -> tf.Tensor:
        """One update with that noise, finite or not; of `WATCHED`, what was bad.

        Gradients are not looked at.
        """
        batch = self.unpack(data)
        outcome, gradients = self._differentiate(batch, noise)
        iterations = tf.identity(tf.convert_to_tensor(self.optimizer.iterations))
        self.optimizer.apply(gradients, self.trainable_variables)
        self._count_updates(iterations)
        self.state.noise_counter.assign_add(1)
        self._log(batch, outcome)
        return _bad(outcome.finite)

    def test_step(self, data: Any) -> dict[str, tf.Tensor]:
        """Evaluate one batch."""
        self.require_adapted(training=False)
        batch = self.unpack(data)
        noise = self.draw_noise(batch.x, self.state.next_key(training=False))
        outcome = self._evaluate_batch(batch, noise, training=False)
        of_data = tf.constant([name in ("x", "support") for name in WATCHED])
        bad = update.any_replica(_bad(outcome.finite) & of_data)
        self.state.record(bad, self._fault(batch, bad), training=False)
        return self._log(batch, outcome)

    def predict(self, *arguments: Any, **kwargs: Any) -> Any:
        """Reconstruct, as in Keras: `reconstruct` with a progress bar and callbacks."""
        require_own_process()
        return super().predict(*arguments, **kwargs)

    def train_on_batch(self, *arguments: Any, **kwargs: Any) -> Any:
        """Update once, as in Keras; `adapt` comes first where parts want to see the data."""
        require_own_process()
        return super().train_on_batch(*arguments, **kwargs)

    def test_on_batch(self, *arguments: Any, **kwargs: Any) -> Any:
        """Evaluate one batch, as in Keras."""
        require_own_process()
        return super().test_on_batch(*arguments, **kwargs)

    def predict_on_batch(self, x: Any) -> Any:
        """Reconstruct one batch, as in Keras."""
        require_own_process()
        return super().predict_on_batch(x)

    def fault_of(self, data: Any) -> tf.Tensor:
        """The first bad number of a batch, as from `first_fault`."""
        return first_fault(self.unpack(data), self.likelihood.outside, bool(self.missing))

    def _fault(self, batch: Batch, bad: tf.Tensor) -> tf.Tensor:
        return tf.cond(
            tf.reduce_any(bad),
            lambda: first_fault(batch, self.likelihood.outside, bool(self.missing)),
            lambda: tf.constant([-1.0, -1.0, 0.0], tf.float64),
        )

    def predict_step(self, data: Any) -> Any:
        """Reconstruct one batch."""
        with self.added_losses.ignored():
            return super().predict_step(data)

    def _evaluate_batch(self, batch: Batch, noise: Noise, *, training: bool) -> _Outcome:
        x, target, weight, (raw, raw_target) = batch.x, batch.target, batch.weight, batch.raw
        condition = self.conditions.prepared(batch.condition, x)
        if condition is not None and training and "condition" in noise:
            condition = self.conditions.dropped(condition, noise["condition"]["dropout"])
        context = self.context(training=training, condition=condition, target=target)
        with self.added_losses.counted() as added:
            terms = self.elbo_terms(x, target, noise, context)
            self.added_losses.take(self)
            bound = self._bound(terms, context)
            self.added_losses.take(self.objective)
            added.extend(self.losses)  # of the weights
        followed = bound.value if bound.surrogate is None else bound.surrogate

        def summed(values: tf.Tensor) -> tf.Tensor:
            return tf.reduce_sum(values if weight is None else values * weight)

        local = numerics.as_density(tf.shape(x)[0])
        replicas = update.number_of_replicas()
        everywhere = local
        if replicas > 1:
            context_of_replicas = tf.distribute.get_replica_context()
            everywhere = context_of_replicas.all_reduce(tf.distribute.ReduceOp.SUM, local)
        extra = tf.add_n([numerics.as_density(loss) for loss in added] or [0.0])
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
        for part in (self.objective, self.posterior):
            logs.update(part.scheduled(context))

        watched = {
            "x": [x, target]
            if self.missing is None
            else [_without_nan(x), _without_nan(target)],
            "log_likelihood": [terms.log_likelihood],
            "log_prior": [terms.log_prior],
            "log_posterior": [terms.log_posterior],
            "kl": [terms.kl],
            "loss": [loss],
        }
        finite = {name: update.all_finite(tensors) for name, tensors in watched.items()}
        # A label out of range is NaN here.
        finite["x"] &= update.all_finite([batch.condition]) & weights_are_good(weight)
        finite["support"] = ~self.likelihood.violations(target)
        decoded = raw_target
        if self._compile_metrics is not None:
            given = batch.condition is not None
            with self.added_losses.ignored():
                decoded = self.call({"x": raw, "condition": batch.condition} if given else raw)
        return _Outcome(loss, logs, finite, decoded)

    def _bound(self, terms: ElboTerms, context: Context) -> Bound:
        if terms.weighted_log_likelihood is not None:
            terms = terms._replace(log_likelihood=terms.weighted_log_likelihood)
        if not self.objective.coupled or update.number_of_replicas() == 1:
            return self.objective.bound(terms, context)
        bound = self.objective.bound(gather_terms(terms), context)
        return Bound(*(local_part(v, terms) for v in bound))

    def _differentiate(
        self, batch: Batch, noise: Noise
    ) -> tuple[_Outcome, list[tf.Tensor | None]]:
        with tf.GradientTape() as tape:
            outcome = self._evaluate_batch(batch, noise, training=True)
            scaled_loss = self.optimizer.scale_loss(outcome.loss)
        return outcome, tape.gradient(scaled_loss, self.trainable_variables)

    def _count_updates(self, iterations: tf.Tensor) -> None:
        # Differs from 1 where gradients are accumulated or the loss scale is searched.
        applied = tf.convert_to_tensor(self.optimizer.iterations) - iterations
        self.state.step.assign_add(tf.cast(applied, tf.int64))

    def _log(self, batch: Batch, outcome: _Outcome) -> dict[str, tf.Tensor]:
        rows = tf.shape(batch.x)[0]
        for metric in self.metrics:
            if metric.name in outcome.logs:
                metric.update_state(outcome.logs[metric.name], sample_weight=rows)
        logs: dict[str, tf.Tensor] = self.compute_metrics(
            *batch.raw, outcome.reconstruction, batch.weight
        )
        return logs


def _bad(finite: Mapping[str, tf.Tensor]) -> tf.Tensor:
    return tf.stack([~finite.get(name, tf.constant(True)) for name in WATCHED])


def _without_nan(x: tf.Tensor) -> tf.Tensor:
    return tf.where(tf.math.is_nan(x), tf.zeros_like(x), x)
