"""Sound from WAV files, as waveforms or mel spectrograms.

Floor 3.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_vae.arguments import require_integer, require_one_of, require_positive
from keras_vae.component import register
from keras_vae.core.atomic_io import writing
from keras_vae.data import spectrogram
from keras_vae.data.schema import (
    Read,
    Schema,
    files_in,
    folders,
    is_array,
    load_array,
    report_skipped,
    stacked,
)
from keras_vae.data.source import Source, split
from keras_vae.data.wav import FULL_SCALE, decoded, one_channel, rounded
from keras_vae.preprocessors import MuLaw, Preprocessor, Standardization
from keras_vae.progress import tracked

__all__ = ["AudioSchema", "from_audio"]

_FORMS = ("spectrogram", "waveform")
# Recordings that are read before anybody wonders, and clips turned into sound at a time.
_FEW, _TOGETHER = 500, 64
# Windows a second, about.
_WINDOWS = 32


@register("data")
class AudioSchema(Schema):
    """Clips of sound, all of one length, with one channel.

    A recording becomes as many clips as come nearest to its length, but one at least: what the
    last one lacks is silence, and what is over is left out.

    Args:
        sample_rate: Samples a second.
        samples: Of a clip.
        form: What one raw example is. `"spectrogram"`: decibels in frames and mel bands,
            `[frames, bands]`, a quarter of a window from frame to frame. `"waveform"`: 16-bit
            samples, `[samples, 1]`. Defaults to `"spectrogram"`.
        bands: Of a spectrogram. Defaults to `64`.
        window: Samples of a spectrogram's frame, a multiple of 4. Defaults to `256`.
        resample: Whether recordings at other rates are converted to this one. Defaults to
            `False`: they are bad.

    Raises:
        ValueError: If a number is out of range, or a band has none of the frequencies that
            windows tell apart.

    Example:
    >>> keras_vae.data.AudioSchema(8_000, samples=8_000).event_shape
    (128, 64)
    >>> keras_vae.data.AudioSchema(8_000, samples=8_000, form="waveform").event_shape
    (8000, 1)
    """

    kind = "audio"

    def __init__(
        self,
        sample_rate: int,
        samples: int,
        form: str = "spectrogram",
        bands: int = 64,
        window: int = 256,
        resample: bool = False,
    ) -> None:
        require_integer("sample_rate", sample_rate)
        require_integer("samples", samples)
        require_one_of("form", form, _FORMS)
        require_integer("bands", bands)
        require_integer("window", window, 4)
        if window % 4:
            raise ValueError(f"`window` must be a multiple of 4. Received: window={window}.")
        if form == "spectrogram":
            weights = spectrogram.mel_weights(sample_rate, window, bands)
            if not weights.any(0).all():
                raise ValueError(
                    f"`bands` must be fewer, or `window` longer: bands have no frequencies. "
                    f"Received: bands={bands}, window={window}, sample_rate={sample_rate}."
                )
        self.sample_rate = sample_rate
        self.samples = samples
        self.form = form
        self.bands = bands
        self.window = window
        self.resample = resample

    @property
    def event_shape(self) -> tuple[int, ...]:
        if self.form == "waveform":
            return (self.samples, 1)
        return (spectrogram.frames(self.samples, self.window), self.bands)

    def suffixes(self) -> tuple[str, ...]:
        return ("", ".wav", ".npy")

    def read(self, source: Any, skip_bad: bool = False) -> Read:
        if isinstance(source, (str, os.PathLike)) and is_array(source):
            source = load_array(source)
        if hasattr(source, "shape") and source.shape[1:] == self.event_shape:
            return Read(source, [str(index) for index in range(len(source))], None, {})
        recordings = _recordings(source)
        paths = [item for _, item in recordings if isinstance(item, Path)]
        classes = folders(paths) if len(paths) == len(recordings) else None
        names: list[str] = []
        labels: list[str] = []
        skipped: dict[str, str] = {}

        def parts() -> Iterator[np.ndarray]:
            title = "Reading" if len(recordings) > _FEW else None
            for index, (name, item) in enumerate(tracked(recordings, title)):
                try:
                    samples = self._samples(item)
                except ValueError as error:
                    if not skip_bad:
                        raise ValueError(
                            f"{error} Or leave out such recordings: skip_bad=True."
                        ) from error
                    skipped[name] = str(error)
                    continue
                clips = self._clips(samples)
                over = len(samples) - clips.size
                if over > 0:
                    skipped[f"{name}, end"] = f"{over / self.sample_rate:.2g} s"
                several = len(clips) > 1
                names.extend(f"{name}:{n}" if several else name for n in range(len(clips)))
                labels.extend([] if classes is None else [classes[index]] * len(clips))
                yield self.examples(clips)

        dtype = "int16" if self.form == "waveform" else "float32"
        x = stacked(parts(), self.event_shape, dtype)
        if not names:
            raise ValueError(f"`source` holds no good recording. Received: {skipped}.")
        return Read(x, names, np.array(labels) if labels else None, skipped)

    def examples(self, clips: np.ndarray) -> np.ndarray:
        """Raw examples of 16-bit clips `[clips, samples]`."""
        if self.form == "waveform":
            return clips[..., None]
        in_units = clips.astype("float32") / FULL_SCALE
        return spectrogram.to_decibels(in_units, self.sample_rate, self.window, self.bands)

    def waveforms(self, x: Any) -> np.ndarray:
        """16-bit clips `[clips, samples]` of raw examples.

        Phases, which a spectrogram does not have, are found by the method of Griffin and Lim.

        Reference: Griffin and Lim (1984), Signal Estimation from Modified Short-Time Fourier
        Transform; Perraudin, Balazs and Sondergaard (2013), A Fast Griffin-Lim Algorithm.
        """
        x = np.asarray(x)
        if self.form == "waveform":
            return rounded(x[..., 0])
        settings = (self.sample_rate, self.window, self.samples)
        blocks = [x[start : start + _TOGETHER] for start in range(0, len(x), _TOGETHER)]
        found = [spectrogram.from_decibels(block, *settings) for block in blocks]
        return rounded(FULL_SCALE * np.concatenate(found))

    def write(
        self, x: np.ndarray, path: str | os.PathLike[str], like: Read | None = None
    ) -> Path:
        """Write clips: a folder of `.wav`, one `.wav` of all after each other, or `.npy`."""
        from scipy.io import wavfile

        target = self.checked(path)
        if target.suffix == ".npy":
            return super().write(x, path, like)
        clips = self.waveforms(x)
        with writing(target, folder=not target.suffix) as draft:
            if target.suffix:
                wavfile.write(draft, self.sample_rate, clips.reshape(-1))
            else:
                for index, clip in enumerate(clips):
                    wavfile.write(draft / f"{index:05d}.wav", self.sample_rate, clip)
        return target

    def _samples(self, item: Any) -> np.ndarray:
        """16-bit samples of a file or an array, at the schema's rate."""
        if not isinstance(item, Path):
            return one_channel(item)
        rate, values = decoded(item)
        if rate != self.sample_rate and not self.resample:
            raise ValueError(
                f"Recordings must be of one rate, {self.sample_rate} samples a second. "
                f"Received: {item}, which has {rate}. Pass sample_rate={self.sample_rate}, or "
                f"another, to bring all to one."
            )
        return one_channel(values, rate, self.sample_rate)

    def _clips(self, samples: np.ndarray) -> np.ndarray:
        count = max(1, math.floor(len(samples) / self.samples + 0.5))
        clips = np.zeros(count * self.samples, "int16")
        used = samples[: len(clips)]
        clips[: len(used)] = used
        return clips.reshape(count, self.samples)


