"""What every service does as a process: end with its parent, and stop on signals."""

import ctypes
import os
import signal
import sys
import threading
from datetime import timedelta
from typing import Final

STOP_WITHIN: Final = timedelta(seconds=10)
"""How long a service may take to stop. A supervisor should not send SIGKILL before."""

_PR_SET_PDEATHSIG = 1
_STEP_SECONDS = 0.5


def die_with_parent() -> None:
    """Ask the kernel for a SIGTERM when the parent dies: a supervisor that is killed leaves no orphan.

    Linux only; elsewhere the supervisor's own means must do.
    """
    if sys.platform != "linux":
        return
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it died before we asked
        os.kill(os.getpid(), signal.SIGTERM)


def end_in_time() -> None:
    """End this process after `STOP_WITHIN`, whatever still hangs: a store that never answers, a call.

    Leases and the fence cover what is left.
    """
    last_resort = threading.Timer(STOP_WITHIN.total_seconds(), os._exit, [1])
    last_resort.daemon = True
    last_resort.start()


def stop_on_signals() -> threading.Event:
    """Return an event that the first SIGTERM or SIGINT sets.

    From then on the process has `STOP_WITHIN`; a second signal ends it at once.
    """
    stopping = threading.Event()

    def stop(_number: int, _frame: object) -> None:
        if stopping.is_set():
            os._exit(1)  # leases and the fence cover what is left
        stopping.set()
        end_in_time()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    return stopping


def wait_for(stopping: threading.Event) -> None:
    """Return once ``stopping`` is set.

    In steps: a signal to a process that is frozen may be taken by any of its threads when it wakes, and
    Python's handler then runs only when the main thread does.
    """
    while not stopping.wait(_STEP_SECONDS):
        pass
