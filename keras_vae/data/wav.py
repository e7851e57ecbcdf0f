"""WAV files as 16-bit samples of one channel.

Floor 3.
"""

from __future__ import annotations

import io
import math
import warnings
from pathlib import Path

import numpy as np

__all__ = ["FULL_SCALE", "decoded", "one_channel", "rounded"]

#: The sample that stands for 1.
FULL_SCALE = 2**15
# Samples a second that any recorder makes.
_FASTEST = 768_000


def decoded(path: Path) -> tuple[int, np.ndarray]:
    """Rate and values `[samples]` or `[samples, channels]`."""
    from scipy.io import wavfile

    try:
        with warnings.catch_warnings():
            # Other chunks hold titles and such; a file that ends early is damaged.
            warnings.simplefilter("ignore", wavfile.WavFileWarning)
            warnings.filterwarnings("error", "Reached EOF", wavfile.WavFileWarning)
            rate, values = wavfile.read(io.BytesIO(path.read_bytes()))
    except Exception as error:  # Of damaged files SciPy raises all sorts.
        raise ValueError(f"{path} is no WAV file, or is damaged.") from error
    if not 0 < rate <= _FASTEST:
        raise ValueError(f"{path} is damaged: it has {rate} samples a second.")
    if not len(values) or not np.all(np.isfinite(values)):
        raise ValueError(f"{path} must have samples, all of them finite.")
    return int(rate), values


def one_channel(values: np.ndarray, rate: int = 1, to_rate: int = 1) -> np.ndarray:
    """16-bit samples of one channel, at another rate."""
    if values.dtype == np.int16 and values.ndim == 1 and rate == to_rate:
        return values
    scale = {"uint8": 2.0**8, "int16": 1.0, "int32": 2.0**-16}.get(values.dtype.name, 2.0**15)
    samples = values.astype("float64") - (128 if values.dtype == np.uint8 else 0)
    samples = scale * (samples.mean(1) if samples.ndim == 2 else samples)
    if rate != to_rate:
        from scipy.signal import resample_poly

        common = math.gcd(rate, to_rate)
        samples = resample_poly(samples, to_rate // common, rate // common)
    return rounded(samples)


def rounded(samples: np.ndarray) -> np.ndarray:
    """Samples in units of 16 bits as such."""
    low, high = -FULL_SCALE, FULL_SCALE - 1
    whole_numbers: np.ndarray = np.clip(np.rint(samples), low, high).astype("int16")
    return whole_numbers
