import subprocess

import pytest

from keras_vae.core.locks import locked
from tests.core.child import command

HOLD = (
    "import pathlib, sys\n"
    "from keras_vae.core.locks import locked\n"
    "with locked(pathlib.Path(sys.argv[1]), 'export'):\n"
    "    print('locked', flush=True)\n"
    "    sys.stdin.read()\n"
)


@pytest.fixture
def holder(tmp_path):
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command(HOLD, tmp_path / "x"), **pipes, text=True) as process:
        assert process.stdout.readline() == "locked\n"
        yield process
        process.kill()


def test_a_second_process_is_told_who_is_writing(tmp_path, holder):
    with (
        pytest.raises(TimeoutError, match=rf"Another export is writing.*{holder.pid}.*another"),
        locked(tmp_path / "x", "export"),
    ):
        pass


def test_a_killed_process_releases_its_lock(tmp_path, holder):
    holder.kill()
    holder.wait()
    with locked(tmp_path / "x", "export"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_waits_for_one_that_ends_in_time(tmp_path, holder, caplog):
    holder.stdin.close()
    with locked(tmp_path / "x", "export", seconds=30):
        pass
    assert list(tmp_path.iterdir()) == []
