"""Reads at X are reserved before they happen, billed by UTC day and month, and stopped at a budget."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from shared.quota import spending
from shared.quota.spending import BudgetExhausted, Caps, Reservation
from shared.settings import Settings
from tests.harness import Harness


def reserve(harness: Harness, reads: int, caps: Caps) -> Reservation | BudgetExhausted:
    with harness.engine.begin() as connection:
        return spending.reserve(connection, reads, caps)


def settle(harness: Harness, reservation: Reservation | BudgetExhausted, billed: int) -> None:
    assert isinstance(reservation, Reservation)
    with harness.engine.begin() as connection:
        spending.settle(connection, reservation, billed)


def test_budgets_in_dollars_become_reads_and_the_cap_of_x_applies_too() -> None:
    assert Caps.of(Settings(x_daily_budget_dollars=0.35)).per_day == 70
    assert Caps.of(Settings(x_monthly_budget_dollars=10)).per_month == 2_000
    assert Caps.of(Settings(x_monthly_budget_dollars=1e6)).per_month == 3_000_000
    assert Caps.of(Settings(x_daily_budget_dollars=0)).per_day == 0
    assert spending.dollars(2_001, Settings()) == 10.005


def test_without_a_budget_or_a_price_reads_are_not_limited() -> None:
    assert Caps.of(Settings()).per_day > 10**9
    assert Caps.of(Settings(x_daily_budget_dollars=1, x_dollars_per_read=0)).per_day > 10**9


def test_exhausted_daily_budget_waits_until_next_utc_midnight(harness: Harness) -> None:
    caps = Caps(per_day=10, per_month=100)
    settle(harness, reserve(harness, 8, caps), 8)

    exhausted = reserve(harness, 3, caps)

    assert isinstance(exhausted, BudgetExhausted)
    assert exhausted.spent
    assert exhausted.until == (datetime.now(UTC) + timedelta(days=1)).replace(
        hour=0, minute=0, second=0, microsecond=0
    )
    assert isinstance(reserve(harness, 2, caps), Reservation), "what fits is reserved"


def test_monthly_budget_counts_all_days_of_this_month_and_none_before(harness: Harness) -> None:
    first = datetime.now(UTC).date().replace(day=1)
    for day, reads in ((first - timedelta(days=1), 1_000), (first, 90)):
        harness.execute(
            "INSERT INTO post_reads (platform, day, reads) VALUES ('x', :day, :reads)", day=day, reads=reads
        )
    caps = Caps(per_day=10**9, per_month=100)

    exhausted = reserve(harness, 11, caps)

    assert isinstance(exhausted, BudgetExhausted)
    assert (exhausted.until.day, exhausted.until.hour) == (1, 0)
    assert isinstance(reserve(harness, 10, caps), Reservation)


def test_reserved_reads_that_are_not_billed_are_released(harness: Harness) -> None:
    caps = Caps(per_day=10, per_month=100)
    reservation = reserve(harness, 10, caps)
    before = datetime.now(UTC)
    waiting = reserve(harness, 1, caps)
    after = datetime.now(UTC)
    settle(harness, reservation, 0)

    assert isinstance(waiting, BudgetExhausted)
    assert not waiting.spent
    assert before <= waiting.until - timedelta(seconds=30) <= after
    assert isinstance(reserve(harness, 10, caps), Reservation)


@pytest.mark.parametrize("caps", [Caps(per_day=100, per_month=10**9), Caps(per_day=10**9, per_month=100)])
def test_budget_that_only_reservations_fill_is_not_spent(harness: Harness, caps: Caps) -> None:
    settle(harness, reserve(harness, 90, caps), 90)
    reserve(harness, 5, caps)

    waiting = reserve(harness, 10, caps)

    assert isinstance(waiting, BudgetExhausted)
    assert not waiting.spent


def test_reads_of_another_platform_spend_nothing(harness: Harness) -> None:
    harness.execute(
        "INSERT INTO post_reads (platform, day, reads)"
        " VALUES ('facebook', CAST(now() AT TIME ZONE 'UTC' AS date), 1000)"
    )

    assert isinstance(reserve(harness, 10, Caps(10, 10)), Reservation)


def test_row_is_billable_until_it_was_read_on_this_utc_day(harness: Harness) -> None:
    day = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    instants = [None, day - timedelta(microseconds=1), day, day + timedelta(microseconds=1)]
    query = [
        "SELECT",
        spending.BILLABLE_TODAY,
        "FROM (VALUES (CAST(:at AS timestamptz))) pa (last_updated_at)",
    ]

    billable = [harness.execute(" ".join(query), at=at)[0][0] for at in instants]

    assert billable == [True, True, False, False]


def test_concurrent_jobs_never_overdraw_the_daily_budget(harness: Harness) -> None:
    caps = Caps(per_day=30, per_month=10**9)
    with ThreadPoolExecutor(5) as workers:
        answers = list(workers.map(lambda _: reserve(harness, 4, caps), range(20)))

    assert sum(isinstance(answer, Reservation) for answer in answers) == 7
    assert harness.execute("SELECT reserved FROM post_reads") == [(28,)]


def test_only_the_first_read_of_a_utc_day_is_billable() -> None:
    now = datetime(2026, 11, 23, 0, 30, 15, 500_000, tzinfo=UTC)
    day = datetime(2026, 11, 23, tzinfo=UTC)
    ats = [None, day - timedelta(microseconds=1), day, day + timedelta(milliseconds=1), now]

    assert spending.count_billable(ats, now) == 2


def test_raised_budget_lifts_the_budget_pause_and_no_other_pause(harness: Harness) -> None:
    for kind, subject in (("app", spending.PAUSE.subject), ("app", ""), ("account", "acc_1")):
        harness.execute(
            "INSERT INTO pauses (platform, kind, subject, paused_until, reason)"
            " VALUES ('x', :kind, :subject, now() + interval '1 hour', '')",
            kind=kind,
            subject=subject,
        )
    settle(harness, reserve(harness, 10, Caps(10, 100)), 10)

    def lifted(caps: Caps) -> bool:
        with harness.engine.begin() as connection:
            return spending.lift_pause_after_budget_increase(connection, caps)

    assert (lifted(Caps(10, 100)), lifted(Caps(11, 100)), lifted(Caps(11, 100))) == (False, True, False)
    assert harness.execute("SELECT kind, subject FROM pauses ORDER BY kind") == [
        ("account", "acc_1"),
        ("app", ""),
    ]


def test_concurrent_jobs_never_overdraw_a_partly_spent_monthly_budget(harness: Harness) -> None:
    today = datetime.now(UTC).date()
    first = today.replace(day=1)
    spent_before = 0
    for day, reads in ((first - timedelta(days=1), 500), (first, 40)):
        if day != today:
            harness.execute(
                "INSERT INTO post_reads (platform, day, reads, reserved) VALUES ('x', :day, :reads, 3)",
                day=day,
                reads=reads,
            )
            spent_before += reads if day >= first else 0
    caps = Caps(per_day=10**9, per_month=spent_before + 30)
    with ThreadPoolExecutor(5) as workers:
        answers = list(workers.map(lambda _: reserve(harness, 4, caps), range(20)))

    assert sum(isinstance(answer, Reservation) for answer in answers) == 7
    assert harness.execute("SELECT reserved FROM post_reads WHERE day = :day", day=today) == [(28,)]


def test_billed_and_reserved_reads_count_together_and_one_more_is_refused(harness: Harness) -> None:
    for caps in (Caps(per_day=10, per_month=10**9), Caps(per_day=10**9, per_month=10)):
        harness.execute("DELETE FROM post_reads")
        assert isinstance(reserve(harness, 11, caps), BudgetExhausted), (
            "more than the whole budget, on a fresh day"
        )
        first = reserve(harness, 6, caps)
        second = reserve(harness, 4, caps)
        assert (isinstance(first, Reservation), isinstance(second, Reservation)) == (True, True)
        assert reserve(harness, 1, caps) != second

        settle(harness, first, 5)
        assert harness.execute("SELECT reads, reserved FROM post_reads") == [(5, 4)]
        assert isinstance(reserve(harness, 2, caps), BudgetExhausted)
        assert isinstance(reserve(harness, 1, caps), Reservation)
        settle(harness, second, 4)
        settle(harness, second, 0)
        assert harness.execute("SELECT reads, reserved FROM post_reads") == [(9, 0)], (
            "reserved reads never fall below 0"
        )


def test_settlement_counts_only_on_the_day_of_its_reservation(harness: Harness) -> None:
    caps = Caps(10**9, 10**9)
    reservation = reserve(harness, 5, caps)
    assert isinstance(reservation, Reservation)
    harness.execute(
        "INSERT INTO post_reads (platform, day, reads, reserved) VALUES ('x', :day, 1, 7),"
        " ('facebook', :today, 1, 7)",
        day=reservation.day - timedelta(days=1),
        today=reservation.day,
    )

    settle(harness, reservation, 2)

    rows = harness.execute("SELECT platform, day, reads, reserved FROM post_reads ORDER BY platform, day")
    assert [tuple(row) for row in rows] == [
        ("facebook", reservation.day, 1, 7),
        ("x", reservation.day - timedelta(days=1), 1, 7),
        ("x", reservation.day, 2, 0),
    ]


def test_exhausted_budget_names_itself_and_when_it_renews(harness: Harness) -> None:
    settle(harness, reserve(harness, 8, Caps(100, 100)), 8)
    now = datetime.now(UTC)
    midnight = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    next_month = (now.replace(day=1) + timedelta(days=32)).replace(
        day=1, hour=0, minute=0, second=0, microsecond=0
    )

    month, day = reserve(harness, 3, Caps(100, 10)), reserve(harness, 3, Caps(10, 100))
    both = reserve(harness, 3, Caps(10, 10))

    assert month == both == BudgetExhausted(next_month, "This month's budget for reads at X is spent.")
    assert day == BudgetExhausted(midnight, "Today's budget for reads at X is spent.")
    with harness.engine.connect() as connection:
        assert spending.billed_reads(connection) == spending.BilledReads(today=8, this_month=8)
        assert not isinstance(reserve(harness, 2, Caps(10, 10)), BudgetExhausted), "the last one fits exactly"


def test_budget_filled_by_reservations_is_not_spent_and_waits_30_seconds(harness: Harness) -> None:
    harness.execute(
        "INSERT INTO post_reads (platform, day, reads, reserved)"
        " VALUES ('facebook', CAST(now() AT TIME ZONE 'UTC' AS date), 1000, 1000)"
    )
    for caps in (Caps(per_day=10, per_month=10**9), Caps(per_day=10**9, per_month=10)):
        harness.execute("DELETE FROM post_reads WHERE platform = 'x'")
        assert isinstance(reserve(harness, 4, caps), Reservation)
        with harness.engine.begin() as connection:
            now = connection.exec_driver_sql("SELECT now()").scalar_one()
            exhausted = spending.reserve(connection, 10, caps)

        assert isinstance(exhausted, BudgetExhausted)
        assert (exhausted.until, exhausted.spent) == (now + timedelta(seconds=30), False)


def test_unset_budget_or_zero_price_sets_no_limit() -> None:
    assert Caps.of(Settings()) == Caps(2**62, 3_000_000)
    assert Caps.of(Settings(x_daily_budget_dollars=1, x_dollars_per_read=0)).per_day == 2**62
    assert Caps.of(Settings(x_daily_budget_dollars=0.035)).per_day == 7


READ_AT = """
SELECT number
  FROM (SELECT CAST(now() AT TIME ZONE 'UTC' AS date)::timestamp AT TIME ZONE 'UTC' AS midnight) m,
       LATERAL (VALUES (1, NULL), (2, midnight - interval '1 microsecond'), (3, midnight), (4, now()))
               AS pa (number, last_updated_at)
 WHERE """


def test_read_is_billable_again_from_the_next_utc_midnight(harness: Harness) -> None:
    with harness.engine.begin() as connection:
        connection.exec_driver_sql("SET LOCAL TIME ZONE 'Pacific/Kiritimati'")
        billable = connection.exec_driver_sql(READ_AT + spending.BILLABLE_TODAY).scalars()

        assert list(billable) == [1, 2]
    midnight = datetime(2026, 11, 23, tzinfo=UTC)
    assert spending.count_billable([midnight], midnight + timedelta(hours=1, microseconds=5)) == 0


def test_services_of_the_version_before_and_of_this_one_share_a_day_s_reservations(harness: Harness) -> None:
    caps = Caps(per_day=10, per_month=100)
    harness.execute(
        "INSERT INTO post_reads (platform, day, held) VALUES ('x', CAST(now() AT TIME ZONE 'UTC' AS date), 4)"
    )

    reservation = reserve(harness, 3, caps)
    harness.execute("UPDATE post_reads SET held = held + 2")

    assert harness.execute("SELECT held, reserved FROM post_reads") == [(9, 9)]
    assert isinstance(reserve(harness, 2, caps), BudgetExhausted)
    settle(harness, reservation, 3)
    assert harness.execute("SELECT held, reserved, reads FROM post_reads") == [(6, 6, 3)]
