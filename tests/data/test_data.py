"""Data sets, and the draws of bits from grey values."""

import gc

import keras
import numpy as np
import pytest
import sklearn.datasets
import tensorflow as tf

from keras_vae import data
from tests.twins import STANDARD_ERRORS


def numbered(count):
    """Rows of certain bits that spell their number: whatever is drawn, they stay readable."""
    return np.array([[number >> bit & 1 for bit in range(10)] for number in range(count)])


def numbers(rows):
    return (np.asarray(rows).astype(int) << np.arange(10)).sum(axis=-1)


def one_pass(dataset):
    return np.concatenate([batch.numpy() for batch in dataset])


# Data sets.


def test_digits_are_all_there_once_in_equal_shares():
    images = data.load_digits()
    original = sklearn.datasets.load_digits()
    together = np.concatenate([images.x_train, images.x_test])
    assert together.shape == (1797, 8, 8, 1)
    assert together.dtype == np.float32
    assert (together.min(), together.max()) == (0.0, 1.0)
    rows = np.concatenate([images.y_train, images.y_test])[:, None]
    rows = np.concatenate([16 * together.reshape(1797, 64), rows], axis=1)
    expected = np.concatenate([original.data, original.target[:, None]], axis=1)
    np.testing.assert_array_equal(rows[np.lexsort(rows.T)], expected[np.lexsort(expected.T)])
    share = np.bincount(images.y_test) / np.bincount(original.target)
    assert np.all(np.abs(share - 0.2) < 0.005)


def test_digits_are_split_the_same_way_each_time():
    for one, two in zip(data.load_digits(), data.load_digits()):
        np.testing.assert_array_equal(one, two)


@pytest.fixture
def small_mnist(rng):
    return {
        "x_train": rng.integers(0, 256, (6, 28, 28), "uint8"),
        "y_train": rng.integers(0, 10, 6, "uint8"),
        "x_test": rng.integers(0, 256, (4, 28, 28), "uint8"),
        "y_test": rng.integers(0, 10, 4, "uint8"),
    }


def check_mnist(images, arrays):
    for name, array in arrays.items():
        expected = array[..., None] / 255 if name.startswith("x") else array
        np.testing.assert_allclose(getattr(images, name), expected, rtol=1e-7)
    assert images.x_train.dtype == np.float32
    assert images.y_train.dtype == np.int32


def test_mnist_is_read_from_the_folder(tmp_path, monkeypatch, small_mnist):
    np.savez(tmp_path / "mnist.npz", **small_mnist)
    monkeypatch.setenv("KERAS_VAE_DATA", str(tmp_path))
    check_mnist(data.load_mnist(), small_mnist)


def test_mnist_is_read_without_pickle(tmp_path, monkeypatch, small_mnist):
    np.savez(tmp_path / "mnist.npz", **{**small_mnist, "x_train": np.array([{}])})
    monkeypatch.setenv("KERAS_VAE_DATA", str(tmp_path))
    with pytest.raises(ValueError, match="allow_pickle"):
        data.load_mnist()


@pytest.mark.parametrize("folder", [None, "empty"])
def test_mnist_is_downloaded_else(tmp_path, monkeypatch, small_mnist, folder):
    monkeypatch.delenv("KERAS_VAE_DATA", raising=False)
    if folder:
        monkeypatch.setenv("KERAS_VAE_DATA", str(tmp_path))
    a = small_mnist
    pairs = (a["x_train"], a["y_train"]), (a["x_test"], a["y_test"])
    monkeypatch.setattr(keras.datasets.mnist, "load_data", lambda: pairs)
    check_mnist(data.load_mnist(), small_mnist)


def test_missing_mnist_is_explained(tmp_path, monkeypatch):
    def fail():
        raise Exception("URL fetch failure")  # As Keras does.

    monkeypatch.setenv("KERAS_VAE_DATA", str(tmp_path))
    monkeypatch.setattr(keras.datasets.mnist, "load_data", fail)
    with pytest.raises(FileNotFoundError, match=r"set KERAS_VAE_DATA to it.*URL fetch failure"):
        data.load_mnist()


