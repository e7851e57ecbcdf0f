import numpy as np
import pytest
import tensorflow as tf
from scipy import special

from keras_vae.exporters.saved_graph import _log_gamma, _softplus, _x_log_y, saved_graph
from keras_vae.exporters.signatures import signatures_of
from tests.exporters.kinds import make_kind


@pytest.mark.parametrize(("low", "high"), [(1e-6, 0.5), (0.5, 3), (3, 1e4), (-4.9, -4.1)])
def test_log_gamma(low, high):
    x = np.linspace(low, high, 1000)
    got = _log_gamma(tf.constant(x))
    np.testing.assert_allclose(got, special.gammaln(x), rtol=1e-12, atol=1e-12)
    rounded = x.astype("float32")
    wanted = special.gammaln(rounded.astype("float64"))
    # A few roundings of the terms, which are of the size of 2 where they cancel.
    error = np.abs(_log_gamma(tf.constant(rounded)) - wanted)
    assert np.max(error / (2 + np.abs(wanted))) < 1e-6


def test_log_gamma_at_poles():
    got = _log_gamma(tf.constant([0.0, -2.0]))
    np.testing.assert_array_equal(got, [np.inf, np.inf])


def test_x_log_y():
    x = np.array([0, 0, 1e-40, 2, 1], "float32")
    y = np.array([0, 1, 0, 3, 0], "float32")
    got = _x_log_y(tf.constant(x), tf.constant(y))
    np.testing.assert_allclose(got, [0, 0, 0, 2 * np.log(3), -np.inf], rtol=1e-6)


def test_softplus():
    x = np.array([-1000.0, -50.0, -1.0, 0.0, 1e-3, 30.0, 88.0, 89.0, 2550.0], "float32")
    np.testing.assert_allclose(_softplus(tf.constant(x)), np.logaddexp(0, x), rtol=1e-6)


@pytest.mark.parametrize("kind", ["mlp-categorical", "gru-categorical", "transformer-normal"])
def test_computes_the_same(kind):
    model = make_kind(kind)
    (signature,) = signatures_of(model, ["reconstruct"])
    unrolled = [getattr(layer, "unroll", None) for layer in model._flatten_layers()]
    with saved_graph(signature, "A test", "key") as folder:
        function = tf.saved_model.load(str(folder)).signatures["key"]
    inputs = signature.probe(3)
    got = function(**{name: tf.constant(value) for name, value in inputs.items()})
    for name, wanted in signature.evaluate(inputs).items():
        np.testing.assert_allclose(got[name], wanted, atol=1e-5)
    graph = function.graph.as_graph_def()
    ops = {node.op for f in graph.library.function for node in f.node_def}
    assert "MatMul" in ops
    assert not ops & {"While", "StatelessWhile", "EnsureShape"}
    assert not folder.exists()
    after = [getattr(layer, "unroll", None) for layer in model._flatten_layers()]
    assert after == unrolled
