"""How clients in several languages, and the server that they ask, are started."""

import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).parent
CLIENTS = HERE.parents[1] / "export" / "clients"


@contextlib.contextmanager
def running_double(folder, name):
    """The double, in a process of its own; yields addresses for gRPC and REST."""
    process = subprocess.Popen(
        [sys.executable, HERE / "serving_double.py", folder, name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=folder,
    )
    said = json.loads(process.stdout.readline())
    assert said["foreign"] == []
    yield {"grpc": f"127.0.0.1:{said['grpc']}", "rest": f"http://127.0.0.1:{said['rest']}"}
    process.communicate(timeout=60)
    assert process.returncode == 0


def program_path(tmp_path_factory):
    """The C++ server, built against the library that Python's TensorFlow is made of."""
    if shutil.which("g++") is None:
        pytest.skip("g++ is absent")
    path = tmp_path_factory.mktemp("cpp") / "serve_saved_model"
    done = subprocess.run(
        [CLIENTS / "cpp" / "build.sh", sys.executable, path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return path


@contextlib.contextmanager
def node_folder(tmp_path_factory):
    """The Node client's folder, with its package installed."""
    for tool in ("node", "npm"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is absent")
    folder = tmp_path_factory.mktemp("node")
    for name in ("client.mjs", "package.json"):
        shutil.copy(CLIENTS / "node" / name, folder)
    done = subprocess.run(
        ["npm", "install", "--no-audit", "--no-fund"],
        cwd=folder,
        env={**os.environ, "ONNXRUNTIME_NODE_INSTALL": "skip"},
        capture_output=True,
        text=True,
        check=False,
    )
    if "ENOTFOUND" in done.stderr or "ECONNREFUSED" in done.stderr:
        pytest.skip("npm has no registry here")
    assert done.returncode == 0, done.stderr
    yield folder
    shutil.rmtree(folder / "node_modules")  # of 300 MB
