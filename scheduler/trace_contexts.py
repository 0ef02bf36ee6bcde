"""Trace contexts of rows that are due: as notifications named them, kept until the rows are handed out."""

import json
import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

import structlog

from shared.refresh_queue import RefreshJob

_MOST: Final = 10_000
"""Claims whose trace context is kept. The oldest is dropped first; its job then travels without a context."""
_log = structlog.get_logger(__name__)


class TraceContexts:
    """The trace contexts of future claims, by publication and ``claim_seq``. Thread-safe.

    Every scheduler is notified, so whichever makes the claim knows its context. In the others the context is
    never used: a later claim has another ``claim_seq``.
    """

    def __init__(self) -> None:
        self._contexts: OrderedDict[tuple[int, int], str] = OrderedDict()
        self._lock = threading.Lock()

    def remember(self, payloads: Sequence[str]) -> None:
        """Keep the contexts in these payloads (`shared.refresh_state.notifications`); most are empty."""
        for payload in filter(None, payloads):
            try:
                parsed = json.loads(payload)
                context = str(parsed["traceparent"])
                claims = [(int(publication_id), int(seq)) for publication_id, seq in parsed["claims"]]
            except (ValueError, TypeError, KeyError):
                _log.warning("notification_not_understood")
                continue
            with self._lock:
                for claim in claims:
                    self._contexts[claim] = context
                    self._contexts.move_to_end(claim)
                while len(self._contexts) > _MOST:
                    self._contexts.popitem(last=False)

    def take(self, job: RefreshJob) -> str | None:
        """Remove and return the context of a job that is handed out now, if one of its claims has one."""
        with self._lock:
            contexts = [self._contexts.pop(claim, None) for claim in job.claims]
        return next(filter(None, contexts), None)
