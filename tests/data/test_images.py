"""Images from files: what is read, what is refused, what comes back."""

import os

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_vae
from keras_vae import data
from keras_vae.data import schema as schemas


def write(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    encode = tf.io.encode_jpeg if path.suffix == ".jpg" else tf.io.encode_png
    path.write_bytes(encode(image).numpy())


@pytest.fixture
def folder(tmp_path, rng):
    """Forty images of three classes, and the images by path."""
    images = rng.integers(0, 256, (40, 6, 5, 1), "uint8")
    by_path = {}
    for index, image in enumerate(images):
        path = tmp_path / "images" / "abc"[index % 3] / f"{index}.png"
        write(path, image)
        by_path[str(path)] = image
    return tmp_path / "images", by_path


def test_every_image_is_there_once_with_its_class(folder):
    root, by_path = folder
    source = data.from_images(root, held_out=0.25, seed=3)
    assert (len(source.x_train), len(source.x_test)) == (30, 10)
    assert source.event_shape == (6, 5, 1)
    assert source.label_names == ("a", "b", "c")
    x = np.concatenate([source.x_train, source.x_test])
    labels = np.concatenate([source.labels_train, source.labels_test])
    expected = {
        image.tobytes(): "abc".index(os.path.basename(os.path.dirname(path)))
        for path, image in by_path.items()
    }
    assert {image.tobytes(): label for image, label in zip(x, labels)} == expected


def test_what_is_held_out_depends_on_the_seed_alone(folder):
    root, _ = folder
    first, again, other = (data.from_images(root, seed=seed).x_test for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("bad", [b"", b"\x89PNG\r\n\x1a\nand no more", b"text"])
def test_a_damaged_image_is_an_error_or_is_reported(folder, bad):
    root, by_path = folder
    (root / "a" / "bad.png").write_bytes(bad)
    with pytest.raises(ValueError, match=r"bad\.png is no image.*skip_bad=True"):
        data.from_images(root)
    with pytest.warns(UserWarning, match=r"Left out 1 images.*bad\.png"):
        source = data.from_images(root, skip_bad=True)
    assert len(source.x_train) + len(source.x_test) == len(by_path)
    assert [os.path.basename(path) for path in source.skipped] == ["bad.png"]


def test_images_of_another_size_are_an_error_unless_a_size_is_given(folder):
    root, _ = folder
    write(root / "a" / "zz.png", np.full([8, 8, 3], 100, "uint8"))
    with pytest.raises(ValueError, match=r"one size and colour.*Pass size="):
        data.from_images(root)
    source = data.from_images(root, size=(12, 12), channels=1)
    assert source.event_shape == (12, 12, 1)
    means = np.concatenate([source.x_train, source.x_test]).mean((1, 2, 3))
    assert np.any(np.abs(means - 100) < 1)  # the grey one stays grey of that level


def test_jpeg_and_grey_as_colour(tmp_path):
    for index in range(10):
        write(tmp_path / f"{index}.jpg", np.full([8, 8, 1], 20 * index, "uint8"))
    source = data.from_images(tmp_path, channels=3)
    x = np.sort(np.concatenate([source.x_train, source.x_test]).mean((1, 2, 3)))
    np.testing.assert_allclose(x, 20 * np.arange(10), atol=1)  # JPEG loses a level


def test_arrays_files_and_lists_give_the_same(tmp_path, folder):
    _, by_path = folder
    array = np.stack(list(by_path.values()))
    np.save(tmp_path / "x.npy", array)
    np.savez(tmp_path / "x.npz", x=array)
    sources = [array, array[..., 0], tmp_path / "x.npy", tmp_path / "x.npz"]
    first, *others = [data.from_images(source) for source in sources]
    for other in others:
        np.testing.assert_array_equal(first.x_train, other.x_train)
        np.testing.assert_array_equal(first.x_test, other.x_test)
    listed = data.from_images(sorted(by_path), held_out=0)
    assert sorted(map(bytes, listed.x_train)) == sorted(map(bytes, array))


def test_large_sets_stay_on_disk_and_train(folder, monkeypatch):
    root, _ = folder
    in_memory = data.from_images(root)
    monkeypatch.setattr(schemas, "IN_MEMORY", 100)
    source = data.from_images(root)
    assert isinstance(source.x_train, np.memmap)
    assert isinstance(source.x_test, np.memmap)
    np.testing.assert_array_equal(source.x_train, in_memory.x_train)
    vae = model(source)
    vae.compile("adam")
    history = vae.fit(source.x_train, epochs=2, verbose=0)
    assert np.all(np.isfinite(history.history["loss"]))


def model(source):
    return keras_vae.VAE(
        keras_vae.networks.MLP([8]),
        keras_vae.networks.MLP([8]),
        keras_vae.posteriors.DiagonalNormal(2),
        likelihood=keras_vae.likelihoods.Bernoulli(),
        event_shape=source.event_shape,
        preprocessor=source.preprocessor,
        seed=0,
    )


def test_the_pipeline_gives_all_examples_in_another_order_each_epoch(folder):
    source = data.from_images(folder[0], held_out=0.25)
    batches = source.train(batch_size=8)
    first, second = (np.concatenate(list(batches.as_numpy_iterator())) for _ in range(2))
    assert not np.array_equal(first, second)
    assert sorted(map(bytes, first)) == sorted(map(bytes, np.asarray(source.x_train)))
    held_out = np.concatenate(list(source.test(4).as_numpy_iterator()))
    np.testing.assert_array_equal(held_out, source.x_test)


def test_a_saved_model_reads_and_writes_images(folder, tmp_path):
    root, by_path = folder
    source = data.from_images(root)
    model(source).save(tmp_path / "model.keras")
    vae = keras.saving.load_model(tmp_path / "model.keras")
    schema = vae.preprocessor.schema
    assert schema.get_config() == source.schema.get_config()
    read = schema.read(root)
    for name, image in zip(read.names, read.x):
        np.testing.assert_array_equal(image, by_path[name])
    again = schema.read(schema.write(read.x, tmp_path / "out"))
    np.testing.assert_array_equal(again.x, read.x)
    schema.write(read.x, tmp_path / "out.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), read.x)
    sheet = tf.io.decode_image(schema.write(read.x, tmp_path / "sheet.png").read_bytes())
    assert sheet.shape == (6 * 6, 7 * 5, 1)  # forty images, seven beside each other
    np.testing.assert_array_equal(sheet[6:12, 10:15], read.x[9])


def test_black_and_white_is_noticed(tmp_path):
    x = np.random.default_rng(0).integers(0, 2, (20, 4, 4), "uint8")
    assert data.from_images(255 * x).schema.binary
    assert not data.from_images(254 * x).schema.binary


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ("nowhere", {}, "holds none"),
        (np.zeros([5, 4, 4]), {}, "uint8"),
        (np.zeros([5, 4, 4, 2], "uint8"), {}, "1 or 3 channels"),
        (np.zeros([5, 4, 4], "uint8"), {"held_out": 1.0}, "`held_out`"),
        (np.zeros([1, 4, 4], "uint8"), {"held_out": 0.01}, "enough examples"),
        (["nowhere.png"], {}, "existing files"),
    ],
)
def test_errors(source, options, message):
    with pytest.raises(ValueError, match=message):
        data.from_images(source, **options)


def test_nothing_is_written_over_or_half(tmp_path, folder):
    schema = data.from_images(folder[0]).schema
    with pytest.raises(ValueError, match="new or empty folder"):
        schema.write(np.zeros([1, 6, 5, 1]), folder[0])
    with pytest.raises(ValueError, match="must end in one of"):
        schema.write(np.zeros([1, 6, 5, 1]), tmp_path / "x.csv")
    with pytest.raises(tf.errors.InvalidArgumentError):
        schema.write(np.zeros([1, 6, 5, 9]), tmp_path / "sheet.png")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images"]
