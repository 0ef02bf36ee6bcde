"""The limits that the platforms publish: the rate of a budget until a platform reports its own numbers.

X        a user's token and the app's bearer have windows of 15 minutes of their own; live values differ by
         plan, and every answer reports them: https://docs.x.com/x-api/fundamentals/rate-limits
TikTok   calls in a sliding minute, counted for each endpoint; whether by app or by app and user is not
         documented, so they count for the app here: https://developers.tiktok.com/doc/tiktok-api-v2-rate-limit
LinkedIn daily limits whose numbers only the developer portal shows: no pace until an operator sets one
Meta     shares of an unknown number, in percent of a rolling window: a day for an account, an hour for the
         app: https://developers.facebook.com/docs/graph-api/overview/rate-limiting
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from shared.vocabulary import BucketKind, Platform

BURST_SHARE: Final = 0.03
"""Part of a window's calls that may come at once, one at least; smaller bursts spread calls more evenly."""
MARGIN_SHARE: Final = 0.01
"""Part of a window's calls that is never used: calls do not arrive at the pace at which they are sent."""
MICROSECONDS: Final = 1_000_000
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_OVERRIDE: Final = re.compile(r"(\w+):(\w+):([^=\s]+)=(?:(\d{1,9})/(\d{1,6})([smhd])|(none))")
ANY: Final = "*"
"""Stands in a setting for the endpoint of a limit that is not bound to one."""


@dataclass(frozen=True, slots=True)
class Rate:
    """At most ``calls`` in any stretch of time as long as ``window``."""

    calls: int
    window: timedelta

    @property
    def burst(self) -> int:
        """Calls that may come at once."""
        return max(1, int(self.calls * BURST_SHARE))

    @property
    def every(self) -> float:
        """Microseconds that a call costs: a burst and the steady calls of a window fit the limit together."""
        steady = self.calls + 1 - self.burst - self.calls * MARGIN_SHARE
        return self.window.total_seconds() * MICROSECONDS / steady


@dataclass(frozen=True, slots=True)
class Bucket:
    """What one limit of a platform counts together, for the whole fleet."""

    platform: Platform
    kind: BucketKind
    subject: str = ""
    """The account, the endpoint, ``account/endpoint``; empty for the whole application."""

    @property
    def key(self) -> str:
        """Its name in Redis."""
        return f"dravo:budget:{self.platform.value}:{self.kind.value}:{self.subject}"


Limited = tuple[BucketKind, str | None]
"""A kind of bucket, and the endpoint that it is bound to."""

PUBLISHED_LIMITS: Final[Mapping[Platform, Mapping[Limited, Rate]]] = {
    Platform.X: {
        (BucketKind.ACCOUNT, "tweets"): Rate(5_000, timedelta(minutes=15)),
        (BucketKind.ENDPOINT, "tweets:app"): Rate(3_500, timedelta(minutes=15)),
    },
    Platform.TIKTOK: {
        (BucketKind.ENDPOINT, "video/query"): Rate(600, timedelta(minutes=1)),
        (BucketKind.ACCOUNT, "status/fetch"): Rate(30, timedelta(minutes=1)),
    },
}
PERCENT_WINDOWS: Final[Mapping[BucketKind, timedelta]] = {
    BucketKind.ACCOUNT: timedelta(hours=24),
    BucketKind.APP: timedelta(hours=1),
}
"""The rolling windows of Meta's percents."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits in force: the published ones, overridden by an operator's settings."""

    rates: Mapping[Platform, Mapping[Limited, Rate]] = field(default_factory=lambda: PUBLISHED_LIMITS)
    percent_windows: Mapping[BucketKind, timedelta] = field(default_factory=lambda: PERCENT_WINDOWS)

    @classmethod
    def parse(cls, overrides: str) -> "Limits":
        """Return the published limits with overrides like ``platform:kind:endpoint=calls/window,…`` applied.

        ``tiktok:endpoint:video/query=1200/1m,x:account:tweets=none``; ``*`` is a limit that is not bound to
        an endpoint. Raises `ValueError` with a sentence on what is allowed.
        """
        rates = {platform: dict(PUBLISHED_LIMITS.get(platform, {})) for platform in Platform}
        for part in filter(None, (part.strip() for part in overrides.split(","))):
            override = _OVERRIDE.fullmatch(part)
            if not override or override[1] not in set(Platform) or override[2] not in set(BucketKind):
                raise ValueError(
                    "must look like tiktok:endpoint:video/query=600/1m or …=none, comma-separated"
                )
            limited = BucketKind(override[2]), None if override[3] == ANY else override[3]
            if (override[2] == BucketKind.APP) != (override[3] == ANY) and override[2] != BucketKind.ACCOUNT:
                raise ValueError("a limit of kind app is written with *, one of kind endpoint with its name")
            if override[7]:
                rates[Platform(override[1])].pop(limited, None)
                continue
            window = timedelta(**{_UNITS[override[6]]: int(override[5])})
            if not int(override[4]) or not window:
                raise ValueError("a limit has at least one call in a window that is not empty")
            rates[Platform(override[1])][limited] = Rate(int(override[4]), window)
        return cls(rates)

    def of_call(
        self, platform: Platform, account_id: str, endpoint: str
    ) -> tuple[tuple[Bucket, Rate | None], ...]:
        """Return every bucket that a call is counted in, and its rate where one is known."""
        rates = self.rates.get(platform, {})
        return tuple(
            (bucket(platform, account_id, kind, bound), rates.get((kind, bound)))
            for kind, bound in (
                (BucketKind.APP, None),
                (BucketKind.ENDPOINT, endpoint),
                (BucketKind.ACCOUNT, None),
                (BucketKind.ACCOUNT, endpoint),
            )
        )

    def rate_of(self, bucket: Bucket) -> Rate | None:
        """Return a bucket's rate where one is known."""
        endpoint = {
            BucketKind.APP: None,
            BucketKind.ENDPOINT: bucket.subject,
            BucketKind.ACCOUNT: bucket.subject.partition("/")[2] or None,
        }[bucket.kind]
        return self.rates.get(bucket.platform, {}).get((bucket.kind, endpoint))


def bucket(platform: Platform, account_id: str, kind: BucketKind, endpoint: str | None) -> Bucket:
    """Return the bucket of this kind that counts this account's calls to the endpoint."""
    if kind is BucketKind.APP:
        return Bucket(platform, kind)
    if kind is BucketKind.ENDPOINT:
        return Bucket(platform, kind, endpoint or "")
    return Bucket(platform, kind, f"{account_id}/{endpoint}" if endpoint else account_id)