def from_audio(
    source: Any,
    *,
    sample_rate: int | None = None,
    seconds: float = 1.0,
    form: str = "spectrogram",
    held_out: float = 0.1,
    seed: int = 0,
    skip_bad: bool = False,
) -> Source:
    """Load clips of sound from a folder of WAV files, a list of files, or arrays.

    Files have integers of 8 to 32 bits, or floats; several channels become one. A recording
    becomes as many clips as come nearest to its length, but one at least: what the last one
    lacks is silence, and what is over is left out, with a warning. Held out are whole
    recordings, chosen by chance; of a single one it is the end. Folders within the folder are
    classes, if all files are in such. More than 1 GiB is kept in a temporary file on disk.

    Args:
        source: A folder, paths of `.wav` files, an array `[recordings, samples]`, a list of
            arrays `[samples]`, a `.npy` file, or `.npz` with x. Arrays are 16-bit integers, or
            floats from -1 to 1.
        sample_rate: Samples a second that all files are converted to; of arrays, what they
            have. Defaults to `None`: the first file's, and another is bad.
        seconds: Length of a clip. Defaults to `1.0`.
        form: `"spectrogram"`, decibels in 64 mel bands, or `"waveform"`: see `AudioSchema`.
            Models learn far more from spectrograms; written as sound, phases are made up.
            Defaults to `"spectrogram"`.
        held_out: Share that is not trained on. Defaults to `0.1`.
        seed: Of the choice of those. Defaults to `0`.
        skip_bad: Whether to leave out, with a warning, what cannot be decoded or does not fit.
            Defaults to `False`: it is an error.

    Returns:
        A `Source` of spectrograms in decibels, whose preprocessor standardises each band, or
        of 16-bit samples, whose preprocessor is `MuLaw`.

    Raises:
        ValueError: If there are no recordings, a bad one, or an option is out of range.

    Example:
    >>> tones = np.sin(np.arange(8_000) * np.linspace(0.1, 1.0, 20)[:, None])
    >>> keras_vae.data.from_audio(tones, sample_rate=8_000)
    <Source of audio: 18 to train on, 2 held out, (128, 64), 0 left out>
    """
    require_one_of("form", form, _FORMS)
    require_positive("seconds", seconds)
    require_integer("seed", seed, 0)
    recordings = _recordings(source)
    rate = sample_rate or _first_rate(recordings)
    schema = AudioSchema(
        rate,
        max(1, round(seconds * rate)),
        form,
        window=max(4, 2 ** round(math.log2(rate / _WINDOWS))),
        resample=sample_rate is not None,
    )
    order = np.random.default_rng(seed).permutation(len(recordings))
    read = schema.read([recordings[index][1] for index in order], skip_bad)
    report_skipped(read.skipped, "recordings and ends of such")
    preprocessor: Preprocessor = (
        MuLaw(raw_dtype="int16", schema=schema)
        if form == "waveform"
        else Standardization(schema=schema)
    )
    return split(read, _share(read.names, held_out), schema, preprocessor)


