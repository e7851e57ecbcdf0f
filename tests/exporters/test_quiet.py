import logging
import os

import pytest

from keras_vae.exporters.quiet import contained

VARIABLE = "TF_CPP_MIN_LOG_LEVEL"
INFORMATION = b"I0000 00:00:1795345698.046770    7560 devices.cc:67] Number of eligible GPUs\n"
ERROR = b"E0000 00:00:1795345698.046770    7560 devices.cc:67] Something broke\n"


@pytest.mark.parametrize("before", ["1", None])
def test_restores_the_environment(monkeypatch, before):
    if before is None:
        monkeypatch.delenv(VARIABLE, raising=False)
    else:
        monkeypatch.setenv(VARIABLE, before)
    with contained("converter"):
        os.environ[VARIABLE] = "3"
    assert os.environ.get(VARIABLE) == before


def test_collects_errors_and_silences_the_logger(caplog):
    logger = logging.getLogger("converter")
    with contained("converter") as errors:
        logging.getLogger("converter.part").error("op %s", "Q")
        logger.warning("chatter")
    assert errors == ["op Q"]
    assert not caplog.records
    assert logger.propagate
    assert not logger.handlers


def test_drops_information_of_the_runtime_and_passes_on_the_rest(capfd):
    with contained("converter"):
        os.write(2, INFORMATION + ERROR)
    os.write(2, INFORMATION)
    assert capfd.readouterr().err.encode() == ERROR + INFORMATION


def test_an_error_restores_all(capfd):
    def fail():
        with contained("converter"):
            os.write(2, ERROR)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert capfd.readouterr().err.encode() == ERROR
    assert logging.getLogger("converter").propagate
