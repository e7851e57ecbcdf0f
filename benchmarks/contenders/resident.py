"""Memory of this process, in MiB, as Linux counts it.

Not `getrusage`: a new process begins there with the peak of the one that started it.
"""


def peak_mb():
    """Resident at most so far."""
    return _kilobytes("VmHWM") / 1024


def own_mb():
    """Resident now, files that are mapped not counted."""
    return _kilobytes("RssAnon") / 1024


def _kilobytes(name):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(name + ":"))
