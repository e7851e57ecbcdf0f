import functools
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf

from keras_vae import exporters, networks
from keras_vae.exporters import signatures
from tests.exporters.support import (
    PythonCode,
    Table,
    Untrue,
    contents,
    latents,
    make_model,
    shown_by,
)

export_decoder = functools.partial(exporters.export_saved_model, signatures=["decode"])


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A model, its export's folder and the manifest."""
    folder = tmp_path_factory.mktemp("saved_model")
    model = make_model(decoder=networks.ConvDecoder([8, 4], batch_normalization=True))
    exporters.export_onnx(model, folder)
    return model, folder, export_decoder(model, folder)


@pytest.mark.slow
@pytest.mark.parametrize("rows", [1, 3, 17])
def test_decodes_as_the_model(exported, rows):
    model, folder, _ = exported
    loaded = tf.saved_model.load(str(folder / "1"))
    z = latents(rows)
    x = loaded.signatures["serving_default"](z=tf.constant(z))["x"]
    np.testing.assert_allclose(x, model.decode(z), atol=1e-6)


@pytest.mark.slow
def test_holds_the_decoder_only(exported):
    model, folder, _ = exported
    names = tf.train.list_variables(str(folder / "1" / "variables" / "variables"))
    shapes = [tuple(shape) for name, shape in names if "used" in name]
    head = model._to_likelihood.weights
    wanted = [tuple(v.shape) for v in (*model.decoder.weights, *head)]
    assert sorted(shapes) == sorted(wanted)


@pytest.mark.slow
def test_manifest(exported):
    _, folder, manifest = exported
    targets = json.loads((folder / "manifest.json").read_text())["targets"]
    assert set(targets) == {"onnx", "saved_model"}
    stored = targets["saved_model"]
    assert stored == json.loads(manifest.to_json())
    signature = stored["signatures"]["decode"]
    assert signature["served_as"] == "decode"
    assert signature["path"] == "1"
    assert max(signature["max_error"].values()) <= 1e-5
    own = {f"1/{p}" for p, h in contents(folder / "1").items() if h}
    assert set(stored["files"]) == own | {"models.config", "batching.config"}
    for path, entry in stored["files"].items():
        data = (folder / path).read_bytes()
        assert entry == {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}


@pytest.mark.slow
def test_the_command_in_the_manifest_runs(exported):
    _, folder, manifest = exported
    assert "'x': <tf.Tensor: shape=(1, 8, 8, 1), dtype=float32" in shown_by(manifest, folder)


@pytest.mark.thorough
def test_a_bad_export_leaves_a_good_one(exported):
    _, folder, _ = exported
    before = contents(folder)
    with pytest.raises(exporters.ExportError, match="differs from the model"):
        export_decoder(make_model(likelihood=Untrue()), folder)
    assert contents(folder) == before


@pytest.mark.parametrize(
    ("likelihood", "message"),
    [
        (PythonCode, "SavedModel has no op for 'EagerPyFunc', .* in place of Python code"),
        (Table, "cannot hold, such as a lookup table"),
    ],
)
def test_what_no_file_can_hold(tmp_path, likelihood, message):
    with pytest.raises(exporters.ExportError, match=message):
        export_decoder(make_model(likelihood=likelihood()), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A model with all its signatures exported."""
    folder = tmp_path_factory.mktemp("whole")
    model = make_model()
    return model, folder, exporters.export_saved_model(model, folder)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a[b]", "a[b]/c", "a\\b"])
def test_paths_that_tensorflow_takes_for_patterns(tmp_path, name):
    with pytest.raises(ValueError, match=r"no '\[...\]' and no backslash in its path"):
        exporters.export_saved_model(make_model(), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["a[b", "a*b", "a?b", "a b", "ü 漢", "a%20b#c"])
def test_paths_with_other_signs(tmp_path, name):
    for export in (exporters.export_saved_model, exporters.export_onnx):
        export(make_model(), tmp_path / name, signatures=["decode"])
    assert (tmp_path / name / "1" / "saved_model.pb").is_file()


def test_serves_all_signatures(whole):
    model, folder, manifest = whole
    assert list(manifest.signatures) == list(signatures.NAMES[:6])
    assert manifest.left_out == {}
    served = tf.saved_model.load(str(folder / "1")).signatures
    assert set(served) == {*signatures.NAMES[:6], "serving_default"}
    x = latents(5) @ np.ones([3, 64], "float32") > 0
    x = x.reshape(5, 8, 8, 1).astype("float32")
    close = {"rtol": 1e-5, "atol": 1e-5}
    np.testing.assert_allclose(served["encode"](x=x)["z"], model.encode(x), **close)
    np.testing.assert_allclose(
        served["reconstruct"](x=x)["reconstruction"], model.reconstruct(x), **close
    )


_SAMPLING = """
import sys
import time
import tensorflow as tf

tf.random.set_seed(7)
sample = tf.saved_model.load(sys.argv[1]).signatures["sample"]
z = sample(seed=tf.constant([-1, -1, 5], tf.int64))["z"].numpy()
print(*z.ravel().tolist())
"""


@pytest.mark.thorough
def test_processes_do_not_replay_each_others_noise(whole):
    command = [sys.executable, "-c", _SAMPLING, str(whole[1] / "1")]
    env = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1"}
    draws = []
    for _ in range(2):
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
        draws.append(np.array(done.stdout.split(), float).reshape(3, 3))
    # Without a seed all four differ; with one, both processes draw the same.
    assert len({row[0] for each in draws for row in each[:2]}) == 4
    np.testing.assert_array_equal(draws[0][2], draws[1][2])


_EXPORTING = """
import sys
import time
import keras
from keras_vae import exporters

model = keras.saving.load_model(sys.argv[1])
print("ready", flush=True)
exporters.export_saved_model(model, sys.argv[2], signatures=["decode"])
"""


@pytest.mark.slow
def test_a_kill_leaves_the_old_or_the_new(exported, tmp_path):
    _, folder, _ = exported
    shutil.copytree(folder, tmp_path / "out")
    before = contents(tmp_path / "out")
    make_model().save(tmp_path / "vae.keras")
    command = [sys.executable, "-c", _EXPORTING, tmp_path / "vae.keras", tmp_path / "out"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
        assert child.stdout.readline() == b"ready\n"
        written = (tmp_path / "out").glob
        while not list(written(".*.writing-*/**/saved_model.pb")) and child.poll() is None:
            time.sleep(0.01)
        assert child.poll() is None, "it ended before it was killed"
        child.kill()
    after = contents(tmp_path / "out")
    # What it was writing is there, aside; what was there is whole.
    assert {k: v for k, v in after.items() if ".writing-" not in k} == before
