"""Fleet-wide call budgets in Redis: one decision for all buckets of a call.

`Budgets.reserve` decides before a call, in one round trip and on the server's clock, whether the call may be
made or how long to wait; the Lua scripts beside this file hold the algorithm. A platform's refusal pauses a
bucket for the whole fleet at once. When that pause ends, one call goes alone as a probe. Redis is not the
source of truth: pauses are also stored in PostgreSQL, and a bucket whose state was lost starts with a small
burst. While Redis is unreachable, each process has a small allowance of its own.
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
"""How long a probe may take until another call may probe: longer than a call's time limit."""
PROBE_WAIT: Final = timedelta(seconds=5)
"""How long other calls wait before they ask again while a probe is under way; most probes return sooner."""
FRESH_SHARE: Final = 0.2
"""Part of its burst that a bucket without a stored state starts with: Redis may have lost the state."""
GUARD_SHARE: Final = 0.02
"""Part of a reported limit that stays unused: the report does not count other workers' calls under way."""
LONGEST_REPORTED: Final = timedelta(hours=25)
"""The longest time for which numbers that a platform reports about its limits apply."""
OFFLINE_FOR: Final = 5.0
"""Seconds without another attempt after Redis did not answer: not every call must wait for a time-out."""
OFFLINE_BURST: Final = 3
REFUSALS_KEY: Final = "dravo:refusals"

_NUMBERS: Final = Struct("<10d")
"""A bucket's state as the scripts pack it; reserve.lua names the numbers."""
_UNKNOWN: Final = (0.0,) * 10
_PROBE_UNDER_WAY: Final = 2
_PROBE_WAIT_MICROS: Final = PROBE_WAIT // timedelta(microseconds=1)
_PROBE_MICROS: Final = PROBE_FOR // timedelta(microseconds=1)

