"""Counts: dense and sparse are the same, what is no count is refused."""

import keras
import numpy as np
import pandas as pd
import pytest
import scipy.sparse

import keras_vae
from keras_vae import data


@pytest.fixture
def dense(rng):
    return rng.poisson(0.3, (60, 7)).astype("float32")


@pytest.fixture
def rows(dense):
    matrix = scipy.sparse.csr_array(dense)
    return data.SparseRows(matrix.data, matrix.indices, matrix.indptr, matrix.shape)


def same(one, two):
    np.testing.assert_array_equal(np.asarray(one[:]), np.asarray(two[:]))


@pytest.mark.parametrize(
    "chosen", [3, slice(None), slice(5, 20, 3), slice(0, 0), [7, 2, 2, 59], [-1]]
)
def test_sparse_rows_are_those_of_the_matrix(dense, rows, chosen):
    expected = np.atleast_2d(dense[chosen])
    np.testing.assert_array_equal(rows[chosen], expected)
    np.testing.assert_array_equal(rows.only(chosen)[:], expected)


def test_a_mask_chooses_rows(dense, rows):
    mask = dense[:, 0] > 0
    np.testing.assert_array_equal(rows[mask], dense[mask])


@pytest.mark.parametrize(
    ("indices", "indptr"), [([7, 0], [0, 1, 2]), ([0, 1], [0, 1]), ([0, 1], [0, 2, 1])]
)
def test_sparse_rows_must_be_a_matrix(indices, indptr):
    with pytest.raises(ValueError, match="describe a matrix"):
        data.SparseRows([1, 1], indices, indptr, (2, 7))


def test_all_sources_give_the_same(tmp_path, dense):
    sparse = scipy.sparse.csc_array(dense)
    scipy.sparse.save_npz(tmp_path / "x.npz", sparse.tocsr())
    np.save(tmp_path / "x.npy", dense.astype("int64"))
    pd.DataFrame(dense, columns=list("abcdefg")).to_csv(tmp_path / "x.csv", index=False)
    first = data.from_counts(dense)
    for source in (sparse, tmp_path / "x.npz", tmp_path / "x.npy", tmp_path / "x.csv"):
        other = data.from_counts(source)
        same(other.x_train, first.x_train)
        same(other.x_test, first.x_test)
    assert other.schema.names == list("abcdefg")


def test_batches_stay_with_their_rows(dense):
    batch = np.array(["one", "two", "three"])[(dense.sum(1) % 3).astype(int)]
    source = data.from_counts(scipy.sparse.csr_array(dense), batch=batch)
    names = np.unique(batch)
    for x, condition in (
        (source.x_train, source.condition_train),
        (source.x_test, source.condition_test),
    ):
        found = names[condition.argmax(1)]
        expected = np.array(["one", "two", "three"])[(x[:].sum(1) % 3).astype(int)]
        np.testing.assert_array_equal(found, expected)


def test_sparse_counts_train_like_dense_ones(dense):
    losses = []
    for matrix in (dense, scipy.sparse.csr_array(dense)):
        source = data.from_counts(matrix)
        keras.utils.set_random_seed(0)
        vae = keras_vae.VAE(
            keras_vae.networks.MLP([8]),
            keras_vae.networks.MLP([8]),
            keras_vae.posteriors.DiagonalNormal(2),
            likelihood=keras_vae.likelihoods.NegativeBinomial(library="observed"),
            event_shape=source.event_shape,
            preprocessor=source.preprocessor,
            seed=0,
        )
        vae.compile("sgd")
        # One batch, so that its order does not matter but for the noise.
        history = vae.fit(
            source.x_train,
            validation_data=source.x_test,
            batch_size=54,
            epochs=2,
            verbose=0,
        )
        assert np.all(np.isfinite(history.history["val_loss"]))
        found = vae.evaluate(source.x_test, batch_size=54, return_dict=True, verbose=0)
        assert found["loss"] == pytest.approx(history.history["val_loss"][-1], rel=1e-5)
        losses.append(found["loss"])
    assert losses[0] == pytest.approx(losses[1], rel=0.01)


@pytest.mark.parametrize("bad", [-1.0, 0.5, np.nan, np.inf])
def test_what_is_no_count_is_an_error_or_is_reported(dense, bad):
    dense[4, 2] = bad
    with pytest.raises(ValueError, match=r"whole numbers >= 0.*row 4"):
        data.from_counts(dense)
    for matrix in (dense, scipy.sparse.csr_array(dense)):
        with pytest.warns(UserWarning, match="Left out 1 rows: row 4"):
            source = data.from_counts(matrix, skip_bad=True, batch=np.arange(60))
        together = np.concatenate([source.x_train[:], source.x_test[:]])
        conditions = np.concatenate([source.condition_train, source.condition_test])
        np.testing.assert_array_equal(together, dense[conditions.argmax(1)])
        assert len(together) == 59


def test_counts_are_written_sparse(tmp_path, dense):
    schema = data.from_counts(dense).schema
    path = schema.write(dense, tmp_path / "x.npz")
    same(schema.read(path).x[:], dense)
    assert scipy.sparse.load_npz(path).format == "csr"


def test_columns_must_be_those_of_the_model(tmp_path, dense):
    schema = data.from_counts(dense, names=list("abcdefg")).schema
    path = schema.write(dense, tmp_path / "x.csv")
    same(schema.read(path).x, dense)
    other = data.CountSchema(list("abcdefx"))
    with pytest.raises(ValueError, match=r"7 columns a, b, c, .* g stands where x should"):
        other.read(path)
    with pytest.raises(ValueError, match="7 columns"):
        schema.read(dense[:, :3])


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        (np.zeros(3), {}, "matrix"),
        (np.zeros([5, 2]), {"batch": [1, 2]}, "one entry for each"),
        ("nowhere.npy", {}, "nowhere"),
    ],
)
def test_errors(source, options, message):
    with pytest.raises(ValueError, match=message):
        data.from_counts(source, **options)
