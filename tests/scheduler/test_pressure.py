"""The quota pressure of budgets without published numbers, and of the money that reads at X cost."""

from datetime import datetime
from types import SimpleNamespace
from typing import Any

import pytest

from scheduler import freshness as module
from scheduler.freshness import FreshnessTicks
from shared.freshness.pressure import Pressure, next_pressure
from shared.quota import spending
from shared.quota.call_counts import CallCounter
from shared.quota.limits import Bucket
from shared.redis_client import RedisClient
from shared.settings import Settings
from shared.vocabulary import BucketKind, Platform
from tests.harness import Harness


def test_pressure_of_budgets_without_numbers_follows_the_pauses_in_force(
    harness: Harness, client: RedisClient
) -> None:
    harness.execute(
        "INSERT INTO quota_pressure (platform, account_id, bucket, factor, calls_per_hour, computed_at)"
        " SELECT 'facebook', name, 'account:' || name || part, factor, 7, now() - interval '3 hours'"
        " FROM (VALUES ('paused', '/insights', 2.0), ('background', '', 2.0), ('relieved', '', 2.0),"
        "              ('at_rest', '', 1.05), ('highest', '', 190.0), ('over', '', 2.0),"
        "              ('by_operator', '', 2.0)) f (name, part, factor)"
    )
    harness.execute(
        "INSERT INTO pauses (platform, kind, subject, paused_until, reason)"
        " SELECT platform, kind, subject, now() + length * interval '1 hour', ''"
        " FROM (VALUES ('facebook', 'account', 'paused', 1), ('facebook', 'background', 'background', 1),"
        "              ('facebook', 'account', 'highest', 1), ('facebook', 'account', 'over', -1),"
        "              ('facebook', 'operator_account', 'by_operator', 1), ('instagram', 'app', '', 1)"
        ") p (platform, kind, subject, length)"
    )
    counter = CallCounter(client)
    counter.count([Bucket(Platform.FACEBOOK, BucketKind.ACCOUNT, "relieved")], 300)
    for platform in (Platform.FACEBOOK, Platform.INSTAGRAM):
        counter.count([Bucket(platform, BucketKind.ACCOUNT, "new")], 50)
    counter.send()

    FreshnessTicks(harness.context.settings, harness.scheduler, client).adjust_pressure()

    rows = harness.execute("SELECT platform, account_id, factor, calls_per_hour FROM quota_pressure")
    assert {
        (platform, account): (round(factor, 3), round(calls)) for platform, account, factor, calls in rows
    } == {
        ("facebook", "paused"): (2.8, 0),
        ("facebook", "background"): (2.8, 0),
        ("facebook", "relieved"): (1.8, 100),
        ("facebook", "at_rest"): (1, 0),
        ("facebook", "highest"): (200, 0),
        ("facebook", "over"): (1.8, 0),
        ("facebook", "by_operator"): (1.8, 0),
        ("instagram", "new"): (1.4, 50),
    }
    assert harness.execute("SELECT FROM quota_pressure WHERE computed_at < now() - interval '1 hour'") == []


CAPS = spending.Caps(per_day=1_000, per_month=10_000)
BEFORE = SimpleNamespace(factor=1.5, calls_per_hour=2_000.0, counted=400, hours=2.0)
RESET = SimpleNamespace(factor=1.5, calls_per_hour=2_000.0, counted=9_000, hours=0.96)


@pytest.mark.parametrize(
    ("now", "billed", "last", "reads", "left", "hours"),
    [
        ("2026-01-31T18:00", (100, 500), BEFORE, 50, 900, 6),
        ("2026-01-10T00:00", (0, 9_990), BEFORE, 4_795, 10, 528),
        ("2026-12-31T12:00", (600, 9_900), BEFORE, 4_750, 100, 12),
        ("2026-01-01T01:00", (40, 40), RESET, 40, 9_960, 743),
        ("2026-01-01T01:00", (40, 40), None, 0, 9_960, 743),
    ],
)
def test_scarcer_budget_of_money_decides_by_the_reads_since_the_last_hour(
    monkeypatch: pytest.MonkeyPatch,
    now: str,
    billed: tuple[int, int],
    last: Any,
    reads: float,
    left: int,
    hours: float,
) -> None:
    clock = SimpleNamespace(now=lambda zone: datetime.fromisoformat(now).replace(tzinfo=zone))
    monkeypatch.setattr(module, "datetime", clock)
    monkeypatch.setattr(spending, "billed_reads", lambda _: spending.BilledReads(*billed))
    monkeypatch.setattr(spending.Caps, "of", lambda _: CAPS)
    nobody: Any = SimpleNamespace(register_script=lambda _: None)
    key = ("x", "", "money")
    start = Pressure(last.factor, last.calls_per_hour) if last else Pressure()

    pressures = FreshnessTicks(Settings(), nobody, nobody)._of_money(nobody, {key: last} if last else {})

    assert pressures == {key: (next_pressure(start, reads, left, hours, paid=True), billed[1])}
