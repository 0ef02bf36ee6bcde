"""The behaviour of one simulated platform: its conditions, injected faults and limits, changeable at runtime.

`Conditions` describe the platform now; a `Fault` corrupts or delays its next answers; `Behaviour` holds the
conditions of one platform, applies each fault as often as declared, and counts calls against limits.
"""

import json
import math
import re
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

import httpx

Body = Literal["html", "empty", "truncated", "wrong_types", "nan", "huge", "null"]
Close = Literal["before", "middle", "after"]
"""`before`: the request is not processed. `middle`, `after`: it is processed, and the answer is lost."""

HUGE_BYTES = 64 * 1024 * 1024
HTML = b"<!DOCTYPE html><html><head><title>Sorry, something went wrong.</title></head><body></body></html>"


@dataclass(frozen=True, slots=True)
class Fault:
    """An injected fault for the next `times` requests (None: until the conditions change)."""

    times: int | None = 1
    path: str | None = None
    """Affects only requests whose path and query contain this; None: every request."""
    status: int | None = None
    """Answer with this status instead of processing the request; None: process it and corrupt the answer."""
    body: Body | None = None
    text: str | None = None
    """A literal body, which wins over `body`."""
    headers: Mapping[str, str] = field(default_factory=dict)
    hang_seconds: float = 0.0
    close: Close | None = None
    trickle_seconds: float | None = None
    """Send the answer byte by byte, with this pause after each."""

    def replaces(self) -> bool:
        """Return whether the request is not processed."""
        return self.status is not None or self.close == "before"


@dataclass(frozen=True, slots=True)
class Limit:
    """A number of calls in a window, which slides or starts at multiples of its length in UTC."""

    calls: int
    seconds: float
    sliding: bool = True


@dataclass(frozen=True, slots=True)
class LimitDecision:
    """The decision on one call. `reset_at` is when a refused call would be accepted, or the window ends."""

    allowed: bool
    limit: int
    used: int
    reset_at: datetime

    @property
    def remaining(self) -> int:
        """Return how many calls are left in the window, never negative."""
        return max(0, self.limit - self.used)

    @property
    def percent(self) -> int:
        """Return the used share in percent; it exceeds 100 when refused calls are counted too."""
        return math.floor(100 * self.used / self.limit) if self.limit else 100


@dataclass(frozen=True, slots=True)
class Conditions:
    """The conditions of one platform. The default is a platform without faults."""

    latency_seconds: float = 0.0
    faults: tuple[Fault, ...] = ()
    outage: bool = False
    """Every answer is a 503 with an HTML page."""
    storm: bool = False
    """Every answer is a 429 with an empty body and no Retry-After."""
    limits: Mapping[str, Limit] = field(default_factory=dict)
    """By bucket, instead of the platform's usual limits; each platform's module names its buckets."""
    limit_headers: Literal["right", "absent", "malformed"] = "right"
    retired_metrics: frozenset[str] = frozenset()
    """Metrics that the platform no longer knows, besides those that the real one has retired."""
    timed_out_items: frozenset[int] = frozenset()
    """Positions in a batch whose items time out (Meta)."""
    application_blocked: Literal["blocked", "deactivated"] | None = None
    """Every call is refused because of our application: with a 400, or in a 200 when deactivated (Meta)."""
    posts_vanish: bool = False
    """No post is found, which Meta is suspected to do when it throttles (Meta)."""
    localised: bool = False
    """Error messages are in another language (Instagram)."""
    multi_ids_refused: int | None = None
    """The code with which `?ids=` is refused, as for applications newer than 4 November 2026 (Instagram)."""
    missing_scopes_named: bool = False
    """A missing scope is an error that names it, not an empty answer (Facebook)."""
    credits_depleted: bool = False
    """No credit is left: every read is a 402 (X)."""
    not_enrolled: bool = False
    """The app is in no package that may call the API: 403 `client-forbidden` (X)."""
    renamed_parameter: bool = False
    """`post.fields` is the name of the parameter, and `tweet.fields` is unknown (X)."""
    renamed_answer: bool = False
    """`repost_count` and `edit_history_post_ids` in place of the older names (X)."""
    legacy_refusals: bool = False
    """A rate limit is refused with code 88 in the older envelope (X)."""
    unhydrated_posts: frozenset[str] = frozenset()
    """Posts whose fields fail to load for now: `field-hydration-failure` (X)."""
    sunset_versions: frozenset[str] = frozenset()
    """API versions that are sunset, besides those that the real one has sunset (LinkedIn)."""
    foreign_refused: bool = False
    """One post of another owner makes the whole call a 403 instead of being left out (LinkedIn)."""
    paged_lists: bool = False
    """Statistics of listed posts have 10 elements a page unless `count` is larger (LinkedIn)."""
    revoked_after_minting_seconds: float = 0.0
    """For this long a new token is refused as revoked (LinkedIn)."""
    empty_list_absent: bool = False
    """`videos` is left out when no video was found, instead of empty (TikTok)."""
    clock_skew_seconds: float = 0.0
    """How far the `Date` header is ahead of the clock."""


