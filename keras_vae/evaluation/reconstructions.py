"""How good reconstructions are, in units of the data.

Floor 5.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from keras_vae.arguments import require_examples, require_positive

__all__ = ["reconstruction_errors"]

# Images that are compared at a time.
_ROWS = 1024


def reconstruction_errors(
    x: Any, reconstructed: Any, *, peak: float = 1.0, network: Any = None
) -> Mapping[str, float]:
    """How far reconstructions are from the data, in several measures.

    Args:
        x: `[examples, ...]`.
        reconstructed: The same shape, such as `model.reconstruct(x)`.
        peak: Largest possible value, for PSNR and SSIM. Defaults to `1.0`.
        network: A Keras model of features, for `"feature_distance"`. Defaults to `None`.

    Returns:
        `"mse"` and `"mae"`, means over all elements; `"psnr"`, in dB, the mean over examples;
        for images of at least 11 x 11 pixels `"ssim"`; and with a network
        `"feature_distance"`, the mean Euclidean distance of features.

    Raises:
        ValueError: If shapes differ, or `peak` is not positive.

    Example:
    >>> x = np.zeros([5, 16, 16, 1], "float32")
    >>> found = keras_vae.evaluation.reconstruction_errors(x, x + 0.1)
    >>> round(found["mse"], 4), round(found["psnr"], 2)
    (0.01, 20.0)

    Reference: Wang, Bovik, Sheikh and Simoncelli (2004), Image Quality Assessment (SSIM).
    """
    for name, given in (("x", x), ("reconstructed", reconstructed)):
        require_examples(name, given)
        if np.asarray(given).dtype.kind not in "biuf":
            raise ValueError(
                f"`{name}` must hold numbers. Received: dtype {np.asarray(given).dtype}."
            )
    x, reconstructed = np.asarray(x, "float32"), np.asarray(reconstructed, "float32")
    if x.shape != reconstructed.shape or x.ndim < 2:
        raise ValueError(
            f"`x` and `reconstructed` must be arrays of one shape. "
            f"Received: {x.shape} and {reconstructed.shape}."
        )
    require_positive("peak", peak)
    squares = np.square(x - reconstructed, dtype="float64").reshape(len(x), -1).mean(axis=1)
    # An exact reconstruction has no finite PSNR; at 16 bits no error is smaller.
    psnr = 10 * np.log10(peak**2 / np.maximum(squares, (peak / 65_536) ** 2))
    found = {
        "mse": float(squares.mean()),
        "mae": float(np.mean(np.abs(x - reconstructed), dtype="float64")),
        "psnr": float(psnr.mean()),
    }
    if x.ndim == 4 and min(x.shape[1:3]) >= 11:
        parts = [
            tf.image.ssim(x[start : start + _ROWS], reconstructed[start : start + _ROWS], peak)
            for start in range(0, len(x), _ROWS)
        ]
        found["ssim"] = float(np.mean(np.concatenate(parts), dtype="float64"))
    if network is not None:
        first, second = (network.predict(v, verbose=0) for v in (x, reconstructed))
        distances = np.linalg.norm((first - second).reshape(len(x), -1), axis=1)
        found["feature_distance"] = float(distances.mean(dtype="float64"))
    return found