def _recordings(source: Any) -> list[tuple[str, Any]]:
    """Names, and paths or arrays."""
    if isinstance(source, (str, os.PathLike)) and is_array(source):
        source = load_array(source)
    if hasattr(source, "shape") and source.ndim == 1:
        source = source[None]
    several = isinstance(source, (list, tuple)) and len(source)
    if hasattr(source, "shape") or (several and hasattr(source[0], "shape")):
        arrays = [np.asarray(values) for values in source]
        for values in arrays:
            _check_array(values)
        if arrays:
            return [(str(index), values) for index, values in enumerate(arrays)]
    return [(str(path), path) for path in files_in(source, (".wav",), "sound")]


def _check_array(values: np.ndarray) -> None:
    floats = np.issubdtype(values.dtype, np.floating)
    if values.ndim != 1 or not (floats or values.dtype == np.int16):
        raise ValueError(
            f"`source` as arrays must be recordings of shape (samples,), 16-bit integers or "
            f"floats. Received: {values.dtype}, {values.shape}."
        )
    if floats and np.max(np.abs(values), initial=0.0) > 1:
        raise ValueError(
            f"`source` as floats must be from -1 to 1. Received: values up to "
            f"{np.max(np.abs(values)):g}."
        )


def _first_rate(recordings: Sequence[tuple[str, Any]]) -> int:
    """That of the first file that can be decoded."""
    if not isinstance(recordings[0][1], Path):
        raise ValueError("`sample_rate` must be given with arrays: how fast they are played.")
    for _, path in recordings:
        try:
            return decoded(path)[0]
        except ValueError:
            continue
    raise ValueError(
        f"`source` holds no recording that can be decoded. Received: {recordings[0][0]} ..."
    )


def _share(names: Sequence[str], held_out: float) -> float:
    """The share next to `held_out` that parts no recording, if there are several."""
    recordings = [re.sub(r":\d+$", "", name) for name in names]
    starts = [n for n in range(1, len(names)) if recordings[n] != recordings[n - 1]]
    if not starts or not 0 < held_out < 1:
        return held_out
    wanted = len(names) * (1 - held_out)
    return 1 - min(starts, key=lambda start: abs(start - wanted)) / len(names)
