"""What every test runs under: two CPU devices, fixed seeds, and no silent trouble."""

import logging
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
# The workers share the cores: threads of OpenMP that wait for each other would take them.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Programs of XLA are compiled for a few steps here: fast code would not repay its making.
os.environ.setdefault(
    "XLA_FLAGS", "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
)

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.eager.polymorphic_function import polymorphic_function

import keras_vae

# Two replicas on one CPU; must be set before TensorFlow starts its devices.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)

_TROUBLE = ("AutoGraph could not transform", "triggered tf.function retracing", "Gradients do")


class _Collector(logging.Handler):
    def __init__(self):
        super().__init__(logging.WARNING)
        self.messages = []

    def emit(self, record):
        self.messages.append(record.getMessage())


@pytest.fixture(autouse=True)
def no_silent_trouble(request):
    """Fail a test during which TensorFlow fell back from AutoGraph or retraced."""
    # TensorFlow counts retracing over all models of a process; here it is counted by test.
    polymorphic_function._frequent_tracing_detector_manager = type(
        polymorphic_function._frequent_tracing_detector_manager
    )()
    collector = _Collector()
    logger = tf.get_logger()
    logger.addHandler(collector)
    yield
    logger.removeHandler(collector)
    expected = "retracing" if request.node.get_closest_marker("many_models") else None
    unwanted = [t for t in _TROUBLE if expected is None or expected not in t]
    trouble = [m for m in collector.messages if any(t in m for t in unwanted)]
    assert not trouble, trouble


@pytest.fixture(autouse=True)
def fixed_seeds():
    keras.utils.set_random_seed(0)


@pytest.fixture
def float64():
    """Run a test in double precision."""
    policy = keras.config.dtype_policy()
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")  # Keras keeps the one it made at first use
    yield
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy(policy)


@pytest.fixture(scope="session")
def digits():
    """Scikit-learn's handwritten digits, `[1797, 8, 8, 1]` in [0, 1]."""
    from sklearn.datasets import load_digits

    return (load_digits().images / 16).astype("float32")[..., None]


@pytest.fixture
def data_folder():
    """Folder of larger real data sets; tests that need it are skipped where it is absent."""
    folder = os.environ.get("KERAS_VAE_DATA")
    if not folder:
        pytest.skip("KERAS_VAE_DATA is not set: no folder of larger data sets")
    return pathlib.Path(folder)


@pytest.fixture(scope="session")
def make_vae():
    """Return a factory of small models on the digits; keywords replace its parts."""

    def make(**changes):
        parts = {
            "encoder": keras_vae.networks.MLP([16]),
            "decoder": keras_vae.networks.MLP([16]),
            "posterior": keras_vae.posteriors.DiagonalNormal(latent_dim=3),
            "likelihood": keras_vae.likelihoods.Bernoulli(),
            "event_shape": (8, 8, 1),
            "seed": 1,
        }
        return keras_vae.VAE(**{**parts, **changes})

    return make


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def mirrored():
    """Two replicas. One strategy for all tests: a second one in the same process reuses the
    first one's numbers of collective operations, which TensorFlow takes for an error."""
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
