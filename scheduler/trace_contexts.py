"""Trace contexts of rows that are due: as notifications named them, kept until the rows are handed out."""

import json
import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

import structlog

from shared.refresh_queue import RefreshJob

_MOST: Final = 10_000
"""Claims whose trace context is remembered; the oldest is forgotten first, and travels without."""
_log = structlog.get_logger(__name__)


class Traces:
    """The trace contexts of claims to come, by publication and ``claim_seq``. Thread-safe.

    Every scheduler is notified, so whichever makes the claim knows its context. The others keep it in vain: a
    later claim has another ``claim_seq``.
    """

    def __init__(self) -> None:
        self._contexts: OrderedDict[tuple[int, int], str] = OrderedDict()
        self._lock = threading.Lock()

    def remember(self, payloads: Sequence[str]) -> None:
        """Take what notifications said (`shared.refresh_state.make_due.payload`); most say nothing."""
        for payload in filter(None, payloads):
            try:
                told = json.loads(payload)
                context = str(told["traceparent"])
                claims = [(int(publication_id), int(seq)) for publication_id, seq in told["claims"]]
            except (ValueError, TypeError, KeyError):
                _log.warning("notification_not_understood")
                continue
            with self._lock:
                for claim in claims:
                    self._contexts[claim] = context
                    self._contexts.move_to_end(claim)
                while len(self._contexts) > _MOST:
                    self._contexts.popitem(last=False)

    def of(self, job: RefreshJob) -> str | None:
        """Return the context of a job that is handed out now, and forget it: one of its claims', if any."""
        with self._lock:
            contexts = [self._contexts.pop(claim, None) for claim in job.claims]
        return next(filter(None, contexts), None)
