"""The log of requests to simulated platforms: endpoint, ids, calls counted against limits, and outcome.

Benchmarks and fault tests count calls here. Of a token, only a fingerprint is stored.
"""

import threading
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Literal

import httpx

Outcome = Literal["ok", "refused_limit", "refused_auth", "error", "fault"]
"""`fault`: an injected fault replaced or corrupted the platform's answer."""

CAPACITY = 100_000
_NOTE = "note"


@dataclass(frozen=True, slots=True)
class Note:
    """What a simulated platform adds to the log entry of one answer."""

    endpoint: str
    ids: tuple[str, ...] = ()
    calls: int = 1
    outcome: Outcome | None = None
    """None: it follows from the HTTP status."""
    platform: str | None = None
    """None: the platform that the request was routed to."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One request. `calls` is what the platform counts against its limits, `ids` are the requested posts."""

    seq: int
    host: str
    platform: str
    endpoint: str
    method: str
    at: datetime
    monotonic: float
    ids: tuple[str, ...]
    calls: int
    status: int
    outcome: Outcome
    token: str | None
    """The fingerprint of the access token."""


def note(
    response: httpx.Response,
    endpoint: str,
    ids: Sequence[str] = (),
    *,
    calls: int = 1,
    outcome: Outcome | None = None,
    platform: str | None = None,
) -> httpx.Response:
    """Attach a note for the request log to `response` and return it."""
    response.extensions[_NOTE] = Note(endpoint, tuple(ids), calls, outcome, platform)
    return response


def note_of(response: httpx.Response) -> Note:
    """Return the note attached to `response`, or one with the endpoint `unknown`."""
    attached = response.extensions.get(_NOTE)
    return attached if isinstance(attached, Note) else Note("unknown")


def fingerprint(token: str | None) -> str | None:
    """Return 12 hex digits that distinguish tokens and give no access."""
    return sha256(token.encode()).hexdigest()[:12] if token else None


def token_of(request: httpx.Request) -> str | None:
    """Return the access token of a request, from its header, query or form, or None."""
    scheme, _, token = str(request.headers.get("authorization", "")).partition(" ")
    if scheme.lower() == "bearer" and token:
        return token
    parameter = None
    if b"access_token=" in request.url.query:
        parameter = request.url.params.get("access_token")
    elif b"access_token=" in request.content and "form" in request.headers.get("content-type", ""):
        parameter = httpx.QueryParams(request.content.decode("utf-8", "replace")).get("access_token")
    return str(parameter) if parameter else None


def outcome_of(status: int) -> Outcome:
    """Return the outcome of an HTTP status, for answers whose note names none."""
    if status < 400:
        return "ok"
    if status == 429:
        return "refused_limit"
    return "refused_auth" if status == 401 else "error"


class RequestLog:
    """The last `capacity` entries, and counters over all entries since the last `clear`."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._entries: deque[Entry] = deque(maxlen=capacity)
        self._lock = threading.Lock()
        self._seq = 0
        self._requests: Counter[tuple[str, str, Outcome]] = Counter()
        self._calls: Counter[tuple[str, str, Outcome]] = Counter()

    def record(
        self,
        request: httpx.Request,
        response: httpx.Response,
        *,
        host: str,
        platform: str,
        token: str | None,
        at: datetime,
        outcome: Outcome | None = None,
    ) -> Entry:
        """Log one answered request."""
        attached = note_of(response)
        result = outcome or attached.outcome or outcome_of(response.status_code)
        with self._lock:
            self._seq += 1
            entry = Entry(
                seq=self._seq,
                host=host,
                platform=attached.platform or platform,
                endpoint=attached.endpoint,
                method=request.method,
                at=at,
                monotonic=time.monotonic(),
                ids=attached.ids,
                calls=attached.calls,
                status=response.status_code,
                outcome=result,
                token=fingerprint(token),
            )
            self._entries.append(entry)
            key = (entry.platform, entry.endpoint, entry.outcome)
            self._requests[key] += 1
            self._calls[key] += entry.calls
        return entry

    def entries(
        self, since: int = 0, *, platform: str | None = None, endpoint: str | None = None
    ) -> list[Entry]:
        """Return the entries with a sequence number above `since`, oldest first; old ones are dropped."""
        with self._lock:
            entries = list(self._entries)
        return [
            entry
            for entry in entries
            if entry.seq > since and platform in (None, entry.platform) and endpoint in (None, entry.endpoint)
        ]

    def requests(
        self, platform: str | None = None, endpoint: str | None = None, outcome: str | None = None
    ) -> int:
        """Return how many requests matched since the last `clear`."""
        return self._total(self._requests, platform, endpoint, outcome)

    def calls(
        self, platform: str | None = None, endpoint: str | None = None, outcome: str | None = None
    ) -> int:
        """Return how many calls the platform counted for the matching requests."""
        return self._total(self._calls, platform, endpoint, outcome)

    def _total(
        self,
        counter: Counter[tuple[str, str, Outcome]],
        platform: str | None,
        endpoint: str | None,
        outcome: str | None,
    ) -> int:
        wanted = (platform, endpoint, outcome)
        with self._lock:
            return sum(
                number
                for key, number in counter.items()
                if all(want in (None, have) for want, have in zip(wanted, key, strict=True))
            )

    def summary(self) -> list[dict[str, str | int]]:
        """Return requests and calls by platform, endpoint and outcome."""
        with self._lock:
            return [
                {
                    "platform": key[0],
                    "endpoint": key[1],
                    "outcome": key[2],
                    "requests": number,
                    "calls": self._calls[key],
                }
                for key, number in sorted(self._requests.items())
            ]

    def clear(self) -> None:
        """Delete all entries and counters; sequence numbers continue."""
        with self._lock:
            self._entries.clear()
            self._requests.clear()
            self._calls.clear()
