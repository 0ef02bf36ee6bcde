"""Fleet-wide budgets in Redis: one decision for all the limits of a call, and what platforms say of them.

`take` asks before a call, in one round trip and on the server's clock, and answers "yes" or "wait this long";
the scripts beside this file decide. A refusal parks a bucket for everybody at once, and when that has passed
one call goes first and alone. Nothing here is the truth: pauses are in PostgreSQL too, and a Redis that was
lost begins with a small burst. While Redis is unreachable each process has a small allowance of its own.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from importlib import resources
from struct import Struct
from typing import Final

import redis
import structlog

from shared.quota.limits import BURST_SHARE, MICROSECONDS, Bucket, Rate
from shared.redis_client import RedisClient
from shared.vocabulary import BucketKind, Lane, Platform

PROBE_FOR: Final = timedelta(seconds=40)
"""How long the first call after a refusal may take until another one goes: longer than a call's bound."""
LOOK_AGAIN: Final = timedelta(seconds=5)
"""When to ask again while that call is under way: it is back much sooner as a rule."""
FRESH_SHARE: Final = 0.2
"""Part of its burst that a bucket which nobody remembers starts with: Redis may have been lost."""
GUARD_SHARE: Final = 0.02
"""Part of a told limit that is left alone: calls that others have under way are not counted in it yet."""
LONGEST_TOLD: Final = timedelta(hours=25)
"""What a platform tells of its limits holds no longer than this, whatever it says."""
OFFLINE_FOR: Final = 5.0
"""Seconds without a further try after Redis did not answer: its time-out must not be paid by every call."""
OFFLINE_BURST: Final = 3
REFUSALS_KEY: Final = "dravo:refusals"

_NUMBERS: Final = Struct("<10d")
"""A bucket as the scripts pack it; reserve.lua names the numbers."""
_NOTHING: Final = (0.0,) * 10
_PROBED: Final = 2
_LOOK_AGAIN_MICROS: Final = LOOK_AGAIN // timedelta(microseconds=1)
_PROBE_MICROS: Final = PROBE_FOR // timedelta(microseconds=1)

Wanted = Sequence[tuple[Bucket, Rate | None]]
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a call may be made, and what stands in its way."""

    wait: timedelta
    """Zero: it was taken from every bucket. Else nothing was taken from any."""
    bucket: Bucket | None = None
    """The one that waits longest."""
    parked: bool = False
    """It is parked, not merely used up for a moment."""
    probes: tuple[Bucket, ...] = ()
    """Buckets that were parked by a refusal: this call goes first, and `Budgets.passed` tells that it did."""
    left: tuple[Bucket, float] | None = None
    """The tightest paced bucket, and the part of its burst that is left."""


@dataclass(frozen=True, slots=True)
class BucketState:
    """One bucket as an operator sees it."""

    bucket: Bucket
    calls_left: float | None
    """Calls that could be made at once now; ``None``: no number is known for it."""
    parked_until: datetime | None
    background_parked_until: datetime | None


class Budgets:
    """The fleet's budgets, as one process reaches them. Thread-safe.

    ``interactive_share`` is the part of every rate that background work never takes.
    ``offline_calls_per_minute`` are this process's calls to one platform while Redis does not answer.
    ``now`` replaces the server's clock (microseconds): for simulations that do not wait.
    """

    def __init__(
        self,
        client: RedisClient,
        *,
        interactive_share: float = 0.15,
        offline_calls_per_minute: int = 10,
        now: Callable[[], int] | None = None,
    ) -> None:
        self._client = client
        self._background_share = 1 - interactive_share
        self._now = now
        self._take = client.register_script(_lua("reserve.lua"))
        self._told = client.register_script(_lua("update.lua"))
        self._offline = _Offline(offline_calls_per_minute)

    def take(self, wanted: Wanted, cost: int, lane: Lane) -> Decision:
        """Take ``cost`` calls from every bucket, or from none and tell how long to wait."""
        if self._offline.is_on:
            return self._offline.take(wanted[0][0])
        keys = [bucket.key for bucket, _ in wanted]
        arguments: list[object] = [self._clock(), cost, int(lane is Lane.BACKGROUND), _PROBE_MICROS]
        for _, rate in wanted:
            arguments += _pace(rate, self._background_share)
        try:
            answer = self._take(keys=keys, args=arguments)
        except redis.RedisError as error:
            self._offline.begin(error)
            return self._offline.take(wanted[0][0])
        wait, place, is_parked, probes, left, tightest = answer
        return Decision(
            timedelta(microseconds=min(wait, _LOOK_AGAIN_MICROS) if is_parked == _PROBED else wait),
            wanted[place - 1][0] if wait else None,
            bool(is_parked),
            tuple(bucket for bit, (bucket, _) in enumerate(wanted) if probes >> bit & 1) if probes else (),
            (wanted[tightest - 1][0], left / 1000) if left >= 0 else None,
        )

    def park(self, bucket: Bucket, left: timedelta, *, refused: bool = False) -> None:
        """Give nothing from a bucket for so long. ``refused``: whoever comes first afterwards goes alone."""
        left = min(left, LONGEST_TOLD) if not refused else left
        if left > timedelta():
            self._tell(bucket, "park", _micros(left), int(refused))

    def defer_background(self, bucket: Bucket, left: timedelta) -> None:
        """Give nothing from a bucket to background work for so long; the newest word holds, zero ends it."""
        self._tell(bucket, "background", _micros(max(timedelta(), min(left, LONGEST_TOLD))))

    def tell(self, bucket: Bucket, *, remaining: int, limit: int | None, left: timedelta) -> None:
        """Take the platform's word: so many calls are left, and the window ends after ``left``.

        What remains is spread over the first half of the time, so that the end of the window is never rushed
        and nothing is lost when the platform's clock is a little behind.
        """
        if not timedelta() < left <= LONGEST_TOLD:
            return
        limit = max(limit or remaining, 1)
        usable = remaining - int(limit * GUARD_SHARE)
        if usable <= 0:
            self.park(bucket, left)
            return
        spread = _micros(left) / 2
        for_background = usable - (1 - self._background_share) * limit
        background_waits = _micros(left) if for_background <= 0 else 0
        burst = max(1, int(limit * BURST_SHARE))
        bg_every = spread / (for_background if for_background > 0 else 1)
        self._tell(bucket, "pace", _micros(left), spread / usable, bg_every, burst, background_waits)

    def passed(self, buckets: Sequence[Bucket]) -> None:
        """Tell that the call which went first after a refusal was not refused: the others may follow."""
        for bucket in buckets:
            self._tell(bucket, "passed")

    def count_refusal(self, bucket: Bucket) -> None:
        """Count a call that a platform refused."""
        try:
            self._client.hincrby(REFUSALS_KEY, f"{bucket.platform.value}:{bucket.kind.value}", 1)
        except redis.RedisError as error:
            self._offline.begin(error)

    def refusals(self) -> dict[tuple[Platform, BucketKind], int]:
        """Return the fleet's refused calls, by platform and whose limit it was. Raises `redis.RedisError`."""
        counts: dict[tuple[Platform, BucketKind], int] = {}
        for name, count in self._client.hgetall(REFUSALS_KEY).items():
            try:
                platform, kind = name.decode().split(":")
                counts[Platform(platform), BucketKind(kind)] = int(count)
            except ValueError:
                _log.warning("malformed_refusal_count_in_redis", key=REFUSALS_KEY)
        return counts

    def remaining(self, wanted: Wanted) -> list[BucketState]:
        """Return how these buckets stand, without taking anything. Raises `redis.RedisError`."""
        now = self._now() if self._now else _server_now(self._client)
        found = self._client.mget([bucket.key for bucket, _ in wanted])
        return [
            _state(bucket, rate, _NUMBERS.unpack(packed) if packed else _NOTHING, now)
            for (bucket, rate), packed in zip(wanted, found, strict=True)
        ]

    def _tell(self, bucket: Bucket, *words: object) -> None:
        if self._offline.is_on:
            return
        try:
            self._told(keys=[bucket.key], args=[self._clock(), *words])
        except redis.RedisError as error:
            self._offline.begin(error)

    def _clock(self) -> object:
        return self._now() if self._now else ""


