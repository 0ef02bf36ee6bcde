"""What a refresh knows once its claims have started: its rows, its lane, its policy and its lease."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.freshness.priors import PRIORS
from shared.quota import spending
from shared.quota.spending import BudgetExhausted, Caps, Reservation
from shared.refresh_queue import RefreshJob
from shared.settings import Settings
from shared.vocabulary import BucketKind, Lane, Platform
from tests.harness import Harness
from worker import refresh as refreshes
from worker.context import RefreshRun, WorkerContext
from worker.credentials import tokens
from worker.fetch import FetchResult
from worker.quota.pause import Deferred
from worker.refresh import refresh

CLAIMED: dict[str, Any] = {
    "claim_seq": 4,
    "claimed_at": datetime(2026, 11, 26, tzinfo=UTC),
    "reason": "claimed",
}


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[tuple[RefreshRun, FetchResult]]:
    """Note each refresh where it ends, instead of recording it; a fetch brings nothing."""
    noted: list[tuple[RefreshRun, FetchResult]] = []

    def finish(run: RefreshRun, result: FetchResult, _context: WorkerContext) -> None:
        noted.append((run, result))

    def fetch(run: RefreshRun, *_: object) -> FetchResult:
        assert run.rows, "without rows there is nothing to fetch"
        return FetchResult(run.stored, rest=run.rows)

    monkeypatch.setattr(refreshes, "fetch", fetch)
    monkeypatch.setattr(refreshes, "finish", finish)
    return noted


def start(harness: Harness, ids: list[int]) -> None:
    refresh(RefreshJob("acc_1", tuple((one, 4) for one in ids)), harness.context)


@pytest.mark.parametrize(("priorities", "lane"), [((0, 1), Lane.INTERACTIVE), ((0, 0), Lane.BACKGROUND)])
def test_job_in_which_somebody_waits_for_a_row_is_interactive(
    harness: Harness,
    runs: list[tuple[RefreshRun, FetchResult]],
    priorities: tuple[int, int],
    lane: Lane,
) -> None:
    ids = harness.publications(harness.account("acc_1"), 2, **CLAIMED)
    for one, priority in zip(ids, priorities, strict=True):
        harness.execute(
            "UPDATE refresh_state SET priority = :priority WHERE publication_id = :id",
            priority=priority,
            id=one,
        )

    start(harness, ids)

    ((run, _),) = runs
    assert run.lane is lane
    assert len(run.request_id) == 16


def test_row_that_was_started_too_often_is_not_fetched(
    harness: Harness, runs: list[tuple[RefreshRun, FetchResult]]
) -> None:
    ids = harness.publications(harness.account("acc_1"), 3, **CLAIMED)
    for one, unfinished in zip(ids, (3, 4, 5), strict=True):
        harness.execute(
            "UPDATE refresh_state SET unfinished = :starts WHERE publication_id = :id",
            starts=unfinished,
            id=one,
        )

    start(harness, ids)
    harness.execute("UPDATE refresh_state SET claim_seq = 4, unfinished = 9")
    start(harness, ids)

    (run, result), (poisoned, nothing) = runs
    assert [row.publication.id for row in run.rows] == ids[:2], "the fifth start is the last one"
    assert [row.publication.id for row in run.poison] == ids[2:]
    assert result.rest == run.rows
    assert (poisoned.rows, len(poisoned.poison), nothing.rest) == ((), 3, ())


@pytest.mark.parametrize(
    ("platform", "factor", "pressure"),
    [
        (Platform.LINKEDIN, None, 1.0),
        (Platform.TIKTOK, 0.5, 0.5),
        (Platform.LINKEDIN, 3.0, 3.0),
        (Platform.X, None, 1.0),
        (Platform.X, 0.5, 1.0),
        (Platform.X, 3.0, 3.0),
    ],
)
def test_policy_follows_the_pressure_and_the_fit_of_the_account(
    harness: Harness,
    runs: list[tuple[RefreshRun, FetchResult]],
    platform: Platform,
    factor: float | None,
    pressure: float,
) -> None:
    ids = harness.publications(harness.account("acc_1", platform), 1, **CLAIMED)
    prior = PRIORS[platform]
    if factor is not None:
        harness.execute(
            "INSERT INTO quota_pressure (platform, account_id, bucket, factor, calls_per_hour)"
            " VALUES (:platform, 'acc_1', 'app:', :factor, 1)",
            platform=platform.value,
            factor=factor,
        )
        harness.execute(
            "INSERT INTO growth_fits (platform, account_id, half_life, pairs) VALUES (:platform, '', 7, 300)",
            platform=platform.value,
        )
        prior = prior._replace(half_life=7.0)

    start(harness, ids)

    ((run, _),) = runs
    settings = harness.context.settings
    assert (run.policy.freshness.platform, run.policy.freshness.pressure) == (platform, pressure)
    assert run.policy.freshness.prior == prior
    assert run.policy.first_retry == settings.first_retry
    assert run.policy.missing_confirm == settings.missing_confirm(platform)
    assert run.policy.quarantine_starts == settings.quarantine_starts == 5


@pytest.mark.parametrize(("left", "passed"), [("59 s", 1.0), ("50 s", 10.0), ("20 s", 0.0), ("70 s", 0.0)])
def test_lease_of_a_run_began_when_the_one_in_the_database_did(
    harness: Harness, runs: list[tuple[RefreshRun, FetchResult]], left: str, passed: float
) -> None:
    ids = harness.publications(harness.account("acc_1"), 1, **CLAIMED)
    harness.execute(f"UPDATE refresh_state SET next_run_at = now() + interval '{left}'")

    start(harness, ids)

    ((run, _),) = runs
    began = run.began - run.lease_began
    assert passed <= began < passed + 5 if passed else began == 0


def test_paused_job_fetches_nothing_until_its_pause_ends(
    harness: Harness, runs: list[tuple[RefreshRun, FetchResult]]
) -> None:
    ids = harness.publications(harness.account("acc_1", Platform.TIKTOK), 1, **CLAIMED)
    until = datetime.now(UTC) + timedelta(hours=1)
    harness.execute(
        "INSERT INTO pauses (platform, kind, subject, paused_until, reason)"
        " VALUES ('tiktok', 'account', 'acc_1', :until, 'Wait.'),"
        " ('tiktok', 'endpoint', 'other', :until, '')",
        until=until,
    )

    start(harness, ids)

    ((run, result),) = runs
    assert [pause.subject for pause in run.pauses] == ["acc_1", "other"]
    assert str(result.error) == "Wait."
    assert result.rest == run.rows


def test_account_that_is_erased_during_the_start_ends_the_job(
    harness: Harness, runs: list[tuple[RefreshRun, FetchResult]], monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = harness.publications(harness.account("acc_1"), 1, **CLAIMED)
    monkeypatch.setattr(tokens, "load", lambda *_: None)

    start(harness, ids)

    assert runs == []


@pytest.mark.parametrize("spent", [True, False])
def test_job_without_money_waits_for_the_budget_or_for_other_jobs_reservations(
    harness: Harness, runs: list[tuple[RefreshRun, FetchResult]], *, spent: bool
) -> None:
    ids = harness.publications(harness.account("acc_1", Platform.X), 1, **CLAIMED)
    settings = Settings(x_daily_budget_dollars=0.05)
    with harness.engine.begin() as connection:
        reserved = spending.reserve(connection, 10, Caps.of(settings))
        assert isinstance(reserved, Reservation)
        if spent:
            spending.settle(connection, reserved, 10)
        exhausted = spending.reserve(connection, 1, Caps.of(settings))
        assert isinstance(exhausted, BudgetExhausted)

    refresh(RefreshJob("acc_1", ((ids[0], 4),)), replace(harness.context, settings=settings))

    ((run, result),) = runs
    assert isinstance(result.error, Deferred)
    assert (result.error.pause, result.error.kind) == (spending.PAUSE if spent else None, BucketKind.APP)
    assert abs(result.error.until - exhausted.until) < timedelta(minutes=1)
    assert (str(result.error), result.rest) == (exhausted.sentence, run.rows)
