"""Backups from which a training that was killed continues as if it had not been.

Floor 4.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

from keras_vae.core.asides import aside
from keras_vae.core.atomic_io import publish, staging, tidy
from keras_vae.core.paths import is_address, local_path

__all__ = ["BackupAndRestore", "protected"]


class BackupAndRestore(keras.callbacks.BackupAndRestore):
    """Keras's callback, whose weights and epoch are written and removed in one step.

    Keras writes them one after the other: a process killed between the two repeats an epoch,
    or does not train at all. `fit` puts this callback in the place of Keras's.

    Args:
        backup_dir: Folder of its own for the backup.
        save_freq: `"epoch"`, or a number of batches; the interrupted epoch is then repeated.
            Defaults to `"epoch"`.
        double_checkpoint: Whether to keep the backup before the last, too. Defaults to
            `False`.
        delete_checkpoint: Whether to remove the backup when training ends. Defaults to
            `True`.

    Example:
    >>> import os, tempfile
    >>> vae = keras_vae.VAE(
    ...     keras_vae.networks.MLP([8]),
    ...     keras_vae.networks.MLP([8]),
    ...     keras_vae.posteriors.DiagonalNormal(latent_dim=2),
    ...     likelihood=keras_vae.likelihoods.Bernoulli(),
    ...     event_shape=(4,),
    ... )
    >>> vae.compile("adam")
    >>> folder = os.path.join(tempfile.mkdtemp(), "backup")
    >>> backup = keras_vae.callbacks.BackupAndRestore(folder, delete_checkpoint=False)
    >>> history = vae.fit(np.zeros([32, 4]), epochs=2, callbacks=backup, verbose=0)
    >>> sorted(os.listdir(folder))
    ['latest.weights.h5', 'training_metadata.json']
    """

    def __init__(
        self,
        backup_dir: Any,
        save_freq: str | int = "epoch",
        double_checkpoint: bool = False,
        delete_checkpoint: bool = True,
    ) -> None:
        self._folder = local_path(backup_dir, "backup_dir")
        super().__init__(str(self._folder), save_freq, double_checkpoint, delete_checkpoint)

    def on_train_begin(self, logs: Any = None) -> None:
        """Go back to the backup, if there is one."""
        tidy(self._folder.parent)
        tidy(self._folder)
        self.model._initial_epoch = None  # of an earlier training
        super().on_train_begin(logs)
        restored = self.model._initial_epoch
        if restored and hasattr(self.model, "skip_passes"):
            self.model.skip_passes(restored)

    def on_train_end(self, logs: Any = None) -> None:
        """Remove the backup."""
        if self.delete_checkpoint and self._folder.exists():
            # A file system of its own cannot be moved; Keras removes what is in it.
            with contextlib.suppress(OSError), aside(self._folder.parent, "backup") as found:
                self._folder.rename(found / "backup")
        super().on_train_end(logs)

    def _save_model(self) -> None:
        weights, metadata = Path(self._weights_path), Path(self._training_metadata_path)
        facts = {"epoch": self._current_epoch, "batch": self._last_batch_seen}
        names = [weights.name, metadata.name]
        with staging(self._folder) as stage:
            for path in (weights, metadata):
                if self.double_checkpoint and path.exists():
                    shutil.copy2(path, stage / f"{path.name}.bkp")
                    names.append(f"{path.name}.bkp")
            self.model.save_weights(stage / weights.name)
            (stage / metadata.name).write_text(json.dumps(facts), "utf-8")
            publish(stage, self._folder, names)


def protected(callbacks: Sequence[Any]) -> list[Any]:
    """Put `BackupAndRestore` in the place of Keras's, where it can write."""
    return [
        BackupAndRestore(
            callback.backup_dir,
            callback.save_freq,
            callback.double_checkpoint,
            callback.delete_checkpoint,
        )
        if type(callback) is keras.callbacks.BackupAndRestore
        and not is_address(callback.backup_dir)
        else callback
        for callback in callbacks
    ]