class _Offline:
    """What a process allows itself while Redis does not answer: few calls, for each platform."""

    def __init__(self, calls_per_minute: int) -> None:
        self._every = 60 / calls_per_minute
        self._lock = threading.Lock()
        self._until = 0.0
        self._paid_off: dict[Platform, float] = {}

    @property
    def is_on(self) -> bool:
        return time.monotonic() < self._until

    def begin(self, error: redis.RedisError) -> None:
        self._until = time.monotonic() + OFFLINE_FOR
        _log.warning("budgets_offline", detail=type(error).__name__)

    def take(self, bucket: Bucket) -> Decision:
        """Decide by request, whatever it costs: the numbers of the fleet's budgets are not known here."""
        now = time.monotonic()
        with self._lock:
            paid_off = max(self._paid_off.get(bucket.platform, 0.0), now) + self._every
            wait = paid_off - now - OFFLINE_BURST * self._every
            if wait > 0:
                return Decision(timedelta(seconds=wait), bucket)
            self._paid_off[bucket.platform] = paid_off
        return Decision(timedelta())


def _state(bucket: Bucket, rate: Rate | None, known: tuple[float, ...], now: int) -> BucketState:
    tat, _, parked, bg_parked, _, _, told_until, every, _, burst = known
    if told_until <= now:
        every, burst = (rate.every, rate.burst) if rate else (0.0, 0.0)
    left = None
    if every:
        owed = max(tat - now, 0.0) if tat else burst * (1 - FRESH_SHARE) * every
        left = 0.0 if parked > now else max(burst - owed / every, 0.0)
    return BucketState(bucket, left, _later(parked, now), _later(bg_parked, now))


@lru_cache(maxsize=1024)
def _pace(rate: Rate | None, background_share: float) -> tuple[str, ...]:
    if rate is None:
        return "0", "0", "1", "1"
    fresh = max(1.0, rate.burst * FRESH_SHARE)
    return str(rate.every), str(rate.every / background_share), str(rate.burst), str(fresh)


def _later(micros: float, now: int) -> datetime | None:
    return datetime.fromtimestamp(micros / MICROSECONDS, UTC) if micros > now else None


def _server_now(client: RedisClient) -> int:
    seconds, micros = client.time()
    return int(seconds) * MICROSECONDS + int(micros)


def _micros(span: timedelta) -> int:
    return span // timedelta(microseconds=1)


def _lua(name: str) -> str:
    return resources.files("shared.quota").joinpath(name).read_text(encoding="utf-8")
