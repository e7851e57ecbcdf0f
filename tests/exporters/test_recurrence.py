"""Recurrent layers where Keras sees a GPU: exports hold ops that run anywhere."""

import sys
import threading

import keras
import pytest
import tensorflow as tf

from keras_vae import exporters, networks
from keras_vae.exporters.ops import graph_nodes
from keras_vae.exporters.recurrence import plain_recurrence, unrolled
from keras_vae.exporters.signatures import signatures_of
from tests.exporters.kinds import largest_error
from tests.exporters.support import make_model

# A hundred roundings of float32: what the exporter itself allows by default.
TOLERANCE = 1e-5


@pytest.fixture
def gpu(monkeypatch):
    """Let Keras believe that there is a GPU, which decides what it traces."""
    # Its package has a function of the same name.
    module = sys.modules["keras.src.backend.tensorflow.rnn"]
    monkeypatch.setattr(module, "_is_gpu_available", lambda: True)


def recurrent_decoder(layer):
    return keras.Sequential([keras.Input((3,)), keras.layers.RepeatVector(4), layer])


def make_lstm(**options):
    inside = keras.layers.Bidirectional(keras.layers.GRU(2, return_sequences=True))
    return make_model(
        encoder=keras.Sequential([keras.Input((4, 2)), inside, keras.layers.Flatten()]),
        decoder=recurrent_decoder(keras.layers.LSTM(4, return_sequences=True, **options)),
        event_shape=(4, 2),
    )


def ops_of(model):
    signatures = signatures_of(model, ["decode", "encode"])
    return {node.op for s in signatures for node in graph_nodes(s.concrete)}


@pytest.mark.usefixtures("gpu")
def test_the_simulated_gpu_is_seen_outside_exports():
    layer = keras.layers.LSTM(4)
    concrete = tf.function(layer).get_concrete_function(tf.TensorSpec([None, 4, 2]))
    assert "CudnnRNNV3" in {node.op for node in graph_nodes(concrete)}


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize("use_cudnn", ["auto", pytest.param(True, marks=pytest.mark.thorough)])
def test_signatures_are_traced_without_cudnn(use_cudnn):
    model = make_lstm(use_cudnn=use_cudnn)
    assert not [op for op in ops_of(model) if "cudnn" in op.lower()]
    assert model.decoder.layers[-1].use_cudnn == use_cudnn
    (encode,) = signatures_of(model, ["encode"])
    assert len(encode.cases["3"].outputs["z"]) == 3


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize(
    "export",
    [
        exporters.export_onnx,
        pytest.param(exporters.export_saved_model, marks=pytest.mark.thorough),
        pytest.param(exporters.export_litert, marks=pytest.mark.thorough),
        pytest.param(exporters.export_openvino, marks=pytest.mark.thorough),
        pytest.param(exporters.export_keras_archive, marks=pytest.mark.thorough),
    ],
)
def test_exports(tmp_path, export):
    manifest = export(make_lstm(), tmp_path, signatures=["decode", "encode"])
    assert largest_error(manifest) <= TOLERANCE


@pytest.mark.usefixtures("gpu")
@pytest.mark.thorough
def test_a_page(tmp_path):
    decoder = networks.RecurrentDecoder([4], cell="gru")
    model = make_model(decoder=decoder, event_shape=(5, 2))
    manifest = exporters.export_web(model, tmp_path)
    assert largest_error(manifest) <= TOLERANCE


def test_threads_put_back_what_they_found():
    layer = keras.layers.LSTM(2)
    model = keras.Sequential([keras.Input((3, 1)), layer])
    inside, goes_on = threading.Event(), threading.Event()
    seen = []

    def other():
        inside.wait()
        goes_on.set()
        with plain_recurrence(model):
            seen.append((layer.use_cudnn, layer.unroll))

    thread = threading.Thread(target=other)
    thread.start()
    with unrolled(), plain_recurrence(model):
        inside.set()
        goes_on.wait()
        seen.append((layer.use_cudnn, layer.unroll))
    thread.join()
    # Unrolling is of one thread, and the other began when the first had ended.
    assert seen == [(False, True), (False, False)]
    assert (layer.use_cudnn, layer.unroll) == ("auto", False)