@pytest.mark.slow
def test_real_mnist(data_folder):
    images = data.load_mnist()
    assert images.x_train.shape == (60_000, 28, 28, 1)
    assert images.x_test.shape == (10_000, 28, 28, 1)
    assert images.y_train[:5].tolist() == [5, 0, 4, 1, 9]
    np.testing.assert_allclose(images.x_train.mean(), 0.1306605, rtol=1e-5)


# Arrays on disk.


@pytest.fixture
def on_disk(tmp_path):
    """5,000 rows that hold their own number."""
    x = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", "float32", (5000, 3))
    x[:] = np.arange(5000)[:, None]
    return x


@pytest.mark.parametrize("shuffle", [False, True])
def test_stream_gives_each_row_once_an_epoch(on_disk, shuffle, monkeypatch):
    monkeypatch.setattr(data.blocks, "_BYTES", 12 * 960)
    batches = data.stream(on_disk, 128, seed=3, shuffle=shuffle)
    epochs = [np.concatenate(list(batches.as_numpy_iterator()))[:, 0] for _ in range(2)]
    assert [len(batch) for batch in batches] == [128] * 39 + [8]
    assert len(batches) == 40
    for rows in epochs:
        np.testing.assert_array_equal(np.sort(rows), np.arange(5000))
        assert np.array_equal(rows, np.arange(5000)) != shuffle
    assert np.array_equal(*epochs) != shuffle
    if shuffle:  # neighbours come from all over the array
        assert np.mean(np.abs(np.diff(epochs[0])) > 500) > 0.5
        again = data.stream(on_disk, 128, seed=3, first_epoch=1)
        rows = np.concatenate(list(again.as_numpy_iterator()))[:, 0]
        np.testing.assert_array_equal(rows, epochs[1])


def test_stream_keeps_what_belongs_together(on_disk):
    batches = data.stream(({"x": on_disk}, np.arange(5000)), 100, seed=0)
    for inputs, number in batches:
        np.testing.assert_array_equal(inputs["x"][:, 1], tf.cast(number, tf.float32))


def test_stream_refuses_arrays_of_different_lengths(on_disk):
    with pytest.raises(ValueError, match="arrays of one length"):
        data.stream((on_disk, np.arange(4)), 100, seed=0)


# Static binarisation.


def test_bits_are_one_with_the_probability_given():
    probabilities = np.array([0.0, 0.1, 0.5, 0.9, 1.0])
    bits = data.binarize(np.tile(probabilities, (10_000, 1)), seed=1)
    assert bits.dtype == np.float32
    assert set(np.unique(bits)) == {0.0, 1.0}
    error = np.sqrt(probabilities * (1 - probabilities) / len(bits))
    assert np.all(np.abs(bits.mean(axis=0) - probabilities) <= STANDARD_ERRORS * error)


def test_certain_bits_are_certain(monkeypatch):
    # Even at the ends of the noise, which is drawn from [0, 1): among millions of zeros of
    # a data set some would be reached.
    certain = np.array([[0.0, 1.0]])
    for end in (np.float32(0), np.nextafter(np.float32(1), np.float32(0))):

        def noise(rows, shape, key, end=end):
            return tf.fill([rows, *shape], end)

        monkeypatch.setattr(data.drawing, "_uniform", noise)
        np.testing.assert_array_equal(data.binarize(certain, seed=0), certain)
        dataset = data.dynamic_binarization(certain, 1, seed=0)
        np.testing.assert_array_equal(one_pass(dataset), certain)


def test_bits_are_independent():
    bits = data.binarize(np.full((9_000, 4), 0.5), seed=1)
    correlation = np.corrcoef(bits.T) - np.eye(4)
    assert np.abs(correlation).max() < STANDARD_ERRORS / np.sqrt(len(bits))
    # Rows are drawn in blocks: none repeats another.
    half = len(bits) // 2
    for lag in (1, 4096, half):
        agreement = np.mean(bits[:-lag] == bits[lag:])
        assert abs(agreement - 0.5) < STANDARD_ERRORS * 0.5 / np.sqrt(4 * (len(bits) - lag))


