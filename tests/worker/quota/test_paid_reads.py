"""Which jobs reserve reads that cost money, and when a budget pauses the platform."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from shared.outcome_kinds import OutcomeKind
from shared.quota import spending
from shared.quota.spending import BudgetExhausted, Caps, Reservation
from shared.settings import Settings
from shared.vocabulary import Platform, Reason, SyncStatus
from tests.harness import Harness
from worker.claims import StartedRow
from worker.outcomes.outcome import Outcome
from worker.quota import paid_reads
from worker.readings import Publication

NOW = datetime.now(UTC)
TEN_READS = Settings(x_daily_budget_dollars=0.05)


def row(number: int, last_updated_at: datetime | None = None) -> StartedRow:
    publication = Publication(number, f"70{number}", None, None, NOW)
    return StartedRow(publication, 4, 1, 1, None, SyncStatus.PENDING, {}, (), last_updated_at, None)


def reserve(
    harness: Harness, rows: Sequence[StartedRow], platform: Platform = Platform.X
) -> Reservation | BudgetExhausted | None:
    return paid_reads.reserve(harness.engine, TEN_READS, platform, rows, NOW)


def pauses(harness: Harness) -> int:
    return len(harness.execute("SELECT * FROM pauses"))


def test_only_jobs_at_x_reserve_reads(harness: Harness) -> None:
    assert reserve(harness, [row(1)], Platform.FACEBOOK) is None
    assert harness.execute("SELECT * FROM post_reads") == []


def test_rows_that_were_billed_today_reserve_nothing(harness: Harness) -> None:
    assert reserve(harness, [row(1, NOW)]) is None
    assert harness.execute("SELECT * FROM post_reads") == []


def test_spent_budget_pauses_the_platform_until_it_renews_itself(harness: Harness) -> None:
    with harness.engine.begin() as connection:
        reservation = spending.reserve(connection, 10, Caps.of(TEN_READS))
        assert isinstance(reservation, Reservation)
        spending.settle(connection, reservation, 10)

    exhausted = reserve(harness, [row(1)])

    assert isinstance(exhausted, BudgetExhausted)
    assert harness.execute("SELECT platform, kind, subject, paused_until, reason FROM pauses") == [
        ("x", "app", "budget", exhausted.until, "Today's budget for reads at X is spent.")
    ]


def test_budget_that_only_reservations_fill_pauses_nothing(harness: Harness) -> None:
    reserve(harness, [row(number) for number in range(10)])

    waiting = reserve(harness, [row(10)])

    assert isinstance(waiting, BudgetExhausted)
    assert pauses(harness) == 0


def test_only_first_reads_of_the_day_that_brought_numbers_are_paid(harness: Harness) -> None:
    rows = first, again, failed = row(1), row(2, NOW), row(3)
    reservation = reserve(harness, rows)
    assert isinstance(reservation, Reservation)
    synced = Outcome(first, OutcomeKind.SYNCED, Reason.STALE, NOW, attempts=0, completed=True)

    outcomes = [synced, replace(synced, row=again), replace(synced, row=failed, completed=False)]
    with harness.engine.begin() as connection:
        paid_reads.settle(connection, reservation, outcomes, NOW)

    assert harness.execute("SELECT reads, reserved FROM post_reads") == [(1, 0)]
