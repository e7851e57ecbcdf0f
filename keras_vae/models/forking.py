"""TensorFlow in a forked process.

Floor 4.
"""

from __future__ import annotations

import os

__all__ = ["note_process", "require_own_process"]

# Of the process in which TensorFlow was first used for a model.
_process: list[int] = []


def note_process() -> None:
    """Note in which process models are made and run."""
    if not _process:
        _process.append(os.getpid())


def require_own_process() -> None:
    """Raise a RuntimeError in a child of the process that models were made in.

    TensorFlow's threads are not there after a fork: its next op would wait for ever.
    """
    note_process()
    if os.getpid() != _process[0]:
        raise RuntimeError(
            f"A VAE cannot run in a forked process once its parent made or ran one: TensorFlow "
            f"would wait for ever. Received: process {os.getpid()}, forked from "
            f"{_process[0]}. Start workers by multiprocessing.get_context('spawn') and load "
            f"the model in each, or give them an ONNX export, which ONNX Runtime runs in any."
        )
