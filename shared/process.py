"""What every service does as a process: end with its parent, and stop on signals."""

import ctypes
import os
import signal
import sys
import threading

_PR_SET_PDEATHSIG = 1


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


def stop_on_signals() -> threading.Event:
    """Return an event that the first SIGTERM or SIGINT sets; the second one ends the process at once."""
    stopping = threading.Event()

    def stop(_number: int, _frame: object) -> None:
        if stopping.is_set():
            os._exit(1)  # leases and the fence cover what is left
        stopping.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    return stopping
