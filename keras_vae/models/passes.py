"""Which pass over the data it is, and how one ends.

Floor 4.
"""

from __future__ import annotations

import threading
from typing import Any

__all__ = ["Pass"]


class Pass:
    """The iterator of the present pass, held until the next one begins.

    To end a pass over a data set that it tunes, TensorFlow waits up to a second, asleep. Keras
    lets go of the iterator between two epochs: here a thread is the last to have it.
    """

    def __init__(self) -> None:
        self._iterator: Any = None

    def begins(self, iterator: Any) -> bool:
        """Whether an iterator is another one than the last time, whose pass then ends."""
        if iterator is self._iterator:
            return False
        self.end()
        self._iterator = iterator
        return True

    def end(self) -> None:
        """Let go of the iterator."""
        if self._iterator is not None:
            thread = threading.Thread(target=lambda _: None, args=(self._iterator,))
            self._iterator = None
            thread.start()
