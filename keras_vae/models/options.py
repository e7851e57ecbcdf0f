"""Checks of the options of `fit`, `evaluate` and `predict`, and the split of held-out rows.

Floor 4.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from keras_vae.arguments import is_number, plain, require_integer
from keras_vae.data.sparse import SparseRows

__all__ = ["checked_options", "held_out_rows", "rows_of_batch", "training_rows"]

_LEAST = {
    "batch_size": 1,
    "validation_batch_size": 1,
    "epochs": 0,
    "initial_epoch": 0,
    "steps_per_epoch": 1,
    "validation_steps": 1,
    "steps": 1,
}


def checked_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options in plain Python.

    Args:
        options: Arguments of `fit`, `evaluate` or `predict` by name, but for data.

    Raises:
        ValueError: If one is of the wrong kind or out of range.
    """
    checked = dict(options)
    for name, least in _LEAST.items():
        if checked.get(name) is not None:
            checked[name] = require_integer(name, checked[name], least)
    frequency = checked.get("validation_freq")
    if frequency is not None and not isinstance(frequency, (list, tuple, set)):
        checked["validation_freq"] = require_integer("validation_freq", frequency)
    if "verbose" in checked:
        checked["verbose"] = _verbosity(checked["verbose"])
    if "shuffle" in checked:
        checked["shuffle"] = plain(checked["shuffle"])
        if not isinstance(checked["shuffle"], bool):
            raise ValueError(
                f"`shuffle` must be True or False. Received: shuffle={options['shuffle']!r}."
            )
    if checked.get("class_weight") is not None:
        raise ValueError(
            f"`class_weight` must be None: a VAE has no classes. Received: class_weight="
            f"{checked['class_weight']!r}. Pass one weight for each example as sample_weight."
        )
    share = plain(checked.get("validation_split")) or 0.0
    if not is_number(share) or not 0 <= share < 1:
        raise ValueError(
            f"`validation_split` must be above 0 and below 1, or 0 for no split. "
            f"Received: validation_split={share!r}."
        )
    if "validation_split" in checked:
        checked["validation_split"] = share
    return checked


def _verbosity(verbose: Any) -> Any:
    verbose = plain(verbose)
    if not isinstance(verbose, (str, int)) or verbose not in ("auto", 0, 1, 2):
        raise ValueError(f"`verbose` must be 'auto', 0, 1 or 2. Received: verbose={verbose!r}.")
    return verbose


def rows_of_batch(batch_size: int | None, size: int) -> int | None:
    """Return a batch size that is no larger than the data; `size` is 0 if unknown."""
    return min(batch_size, size) if batch_size and size else batch_size


def training_rows(size: int, share: float) -> int:
    """Number of rows before the last ones that `validation_split` holds out, as in Keras.

    Args:
        size: Number of examples, 0 if unknown.
        share: `validation_split` of `fit`.

    Raises:
        ValueError: If the data are a stream, or nothing is left to train on or to validate.
    """
    if not size:
        raise ValueError(
            f"`validation_split` must be 0 where `x` gives batches. Received: "
            f"validation_split={share}. Pass other batches as validation_data."
        )
    count = math.floor(size * (1.0 - share))
    if not 0 < count < size:
        raise ValueError(
            f"`validation_split` must leave examples to train on and to validate. Received: "
            f"validation_split={share} for {size} examples."
        )
    return count


def held_out_rows(data: Any, count: int) -> tuple[Any, Any]:
    """Split a tuple of arrays, mappings of arrays and `None` after the first `count` rows."""
    return _rows(data, slice(None, count)), _rows(data, slice(count, None))


def _rows(data: Any, rows: slice) -> Any:
    if data is None:
        return None
    if isinstance(data, tuple):
        return tuple(_rows(part, rows) for part in data)
    if isinstance(data, Mapping):
        return {name: _rows(part, rows) for name, part in data.items()}
    return data.only(rows) if isinstance(data, SparseRows) else data[rows]
