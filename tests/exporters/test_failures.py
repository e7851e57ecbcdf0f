"""Models that fail, as a whole or in one signature: what exports of them say."""

import os
import subprocess
import sys

import pytest
import tensorflow as tf

from keras_vae import exporters, likelihoods
from tests.exporters.support import PythonCode, make_model

EXPORTS = {
    "onnx": exporters.export_onnx,
    "saved_model": exporters.export_saved_model,
    "litert": exporters.export_litert,
    "openvino": exporters.export_openvino,
}


def targets(*always):
    """The targets, of which some are run each time."""
    return pytest.mark.parametrize(
        "target",
        [
            pytest.param(name, marks=() if name in always else pytest.mark.thorough)
            for name in EXPORTS
        ],
    )


class Unscored(likelihoods.Bernoulli):
    """Decodes, but fails where data are scored, when it runs."""

    def elementwise_log_prob(self, params, x, mask=None, context=None):
        with tf.control_dependencies([tf.debugging.assert_less(x, -1.0, "not scored")]):
            return super().elementwise_log_prob(params, x, mask, context)

    log_prob = elementwise_log_prob


class Untraceable(likelihoods.Bernoulli):
    """Decodes, but fails in Python where data are scored."""

    def log_prob(self, params, x, mask=None, context=None):
        raise ZeroDivisionError("no score at all")


@targets("onnx")
def test_an_export_without_decode_must_be_asked_for(tmp_path, target):
    model = make_model(likelihood=PythonCode())
    with pytest.raises(exporters.ExportError, match="'EagerPyFunc', which the likelihood") as e:
        EXPORTS[target](model, tmp_path / "out")
    assert f"The {target} export has no `decode`" in str(e.value)
    assert "ask for it: signatures=['encode', 'score']" in str(e.value)
    assert list(tmp_path.iterdir()) == []


def test_an_export_of_the_encoder_alone(tmp_path):
    model = make_model(likelihood=PythonCode())
    manifest = exporters.export_onnx(model, tmp_path, signatures=["encode"])
    assert set(manifest.signatures) == {"encode"}


@targets("onnx")
@pytest.mark.parametrize(
    ("likelihood", "message"),
    [(Unscored, "not scored"), (Untraceable, "ZeroDivisionError: no score at all")],
)
def test_a_signature_that_fails_is_left_out(tmp_path, target, likelihood, message):
    manifest = EXPORTS[target](make_model(likelihood=likelihood()), tmp_path)
    assert "score" not in manifest.signatures
    assert {"decode", "encode", "generate"} <= set(manifest.signatures)
    reason = manifest.left_out["score"]
    assert reason.startswith("The model itself cannot compute `score`: ")
    assert message in reason
    assert "\n" not in reason


@targets("onnx", "saved_model")
@pytest.mark.parametrize("likelihood", [Unscored, Untraceable])
def test_a_signature_that_fails_and_was_asked_for(tmp_path, target, likelihood):
    model = make_model(likelihood=likelihood())
    message = f"export to {target} failed. The model itself cannot compute `score`"
    with pytest.raises(exporters.ExportError, match=message):
        EXPORTS[target](model, tmp_path / "out", signatures=["decode", "score"])
    assert list(tmp_path.iterdir()) == []


def test_answers_of_a_signature_that_fails(tmp_path):
    model = make_model(likelihood=Unscored())
    with pytest.raises(exporters.ExportError, match="cannot compute `score`"):
        exporters.write_answers(model, tmp_path / "answers.bin", signature="score")
    assert list(tmp_path.iterdir()) == []


def test_a_converter_that_breaks_is_named(tmp_path, monkeypatch):
    def save(*args, **kwargs):
        raise TypeError("no such thing")

    monkeypatch.setattr("tensorflow.saved_model.save", save)
    for export, message in (
        (exporters.export_saved_model, "export of `decode` could not be saved: TypeError"),
        (exporters.export_litert, "`decode` could not be converted to litert: TypeError"),
    ):
        with pytest.raises(exporters.ExportError, match=message):
            export(make_model(), tmp_path / "out", signatures=["decode"])
    assert list(tmp_path.iterdir()) == []


_DETERMINISTIC = """
import sys
import numpy as np
import tensorflow as tf

tf.config.experimental.enable_op_determinism()
from keras_vae import exporters
from tests.exporters.support import make_model

tf.keras.utils.set_random_seed(0)
folder = sys.argv[1]
for export in (exporters.export_onnx, exporters.export_saved_model):
    manifest = export(make_model(), folder)
    assert set(manifest.signatures) == {*sys.argv[2].split(",")}, manifest.left_out
    assert manifest.left_out == {}
sample = tf.saved_model.load(folder + "/1").signatures["sample"]
first, second = (sample(seed=tf.constant([3, 4], tf.int64))["z"].numpy() for _ in range(2))
np.testing.assert_array_equal(first, second)
"""


def test_exports_where_determinism_is_on(tmp_path):
    names = "decode,encode,reconstruct,generate,sample,score"
    command = [sys.executable, "-c", _DETERMINISTIC, str(tmp_path), names]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "TF_DETERMINISTIC_OPS": "1"},  # Of processes that verify, too.
    )
    assert done.returncode == 0, done.stderr
