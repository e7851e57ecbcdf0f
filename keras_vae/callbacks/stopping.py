"""Stopping early, but not before the schedules have settled.

Floor 6.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras

from keras_vae.arguments import require_integer, require_number
from keras_vae.component import FromSignature
from keras_vae.models import VAE
from keras_vae.schedules import Schedule

__all__ = ["EarlyStopping", "has_settled"]


class EarlyStopping(keras.callbacks.EarlyStopping):
    """Stops when the bound at beta 1 no longer rises, counting from the end of the warm-up.

    While beta rises, the loss rises with it and the bound at beta 1 moves for reasons of its
    own: Keras's callback stops there, or keeps the weights of a half-weighted KL. This one
    waits until all schedules of the model have settled (`Schedule.settles_after`; of one that
    repeats for ever, the first cycle: let `patience` cover the next). It watches `val_elbo`,
    which does not depend on beta, or `val_loss` if the posterior has no density.

    The weights that are restored include the model's training state: the number of updates
    and the stream of noise are those of the best epoch. If training ends during the
    warm-up, nothing is restored.

    Args:
        patience: Epochs without a better value after which training stops. Defaults to
            `10`.
        min_delta: Least rise, in nats, that counts. Defaults to `0.0`.
        restore_best_weights: Whether to go back to the weights of the best epoch after the
            warm-up. Defaults to `True`.
        verbose: 1 to print when it acts. Defaults to `0`.

    Raises:
        ValueError: If `patience` or `min_delta` is negative.

    Example:
    >>> warm_up = keras_vae.schedules.LinearWarmup(steps=8)
    >>> vae = keras_vae.VAE(
    ...     keras_vae.networks.MLP([8]),
    ...     keras_vae.networks.MLP([8]),
    ...     keras_vae.posteriors.DiagonalNormal(latent_dim=2),
    ...     likelihood=keras_vae.likelihoods.Bernoulli(),
    ...     objective=keras_vae.objectives.ELBO(beta=warm_up),
    ...     event_shape=(4,),
    ... )
    >>> vae.compile(keras.optimizers.SGD(0.0))  # which never improves
    >>> stop = keras_vae.callbacks.EarlyStopping(patience=1)
    >>> x = np.zeros([32, 4])
    >>> history = vae.fit(
    ...     x, validation_data=x, epochs=50, batch_size=8, callbacks=stop, verbose=0
    ... )
    >>> len(history.epoch)  # four updates each: two of warm-up, one more to compare with
    3
    """

    def __init__(
        self,
        patience: int = 10,
        *,
        min_delta: float = 0.0,
        restore_best_weights: bool = True,
        verbose: int = 0,
    ) -> None:
        patience = require_integer("patience", patience, 0)
        min_delta = require_number("min_delta", min_delta, 0)
        super().__init__(
            monitor="val_elbo",
            mode="max",
            min_delta=min_delta,
            patience=patience,
            restore_best_weights=restore_best_weights,
            verbose=verbose,
        )
        self._least_rise = min_delta

    def on_train_begin(self, logs: Any = None) -> None:
        """Choose what to watch, and forget an earlier training."""
        super().on_train_begin(logs)
        has_density = self.model.posterior.has_density
        self.monitor, self.mode = ("val_elbo", "max") if has_density else ("val_loss", "min")
        self.monitor_op, self.min_delta = None, self._least_rise

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Count, once the warm-up is over."""
        if has_settled(self.model):
            super().on_epoch_end(epoch, logs)
        else:
            self.get_monitor_value(logs)  # warns now if there is no such value


def has_settled(model: VAE) -> bool:
    """Whether all schedules of the model's parts have reached their last value."""
    last = max((s.settles_after() for s in schedules_of(model)), default=0)
    return int(model.state.step.numpy()) >= last


def schedules_of(value: Any) -> Iterator[Schedule]:
    """The schedules among the arguments of a part, its own parts included."""
    if isinstance(value, Schedule):
        yield value
    elif isinstance(value, FromSignature):
        for name in value.argument_names():
            yield from schedules_of(getattr(value, name))
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from schedules_of(each)
