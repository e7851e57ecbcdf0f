"""Processes to be killed: forks of one that has imported all and computed nothing.

TensorFlow can be used in a fork as long as its parent has not used it.
"""

import json
import os
import signal
import sys
import time
import traceback


def forked(function, *arguments, ready=None, log=None):
    """Run a function in a process of its own; return its number."""
    sys.stdout.flush()
    sys.stderr.flush()
    process = os.fork()
    if process:
        return process
    code = 1
    try:
        if log is not None:
            output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(output, 1)
            os.dup2(output, 2)
        function(*arguments, *([lambda: os.write(ready, b"x")] if ready is not None else []))
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:  # It ends here.
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code or 0)


def ended(process):
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def asked(function, *arguments):
    """The result of a function, from a process of its own."""
    reading, writing = os.pipe()

    def answer():
        os.write(writing, json.dumps(function(*arguments)).encode())

    process = forked(answer)
    os.close(writing)
    with open(reading, "rb") as file:
        text = file.read()
    if ended(process):
        raise RuntimeError(f"{function.__name__} failed")
    return json.loads(text)


def started(function, *arguments):
    """Start a process and wait until it begins with what is measured."""
    reading, writing = os.pipe()
    process = forked(function, *arguments, ready=writing, log=os.devnull)
    os.close(writing)
    os.read(reading, 1)
    os.close(reading)
    return process, time.monotonic()


def duration(function, *arguments):
    process, began = started(function, *arguments)
    code = ended(process)
    if code:
        raise RuntimeError(f"{function.__name__} ended with {code}")
    return time.monotonic() - began


def killed(moment, function, *arguments):
    """Kill a run at a moment; return whether it had not ended by itself."""
    process, began = started(function, *arguments)
    time.sleep(max(0.0, began + moment - time.monotonic()))
    os.kill(process, signal.SIGKILL)
    return ended(process) == -signal.SIGKILL


def leftovers(folder):
    return sum(
        1
        for path in folder.rglob(".*")
        if ".writing-" in path.name or path.name.endswith(".lock")
    )
