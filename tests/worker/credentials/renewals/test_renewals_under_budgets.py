"""Renewals of tokens reserve budgets like every other call, and no transaction waits for Redis."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from shared.quota.budgets import Budgets
from shared.vocabulary import BucketKind, Platform
from tests.harness import Harness
from tests.worker.running import claims, run
from worker.credentials.renewal import renew_ahead
from worker.errors import Paused
from worker.refresh import refresh


def account(harness: Harness, platform: Platform, expires_in: timedelta) -> str:
    return harness.account(
        "acc_1",
        platform,
        sealed_refresh_token=harness.context.vault.seal(SecretStr("pair")),
        token_expires_at=datetime.now(UTC) + expires_in,
    )


def refusal() -> Paused:
    relief = datetime.now(UTC) + timedelta(minutes=5)
    return Paused(
        "The limit of token renewals is reached.",
        kind=BucketKind.ENDPOINT,
        endpoint="oauth/token",
        until=relief,
    )


def test_refused_renewal_defers_rows_and_costs_no_attempt(harness: Harness) -> None:
    publication = harness.publications(account(harness, Platform.X, timedelta(seconds=-1)))[0]
    harness.adapter.renewal = refusal()

    run(harness)
    row = harness.state(publication)
    run(harness)

    assert (row.reason, row.attempts, row.sync_status) == ("paused", 0, "pending")
    assert timedelta(minutes=4) < row.wait < timedelta(minutes=6)
    assert harness.execute("SELECT kind, subject FROM pauses") == [("endpoint", "oauth/token")]
    assert harness.adapter.renewals == ["acc_1"], "a parked endpoint is not asked again"
    assert harness.adapter.requested == []


def test_refused_early_renewal_pauses_its_bucket_and_fetches_with_the_old_token(harness: Harness) -> None:
    publication = harness.publications(account(harness, Platform.X, timedelta(minutes=1)))[0]
    harness.adapter.renewal = refusal()

    run(harness, times=2)

    assert harness.state(publication).sync_status == "synced"
    assert harness.execute("SELECT kind, subject FROM pauses") == [("endpoint", "oauth/token")]
    assert harness.adapter.renewals == ["acc_1"]


def test_refused_renewal_ahead_pauses_its_bucket_for_the_whole_fleet(harness: Harness) -> None:
    account(harness, Platform.LINKEDIN, timedelta(days=1))
    harness.adapter.renewal = refusal()

    for _ in range(3):
        renew_ahead("acc_1", harness.context)

    assert harness.adapter.renewals == ["acc_1"]
    assert harness.execute("SELECT kind, subject FROM pauses") == [("endpoint", "oauth/token")]


def test_early_renewal_waits_while_its_platform_is_paused(harness: Harness) -> None:
    account(harness, Platform.LINKEDIN, timedelta(days=1))
    harness.execute(
        "INSERT INTO pauses (platform, kind, subject, paused_until, reason)"
        " VALUES ('linkedin', 'operator_platform', '', now() + interval '1 hour', 'maintenance')"
    )

    renew_ahead("acc_1", harness.context)

    assert harness.adapter.renewals == []


def test_no_transaction_waits_for_redis(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job has no connection to the database in use while it calls Redis."""
    in_use: list[tuple[str, int]] = []

    def watched(name: str) -> None:
        real = getattr(Budgets, name)

        def call(self: Budgets, *arguments: Any, **options: Any) -> Any:
            in_use.append((name, harness.context.engine.pool.checkedout()))  # type: ignore[attr-defined] # of QueuePool
            return real(self, *arguments, **options)

        monkeypatch.setattr(Budgets, name, call)

    for name in ("reserve", "pause", "probe_succeeded", "count_refusal", "update"):
        watched(name)
    harness.publications(account(harness, Platform.X, timedelta(seconds=-1)), 2)
    limit = Paused(
        "Limit.",
        kind=BucketKind.ACCOUNT,
        until=datetime.now(UTC) + timedelta(seconds=9),
        escalates_until=datetime.now(UTC) + timedelta(hours=9),
    )
    harness.adapter.script = lambda *_: limit

    for job in claims(harness):
        refresh(job, harness.context)

    names: Sequence[str] = [name for name, _ in in_use]
    assert {"reserve", "pause"} <= set(names)
    assert {used for _, used in in_use} == {0}
