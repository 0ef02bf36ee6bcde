"""The periodic work of the adaptive policy: quota pressure each hour, half-lives and readers each day."""

import random
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any, Final

import structlog
from sqlalchemy import Connection, Engine, text

from scheduler.maintenance.replanning import Replanning
from scheduler.outages import outages_logged
from shared.freshness.leading import leading_value
from shared.freshness.pressure import MOST, Pressure, next_pressure
from shared.freshness.priors import parse_priors
from shared.freshness.refit import ENOUGH, Pair, Readers, Reads, refit, refit_readers
from shared.quota import call_counts, spending
from shared.quota.budgets import Budgets
from shared.quota.limits import Bucket, Limits
from shared.redis_client import RedisClient
from shared.settings import Settings
from shared.vocabulary import BucketKind, Platform

PRESSURE_CHECKED_EVERY: Final = timedelta(minutes=10)
"""How often a scheduler looks whether an hour has passed since the pressure was computed."""
REFIT_EVERY: Final = timedelta(days=1)
_COMPUTED_EVERY: Final = 0.95  # hours
_MONEY: Final = "money"
_HOUR: Final = timedelta(hours=1)
_PAUSED: Final = 1.4  # factor of an hour in which a platform without published numbers paused an account
_RELAXED: Final = 0.9  # and of an hour in which it did not
_RECENT: Final = timedelta(days=60)  # age of publications all of whose snapshots a fit sees
_SAMPLES, _PER_SAMPLE = 30, 100  # publications whose snapshots a fit uses

_BEFORE: Final = text("""
SELECT platform, account_id, bucket, factor, calls_per_hour, counted,
       CAST(EXTRACT(epoch FROM now() - computed_at) / 3600 AS float8) AS hours
  FROM quota_pressure
""")
_STORE_PRESSURE: Final = text("""
INSERT INTO quota_pressure AS q (platform, account_id, bucket, factor, calls_per_hour, counted)
VALUES (:platform, :account_id, :bucket, :factor, :calls_per_hour, :counted)
ON CONFLICT (platform, account_id, bucket) DO UPDATE
   SET factor = excluded.factor, calls_per_hour = excluded.calls_per_hour, counted = excluded.counted,
       computed_at = now()
""")
_FORGET: Final = text("DELETE FROM quota_pressure WHERE computed_at < now() - interval '1 day'")
_FORGET_READS: Final = text("DELETE FROM read_accuracy WHERE hour < now() - interval '8 days'")
_PAUSED_ACCOUNTS: Final = text("""
SELECT platform, subject FROM pauses
 WHERE kind IN ('app', 'account', 'background') AND paused_until > now()
""")
_ALONE: Final = text("SELECT pg_try_advisory_xact_lock(720571001)")
_PAIRS: Final = text("""
SELECT p.id, p.platform, p.account_id, COALESCE(p.published_at, p.created_at) AS published_at,
       s.taken_at, s.last_seen_at, s.metrics, COALESCE(c.reads, 0) AS reads, now() AS now
  FROM (SELECT * FROM publications WHERE id > :after ORDER BY id LIMIT :most) AS p
  JOIN snapshots s ON s.publication_id = p.id AND s.taken_at > now() - interval '60 days'
  LEFT JOIN read_counts c ON c.publication_id = p.id
 ORDER BY p.id, s.taken_at
""")
_STORE_FIT: Final = text("""
INSERT INTO growth_fits (platform, account_id, half_life, pairs, reads_at_first, reads_at_any_age)
VALUES (:platform, :account_id, :half_life, :pairs, :at_first, :at_any_age)
ON CONFLICT (platform, account_id) DO UPDATE
   SET half_life = excluded.half_life, pairs = excluded.pairs, fitted_at = now(),
       reads_at_first = excluded.reads_at_first, reads_at_any_age = excluded.reads_at_any_age
""")
_log = structlog.get_logger(__name__)

Key = tuple[str, str, str]
"""Platform, account (empty: the application) and bucket."""


