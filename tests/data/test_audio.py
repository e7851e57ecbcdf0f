"""Sound from files: what is read, what is refused, and whether it sounds the same again."""

import contextlib
import itertools
import wave

import keras
import numpy as np
import pytest
from scipy.io import wavfile

import keras_vae
from keras_vae import data
from keras_vae.data import schema as schemas
from keras_vae.data import spectrogram

RATE = 8_000


def tone(frequency, seconds=0.25, rate=RATE, loudness=0.5):
    """16-bit samples."""
    times = np.arange(round(seconds * rate)) / rate
    return np.rint(2**15 * loudness * np.sin(2 * np.pi * frequency * times)).astype("int16")


def loudest(samples, rate=RATE):
    """The frequency of a tone, in Hz."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return np.argmax(spectrum) * rate / len(samples)


def write(path, samples, rate=RATE):
    path.parent.mkdir(parents=True, exist_ok=True)
    wavfile.write(path, rate, samples)


@pytest.fixture
def folder(tmp_path, rng):
    """Twenty recordings of a quarter of a second in two classes, and them by path."""
    by_path = {}
    for index in range(20):
        path = tmp_path / "sounds" / "ab"[index % 2] / f"{index}.wav"
        by_path[str(path)] = rng.integers(-(2**15), 2**15, 2_000).astype("int16")
        write(path, by_path[str(path)])
    return tmp_path / "sounds", by_path


def test_every_sample_is_there_once_with_its_class(folder):
    root, by_path = folder
    source = data.from_audio(root, seconds=0.25, form="waveform", held_out=0.2, seed=3)
    assert (len(source.x_train), len(source.x_test)) == (16, 4)
    assert source.event_shape == (2_000, 1)
    assert source.label_names == ("a", "b")
    x = np.concatenate([source.x_train, source.x_test])
    labels = np.concatenate([source.labels_train, source.labels_test])
    expected = {samples.tobytes(): int("/b/" in path) for path, samples in by_path.items()}
    assert {clip.tobytes(): label for clip, label in zip(x, labels)} == expected


def test_what_is_held_out_depends_on_the_seed_alone(folder):
    root, _ = folder
    options = {"seconds": 0.25, "form": "waveform"}
    tested = [data.from_audio(root, seed=seed, **options).x_test for seed in (0, 0, 1)]
    np.testing.assert_array_equal(tested[0], tested[1])
    assert not np.array_equal(tested[0], tested[2])


def test_clips_come_back_as_files(folder, tmp_path):
    root, _ = folder
    schema = data.AudioSchema(RATE, 2_000, "waveform")
    read = schema.read(root)
    again = schema.read(schema.write(read.x, tmp_path / "written"))
    np.testing.assert_array_equal(again.x, read.x)
    rate, joined = wavfile.read(schema.write(read.x, tmp_path / "all.wav"))
    assert rate == RATE
    np.testing.assert_array_equal(joined, read.x.reshape(-1))
    array = schema.read(schema.write(read.x, tmp_path / "x.npy"))
    np.testing.assert_array_equal(array.x, read.x)
    # Values of a model: no integers, and louder than can be.
    rate, loud = wavfile.read(schema.write(np.full([1, 4, 1], 4e4), tmp_path / "loud.wav"))
    assert (loud == 2**15 - 1).all()


@pytest.mark.parametrize("kind", ["uint8", "int16", "int24", "int32", "float32", "float64"])
def test_all_kinds_of_samples_are_read(tmp_path, kind):
    samples = tone(500)
    if kind == "int24":
        with wave.open(str(tmp_path / "x.wav"), "wb") as file:
            file.setparams((1, 3, RATE, 0, "NONE", None))
            file.writeframes(
                b"".join((int(s) << 8).to_bytes(3, "little", signed=True) for s in samples)
            )
    else:
        values = {
            "uint8": lambda: (np.floor(samples / 2**8) + 128).astype("uint8"),
            "int16": lambda: samples,
            "int32": lambda: samples.astype("int32") * 2**16,
        }.get(kind, lambda: (samples / 2**15).astype(kind))()
        write(tmp_path / "x.wav", values)
    read = data.AudioSchema(RATE, 2_000, "waveform").read(tmp_path / "x.wav")
    difference = np.abs(read.x[0, :, 0].astype(int) - samples)
    assert difference.max() <= (2**8 if kind == "uint8" else 0)


def test_channels_are_mixed(tmp_path):
    left, right = tone(300), tone(900)
    write(tmp_path / "x.wav", np.stack([left, right], 1))
    read = data.AudioSchema(RATE, 2_000, "waveform").read(tmp_path / "x.wav")
    middle = (left.astype(float) + right) / 2
    np.testing.assert_allclose(read.x[0, :, 0], middle, atol=0.5)


def test_another_rate_is_an_error_unless_one_is_given(tmp_path):
    write(tmp_path / "a.wav", tone(500))
    write(tmp_path / "b.wav", tone(500, rate=22_050), 22_050)
    with pytest.raises(ValueError, match=r"b\.wav, which has 22050\. Pass sample_rate=8000"):
        data.from_audio(tmp_path, seconds=0.25)
    source = data.from_audio(
        tmp_path, seconds=0.25, sample_rate=16_000, form="waveform", held_out=0
    )
    assert source.event_shape == (4_000, 1)
    for clip in source.x_train:
        assert loudest(clip[:, 0], 16_000) == pytest.approx(500, abs=4)
        assert np.abs(clip[500:3_500]).max() == pytest.approx(2**14, rel=0.01)


def test_long_recordings_are_cut_and_short_ones_filled_up(tmp_path):
    lengths = {"a": 400, "b": 1_000, "c": 1_499, "d": 2_500}
    for name, length in lengths.items():
        write(tmp_path / f"{name}.wav", np.full(length, 7, "int16"))
    read = data.AudioSchema(RATE, 1_000, "waveform").read(tmp_path)
    assert [name.rpartition("/")[2] for name in read.names] == [
        "a.wav",
        "b.wav",
        "c.wav",
        "d.wav:0",
        "d.wav:1",
        "d.wav:2",
    ]
    assert [int((clip == 7).sum()) for clip in read.x] == [400, 1_000, 1_000, 1_000, 1_000, 500]
    ends = {name.rpartition("/")[2]: why for name, why in read.skipped.items()}
    assert ends == {"c.wav, end": "0.062 s"}
    with pytest.warns(UserWarning, match=r"Left out 1 recordings and ends.*c\.wav, end: 0.062"):
        data.from_audio(tmp_path, seconds=0.125)


def test_no_recording_is_both_trained_on_and_held_out(rng):
    long = [np.full(1_000 * n, n, "int16") for n in (3, 1, 4, 1, 5, 9, 2, 6)]
    for seed in range(5):
        source = data.from_audio(
            long, sample_rate=1_000, form="waveform", held_out=0.3, seed=seed
        )
        trained, tested = (set(x[:, 0, 0]) - {1} for x in (source.x_train, source.x_test))
        assert not trained & tested
        assert len(source.x_train)
        assert len(source.x_test)
    one = data.from_audio(
        np.arange(10_000, dtype="int16"), sample_rate=1_000, form="waveform", held_out=0.3
    )
    assert one.x_test[0, 0] == 7_000


@pytest.mark.parametrize("bad", [b"", b"RIFF", b"text", "cut off", "no samples", "NaN"])
def test_a_damaged_recording_is_an_error_or_is_reported(folder, bad):
    root, by_path = folder
    path = root / "a" / "bad.wav"
    if bad == "no samples":
        write(path, np.zeros(0, "int16"))
    elif bad == "NaN":
        write(path, np.full(9, np.nan, "float32"))
    else:
        path.write_bytes((root / "a" / "0.wav").read_bytes()[:99] if bad == "cut off" else bad)
    with pytest.raises(ValueError, match=r"bad\.wav (is no|must have).*skip_bad=True"):
        data.from_audio(root, seconds=0.25)
    with pytest.warns(UserWarning, match=r"Left out 1 recordings.*bad\.wav"):
        source = data.from_audio(root, seconds=0.25, skip_bad=True)
    assert len(source.x_train) + len(source.x_test) == len(by_path)


def test_a_header_with_any_byte_changed_is_read_or_refused(tmp_path):
    path = tmp_path / "x.wav"
    write(path, tone(500))
    sound = path.read_bytes()
    schema = data.AudioSchema(RATE, 2_000, "waveform")
    for place, value in itertools.product(range(44), (0, 1, 255)):
        path.write_bytes(sound[:place] + bytes([value]) + sound[place + 1 :])
        with contextlib.suppress(ValueError):
            assert schema.read(path).x.shape[1:] == (2_000, 1)


def test_a_tone_is_in_the_band_of_its_frequency():
    schema = data.AudioSchema(RATE, 4_000)
    frequencies = np.array([200, 440, 1_000, 2_500])
    x = schema.examples(np.stack([tone(f, 0.5) for f in frequencies]))
    assert x.shape == (4, *schema.event_shape)
    # Bands are evenly spaced in mels: 2595 log10(1 + f / 700).
    mels = 2595 * np.log10(1 + frequencies / 700)
    step = 2595 * np.log10(1 + RATE / 2 / 700) / 65
    middle = x[:, x.shape[1] // 2]
    np.testing.assert_allclose(middle.argmax(-1), mels / step - 1, atol=0.51)
    # Half of full scale is -6 dB; a tone is as loud again in the bins beside its own.
    assert np.all(np.abs(middle.max(-1)) < 6)
    quiet = schema.examples(np.stack([tone(f, 0.5, loudness=0.05) for f in frequencies]))
    drop = middle.max(-1) - quiet[:, x.shape[1] // 2].max(-1)
    np.testing.assert_allclose(drop, 20, atol=0.1)
    silence = schema.examples(np.zeros([1, 4_000], "int16"))
    np.testing.assert_allclose(silence, spectrogram.QUIETEST, atol=1e-4)


def test_frames_are_those_of_a_transform_by_hand():
    clip = tone(700, 0.1)[None]
    found = spectrogram.to_decibels(clip / 2**15, RATE, 256, 40)
    padded = np.pad(clip[0] / 2**15, (192, 192 + -800 % 64))
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(256) / 256)
    views = np.lib.stride_tricks.sliding_window_view(padded, 256)[::64]
    magnitudes = np.abs(np.fft.rfft(views * window, 512))
    bands = magnitudes @ spectrogram.mel_weights(RATE, 256, 40) / 64
    by_hand = np.maximum(20 * np.log10(np.maximum(bands, 1e-10)), -80)
    assert found.shape[1] == spectrogram.frames(800, 256) == len(views)
    np.testing.assert_allclose(found[0], by_hand, atol=0.01)


def test_sound_comes_back_from_a_spectrogram(rng):
    frequencies = [300, 700, 1_500]
    clips = np.stack([tone(f) for f in frequencies])
    schema = data.AudioSchema(RATE, 2_000)
    x = schema.examples(clips)
    found = schema.waveforms(x)
    assert found.dtype == np.int16
    assert found.shape == clips.shape
    for clip, frequency in zip(found, frequencies):
        assert loudest(clip) == pytest.approx(frequency, abs=30)
    np.testing.assert_allclose(found.std(1), clips.std(1), rtol=0.15)
    np.testing.assert_array_equal(found, schema.waveforms(x))


def test_griffin_lim_comes_near_to_the_magnitudes(rng):
    chirp = np.sin(np.cumsum(np.linspace(0.05, 2.0, 4_000)))
    noise = rng.normal(scale=0.05, size=4_000)
    clips = np.stack([0.5 * chirp, noise]).astype("float32")
    wanted = np.abs(spectrogram._stft(clips, 256))

    def convergence(iterations):
        found = spectrogram.griffin_lim(wanted, 256, 4_000, iterations)
        difference = np.abs(spectrogram._stft(found, 256)) - wanted
        return np.linalg.norm(difference, axis=(1, 2)) / np.linalg.norm(wanted, axis=(1, 2))

    start, end = convergence(0), convergence(64)
    assert np.all(end < 0.15)
    assert np.all(end < start / 3)


def test_a_saved_model_reads_and_writes_sound(folder, tmp_path):
    root, _ = folder
    source = data.from_audio(root, seconds=0.025, held_out=0)
    vae = keras_vae.VAE(
        keras_vae.networks.MLP([4]),
        keras_vae.networks.MLP([4]),
        keras_vae.posteriors.DiagonalNormal(2),
        likelihood=keras_vae.likelihoods.Normal(),
        event_shape=source.event_shape,
        preprocessor=source.preprocessor,
    )
    vae.save(tmp_path / "x.keras")
    schema = keras.saving.load_model(tmp_path / "x.keras").preprocessor.schema
    assert schema.get_config() == source.schema.get_config()
    read = schema.read(root)
    assert len(read.x) == 200
    written = schema.write(vae.reconstruct(read.x[:3]), tmp_path / "again")
    assert [wavfile.read(p)[1].shape for p in sorted(written.iterdir())] == [(200,)] * 3


def test_a_model_to_begin_with_suits_both_forms():
    for form, likelihood in (("spectrogram", "Normal"), ("waveform", "DiscretizedLogistic")):
        source = data.from_audio(
            np.zeros([10, 200]), sample_rate=RATE, seconds=0.025, form=form
        )
        vae = keras_vae.presets.for_source(source, latent_dim=3)
        assert type(vae.likelihood).__name__ == likelihood
        assert vae.preprocessor.schema is source.schema


def test_arrays_files_and_lists_give_the_same(tmp_path, folder):
    _, by_path = folder
    array = np.stack(list(by_path.values()))
    np.save(tmp_path / "x.npy", array)
    np.savez(tmp_path / "x.npz", x=array)
    sources = [array, list(array), array / 2**15, tmp_path / "x.npy", tmp_path / "x.npz"]
    options = {"sample_rate": RATE, "seconds": 0.25}
    first, *others = [data.from_audio(source, **options) for source in sources]
    for other in others:
        np.testing.assert_array_equal(first.x_train, other.x_train)
    listed = data.from_audio(list(by_path), held_out=0, seconds=0.25)
    assert len(listed.x_train) == len(array)
    np.testing.assert_array_equal(first.schema.read(first.x_test).x, first.x_test)


def test_large_sets_stay_on_disk(folder, monkeypatch):
    root, _ = folder
    in_memory = data.from_audio(root, seconds=0.25)
    monkeypatch.setattr(schemas, "IN_MEMORY", 100)
    source = data.from_audio(root, seconds=0.25)
    assert isinstance(source.x_train, np.memmap)
    np.testing.assert_array_equal(source.x_train, in_memory.x_train)
    np.testing.assert_array_equal(source.x_test, in_memory.x_test)


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        (np.zeros([5, 99]), {}, "`sample_rate` must be given"),
        (np.full([5, 99], 2.0), {"sample_rate": 10}, "from -1 to 1"),
        (np.zeros([5, 99], "int64"), {"sample_rate": 10}, "16-bit integers or floats"),
        (np.zeros([5, 9, 9, 9]), {"sample_rate": 10}, "16-bit integers or floats"),
        (np.zeros([5, 99]), {"sample_rate": 10, "form": "mel"}, "`form`"),
        (np.zeros([5, 99]), {"sample_rate": 10, "seconds": 0}, "`seconds`"),
        (np.zeros([5, 99]), {"sample_rate": RATE, "held_out": -1}, "`held_out`"),
        (np.zeros([5, 99]), {"sample_rate": 10}, "`bands` must be fewer"),
    ],
)
def test_errors(source, options, message):
    with pytest.raises(ValueError, match=message):
        data.from_audio(source, **options)


def test_sizes_of_windows_are_checked():
    with pytest.raises(ValueError, match="`window` must be a multiple of 4"):
        data.AudioSchema(RATE, 100, window=30)


def test_a_folder_of_bad_files_alone_is_refused(tmp_path):
    (tmp_path / "x.wav").write_bytes(b"text")
    with pytest.raises(ValueError, match="no recording that can be decoded"):
        data.from_audio(tmp_path, skip_bad=True)
    with pytest.raises(ValueError, match="no good recording"):
        data.AudioSchema(RATE, 100).read(tmp_path, skip_bad=True)
