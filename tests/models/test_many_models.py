"""Many models in one process, and one model in many."""

import logging
import os

import numpy as np
import pytest
import tensorflow as tf

import keras_vae
from keras_vae import likelihoods, networks, posteriors
from keras_vae.models.tracing import CompiledFunctions, compiled


class Collector(logging.Handler):
    def __init__(self):
        super().__init__(logging.WARNING)
        self.messages = []

    def emit(self, record):
        self.messages.append(record.getMessage())


@pytest.fixture
def warnings_of_tensorflow():
    collector = Collector()
    tf.get_logger().addHandler(collector)
    yield collector.messages
    tf.get_logger().removeHandler(collector)


def test_many_models_print_no_warnings_of_retracing(digits, make_vae, warnings_of_tensorflow):
    for _ in range(6):
        vae = make_vae(encoder=networks.MLP([4]), decoder=networks.MLP([4]))
        vae.compile(jit_compile=False)
        vae.fit(digits[:32], verbose=0)
        vae.evaluate(digits[:32], verbose=0)
        vae.predict(digits[:32], verbose=0)
        vae.encode(digits[:32])
    assert warnings_of_tensorflow == []


@pytest.mark.many_models
def test_a_function_that_is_retraced_still_warns(warnings_of_tensorflow):
    double = compiled(lambda x: 2 * x, autograph=False)
    for size in range(1, 7):
        double(tf.zeros([size]))
    assert any("retracing" in message for message in warnings_of_tensorflow)


def test_draws_at_many_temperatures_compile_once():
    vae = keras_vae.VAE(
        encoder=networks.RecurrentEncoder([4]),
        decoder=networks.RecurrentDecoder([4]),
        posterior=posteriors.DiagonalNormal(latent_dim=2),
        likelihood=likelihoods.Categorical(5),
        event_shape=(7, 1),
    )
    draws = [
        vae.generate(40, sample=True, temperature=t, top_p=p, seed=1)
        for t, p in [(1e-3, 1.0), (1.0, 1e-3), (1.0, 0.999), (2.0, 0.9)]
    ]
    np.testing.assert_array_equal(draws[0], vae.generate(40, seed=1))
    np.testing.assert_array_equal(draws[1], draws[0])
    assert np.any(draws[2] != draws[3])
    assert len([name for name, _ in vae._functions if "True" in name]) == 1


def test_compiled_functions_are_let_go_when_there_are_many():
    functions = CompiledFunctions()
    for number in range(100):
        functions[str(number), False] = number
        functions["0", False]
    assert len(functions) == 32
    assert ("0", False) in functions
    assert ("99", False) in functions


def in_fork(function):
    """Run a function in a forked child; what it raised, as text."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            function()
            os.write(writer, b"nothing")
        except RuntimeError as error:
            os.write(writer, str(error).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as lines:
        text = lines.read()
    os.waitpid(child, 0)
    return text


def test_forked_processes_are_refused_rather_than_hang(digits, make_vae):
    vae = make_vae()
    vae.compile()
    for run in (vae.encode, vae.fit, vae.predict, vae.evaluate, vae.train_on_batch, vae.call):
        assert "spawn" in in_fork(lambda run=run: run(digits[:4]))
