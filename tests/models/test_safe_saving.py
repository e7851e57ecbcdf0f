"""Models are saved whole or not at all, and trainings that are killed can go on."""

import json
import os

import keras
import numpy as np
import pytest

import keras_vae
from keras_vae import callbacks
from keras_vae.models import backup
from tests.exporters.support import contents
from tests.full_disk import small_disk

X = (np.random.default_rng(0).random([32, 12]) > 0.5).astype("float32")


def make_model(seed=1):
    keras.utils.set_random_seed(seed)
    vae = keras_vae.VAE(
        keras_vae.networks.MLP([16]),
        keras_vae.networks.MLP([16]),
        keras_vae.posteriors.DiagonalNormal(latent_dim=2),
        likelihood=keras_vae.likelihoods.Bernoulli(),
        event_shape=(12,),
        seed=seed,
    )
    vae.compile(keras.optimizers.Adam(1e-2))
    return vae


@pytest.fixture(scope="module")
def vae():
    return make_model()


SAVINGS = {
    "model": lambda vae, folder: vae.save(folder / "a.keras"),
    "folder": lambda vae, folder: vae.save(folder / "a", zipped=False),
    "weights": lambda vae, folder: vae.save_weights(folder / "a.weights.h5"),
    "shards": lambda vae, folder: vae.save_weights(
        folder / "a.weights.json", max_shard_size=3e-6
    ),
    "checkpoint": lambda vae, folder: _checkpoint(vae, folder),
    "backup": lambda vae, folder: _backup(vae, folder),
}


def _checkpoint(vae, folder):
    callback = keras.callbacks.ModelCheckpoint(folder / "a.keras", monitor="loss")
    callback.set_model(vae)
    callback.on_epoch_end(0, {"loss": 1.0})


def _backup(vae, folder):
    (callback,) = backup.protected([keras.callbacks.BackupAndRestore(str(folder / "backup"))])
    callback.set_model(vae)
    callback.on_epoch_end(0)


@pytest.mark.parametrize("kind", list(SAVINGS))
def test_saving_leaves_nothing_beside_it_and_a_full_disk_leaves_the_old_one(
    vae, tmp_path, kind
):
    for _ in range(2):  # Over an older one.
        SAVINGS[kind](vae, tmp_path)
    before = contents(tmp_path)
    assert before
    assert not [name for name in before if "writing" in name]
    with small_disk(), pytest.raises(OSError, match="What was there is unchanged"):
        SAVINGS[kind](vae, tmp_path)
    assert contents(tmp_path) == before


def test_what_is_saved_loads(vae, tmp_path):
    for kind, save in SAVINGS.items():
        save(vae, tmp_path)
        other = make_model(seed=2)
        if kind == "model":
            other = keras.saving.load_model(tmp_path / "a.keras")
        elif kind == "folder":
            other = keras.saving.load_model(tmp_path / "a")
        elif kind == "weights":
            other.load_weights(tmp_path / "a.weights.h5")
        elif kind == "shards":
            other.load_weights(tmp_path / "a.weights.json")
        else:
            continue
        for a, b in zip(vae.get_weights(), other.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)


def test_folders_of_others_are_not_replaced(vae, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_text("mine")
    with pytest.raises(ValueError, match="new or empty folder"):
        vae.save(tmp_path / "photos", zipped=False)
    assert (tmp_path / "photos" / "a.jpg").read_text() == "mine"


def test_paths_are_expanded_and_addresses_left_to_tensorflow(vae, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    vae.save("~/home.keras")
    vae.save((tmp_path / "file.keras").as_uri())
    vae.save_weights("~/a.weights.h5")
    vae.load_weights("~/a.weights.h5")
    assert sorted(os.listdir()) == ["a.weights.h5", "file.keras", "home.keras"]
    vae.save_weights("ram://place/a.weights.h5")
    with pytest.raises(ValueError, match=r"`filepath` must be a path of this machine.*copy"):
        vae.save("s3://bucket/a.keras")
    with pytest.raises(ValueError, match="`filepath` must be a path of this machine"):
        vae.load_weights("hdfs://bucket/a.weights.h5")
    assert len(os.listdir()) == 3


class Stop(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 2:
            raise KeyboardInterrupt


def fit(vae, folder, *further):
    kept = keras.callbacks.BackupAndRestore(str(folder), double_checkpoint=True)
    vae.fit(X, epochs=4, batch_size=8, verbose=0, callbacks=[kept, *further])


def test_a_training_goes_on_from_its_backup_as_if_it_had_not_ended(tmp_path):
    straight, first, second = make_model(), make_model(), make_model()
    straight.fit(X, epochs=4, batch_size=8, verbose=0)
    with pytest.raises(KeyboardInterrupt):
        fit(first, tmp_path / "backup", Stop())
    assert "latest.weights.h5.bkp" in os.listdir(tmp_path / "backup")
    fit(second, tmp_path / "backup")
    for a, b in zip(straight.variables, second.variables, strict=True):
        np.testing.assert_array_equal(a, b)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("source", ["disk", "drawn"])
def test_data_go_on_where_a_backup_was_made(tmp_path, source):
    np.save(tmp_path / "x.npy", X)

    def data():
        if source == "disk":
            return np.load(tmp_path / "x.npy", mmap_mode="r")
        return keras_vae.data.dynamic_binarization(0.5 * X, batch_size=8, seed=3)

    def fit(*further):
        vae = make_model()
        kept = keras.callbacks.BackupAndRestore(str(tmp_path / "backup"))
        rows = 8 if source == "disk" else None
        vae.fit(data(), batch_size=rows, epochs=4, verbose=0, callbacks=[kept, *further])
        return vae

    straight = fit()
    with pytest.raises(KeyboardInterrupt):
        fit(Stop())
    for a, b in zip(straight.variables, fit().variables, strict=True):
        np.testing.assert_array_equal(a, b)


def test_weights_and_epoch_of_a_backup_change_in_one_step(tmp_path, monkeypatch):
    vae = make_model()
    callback = callbacks.BackupAndRestore(tmp_path / "backup")
    callback.set_model(vae)
    callback.on_epoch_end(0)
    before = contents(tmp_path)
    seen = []

    def publish(*args):
        seen.append(contents(tmp_path / "backup"))
        raise OSError("killed")

    monkeypatch.setattr(backup, "publish", publish)
    with pytest.raises(OSError, match="killed"):
        callback.on_epoch_end(1)
    assert (
        before.items() >= {f"backup/{n}": h for n, h in seen[0].items() if n[0] != "."}.items()
    )
    assert contents(tmp_path) == before
    facts = json.loads((tmp_path / "backup" / "training_metadata.json").read_text())
    assert facts["epoch"] == 1
