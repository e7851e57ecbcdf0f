"""Callbacks that know what a variational autoencoder is.

Floor 6.
"""

from __future__ import annotations

import os
import pathlib
import warnings
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_vae import numerics, plots
from keras_vae.arguments import require_integer
from keras_vae.component import FromSignature
from keras_vae.evaluation import active_units
from keras_vae.models import VAE
from keras_vae.schedules import Schedule

__all__ = ["CollapseMonitor", "CollapseWarning", "EarlyStopping", "ImageGrids"]

# Images that a grid shows.
_ORIGINALS, _SAMPLES = 20, 40


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
        if not patience >= 0:
            raise ValueError(f"`patience` must be >= 0. Received: patience={patience}.")
        if not min_delta >= 0:
            raise ValueError(f"`min_delta` must be >= 0. Received: min_delta={min_delta}.")
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
        if _has_settled(self.model):
            super().on_epoch_end(epoch, logs)
        else:
            self.get_monitor_value(logs)  # warns now if there is no such value


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
        if not 0 <= min_share <= 1:
            raise ValueError(
                f"`min_share` must be between 0 and 1. Received: min_share={min_share}."
            )
        if not patience >= 1:
            raise ValueError(f"`patience` must be >= 1. Received: patience={patience}.")
        if not threshold >= 0:
            raise ValueError(f"`threshold` must be >= 0. Received: threshold={threshold}.")
        if not max_rows >= 2:
            raise ValueError(f"`max_rows` must be >= 2. Received: max_rows={max_rows}.")
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
        self._mean_kl = tf.function(_mean_kl, autograph=False)

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
        low = active.mean() < self.min_share and _has_settled(self.model)
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


class ImageGrids(keras.callbacks.Callback):
    """Writes pictures of reconstructions and samples before training and after epochs.

    `reconstructions_0010.png` is from after epoch 10, and so is `samples_0010.png`; 0 is
    before the first. Images and noise are the same each time, so that pictures compare. Each
    file appears once it is complete.

    Args:
        x: Images, `[examples, height, width, channels]`; the first twenty are shown.
        folder: Where to write; made if it does not exist.
        condition: Of a conditional model, one for each image; samples are given the same, in
            turn. Defaults to `None`.
        every: Epochs from one picture to the next. Defaults to `1`.
        log_dir: Folder of TensorBoard's logs, to which the pictures go too. Defaults to
            `None`: none.
        seed: Of the samples.

    Raises:
        ImportError: If Matplotlib is not installed.
        ValueError: If `every < 1`, or the model's events are not images; see
            `plots.overview`.

    Example:
    >>> import os, tempfile
    >>> x = np.zeros([16, 4, 4, 1])
    >>> vae = keras_vae.VAE(
    ...     keras_vae.networks.MLP([8]),
    ...     keras_vae.networks.MLP([8]),
    ...     keras_vae.posteriors.DiagonalNormal(latent_dim=2),
    ...     likelihood=keras_vae.likelihoods.Bernoulli(),
    ...     event_shape=(4, 4, 1),
    ... )
    >>> vae.compile("adam")
    >>> folder = tempfile.mkdtemp()
    >>> grids = keras_vae.callbacks.ImageGrids(x, folder, every=2)
    >>> history = vae.fit(x, epochs=3, callbacks=grids, verbose=0)
    >>> sorted(os.listdir(folder))
    ['reconstructions_0000.png', 'reconstructions_0002.png', 'samples_0000.png',
    'samples_0002.png']
    """

    def __init__(
        self,
        x: Any,
        folder: str | os.PathLike[str],
        *,
        condition: Any = None,
        every: int = 1,
        log_dir: str | os.PathLike[str] | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        require_integer("every", every)
        self.x = np.asarray(x[:_ORIGINALS])
        self.condition = None if condition is None else np.asarray(condition)[:_ORIGINALS]
        self.folder = pathlib.Path(folder)
        self.every = every
        self.log_dir = log_dir
        self.seed = seed
        self._writer: Any = None

    def on_train_begin(self, logs: Any = None) -> None:
        """Show the model as it is; nothing is trained if it has no images to show."""
        self._write(0)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Show it after every so many epochs."""
        if (epoch + 1) % self.every == 0:
            self._write(epoch + 1)

    def on_train_end(self, logs: Any = None) -> None:
        """Close the log."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _write(self, epochs: int) -> None:
        paths = {
            n: self.folder / f"{n}_{epochs:04}.png" for n in ("reconstructions", "samples")
        }
        given = {"condition": self.condition}
        plots.reconstructions(self.model, self.x, **given, path=paths["reconstructions"])
        plots.samples(self.model, _SAMPLES, **given, path=paths["samples"], seed=self.seed)
        if self.log_dir is None:
            return
        if self._writer is None:
            self._writer = tf.summary.create_file_writer(os.fspath(self.log_dir))
        with self._writer.as_default(), tf.summary.record_if(True):
            for name, path in paths.items():
                _log_png(name, path.read_bytes(), epochs)


def _log_png(name: str, png: bytes, step: int) -> None:
    # What `tf.summary.image` writes, which needs the package tensorboard to write it.
    height, width, _ = tf.io.decode_png(png).shape
    metadata = tf.compat.v1.SummaryMetadata(
        plugin_data=tf.compat.v1.SummaryMetadata.PluginData(plugin_name="images")
    )
    tf.summary.write(name, [str(width), str(height), png], step=step, metadata=metadata)


def _mean_kl(model: VAE, x: tf.Tensor, condition: tf.Tensor | None) -> tf.Tensor:
    """Mean over x of the KL by group, with the same noise at each call."""
    context = model.context(condition=condition)
    params = model.posterior_params(x, condition=condition)
    noise = numerics.draw_noise(
        model.posterior.noise_spec(), [1, tf.shape(x)[0]], numerics.key_from_seed(0)
    )
    draw = model.posterior.sample_and_log_prob(params, noise, context)
    return tf.reduce_mean(model.prior.kl(model.posterior, params, draw, context), axis=0)


def _has_settled(model: VAE) -> bool:
    """Whether all schedules of the model's parts have reached their last value."""
    last = max((s.settles_after() for s in _schedules(model)), default=0)
    return int(model.state.step.numpy()) >= last


def _schedules(value: Any) -> Iterator[Schedule]:
    """The schedules among the arguments of a part, its own parts included."""
    if isinstance(value, Schedule):
        yield value
    elif isinstance(value, FromSignature):
        for name in value.argument_names():
            yield from _schedules(getattr(value, name))
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from _schedules(each)