BucketRates = Sequence[tuple[Bucket, Rate | None]]
"""The buckets that a call is counted in, each with its rate where one is known."""
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a call may be made, and otherwise which bucket delays it."""

    wait: timedelta
    """Zero: the call is reserved in every bucket. Otherwise it is reserved in none."""
    bucket: Bucket | None = None
    """The bucket with the longest wait."""
    paused: bool = False
    """Whether that bucket is paused, not merely used up for the moment."""
    probes: tuple[Bucket, ...] = ()
    """Buckets that a refusal had paused: this call is their probe, see `Budgets.probe_succeeded`."""
    left: tuple[Bucket, float] | None = None
    """The paced bucket with the smallest part of its burst left, and that part."""


@dataclass(frozen=True, slots=True)
class BucketState:
    """The state of one bucket, for operators."""

    bucket: Bucket
    calls_left: float | None
    """Calls that could be made at once now; ``None``: the bucket has no known rate."""
    paused_until: datetime | None
    background_paused_until: datetime | None
    calls_per_hour: float | None = None
    """What its rate, or the one that the platform reported last, allows in an hour; ``None``: unknown."""


class Budgets:
    """Client of the fleet's budgets for one process. Thread-safe.

    ``interactive_share`` is the part of every rate that background work never uses.
    ``offline_calls_per_minute`` limits this process's calls to one platform while Redis does not answer.
    ``now`` replaces the server's clock (microseconds), for simulations that do not wait.
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
        self._reserve = client.register_script(_lua("reserve.lua"))
        self._update = client.register_script(_lua("update.lua"))
        self._offline = _Offline(offline_calls_per_minute)

    def reserve(self, buckets: BucketRates, cost: int, lane: Lane) -> Decision:
        """Reserve ``cost`` calls in every bucket, or in none and return how long to wait."""
        if self._offline.is_on:
            return self._offline.reserve(buckets[0][0])
        keys = [bucket.key for bucket, _ in buckets]
        arguments: list[object] = [self._clock(), cost, int(lane is Lane.BACKGROUND), _PROBE_MICROS]
        for _, rate in buckets:
            arguments += _pace(rate, self._background_share)
        try:
            answer = self._reserve(keys=keys, args=arguments)
        except redis.RedisError as error:
            self._offline.begin(error)
            return self._offline.reserve(buckets[0][0])
        wait, place, is_paused, probes, left, tightest = answer
        return Decision(
            timedelta(microseconds=min(wait, _PROBE_WAIT_MICROS) if is_paused == _PROBE_UNDER_WAY else wait),
            buckets[place - 1][0] if wait else None,
            bool(is_paused),
            tuple(bucket for bit, (bucket, _) in enumerate(buckets) if probes >> bit & 1) if probes else (),
            (buckets[tightest - 1][0], left / 1000) if left >= 0 else None,
        )

    def pause(self, bucket: Bucket, left: timedelta, *, refused: bool = False) -> None:
        """Pause a bucket for ``left``. ``refused``: the first call after that goes alone, as a probe."""
        left = min(left, LONGEST_REPORTED) if not refused else left
        if left > timedelta():
            self._send(bucket, "pause", _micros(left), int(refused))

    def defer_background(self, bucket: Bucket, left: timedelta) -> None:
        """Pause a bucket for background calls for ``left``; the newest value applies, and zero ends it."""
        self._send(bucket, "background", _micros(max(timedelta(), min(left, LONGEST_REPORTED))))

    def update(self, bucket: Bucket, *, remaining: int, limit: int | None, left: timedelta) -> None:
        """Adopt the platform's own numbers: ``remaining`` calls in a window that ends after ``left``.

        The remaining calls are spread over the first half of that time, so that none is left for a rush at
        the end of the window and none is lost when the platform's clock is slightly behind.
        """
        if not timedelta() < left <= LONGEST_REPORTED:
            return
        limit = max(limit or remaining, 1)
        usable = remaining - int(limit * GUARD_SHARE)
        if usable <= 0:
            self.pause(bucket, left)
            return
        spread = _micros(left) / 2
        for_background = usable - (1 - self._background_share) * limit
        background_waits = _micros(left) if for_background <= 0 else 0
        burst = max(1, int(limit * BURST_SHARE))
        bg_every = spread / (for_background if for_background > 0 else 1)
        self._send(bucket, "pace", _micros(left), spread / usable, bg_every, burst, background_waits)

    def probe_succeeded(self, buckets: Sequence[Bucket]) -> None:
        """Report that the probe of these buckets was not refused, so that other calls may follow."""
        for bucket in buckets:
            self._send(bucket, "probe_succeeded")

    def reopen(self, bucket: Bucket, since: datetime) -> None:
        """End a bucket's pause at once; the first call after that goes alone, as a probe.

        ``since`` identifies the occasion: of any number of callers one has an effect.
        """
        if self._offline.is_on:
            return
        occasion = f"{bucket.key}:reopened:{since.timestamp()}"
        try:
            is_first = self._client.set(occasion, 1, nx=True, px=LONGEST_REPORTED)
        except redis.RedisError as error:
            self._offline.begin(error)
            return
        if is_first:
            self._send(bucket, "reopen")

    def count_refusal(self, bucket: Bucket) -> None:
        """Count a call that a platform refused for its limit."""
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

    def remaining(self, buckets: BucketRates) -> list[BucketState]:
        """Return the state of these buckets without reserving anything. Raises `redis.RedisError`."""
        now = self._now() if self._now else _server_now(self._client)
        stored = self._client.mget([bucket.key for bucket, _ in buckets])
        return [
            _state(bucket, rate, _NUMBERS.unpack(packed) if packed else _UNKNOWN, now)
            for (bucket, rate), packed in zip(buckets, stored, strict=True)
        ]

    def _send(self, bucket: Bucket, *arguments: object) -> None:
        if self._offline.is_on:
            return
        try:
            self._update(keys=[bucket.key], args=[self._clock(), *arguments])
        except redis.RedisError as error:
            self._offline.begin(error)

    def _clock(self) -> object:
        return self._now() if self._now else ""


class _Offline:
    """The allowance of one process while Redis does not answer: few calls to each platform."""

    def __init__(self, calls_per_minute: int) -> None:
        self._every = 60 / calls_per_minute
        self._lock = threading.Lock()
        self._until = 0.0
        self._arrivals: dict[Platform, float] = {}

    @property
    def is_on(self) -> bool:
        return time.monotonic() < self._until

    def begin(self, error: redis.RedisError) -> None:
        self._until = time.monotonic() + OFFLINE_FOR
        _log.warning("budgets_offline", detail=type(error).__name__)

    def reserve(self, bucket: Bucket) -> Decision:
        """Count requests, whatever each costs: the fleet's budgets are not known here."""
        now = time.monotonic()
        with self._lock:
            arrival = max(self._arrivals.get(bucket.platform, 0.0), now) + self._every
            wait = arrival - now - OFFLINE_BURST * self._every
            if wait > 0:
                return Decision(timedelta(seconds=wait), bucket)
            self._arrivals[bucket.platform] = arrival
        return Decision(timedelta())


def _state(bucket: Bucket, rate: Rate | None, state: tuple[float, ...], now: int) -> BucketState:
    tat, _, paused, bg_paused, _, _, reported_until, every, _, burst = state
    if reported_until <= now:
        every, burst = (rate.every, rate.burst) if rate else (0.0, 0.0)
    left = None
    if every:
        owed = max(tat - now, 0.0) if tat else burst * (1 - FRESH_SHARE) * every
        left = 0.0 if paused > now else max(burst - owed / every, 0.0)
    hourly = 3600 * MICROSECONDS / every if every else None
    return BucketState(bucket, left, _later(paused, now), _later(bg_paused, now), hourly)


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
