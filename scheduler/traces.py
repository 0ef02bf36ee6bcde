"""On whose trace rows became due: what the doorbell said, kept until they are handed out."""

import json
import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

import structlog

from shared.refresh_queue import RefreshJob

_MOST: Final = 10_000
"""Rows whose trace is remembered; the oldest is forgotten first, and travels without."""
_log = structlog.get_logger(__name__)


class Traces:
    """The traces of rows that are due, by publication. Thread-safe.

    Every scheduler hears the same bell, so whichever claims a row knows its trace.
    """

    def __init__(self) -> None:
        self._papers: OrderedDict[int, str] = OrderedDict()
        self._lock = threading.Lock()

    def remember(self, said: Sequence[str]) -> None:
        """Take what rings of the doorbell said; most say nothing."""
        for words in filter(None, said):
            try:
                told = json.loads(words)
                paper, ids = str(told["traceparent"]), [int(one) for one in told["ids"]]
            except (ValueError, TypeError, KeyError):
                _log.warning("ring_not_understood")
                continue
            with self._lock:
                self._papers.update(dict.fromkeys(ids, paper))
                while len(self._papers) > _MOST:
                    self._papers.popitem(last=False)

    def of(self, job: RefreshJob) -> str | None:
        """Return the trace of a job that is handed out now, and forget it: one of its rows', if any."""
        with self._lock:
            papers = [self._papers.pop(publication_id, None) for publication_id, _ in job.claims]
        return next(filter(None, papers), None)
