"""Failpoints: named places between two steps at which a fault test kills, freezes or hangs this process.

Off unless ``DRAVO_FAILPOINTS`` is set for the process, for example ``started=kill@3,committed=hang``: the
third time that the process reaches ``started`` it receives SIGKILL, and the first time that it reaches
``committed`` the thread waits forever. ``started#17=kill`` fires each time with publication 17, as a poison
publication does.
"""

import os
import re
import signal
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

FAILPOINTS: Final = (
    "claiming",  # a scheduler has claimed and not committed
    "claimed",  # a scheduler committed its claims and has not enqueued them
    "enqueued",  # … and has
    "received",  # a worker received a job and has not started it
    "started",  # a worker committed the start of a job
    "fetched",  # … has the platform's responses
    "recorded",  # … wrote the outcomes and has not committed
    "committed",  # … committed the outcomes
    "acknowledged",  # … acknowledged the message in Redis
    "token_renewed",  # a worker committed a renewed pair of tokens and has not used it
    "made_due",  # the API made rows due and has not committed
    "event_committed",  # … committed events and has not responded
    "endpoint_claimed",  # a sender committed its claims of endpoints
    "sent",  # a sender has the receiver's answer and has not recorded it
    "erasing",  # a scheduler did a step of an erasure and has not committed it
    "erased",  # … committed it
    "rolled_up",  # a scheduler committed a batch of a month's roll-up
    "detached",  # … detached a month and has not dropped it
)

ACTIONS: Final[dict[str, Callable[[], object]]] = {
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    # To this thread: another thread might receive a signal to the process, and this one would go on.
    "stop": lambda: signal.pthread_kill(threading.get_ident(), signal.SIGSTOP),
    "exit": lambda: os._exit(1),
    "hang": lambda: threading.Event().wait(),
}


@dataclass(slots=True)
class _Failpoint:
    action: Callable[[], object]
    left: int
    """Hits until it fires; a failpoint of one publication fires at each hit."""
    publication_id: int | None


def parse(text: str) -> dict[str, _Failpoint] | None:
    """Parse ``name[#publication]=action[@hit],…``; ``None`` when empty. Raises `ValueError`."""
    armed: dict[str, _Failpoint] = {}
    for part in filter(None, text.split(",")):
        match = re.fullmatch(r"(\w+)(?:#(\d+))?=(\w+)(?:@(\d+))?", part.strip())
        if not match or match[1] not in FAILPOINTS or match[3] not in ACTIONS:
            raise ValueError(
                f"no failpoint: {part!r}; one of {', '.join(FAILPOINTS)}={'|'.join(ACTIONS)}[@n]"
            )
        armed[match[1]] = _Failpoint(
            ACTIONS[match[3]], int(match[4] or 1), int(match[2]) if match[2] else None
        )
    return armed or None


_armed = parse(os.environ.get("DRAVO_FAILPOINTS", ""))
_lock = threading.Lock()


def hit(name: str, publication_ids: Iterable[int] = ()) -> None:
    """Report that a failpoint is reached while these publications are processed."""
    if _armed is None or (failpoint := _armed.get(name)) is None:
        return
    if failpoint.publication_id is not None:
        if failpoint.publication_id in publication_ids:
            failpoint.action()
        return
    with _lock:
        failpoint.left -= 1
        fires = failpoint.left == 0
    if fires:
        failpoint.action()
