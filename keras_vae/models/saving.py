"""Saving that never loses what was there.

Keras opens the old file and writes into it: a process that is killed meanwhile, or a full
disk, leaves neither the old model nor the new one.

Floor 4.
"""

from __future__ import annotations

import contextlib
import io
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from keras_vae.core.atomic_io import publish, staging, tidy, writing
from keras_vae.core.durable import check_room
from keras_vae.core.paths import any_path

__all__ = ["SafelySaved"]

# Bytes of HDF5 for a variable, besides its values.
_OVERHEAD = 2_048
_ARCHIVE = {"config.json", "metadata.json"}
_SAVED_MODEL = {"saved_model.pb"}
_ALL_OF_ARCHIVE = {*_ARCHIVE, "model.weights.h5", "assets"}
_ALL_OF_SAVED_MODEL = {*_SAVED_MODEL, "fingerprint.pb", "variables", "assets", "assets.extra"}
# Bytes of HDF5 for a variable, besides its values.
_OVERHEAD = 2_048


class SafelySaved(keras.Model):
    """A Keras model whose files appear whole or not at all."""

    def save(
        self, filepath: Any, overwrite: bool = True, zipped: bool | None = None, **kwargs: Any
    ) -> None:
        """Save the model as a `.keras` file, as in Keras; an older one is replaced in one step.

        Args:
            filepath: Ends in `.keras`. `~` and `file://` are expanded; addresses such as
                `gs://` go through TensorFlow.
            overwrite: `False` to be asked before an older file is replaced. Defaults to
                `True`.
            zipped: `False` for a folder in place of a file. Defaults to `None`: a file, but
                for `hf://`.
            **kwargs: As in Keras.

        Raises:
            OSError: If it cannot be written; an older file is as it was.
            ValueError: If `filepath` is no place for it.
        """
        if str(filepath).startswith("hf://"):
            super().save(filepath, overwrite=overwrite, zipped=zipped, **kwargs)
            return
        place = any_path(filepath, "filepath")
        if isinstance(place, str):
            super().save(place, overwrite=overwrite, zipped=zipped, **kwargs)
        elif overwrite or _confirmed(place):
            folder = zipped is False
            with writing(place, folder=folder, ours=_is_archive) as draft:
                check_room(draft.parent, self._bytes_saved())
                super().save(draft, zipped=zipped, **kwargs)

    def save_weights(
        self, filepath: Any, overwrite: bool = True, max_shard_size: float | None = None
    ) -> None:
        """Save the weights, as in Keras; older ones are replaced in one step.

        Args:
            filepath: Ends in `.weights.h5`, or `.weights.json` if there are to be shards.
            overwrite: As in `save`.
            max_shard_size: Largest size of a file, in GB. Defaults to `None`: one file.

        Raises:
            OSError: If it cannot be written; older files are as they were.
        """
        place = any_path(filepath, "filepath")
        if isinstance(place, str):
            super().save_weights(place, overwrite=overwrite, max_shard_size=max_shard_size)
        elif not overwrite and not _confirmed(place):
            return
        elif max_shard_size is None:
            with writing(place) as draft:
                check_room(draft.parent, self._bytes_saved())
                super().save_weights(draft)
        else:
            with _several(place) as draft:
                check_room(draft.parent, self._bytes_saved())
                super().save_weights(draft, max_shard_size=max_shard_size)

    def load_weights(self, filepath: Any, skip_mismatch: bool = False, **kwargs: Any) -> None:
        """Load weights, as in Keras.

        Args:
            filepath: As in `save_weights`.
            skip_mismatch: Whether to leave out what does not fit. Defaults to `False`.
            **kwargs: As in Keras.
        """
        place = any_path(filepath, "filepath")
        if isinstance(place, Path):
            tidy(place.parent)
        super().load_weights(str(place), skip_mismatch=skip_mismatch, **kwargs)

    def export(self, filepath: Any, format: str = "tf_saved_model", **kwargs: Any) -> None:  # noqa: A002
        """Export what `call` computes, as in Keras; `keras_vae.exporters` have more.

        Args:
            filepath: A folder for a SavedModel, else a file.
            format: As in Keras. Defaults to `"tf_saved_model"`.
            **kwargs: As in Keras.

        Raises:
            OSError: If it cannot be written; what was there is as it was.
            ValueError: If something else is there.
        """
        place = any_path(filepath, "filepath")
        if isinstance(place, str):
            super().export(place, format=format, **kwargs)
            return
        if format == "tf_saved_model":
            drafted = writing(place, folder=True, ours=_is_saved_model)
        else:
            drafted = _several(place)
        said = io.StringIO()
        with drafted as draft, contextlib.redirect_stdout(said):
            super().export(str(draft), format=format, **kwargs)
        if text := said.getvalue():
            print(text.replace(str(draft), str(place)), end="")

    def _bytes_saved(self) -> int:
        optimizer = getattr(self, "optimizer", None)
        saved = [*self.variables, *(optimizer.variables if optimizer is not None else ())]
        of_values: int = sum(math.prod(v.shape) * tf.as_dtype(v.dtype).size for v in saved)
        return of_values + _OVERHEAD * len(saved)


@contextlib.contextmanager
def _several(place: Path) -> Iterator[Path]:
    """Let files that lie beside each other appear in one switch."""
    with staging(place.parent) as stage:
        yield stage / place.name
        publish(stage, place.parent, sorted(os.listdir(stage)))


def _is_archive(folder: Path) -> bool:
    return _ARCHIVE <= set(os.listdir(folder)) <= _ALL_OF_ARCHIVE


def _is_saved_model(folder: Path) -> bool:
    return _SAVED_MODEL <= set(os.listdir(folder)) <= _ALL_OF_SAVED_MODEL


def _confirmed(place: Path) -> bool:
    """Whether a file may be written there, for which the user is asked if one is there."""
    return not place.exists() or input(f"Replace {place}? [y/n] ").strip().lower() == "y"
