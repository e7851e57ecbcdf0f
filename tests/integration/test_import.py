"""Importing the package changes nothing but what can be named afterwards."""

import os
import runpy
import subprocess
import sys
import textwrap

import keras
import pytest

import keras_vae


@pytest.mark.slow
def test_import_has_no_side_effects():
    # Keras, TensorFlow and TFP come first: what they do is not ours.
    code = """
        import logging, os, random, sys, time, warnings
        import keras, numpy as np, tensorflow as tf, tensorflow_probability

        # Made before the first look, for it takes its seed from Python's generator.
        generator = keras.src.random.seed_generator.global_seed_generator()

        def state():
            handlers = [(name, list(getattr(log, "handlers", [])), getattr(log, "level", None))
                        for name, log in logging.Logger.manager.loggerDict.items()
                        if "keras_vae" not in name]
            return {
                "environment": dict(os.environ),
                "root handlers": (list(logging.root.handlers), logging.root.level),
                "handlers": handlers,
                "warnings": list(warnings.filters),
                "dtype policy": keras.config.dtype_policy().name,
                "floatx": keras.config.floatx(),
                "image format": keras.config.image_data_format(),
                "python random": random.getstate(),
                "numpy random": str(np.random.get_state()),
                "keras random": generator.state.numpy().tolist(),
                "eager": tf.config.functions_run_eagerly(),
                "jit": tf.config.optimizer.get_jit(),
                "threads": tf.config.threading.get_inter_op_parallelism_threads(),
                "excepthook": sys.excepthook,
                "path": list(sys.path),
            }

        before, modules = state(), set(sys.modules)
        start = time.perf_counter()
        import keras_vae
        elapsed = time.perf_counter() - start
        after = state()
        changed = [name for name in before if before[name] != after[name]]
        assert not changed, changed
        heavy = {"matplotlib", "tf2onnx", "onnx", "onnxruntime", "sklearn", "pandas", "typer",
                 "rich", "scipy.stats", "IPython"}
        loaded = heavy & (set(sys.modules) - modules)
        assert not loaded, loaded
        assert elapsed < 5, f"importing keras_vae alone took {elapsed:.1f} s"
        print("unchanged")
    """
    # Not this process's environment, which an import may have changed already.
    kept = ("PATH", "HOME", "PYTHONPATH", "LD_LIBRARY_PATH", "TMPDIR", "KERAS_HOME")
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={name: os.environ[name] for name in kept if name in os.environ},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.stdout == "unchanged\n", result.stderr[-3000:]


def test_another_backend_is_refused_with_the_remedy(monkeypatch):
    # Run, not imported anew: the package of this process stays as it is.
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    message = r"needs the TensorFlow backend.*Received: 'jax'\. Set KERAS_BACKEND=tensorflow"
    with pytest.raises(ImportError, match=message):
        runpy.run_path(keras_vae.__file__)
