"""A browser in which exported pages are opened."""

import contextlib
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

import pytest

from keras_vae.exporters import web
from tests.exporters.page import DESKTOP

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
BROWSE = pathlib.Path(__file__).with_name("browse.mjs")


@pytest.fixture(scope="session")
def packages(tmp_path_factory):
    """A folder in which npm installed ONNX Runtime Web and a driver of browsers."""
    known = os.environ.get("KERAS_VAE_NPM")
    if known:
        return pathlib.Path(known)
    if not shutil.which("npm"):
        pytest.skip("no npm, which installs ONNX Runtime Web")
    folder = tmp_path_factory.mktemp("npm")
    wanted = [f"onnxruntime-web@{web._VERSION}", "playwright-core@1.65.1"]
    command = ["npm", "install", "--no-audit", "--no-fund", "--prefix", folder, *wanted]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"npm could not install {' '.join(wanted)}: {done.stderr[-200:]}")
    return folder


@pytest.fixture(scope="session")
def runtime(packages):
    return packages / "node_modules" / "onnxruntime-web"


@contextlib.contextmanager
def serving(folder, manifest):
    """Run the manifest's command on a port of its own; yields the address."""
    command = manifest.run.removeprefix("python")
    words = [sys.executable, "-u", *shlex.split(command), "--bind", "127.0.0.1", "0"]
    with subprocess.Popen(
        words, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        port = re.search(r"port (\d+)", server.stdout.readline())[1]
        yield f"http://127.0.0.1:{port}/"
        server.terminate()


@pytest.fixture
def browse(packages):
    """Open an export in Chromium and take steps; see browse.mjs."""
    if not shutil.which("node"):
        pytest.skip("no node, which drives the browser")
    if CHROMIUM is None:
        pytest.skip("no chromium")

    def run(folder, manifest, steps, context=DESKTOP, served=None, address=""):
        with serving(folder, manifest) as url:
            plan = {
                "packages": str(packages),
                "chromium": CHROMIUM,
                "url": url + address,
                "context": context,
                "served": served or {},
                "steps": [*steps, ["see", "document.getElementById('status').className"]],
            }
            command = ["node", BROWSE]
            done = subprocess.run(
                command, input=json.dumps(plan), capture_output=True, text=True, check=False
            )
        assert done.returncode == 0, done.stderr
        result = json.loads(done.stdout)
        return {**result, "seen": result["seen"][:-1], "status": result["seen"][-1], "url": url}

    return run
