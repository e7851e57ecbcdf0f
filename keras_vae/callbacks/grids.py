"""Pictures of what a model does while it learns.

Floor 6.
"""

from __future__ import annotations

import os
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_vae import plots
from keras_vae.arguments import require_integer
from keras_vae.core.paths import any_path, local_path

__all__ = ["ImageGrids"]

# Images on a grid.
_ORIGINALS, _SAMPLES = 20, 40


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
        self.folder = local_path(folder, "folder")
        self.every = every
        self.log_dir = None if log_dir is None else any_path(log_dir, "log_dir")
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
