"""Lends the threads that are reserved for people to background jobs, and takes them back between two calls.

Every thread takes jobs of both lanes, those of the interactive lane first. While one of these finds no free
thread, background jobs that run in lent threads end before their next call, as many as needed. So the wait
for a thread is at most the time of one call.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import dramatiq

from shared.vocabulary import Lane

_LOOK_EVERY: Final = 0.05  # seconds, while a job waits for a budget


class Lending:
    """The threads of one worker process that run background jobs. Thread-safe.

    ``threads``: how many it has; ``reserved``: how many of them are for people. ``waiting``: returns how many
    jobs of the interactive lane have been fetched and wait for a thread.
    """

    def __init__(self, threads: int, reserved: int, waiting: Callable[[], int]) -> None:
        self._for_background = threads - reserved
        self._waiting = waiting
        self._lock = threading.Lock()
        self._running: set[int] = set()
        self._returning: set[int] = set()

    @contextmanager
    def background(self) -> Iterator[None]:
        """Count a background job as under way in this thread during the context."""
        thread = threading.get_ident()
        with self._lock:
            self._running.add(thread)
        try:
            yield
        finally:
            with self._lock:
                self._running.discard(thread)
                self._returning.discard(thread)

    def must_return(self) -> bool:
        """Return whether the background job of this thread has to end before its next call."""
        thread = threading.get_ident()
        with self._lock:
            if thread in self._returning:
                return True
            if thread not in self._running or len(self._running) <= self._for_background:
                return False
            if len(self._returning) >= self._waiting():
                return False
            self._running.remove(thread)
            self._returning.add(thread)
            return True

    def sleep(self, seconds: float) -> bool:
        """Sleep for so long, or until the thread has to be returned; return whether it has to be."""
        ends = time.monotonic() + seconds
        while (left := ends - time.monotonic()) > 0:
            if self.must_return():
                return True
            time.sleep(min(left, _LOOK_EVERY))
        return False


def nothing_lent() -> Lending:
    """Return what a job without other jobs beside it works with."""
    return Lending(1, 0, lambda: 0)


def waiting_in(worker: dramatiq.Worker) -> int:
    """Return how many jobs of the interactive lane wait for a thread of this worker."""
    fetched = list(worker.work_queue.queue)
    return sum(item.message.queue_name == Lane.INTERACTIVE.value for item in fetched)
