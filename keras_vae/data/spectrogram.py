"""Mel spectrograms of sound, and sound from them.

Floor 3. Frames overlap by three quarters; clips stand between silence, so that all of their
samples are in as many frames. Levels are in decibels; a tone of full scale has about 0.
"""

from __future__ import annotations

import functools

import numpy as np
import tensorflow as tf

__all__ = ["QUIETEST", "frames", "from_decibels", "griffin_lim", "mel_weights", "to_decibels"]

#: Decibels of silence, and of all that is as quiet.
QUIETEST = -80.0

_SMALL = 1e-10
_OVERLAP = 4
# More bring nothing that Griffin and Lim keep.
_FITTINGS = 25
_MOMENTUM = 0.99


def frames(samples: int, window: int) -> int:
    """Number of frames of a clip."""
    return -(-samples // (window // _OVERLAP)) + _OVERLAP - 1


@functools.lru_cache(maxsize=8)
def mel_weights(sample_rate: int, window: int, bands: int) -> np.ndarray:
    """Triangles over the frequencies of a frame, evenly spaced in mels, `[window + 1, bands]`.

    Reference: Davis and Mermelstein (1980), Comparison of Parametric Representations for
    Monosyllabic Word Recognition; Young et al. (2006), The HTK Book, section 5.4.
    """
    weights: np.ndarray = tf.signal.linear_to_mel_weight_matrix(
        bands, window + 1, sample_rate, 0.0, sample_rate / 2
    ).numpy()
    return weights


def to_decibels(clips: np.ndarray, sample_rate: int, window: int, bands: int) -> np.ndarray:
    """Mel spectrograms `[clips, frames, bands]` of clips `[clips, samples]` in -1 .. 1."""
    weights = mel_weights(sample_rate, window, bands)
    decibels: np.ndarray = _decibels(tf.constant(clips, tf.float32), weights, window).numpy()
    return decibels


def from_decibels(
    spectrograms: np.ndarray,
    sample_rate: int,
    window: int,
    samples: int,
    iterations: int = 64,
) -> np.ndarray:
    """Clips `[clips, samples]` in -1 .. 1 of mel spectrograms `[clips, frames, bands]`.

    Magnitudes, never negative, are fitted to the bands; phases are those of `griffin_lim`.

    Reference: Lee and Seung (2001), Algorithms for Non-negative Matrix Factorization.
    """
    weights = mel_weights(sample_rate, window, spectrograms.shape[-1])
    magnitudes = _magnitudes(tf.constant(spectrograms, tf.float32), weights, window)
    return griffin_lim(magnitudes, window, samples, iterations)


def griffin_lim(
    magnitudes: tf.Tensor, window: int, samples: int, iterations: int = 64
) -> np.ndarray:
    """Clips `[clips, samples]` whose frames have about these magnitudes.

    Args:
        magnitudes: `[clips, frames, window + 1]`.
        window: Samples of a frame.
        samples: Of a clip.
        iterations: How often phases are replaced by those that frames can have together.

    Reference: Griffin and Lim (1984), Signal Estimation from Modified Short-Time Fourier
    Transform; Perraudin, Balazs and Sondergaard (2013), A Fast Griffin-Lim Algorithm.
    """
    clips: np.ndarray = _clips(magnitudes, window, samples, tf.constant(iterations)).numpy()
    return clips


@tf.function(reduce_retracing=True, autograph=False)
def _decibels(clips: tf.Tensor, weights: tf.Tensor, window: int) -> tf.Tensor:
    # The largest magnitude that a tone of full scale has in a frame of Hann's window.
    bands = tf.abs(_stft(clips, window)) @ weights / (window / 4)
    decibels = 20 / np.log(10) * tf.math.log(tf.maximum(bands, _SMALL))
    return tf.maximum(decibels, QUIETEST)


@tf.function(reduce_retracing=True, autograph=False)
def _magnitudes(decibels: tf.Tensor, weights: tf.Tensor, window: int) -> tf.Tensor:
    bands = 10 ** (decibels / 20) * (window / 4)
    spread = tf.matmul(bands, weights, transpose_b=True)

    def fit(step: tf.Tensor, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        again = tf.matmul(x @ weights, weights, transpose_b=True)
        return step + 1, x * spread / tf.maximum(again, _SMALL)

    start = spread / tf.maximum(tf.reduce_sum(weights, 1) ** 2, _SMALL)
    _, magnitudes = tf.while_loop(lambda step, _: step < _FITTINGS, fit, (0, start))
    return magnitudes


@tf.function(reduce_retracing=True, autograph=False)
def _clips(
    magnitudes: tf.Tensor, window: int, samples: int, iterations: tf.Tensor
) -> tf.Tensor:
    def with_phases_of(spectrum: tf.Tensor) -> tf.Tensor:
        unit = spectrum / tf.cast(tf.maximum(tf.abs(spectrum), _SMALL), spectrum.dtype)
        return _istft(unit * tf.cast(magnitudes, unit.dtype), window, samples)

    def step(count: tf.Tensor, guess: tf.Tensor, before: tf.Tensor) -> tuple[tf.Tensor, ...]:
        possible = _stft(with_phases_of(guess), window)
        return count + 1, possible + _MOMENTUM * (possible - before), possible

    angles = tf.random.stateless_uniform(tf.shape(magnitudes), (0, 0), 0.0, 2 * np.pi)
    start = tf.complex(tf.cos(angles), tf.sin(angles))
    _, guess, _ = tf.while_loop(
        lambda count, *_: count < iterations, step, (0, start, tf.zeros_like(start))
    )
    return with_phases_of(guess)


def _stft(clips: tf.Tensor, window: int) -> tf.Tensor:
    hop = window // _OVERLAP
    silence = window - hop
    rest = -tf.shape(clips)[1] % hop
    padded = tf.pad(clips, [[0, 0], [silence, silence + rest]])
    return tf.signal.stft(padded, window, hop, 2 * window)


def _istft(spectrum: tf.Tensor, window: int, samples: int) -> tf.Tensor:
    hop = window // _OVERLAP
    silence = window - hop
    clips = tf.signal.inverse_stft(
        spectrum,
        window,
        hop,
        2 * window,
        window_fn=tf.signal.inverse_stft_window_fn(hop),
    )
    return clips[:, silence : silence + samples]
