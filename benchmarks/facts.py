"""What a result says of how it came about: versions, machine, data."""

import hashlib
import importlib.metadata
import os
import pathlib
import platform

PACKAGES = ("keras_vae", "keras", "tensorflow", "tensorflow-probability", "numpy")


def versions(*others):
    """Of the packages that matter to any figure, and of others."""
    found = {name: importlib.metadata.version(name) for name in (*PACKAGES, *others)}
    return {**found, "python": platform.python_version()}


def machine():
    """Processor and number of cores."""
    return {"processor": processor(), "cores": os.cpu_count()}


def processor():
    """Name of the processor, and of the instructions that matter for matrix products."""
    path = pathlib.Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    name = next((li.split(":")[1].strip() for li in lines if li.startswith("model name")), "")
    flags = next((li.split(":")[1].split() for li in lines if li.startswith("flags")), [])
    known = [f for f in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if f in flags]
    return f"{name or platform.processor()} ({', '.join(known)})"


def sha256(path):
    """Of a file; of MNIST without one, where it comes from."""
    path = pathlib.Path(path)
    if not path.is_file() and path.name == "mnist.npz":
        return "keras.datasets"
    return hashlib.sha256(path.read_bytes()).hexdigest()