class FreshnessTicks:
    """The adaptive policy's ticks of one scheduler; of several schedulers, one does the work."""

    def __init__(self, settings: Settings, engine: Engine, client: RedisClient) -> None:
        self._settings = settings
        self._engine = engine
        self._client = client
        self._budgets = Budgets(client, interactive_share=settings.interactive_share)
        self._limits = Limits.parse(settings.limits)
        self.replanning = Replanning(settings, engine)

    def adjust_pressure(self) -> None:
        """Compute the quota pressure of each budget from the calls since it was last computed."""
        with outages_logged(), self._engine.begin() as connection:
            if not connection.execute(_ALONE).scalar_one():
                return
            stored = connection.execute(_BEFORE).all()
            if any(row.hours < _COMPUTED_EVERY for row in stored):
                return
            before = {(row.platform, row.account_id, row.bucket): row for row in stored}
            pressures = {**self._of_calls(connection, before), **self._of_money(connection, before)}
            if pressures:
                connection.execute(
                    _STORE_PRESSURE,
                    [
                        {
                            "platform": platform,
                            "account_id": account_id,
                            "bucket": bucket,
                            "counted": counted,
                            **pressure._asdict(),
                        }
                        for (platform, account_id, bucket), (pressure, counted) in sorted(pressures.items())
                    ],
                )
            connection.execute(_FORGET)
            connection.execute(_FORGET_READS)
            _log.info("quota_pressure_computed", buckets=len(pressures))

    def _of_calls(self, connection: Connection, before: Mapping[Key, Any]) -> dict[Key, tuple[Pressure, int]]:
        """Return the pressure of buckets that count calls."""
        calls = call_counts.take(self._client)
        paused = {(row.platform, row.subject) for row in connection.execute(_PAUSED_ACCOUNTS)}
        for platform, _, name in before:
            kind, _, subject = name.partition(":")
            if name != _MONEY:  # an hour without calls relaxes a budget, too
                calls.setdefault(Bucket(Platform(platform), BucketKind(kind), subject), 0)
        buckets = list(calls)
        rates = [(bucket, self._limits.rate_of(bucket)) for bucket in buckets]
        states = self._budgets.remaining(rates) if rates else []
        pressures: dict[Key, tuple[Pressure, int]] = {}
        for bucket, state in zip(buckets, states, strict=True):
            account_id = bucket.subject.partition("/")[0] if bucket.kind is BucketKind.ACCOUNT else ""
            key = bucket.platform.value, account_id, f"{bucket.kind.value}:{bucket.subject}"
            last = before.get(key)
            hourly = calls[bucket] / max(last.hours if last else 1.0, 1.0)
            start = Pressure(last.factor, last.calls_per_hour) if last else Pressure(1.0, hourly)
            is_paused = {(bucket.platform.value, account_id), (bucket.platform.value, "")} & paused
            if state.calls_per_hour is not None:
                pressures[key] = next_pressure(start, hourly, state.calls_per_hour, 1.0), 0
            elif last or is_paused:
                factor = start.factor * (_PAUSED if is_paused else _RELAXED)
                pressures[key] = Pressure(min(max(factor, 1.0), MOST), hourly), 0
        return pressures

    def _of_money(self, connection: Connection, before: Mapping[Key, Any]) -> dict[Key, tuple[Pressure, int]]:
        """Return the pressure of the scarcer of two budgets for reads that X bills: day and month."""
        billed, caps = spending.billed_reads(connection), spending.Caps.of(self._settings)
        key = Platform.X.value, "", _MONEY
        last = before.get(key)
        if last is None and not billed.this_month:
            return {}
        now = datetime.now(UTC)
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        month_end = (midnight.replace(day=1) + timedelta(days=32)).replace(day=1)
        left, hours = min(
            (
                (caps.per_day - billed.today, (midnight + timedelta(days=1) - now) / _HOUR),
                (caps.per_month - billed.this_month, (month_end - now) / _HOUR),
            ),
            key=lambda budget: budget[0] / budget[1],
        )
        since = billed.this_month - last.counted if last else billed.this_month
        reads = since if since >= 0 else billed.this_month  # a new month has begun
        hourly = reads / max(last.hours, 1.0) if last else 0.0
        start = Pressure(last.factor, last.calls_per_hour) if last else Pressure()
        return {key: (next_pressure(start, hourly, left, hours, paid=True), billed.this_month)}

    def refit(self) -> None:
        """Fit half-lives and readers to a sample of the installation's own posts, by platform and account."""
        with outages_logged(), self._engine.begin() as connection:
            if not connection.execute(_ALONE).scalar_one():
                return
            pairs, reads = self._samples(connection)
            priors = parse_priors(self._settings.freshness_priors)
            fits: dict[str, tuple[float, Readers]] = {}
            for (platform, account_id), measured in sorted(pairs.items()):  # a platform before its accounts
                if account_id and len(measured) < ENOUGH:
                    continue
                prior = priors[Platform(platform)]
                half_life, readers = fits.get(platform, (prior.half_life, Readers.of(prior)))
                half_life = refit(measured, half_life)
                readers = refit_readers(reads[platform, account_id], readers)
                if not account_id:
                    fits[platform] = half_life, readers
                fit = {"half_life": half_life, "pairs": len(measured), **readers._asdict()}
                connection.execute(_STORE_FIT, {"platform": platform, "account_id": account_id, **fit})
            _log.info("half_lives_fitted", platforms={platform: fit[0] for platform, fit in fits.items()})

    def _samples(
        self, connection: Connection
    ) -> tuple[dict[tuple[str, str], list[Pair]], dict[tuple[str, str], list[Reads]]]:
        """Return successive measurements and reads by platform and account; a platform has no account."""
        last = connection.execute(text("SELECT COALESCE(max(id), 0) FROM publications")).scalar_one()
        pairs: dict[tuple[str, str], list[Pair]] = defaultdict(list)
        reads: dict[tuple[str, str], list[Reads]] = defaultdict(list)
        starts = range(0, last, _PER_SAMPLE)
        for after in random.sample(starts, min(_SAMPLES, len(starts))):
            rows = connection.execute(_PAIRS, {"after": after, "most": _PER_SAMPLE}).all()
            for row, pair in _successive(rows):
                pairs[row.platform, ""].append(pair)
                pairs[row.platform, row.account_id].append(pair)
            for row, counted in _counted(rows):
                reads[row.platform, ""].append(counted)
                reads[row.platform, row.account_id].append(counted)
        return pairs, reads


def _counted(rows: Sequence[Any]) -> Iterable[tuple[Any, Reads]]:
    """Yield the reads of each publication since its first snapshot; of older ones it may not be the first."""
    for _, snapshots in groupby(rows, key=lambda row: row.id):
        first = next(snapshots)
        if first.now - first.published_at < _RECENT:
            began, now = ((at - first.published_at) / _HOUR for at in (first.taken_at, first.now))
            yield first, Reads(began, now, first.reads)


def _successive(rows: Iterable[Any]) -> Iterable[tuple[Any, Pair]]:
    """Yield the growth between successive measurements of the same publication."""
    publication_id, age, value = None, 0.0, 0.0
    for row in rows:
        measured = leading_value(Platform(row.platform), row.metrics)
        if measured is None:
            continue
        for instant in dict.fromkeys((row.taken_at, row.last_seen_at)):
            now = (instant - row.published_at) / _HOUR
            if row.id == publication_id:
                yield row, Pair(age, value, now, measured)
            publication_id, age, value = row.id, now, measured
