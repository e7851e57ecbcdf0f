"""A disk without room, by the limit that the system sets to the size of files."""

import contextlib
import resource
import signal


@contextlib.contextmanager
def small_disk(size=3_000):
    """Let no file grow beyond so many bytes; what writes more gets an OSError.

    Yields what makes room again.
    """
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
