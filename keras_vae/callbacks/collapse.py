"""A warning of latents that are not used.

Floor 6.
"""

from __future__ import annotations

import warnings
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_vae import numerics
from keras_vae.arguments import require_integer, require_number
from keras_vae.callbacks.stopping import has_settled
from keras_vae.evaluation import active_units
from keras_vae.models import VAE
from keras_vae.models.tracing import compiled
from keras_vae.streams import Stream

__all__ = ["CollapseMonitor", "CollapseWarning"]


class CollapseWarning(UserWarning):
    """Given when a model no longer uses most of its latent dimensions."""


class CollapseMonitor(keras.callbacks.Callback):
    """Counts the active units of some examples after each epoch, and warns of a collapse.

    A latent dimension whose posterior equals the prior for every x tells the decoder
    nothing. The number of dimensions that do vary (`evaluation.active_units`) joins the logs
    as `active_units`: in the history, and in what callbacks that come after this one write.
    A `CollapseWarning` is given once if, after the warm-up, the share of active units stays
    below a limit.

    Args:
        x: Examples to look at, `[examples, *event_shape]`; validation data, say.
        condition: Of a conditional model, one for each. Defaults to `None`.
        min_share: Share of the latent dimensions that should be active, from 0 to 1.
            Defaults to `0.1`.
        patience: Epochs in a row below it before the warning: after the first ones a model
            may not have begun to use its latents. Defaults to `3`.
        threshold: As in `evaluation.active_units`. Defaults to `0.01`.
        max_rows: Examples used at most, the first ones. Defaults to `1000`.

    Attributes:
        kl_by_group: Mean KL(q(z|x) || p(z)) after the last epoch in nats, `[groups]`: by
            latent dimension where posterior and prior are factorised, else in one group.
            `None` if the posterior has no density.

    Raises:
        ValueError: If x has fewer than two examples or an argument is out of range.

    Example:
    >>> x = np.zeros([20, 4])
    >>> vae = keras_vae.VAE(
    ...     keras_vae.networks.MLP([8]),
    ...     keras_vae.networks.MLP([8]),
    ...     keras_vae.posteriors.DiagonalNormal(latent_dim=2),
    ...     likelihood=keras_vae.likelihoods.Bernoulli(),
    ...     event_shape=(4,),
    ... )
    >>> vae.compile("adam")
    >>> monitor = keras_vae.callbacks.CollapseMonitor(x)
    >>> vae.fit(x, epochs=2, callbacks=monitor, verbose=0).history["active_units"]
    [0, 0]

    Reference: Burda, Grosse and Salakhutdinov (2016), Importance Weighted Autoencoders,
    section 5.2 (active units); Bowman et al. (2016), Generating Sentences from a Continuous
    Space, 3 (the collapse).
    """

    def __init__(
        self,
        x: Any,
        *,
        condition: Any = None,
        min_share: float = 0.1,
        patience: int = 3,
        threshold: float = 0.01,
        max_rows: int = 1_000,
    ) -> None:
        super().__init__()
        require_number("min_share", min_share, 0, 1)
        require_integer("patience", patience)
        require_number("threshold", threshold, 0)
        require_integer("max_rows", max_rows, 2)
        if len(x) < 2:
            raise ValueError(f"`x` must have at least two examples. Received: {len(x)}.")
        self.x = np.asarray(x[:max_rows])
        self.condition = None if condition is None else np.asarray(condition)[:max_rows]
        self.min_share = min_share
        self.patience = patience
        self.threshold = threshold
        self.kl_by_group: np.ndarray | None = None
        self._low_epochs = 0
        self._warned = False

    def on_train_begin(self, logs: Any = None) -> None:
        """Forget an earlier training."""
        self._low_epochs, self._warned = 0, False
        self._mean_kl = compiled(_mean_kl, autograph=False)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Count active units, and warn if they are few."""
        active = active_units(
            self.model, self.x, condition=self.condition, threshold=self.threshold
        )
        if self.model.posterior.has_density:
            conditions = self.model.conditions
            condition = conditions.check("condition", self.condition, len(self.x))
            x = numerics.as_density(self.x)
            prepared = conditions.prepared(conditions.tensor(condition), x)
            self.kl_by_group = self._mean_kl(self.model, x, prepared).numpy()
        if logs is not None:
            logs["active_units"] = int(active.sum())
        low = active.mean() < self.min_share and has_settled(self.model)
        self._low_epochs = self._low_epochs + 1 if low else 0
        if self._low_epochs >= self.patience and not self._warned:
            self._warned = True
            warnings.warn(self._message(epoch, active), CollapseWarning, stacklevel=2)

    def _message(self, epoch: int, active: np.ndarray) -> str:
        kl = ""
        if self.kl_by_group is not None:
            largest = np.sort(self.kl_by_group)[::-1][:5]
            kl = f" (largest KL by dimension: {', '.join(f'{k:.2g}' for k in largest)} nats)"
        return (
            f"Posterior collapse: after epoch {epoch + 1} only {active.sum()} of "
            f"{active.size} latent dimensions are active{kl}; the decoder ignores the others. "
            f"Let beta rise slowly (schedules.LinearWarmup), allow some KL for free "
            f"(free bits), use a weaker decoder, or fewer latent dimensions."
        )


def _mean_kl(model: VAE, x: tf.Tensor, condition: tf.Tensor | None) -> tf.Tensor:
    """Mean over x of the KL by group, with the same noise at each call."""
    context = model.context(condition=condition)
    params = model.posterior_params(model.preprocessed(x), condition=condition)
    noise = numerics.draw_noise(
        model.posterior.noise_spec(), [1, tf.shape(x)[0]], Stream.COLLAPSE.key(0)
    )
    draw = model.posterior.sample_and_log_prob(params, noise, context)
    return tf.reduce_mean(model.prior.kl(model.posterior, params, draw, context), axis=0)