def read_conditions(values: Mapping[str, Any]) -> Conditions:
    """Build `Conditions` from JSON values. Raises `TypeError` for an unknown field."""
    fields = dict(values)
    if "faults" in fields:
        fields["faults"] = tuple(one if isinstance(one, Fault) else Fault(**one) for one in fields["faults"])
    if "limits" in fields:
        limits = fields["limits"].items()
        fields["limits"] = {name: one if isinstance(one, Limit) else Limit(**one) for name, one in limits}
    for name in ("retired_metrics", "timed_out_items", "unhydrated_posts", "sunset_versions"):
        if name in fields:
            fields[name] = frozenset(fields[name])
    return Conditions(**fields)


class Behaviour:
    """The conditions of one platform, with the counters of its faults and limits. Thread-safe."""

    def __init__(self) -> None:
        self.conditions = Conditions()
        self._lock = threading.Lock()
        self._left: dict[int, int] = {}
        self._windows: dict[tuple[str, str], _Window] = {}

    def set_conditions(self, values: Conditions) -> None:
        """Replace all conditions at once; the limits' counters continue."""
        with self._lock:
            self.conditions = values
            self._left = {
                place: fault.times for place, fault in enumerate(values.faults) if fault.times is not None
            }

    def next_fault(self, request: httpx.Request) -> Fault | None:
        """Return the fault that applies to this request, if any, and count its use."""
        current = self.conditions
        if current.outage:
            return Fault(times=None, status=503, body="html")
        if current.storm:
            return Fault(times=None, status=429, body="empty")
        if not current.faults:
            return None
        target = request.url.raw_path.decode("ascii")
        with self._lock:
            for place, fault in enumerate(current.faults):
                if (fault.path and fault.path not in target) or self._left.get(place) == 0:
                    continue
                if place in self._left:
                    self._left[place] -= 1
                return fault
        return None

    def spend(
        self,
        bucket: str,
        key: str,
        at: datetime,
        *,
        default: Limit,
        calls: int = 1,
        count_refused: bool = False,
    ) -> LimitDecision:
        """Count `calls` of `key` against the bucket's limit, and decide whether they are allowed.

        `default` is the platform's usual limit, used unless the conditions name the bucket. With
        `count_refused` refused calls count too, so that further calls prolong the refusal (Meta).
        """
        limit = self.conditions.limits.get(bucket, default)
        instant = at.timestamp()
        with self._lock:
            window = self._windows.setdefault((bucket, key), _Window())
            start = instant - (limit.seconds if limit.sliding else instant % limit.seconds)
            window.drop_until(start if limit.sliding else math.nextafter(start, -math.inf))
            allowed = window.used + calls <= limit.calls
            if allowed or count_refused:
                window.add(instant, calls)
            if allowed or not limit.sliding:
                end = (instant if limit.sliding else start) + limit.seconds
            else:
                end = window.accepts_at(limit.calls - calls, limit.seconds) or instant + limit.seconds
            return LimitDecision(allowed, limit.calls, window.used, datetime.fromtimestamp(end, UTC))

    def reset(self) -> None:
        """Reset all counters, and the conditions to their defaults."""
        with self._lock:
            self._windows.clear()
        self.set_conditions(Conditions())


class _Window:
    """The calls of one key within a limit's window: instants with counts, oldest first, and their sum."""

    def __init__(self) -> None:
        self._calls: deque[tuple[float, int]] = deque()
        self.used = 0

    def add(self, instant: float, calls: int) -> None:
        self._calls.append((instant, calls))
        self.used += calls

    def drop_until(self, instant: float) -> None:
        while self._calls and self._calls[0][0] <= instant:
            self.used -= self._calls.popleft()[1]

    def accepts_at(self, used: int, seconds: float) -> float | None:
        """Return when at most `used` calls remain in a window that slides over `seconds`, or None."""
        remaining, end = self.used, None
        for instant, calls in self._calls:
            if remaining <= used:
                break
            remaining -= calls
            end = instant + seconds
        return end


def apply_fault(response: httpx.Response, fault: Fault) -> httpx.Response:
    """Return the answer with the fault's status, headers and body."""
    content = response.content if fault.text is None else fault.text.encode()
    kind = response.headers.get("content-type", "application/json")
    if fault.text is None and fault.body is not None:
        content = _corrupt_body(content, fault.body)
        kind = "text/html; charset=utf-8" if fault.body == "html" else kind
    headers = [(name, value) for name, value in response.headers.multi_items() if name not in _FRAMING]
    headers += [("content-type", kind), *fault.headers.items()]
    corrupted = httpx.Response(fault.status or response.status_code, headers=headers, content=content)
    corrupted.extensions.update(response.extensions)
    return corrupted


_FRAMING = frozenset({"content-length", "content-type", "transfer-encoding"})
_NUMBER = re.compile(rb"(?<=[:\[,\s])-?\d+(\.\d+)?(?=[,}\]\s])")


def _corrupt_body(content: bytes, body: Body) -> bytes:
    match body:
        case "html":
            return HTML
        case "empty":
            return b""
        case "null":
            return b"null"
        case "truncated":
            return content[: len(content) // 2]
        case "nan":
            return _NUMBER.sub(b"NaN", content)
        case "wrong_types":
            return json.dumps(_mistyped(json.loads(content or b"{}"))).encode()
        case "huge":
            return content[:-1] + b" " * (HUGE_BYTES - len(content)) + content[-1:]


def _mistyped(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _mistyped(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_mistyped(one) for one in value]
    if isinstance(value, str) and value.startswith("{"):
        return json.dumps(_mistyped(json.loads(value)))  # an item of a batch
    return "many" if isinstance(value, int | float) and not isinstance(value, bool) else value
