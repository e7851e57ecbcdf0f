"""Long work over many examples, block by block: with progress, and to be interrupted.

Floor 5.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from keras_vae.arguments import require_integer
from keras_vae.progress import tracked

__all__ = ["in_blocks"]


def in_blocks(
    function: Callable[[Any, Any, int], tuple[np.ndarray, ...]],
    x: Any,
    condition: Any,
    *,
    block: int,
    seed: int | None,
    label: str | None,
) -> list[np.ndarray]:
    """Run a function over blocks of examples, and put its results together.

    Interrupted from the keyboard, it warns and returns what the finished blocks gave.

    Args:
        function: `(x, condition, seed) -> arrays`, one element per example.
        x: `[examples, ...]`.
        condition: `[examples, ...]`, or `None`.
        block: Examples at a time.
        seed: Of the blocks' seeds. `None`: from entropy.
        label: What the progress bar says; `None`: no bar.

    Raises:
        KeyboardInterrupt: If the first block is interrupted.
    """
    if seed is not None:
        require_integer("seed", seed, least=0)
    starts = range(0, len(x), block)
    seeds = np.random.SeedSequence(seed).generate_state(len(starts), "uint32") // 2
    steps = tracked(list(zip(starts, seeds.tolist(), strict=True)), label)
    found: list[tuple[np.ndarray, ...]] = []
    try:
        for start, own_seed in steps:
            rows = slice(start, start + block)
            given = None if condition is None else condition[rows]
            found.append(function(x[rows], given, own_seed))
    except KeyboardInterrupt:
        if not found:
            raise
        done = sum(len(each[0]) for each in found)
        warnings.warn(f"Interrupted after {done} of {len(x)} examples.", stacklevel=3)
    return [np.concatenate(each) for each in zip(*found)]