def test_bits_depend_on_the_seed_alone():
    x = np.full((50, 4), 0.5)
    np.testing.assert_array_equal(data.binarize(x, seed=3), data.binarize(x, seed=3))
    assert np.any(data.binarize(x, seed=3) != data.binarize(x, seed=4))
    # Pinned, because results published on binarised data rest on them.
    bits = data.binarize(np.full((2, 8), 0.5), seed=0)
    assert bits.tolist() == [[1, 0, 0, 1, 1, 1, 1, 0], [0, 0, 0, 0, 1, 1, 0, 1]]


@pytest.mark.parametrize("x", [[-0.1], [1.1], [255.0], [np.nan]], ids=str)
def test_bits_need_probabilities(x):
    for draw in (data.binarize, lambda x, seed: data.dynamic_binarization(x, 1, seed)):
        with pytest.raises(ValueError, match=r"`x` must be in \[0, 1\].*Divide 8-bit"):
            draw(np.array(x), seed=0)
        with pytest.raises(ValueError, match="`x` must hold examples"):
            draw(np.zeros([0, 3]), seed=0)


# Dynamic binarisation.


def test_each_pass_has_every_example_once_in_a_new_order():
    dataset = data.dynamic_binarization(numbered(100), batch_size=32, seed=0)
    assert int(dataset.cardinality()) == 4
    orders = [numbers(one_pass(dataset)) for _ in range(3)]
    for order in orders:
        np.testing.assert_array_equal(np.sort(order), np.arange(100))
    first, second, third = orders
    assert np.any(first != second)
    assert np.any(second != third)
    assert np.any(first != np.arange(100))


def test_bits_are_new_in_each_pass_and_batch():
    probabilities = np.array([0.0, 0.2, 0.7, 1.0])
    dataset = data.dynamic_binarization(np.tile(probabilities, (4_000, 1)), 1_000, seed=0)
    passes = np.stack([one_pass(dataset) for _ in range(3)])
    error = np.sqrt(probabilities * (1 - probabilities) / passes[..., 0].size)
    gap = np.abs(passes.mean(axis=(0, 1)) - probabilities)
    assert np.all(gap <= STANDARD_ERRORS * error)
    # Draws of equal probability, from any two batches of any two passes, are uncorrelated.
    blocks = passes[..., 1:3].reshape(12, -1)
    blocks = blocks - np.tile(probabilities[1:3], 1_000)
    correlation = np.corrcoef(blocks) - np.eye(12)
    assert np.abs(correlation).max() < STANDARD_ERRORS / np.sqrt(blocks.shape[1])


def test_passes_depend_on_the_seed_and_can_be_continued():
    x = np.full((70, 5), 0.5)
    dataset = data.dynamic_binarization(x, 20, seed=3)
    passes = [one_pass(dataset) for _ in range(4)]
    same = data.dynamic_binarization(x, 20, seed=3)
    np.testing.assert_array_equal(one_pass(same), passes[0])
    continued = data.dynamic_binarization(x, 20, seed=3, first_epoch=2)
    np.testing.assert_array_equal(one_pass(continued), passes[2])
    np.testing.assert_array_equal(one_pass(continued), passes[3])
    other = data.dynamic_binarization(x, 20, seed=4)
    assert np.any(one_pass(other) != passes[0])


def test_a_pass_that_ends_early_counts():
    x = np.full((70, 5), 0.5)
    dataset = data.dynamic_binarization(x, 20, seed=3)
    next(iter(dataset))
    second = data.dynamic_binarization(x, 20, seed=3, first_epoch=1)
    np.testing.assert_array_equal(one_pass(dataset), one_pass(second))


def test_the_last_batch_is_smaller_or_left_out():
    x = np.full((70, 2, 3), 0.5)
    sizes = [len(batch) for batch in data.dynamic_binarization(x, 32, seed=0)]
    assert sizes == [32, 32, 6]
    dropped = data.dynamic_binarization(x, 32, seed=0, drop_remainder=True)
    assert int(dropped.cardinality()) == 2
    assert [batch.shape for batch in dropped] == [(32, 2, 3)] * 2
    assert dropped.element_spec.dtype == tf.float32


def test_the_data_set_lives_on_its_own():
    dataset = data.dynamic_binarization(np.full((10, 3), 0.5), 5, seed=0).map(lambda x: x + 1)
    gc.collect()
    assert set(np.unique(one_pass(dataset))) == {1.0, 2.0}


