"""Failpoints: named gaps between two steps at which a fault test ends, freezes or hangs this very process.

Off unless ``DRAVO_FAILPOINTS`` is set for the process, e.g. ``started=kill@3,committed=hang``: at the third
passage of ``started`` SIGKILL, at the first of ``committed`` this thread waits for ever. ``started#17=kill``
fires whenever publication 17 passes, which is what a poison publication does to its workers.
"""

import os
import re
import signal
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

GAPS: Final = (
    "claiming",  # a scheduler has claimed and not committed
    "claimed",  # a scheduler committed its claims and has not enqueued them
    "enqueued",  # … and has
    "taken",  # a worker took a job and has not started it
    "started",  # a worker committed the start of a job
    "fetched",  # … has the platform's answers
    "recorded",  # … wrote the outcomes and has not committed
    "committed",  # … committed the outcomes
    "acknowledged",  # … told Redis so
    "token_renewed",  # a worker committed a renewed pair of tokens and has not used it
    "asked",  # the API made rows due and has not committed
    "event_committed",  # … committed events and has not answered
)

ACTIONS: Final[dict[str, Callable[[], object]]] = {
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    # To this very thread: sent to the process, another one might take it, and this one leave the gap.
    "stop": lambda: signal.pthread_kill(threading.get_ident(), signal.SIGSTOP),
    "exit": lambda: os._exit(1),
    "hang": lambda: threading.Event().wait(),
}


@dataclass(slots=True)
class _Failpoint:
    act: Callable[[], object]
    left: int
    """Passages until it fires; one that is bound to a publication fires each time."""
    publication_id: int | None


def parse(text: str) -> dict[str, _Failpoint] | None:
    """Read ``gap[#publication]=action[@passage]``, with commas; ``None`` when empty. Raises `ValueError`."""
    armed: dict[str, _Failpoint] = {}
    for part in filter(None, text.split(",")):
        found = re.fullmatch(r"(\w+)(?:#(\d+))?=(\w+)(?:@(\d+))?", part.strip())
        if not found or found[1] not in GAPS or found[3] not in ACTIONS:
            raise ValueError(f"no failpoint: {part!r}; one of {', '.join(GAPS)}={'|'.join(ACTIONS)}[@n]")
        armed[found[1]] = _Failpoint(
            ACTIONS[found[3]], int(found[4] or 1), int(found[2]) if found[2] else None
        )
    return armed or None


_armed = parse(os.environ.get("DRAVO_FAILPOINTS", ""))
_lock = threading.Lock()


def hit(gap: str, publication_ids: Iterable[int] = ()) -> None:
    """Tell that a gap is reached, with these publications in hand."""
    if _armed is None or (failpoint := _armed.get(gap)) is None:
        return
    if failpoint.publication_id is not None:
        if failpoint.publication_id in publication_ids:
            failpoint.act()
        return
    with _lock:
        failpoint.left -= 1
        fires = failpoint.left == 0
    if fires:
        failpoint.act()
