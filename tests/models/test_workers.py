"""Two processes that train together end as one process does, and agree to the bit."""

import json
import os
import pathlib
import socket
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from tests.models.worker import data, train

ROOT = pathlib.Path(__file__).parents[2]
SECONDS = 300  # of a busy machine; some ten on an idle one


def free_ports(number):
    sockets = [socket.socket() for _ in range(number)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    except OSError as error:
        pytest.skip(f"no sockets on the loopback interface: {error}")
    finally:
        for each in sockets:
            each.close()


@pytest.fixture(scope="module")
def workers(tmp_path_factory):
    """What each of two workers wrote."""
    folder = tmp_path_factory.mktemp("workers")
    cluster = {"worker": [f"127.0.0.1:{port}" for port in free_ports(2)]}
    processes = []
    for index in range(2):
        config = {"cluster": cluster, "task": {"type": "worker", "index": index}}
        command = [sys.executable, "-m", "tests.models.worker", str(folder / f"{index}.npz")]
        environment = {
            **os.environ,
            "TF_CONFIG": json.dumps(config),
            "TF_CPP_MIN_LOG_LEVEL": "3",
        }
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        processes.append(subprocess.Popen(command, cwd=ROOT, env=environment, **pipes))
    try:
        for process in processes:
            output, _ = process.communicate(timeout=SECONDS)
            assert process.returncode == 0, output[-4000:]
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    return [dict(np.load(folder / f"{index}.npz")) for index in range(2)]


@pytest.mark.slow
def test_workers_end_as_one_process_does(workers):
    alone = train(tf.distribute.get_strategy(), 0, 1)
    for worker in workers:
        for name, expected in alone.items():
            np.testing.assert_allclose(
                worker[name], expected, rtol=1e-5, atol=2e-6, err_msg=name
            )


@pytest.mark.slow
def test_workers_with_data_of_their_own_agree_to_the_bit(workers):
    first, second = workers
    assert first.keys() == second.keys()
    for name, values in first.items():
        np.testing.assert_array_equal(values, second[name], err_msg=name)


@pytest.mark.slow
def test_parts_adapt_to_the_data_of_all_workers(workers):
    """Pseudo-inputs are examples of either worker, in units of the whole data."""
    x = data()
    standard = (x - x.mean(axis=0)) / x.std(axis=0)
    found = workers[0]["pseudo_inputs"]
    nearest = np.abs(found[:, None] - standard).max(axis=-1).argmin(axis=1)
    assert {*(nearest % 2)} == {0, 1}