@pytest.mark.slow
def test_models_train_on_it(make_vae):
    x = data.load_digits().x_train[:96]
    runs = []
    for _ in range(2):
        keras.utils.set_random_seed(0)
        vae = make_vae()
        vae.compile("adam")
        dataset = data.dynamic_binarization(x, 32, seed=0)
        runs.append(vae.fit(dataset, epochs=3, verbose=0).history["loss"])
        assert int(vae.state.step) == 9
    assert runs[0] == runs[1]


@pytest.mark.slow
def test_training_can_be_continued_bit_for_bit(make_vae):
    x = data.load_digits().x_train[:96]

    def fit(vae, epochs, first_epoch=0):
        dataset = data.dynamic_binarization(x, 32, seed=0, first_epoch=first_epoch)
        vae.fit(dataset, initial_epoch=first_epoch, epochs=epochs, verbose=0)

    whole, parts = make_vae(), make_vae()
    for vae in (whole, parts):
        vae.compile("adam")
    parts.set_weights(whole.get_weights())
    fit(whole, 4)
    fit(parts, 2)
    fit(parts, 4, first_epoch=2)
    for one, two in zip(whole.trainable_variables, parts.trainable_variables):
        np.testing.assert_array_equal(one.numpy(), two.numpy())


def test_replicas_share_a_pass(mirrored):
    dataset = data.dynamic_binarization(numbered(24), batch_size=12, seed=0)
    seen = []
    for batch in mirrored.experimental_distribute_dataset(dataset):
        local = mirrored.experimental_local_results(batch)
        assert [len(each) for each in local] == [6, 6]
        seen += [numbers(each) for each in local]
    np.testing.assert_array_equal(np.sort(np.concatenate(seen)), np.arange(24))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 0}, "`batch_size` must be an integer >= 1. Received: batch_size=0"),
        ({"batch_size": 2.0}, "Received: batch_size=2.0"),
        ({"first_epoch": -1}, "`first_epoch` must be an integer >= 0"),
    ],
    ids=str,
)
def test_dynamic_binarization_checks_its_arguments(arguments, message):
    given = {"batch_size": 2, "seed": 0, **arguments}
    with pytest.raises(ValueError, match=message):
        data.dynamic_binarization(np.zeros([4, 2]), **given)


# Dequantisation.


@pytest.mark.parametrize("levels", [2, 16, 256])
def test_dequantized_values_lie_evenly_in_their_cells(levels, rng):
    x = rng.integers(0, levels, (10_000, 3))
    spread = data.dequantize(x, seed=0, levels=levels)
    assert spread.dtype == np.float32
    np.testing.assert_array_equal(np.floor(spread.astype("float64") * levels), x)
    within = spread.astype("float64") * levels - x
    # Moments of the uniform distribution: mean 1/2, variance 1/12.
    assert abs(within.mean() - 1 / 2) < STANDARD_ERRORS * np.sqrt(1 / 12 / x.size)
    assert abs(within.var() - 1 / 12) < STANDARD_ERRORS * np.sqrt(1 / 180 / x.size)
    np.testing.assert_array_equal(spread, data.dequantize(x, seed=0, levels=levels))
    assert np.any(spread != data.dequantize(x, seed=1, levels=levels))


def test_rounding_never_leaves_a_cell(monkeypatch):
    largest = np.nextafter(np.float32(1), np.float32(0))
    monkeypatch.setattr(
        data.drawing,
        "_uniform_blocks",
        lambda shape, seed: [(slice(None), np.full(shape, largest))],
    )
    x = np.arange(256)[None]
    np.testing.assert_array_equal(np.floor(data.dequantize(x, seed=0) * 256), x)


@pytest.mark.parametrize("x", [[[-1]], [[256]], [[0.5]], [[np.nan]]], ids=str)
def test_dequantization_needs_integers_in_range(x):
    with pytest.raises(ValueError, match="`x` must hold integers from 0 to 255"):
        data.dequantize(np.array(x), seed=0)
    with pytest.raises(ValueError, match="`levels` must be an integer >= 1"):
        data.dequantize(np.zeros([1, 1]), seed=0, levels=0)
