"""Process lifecycle of every service: it ends with its parent and stops on signals."""

import ctypes
import gc
import os
import signal
import sys
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Final

STOP_WITHIN: Final = timedelta(seconds=10)
"""How long a service may take to stop. A supervisor should not send SIGKILL earlier."""

_COLLECTED_EVERY: Final = 10_000
"""Objects that are made, and not freed, between two collections of the youngest; Python's default is 700."""

_PR_SET_PDEATHSIG = 1
_STEP_SECONDS = 0.5


def die_with_parent() -> None:
    """Let the kernel send SIGTERM when the parent dies, so that a killed supervisor leaves no orphan.

    Linux only; elsewhere the supervisor must take care of it.
    """
    if sys.platform != "linux":
        return
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it died before prctl
        os.kill(os.getpid(), signal.SIGTERM)


def collect_rarely() -> None:
    """Collect garbage less often, once a service has started.

    A page or a job is thousands of objects, and none in a cycle. What the start has made lives as long as the
    process, so no collection goes through it.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECTED_EVERY)


def end_in_time() -> None:
    """End this process after `STOP_WITHIN` even if a store or a call never returns.

    Leases and the fencing token make unfinished work safe.
    """
    last_resort = threading.Timer(STOP_WITHIN.total_seconds(), os._exit, [1])
    last_resort.daemon = True
    last_resort.start()


def stop_on_signals() -> threading.Event:
    """Return an event that the first SIGTERM or SIGINT sets.

    A service calls it before it starts anything: a signal during the start ends it in order, too. After the
    signal the process has `STOP_WITHIN`; a second signal ends it at once.
    """
    stopping = threading.Event()

    def stop(_number: int, _frame: object) -> None:
        if stopping.is_set():
            os._exit(1)  # leases and the fencing token make unfinished work safe
        stopping.set()
        end_in_time()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    return stopping


def wait_for(stopping: threading.Event, meanwhile: Callable[[], object] = lambda: None) -> None:
    """Return once ``stopping`` is set; call ``meanwhile`` twice a second until then.

    It waits in steps: when a frozen process wakes, any of its threads may receive the signal, and Python runs
    the handler only when the main thread runs.
    """
    while not stopping.wait(_STEP_SECONDS):
        meanwhile()
